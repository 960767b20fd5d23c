//! A message with RETAIN that is published while a new Subscription's question for Retained Messages is under way.

use std::sync::Arc;

use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::{Arrival, ConnectRequest, Input},
    limits::Settings,
    output::Outbox,
    routing::{interests::Interests, mail::Mail},
    shard::Shard,
    slot::home_of,
};
use dunlin_packet::{fixed_header::Frame, packet::Packet, version::ProtocolVersion};
use dunlin_protocol::time::Instant;

const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;
const NOW: Instant = Instant::from_ms(1_000_000);
const SUBSCRIBER: usize = 0;
const PUBLISHER: usize = 1;

/// Two shards, one Client in each, and mail that arrives when it is told to.
struct Pair {
    shards: [Shard; 2],
    outboxes: [Outbox; 2],
    /// What is under way to each shard from the other one.
    mail: [Vec<Mail>; 2],
    topic: String,
}

impl Pair {
    /// The home of the topic is the shard `home`.
    fn new(home: usize) -> Self {
        let interests = Interests::new(2);
        let settings = Arc::new(Settings::default());
        let shard = |id| Shard::new(ShardId(id), 2, Arc::clone(&settings), &interests);
        let topic = (0..).map(|n| format!("t{n}")).find(|topic| home_of(topic, 2).index() == home);
        let mut pair = Self {
            shards: [shard(0), shard(1)],
            outboxes: [Outbox::new(2), Outbox::new(2)],
            mail: [Vec::new(), Vec::new()],
            topic: topic.expect("each shard is the home of some topic"),
        };
        pair.connect(SUBSCRIBER);
        pair.connect(PUBLISHER);
        pair
    }

    fn input(&mut self, shard: usize, input: Input<'_>) {
        self.shards[shard].handle(NOW, input, &mut self.outboxes[shard]);
        self.mail[1 - shard].append(&mut self.outboxes[shard].routes[1 - shard]);
    }

    fn connect(&mut self, shard: usize) {
        self.outboxes[shard].open(CONNECTION);
        let request = ConnectRequest::new(VERSION, &format!("client {shard}"));
        let arrival = Arrival { connection: CONNECTION, request, unread: Vec::new() };
        self.input(shard, Input::Arrived(Box::new(arrival)));
    }

    fn subscribe(&mut self) {
        let topic = self.topic.clone();
        let mut bytes = vec![0x82, topic.len() as u8 + 5, 0, 1, 0, topic.len() as u8];
        bytes.extend_from_slice(topic.as_bytes());
        bytes.push(0);
        self.input(SUBSCRIBER, Input::Received { connection: CONNECTION, bytes: &bytes });
    }

    /// PUBLISH with QoS 0.
    fn publish(&mut self, payload: &str, retain: bool) {
        let topic = self.topic.clone();
        let length = 2 + topic.len() + payload.len();
        let mut bytes = vec![0x30 | u8::from(retain), length as u8, 0, topic.len() as u8];
        bytes.extend_from_slice(topic.as_bytes());
        bytes.extend_from_slice(payload.as_bytes());
        self.input(PUBLISHER, Input::Received { connection: CONNECTION, bytes: &bytes });
    }

    /// Brings all mail that is under way to its shards, and what comes of it.
    fn deliver(&mut self) {
        while let Some(to) = (0..2).find(|&shard| !self.mail[shard].is_empty()) {
            let from = ShardId(1 - to as u8);
            for mail in std::mem::take(&mut self.mail[to]) {
                self.input(to, Input::Routed { from, mail });
            }
        }
    }

    /// Payload and RETAIN of all that the subscriber has got.
    fn received(&mut self) -> Vec<(String, bool)> {
        let mut rest = self.outboxes[SUBSCRIBER].pending(CONNECTION);
        let mut all = Vec::new();
        while let Ok(Some(frame)) = Frame::split(rest, u32::MAX) {
            rest = &rest[frame.encoded_len..];
            if let Packet::Publish(publish) = Packet::decode(VERSION, frame).expect("a good packet") {
                all.push((String::from_utf8_lossy(publish.payload).into_owned(), publish.retain));
            }
        }
        all
    }
}

const CONNECTION: ConnectionId = ConnectionId(1);

/// A newer message without RETAIN stays the last one the subscriber sees of the topic, wherever its home is.
#[test]
fn a_message_with_retain_that_comes_live_is_not_sent_twice() {
    for home in [SUBSCRIBER, PUBLISHER] {
        let mut pair = Pair::new(home);
        pair.subscribe();
        pair.publish("1", true);
        pair.publish("2", false);
        pair.deliver();
        assert_eq!(pair.received(), [("1".into(), false), ("2".into(), false)], "home {home}");
    }
}

/// What was kept before the Subscription comes as a Retained Message, once.
#[test]
fn what_was_kept_before_comes_once() {
    for home in [SUBSCRIBER, PUBLISHER] {
        let mut pair = Pair::new(home);
        pair.publish("1", true);
        pair.subscribe();
        pair.publish("2", false);
        pair.deliver();
        assert_eq!(pair.received(), [("2".into(), false), ("1".into(), true)], "home {home}");
    }
}
