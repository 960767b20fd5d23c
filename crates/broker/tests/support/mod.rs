//! A shard with Clients around it, without sockets: what benchmarks and counts of allocations drive.

use std::sync::Arc;

use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::{Arrival, ConnectRequest, Input},
    limits::Settings,
    output::Outbox,
    routing::interests::Interests,
    shard::Shard,
};
use dunlin_packet::{
    fixed_header::Frame,
    packet::Packet,
    packet_identifier::PacketId,
    property::list::PropertyList,
    publish::Publish,
    qos::QoS,
    subscribe::{Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    topic::name::TopicName,
    version::ProtocolVersion,
};
use dunlin_protocol::time::Instant;

/// Without Properties.
const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;

/// One shard that keeps nothing on a disk, and Clients that acknowledge all they get.
pub(crate) struct World {
    shard: Shard,
    out: Outbox,
    dirty: Vec<ConnectionId>,
    /// What each Client says next.
    answers: Vec<Vec<u8>>,
    /// Clients that have something to say.
    speaking: Vec<ConnectionId>,
    spoken: Vec<u8>,
    /// Room for what a Client says about one turn.
    answer_bytes: usize,
    deliveries: u32,
}

impl World {
    /// A shard without Clients.
    pub(crate) fn new() -> Self {
        let settings = Settings { in_flight_max: 60_000, output_bytes_max: 1 << 30, ..Settings::default() };
        Self {
            shard: Shard::new(ShardId(0), 1, Arc::new(settings), &Interests::new(1)),
            out: Outbox::new(1),
            dirty: Vec::new(),
            answers: Vec::new(),
            speaking: Vec::with_capacity(10_000),
            spoken: Vec::with_capacity(ANSWER_BYTES),
            answer_bytes: ANSWER_BYTES,
            deliveries: 0,
        }
    }

    /// The same with Clients that need no memory, as they have nothing to say.
    pub(crate) fn resting() -> Self {
        Self { answer_bytes: 0, answers: Vec::with_capacity(20_000), ..Self::new() }
    }

    /// A Client with a clean Session connects.
    pub(crate) fn connect(&mut self) -> ConnectionId {
        let connection = ConnectionId(self.answers.len() as u32);
        self.answers.push(Vec::with_capacity(self.answer_bytes));
        self.out.open(connection);
        let request = ConnectRequest::new(VERSION, &format!("client {}", connection.0));
        let arrival = Arrival { connection, request, unread: Vec::new() };
        self.shard.handle(NOW, Input::Arrived(Box::new(arrival)), &mut self.out);
        self.flush();
        connection
    }

    /// The Client subscribes to one Topic Filter.
    pub(crate) fn subscribe(&mut self, connection: ConnectionId, topic_filter: &str, qos: QoS) {
        let requests = [SubscriptionRequest { topic_filter, options: SubscriptionOptions::with_qos(qos) }];
        let subscribe = Subscribe {
            packet_id: PacketId::MIN,
            properties: PropertyList::EMPTY,
            filters: SubscriptionFilters::from_slice(&requests),
        };
        let mut packet = Vec::new();
        subscribe.encode(VERSION, &mut packet).expect("a small packet");
        self.exchange(connection, &packet);
    }

    /// `bytes` come from a Client in one turn; then all Clients acknowledge until everything is said. Returns how many
    /// messages were delivered.
    pub(crate) fn exchange(&mut self, connection: ConnectionId, bytes: &[u8]) -> u32 {
        self.deliveries = 0;
        self.shard.handle(NOW, Input::Received { connection, bytes }, &mut self.out);
        self.flush();
        while let Some(connection) = self.speaking.pop() {
            std::mem::swap(&mut self.spoken, &mut self.answers[connection.index()]);
            self.shard.handle(NOW, Input::Received { connection, bytes: &self.spoken }, &mut self.out);
            self.spoken.clear();
            self.flush();
        }
        self.deliveries
    }

    fn flush(&mut self) {
        self.out.take_dirty(&mut self.dirty);
        for connection in self.dirty.drain(..) {
            let pending = self.out.pending(connection);
            let answers = &mut self.answers[connection.index()];
            let was_silent = answers.is_empty();
            self.deliveries += answer(pending, answers);
            if was_silent && !answers.is_empty() {
                self.speaking.push(connection);
            }
            let count = pending.len();
            self.out.consume(connection, count);
        }
    }
}

/// `count` PUBLISH packets behind each other, with Packet Identifiers from 1 on if they have any.
pub(crate) fn publishes(topic: &str, qos: QoS, count: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 1..=count {
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic_name: Some(TopicName::parse(topic).expect("a valid name")),
            packet_id: (qos != QoS::AtMostOnce).then(|| PacketId::new(number).expect("not 0")),
            properties: PropertyList::EMPTY,
            payload: &[b'x'; 16],
        };
        publish.encode(VERSION, &mut bytes).expect("a small packet");
    }
    bytes
}

/// Appends to `answers` what a receiver of `bytes` sends back; returns how many messages it got.
fn answer(bytes: &[u8], answers: &mut Vec<u8>) -> u32 {
    let (mut rest, mut messages) = (bytes, 0);
    while let Ok(Some(frame)) = Frame::split(rest, u32::MAX) {
        rest = &rest[frame.encoded_len..];
        let reply = match Packet::decode(VERSION, frame).expect("the Server sends good packets") {
            Packet::Publish(publish) => {
                messages += 1;
                match (publish.qos, publish.packet_id) {
                    (QoS::AtLeastOnce, Some(id)) => (PUBACK, id),
                    (QoS::ExactlyOnce, Some(id)) => (PUBREC, id),
                    _ => continue,
                }
            }
            Packet::Pubrec(ack) => (PUBREL, ack.packet_id),
            Packet::Pubrel(ack) => (PUBCOMP, ack.packet_id),
            _ => continue,
        };
        answers.extend_from_slice(&[reply.0, 2]);
        answers.extend_from_slice(&reply.1.value().to_be_bytes());
    }
    messages
}

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

/// Room for what a Client says about one turn.
const ANSWER_BYTES: usize = 16 << 10;

const NOW: Instant = Instant::from_ms(1_000_000);
