//! A Client with a Server that does what a test says.

extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use dunlin_packet::acks::Ack;
use dunlin_packet::connack::Connack;
use dunlin_packet::property::list::{Property, PropertyList};
use dunlin_packet::publish::Publish;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::subscribe::{SubscriptionOptions, SubscriptionRequest};
use dunlin_packet::topic::name::TopicName;
use dunlin_packet::version::ProtocolVersion;

use crate::client::properties::Properties;
use crate::client::*;
use ProtocolVersion::V5_0;
use QoS::{AtLeastOnce, AtMostOnce};

/// A Client and the Server's end of its connection.
pub(super) struct World {
    pub(super) client: Client,
    pub(super) version: ProtocolVersion,
    pub(super) now: Instant,
}

pub(super) fn connect<'a>(
    version: ProtocolVersion,
    clean_start: bool,
    properties: &'a [Property<'a>],
) -> Connect<'a> {
    let properties = PropertyList::from_items(properties);
    let (will, user_name, password) = (None, None, None);
    let (client_id, keep_alive_s, is_bridge) = ("me", 10, false);
    Connect {
        version,
        clean_start,
        keep_alive_s,
        client_id,
        properties,
        will,
        user_name,
        password,
        is_bridge,
    }
}

pub(super) fn connack<'a>(session_present: bool, properties: &'a [Property<'a>]) -> Packet<'a> {
    let properties = PropertyList::from_items(properties);
    Packet::Connack(Connack { session_present, reason_code: ReasonCode::Success, properties })
}

pub(super) fn publish<'a>(
    qos: QoS,
    packet_id: u16,
    topic: &'a str,
    properties: &'a [Property<'a>],
) -> Packet<'a> {
    let topic_name = TopicName::parse(topic).ok();
    let (packet_id, payload) = (PacketId::new(packet_id), &b"x"[..]);
    let properties = PropertyList::from_items(properties);
    Packet::Publish(Publish { dup: false, qos, retain: false, topic_name, packet_id, properties, payload })
}

pub(super) fn ack(packet_id: u16) -> Ack<'static> {
    Ack::success(PacketId::new(packet_id).unwrap())
}

pub(super) fn refusal(packet_id: u16, reason_code: ReasonCode) -> Ack<'static> {
    Ack::with_reason(PacketId::new(packet_id).unwrap(), reason_code)
}

pub(super) fn message(topic_name: &str, qos: QoS) -> Message {
    Message::new(topic_name, qos, b"x")
}

/// One word a packet: type, Packet Identifier, and what the tests look at.
pub(super) fn describe(packet: &Packet<'_>) -> String {
    let ack = |name: &str, ack: &Ack<'_>| match ack.reason_code {
        ReasonCode::Success => format!("{name} {}", ack.packet_id),
        reason_code => format!("{name} {} {:#x}", ack.packet_id, reason_code.value()),
    };
    match packet {
        Packet::Publish(publish) => {
            let packet_id = publish.packet_id.map_or(String::new(), |packet_id| format!(" {packet_id}"));
            let topic = publish.topic_name.map_or("", TopicName::as_str);
            let alias =
                publish.properties.topic_alias().map_or(String::new(), |alias| format!(" alias {alias}"));
            format!("PUBLISH{packet_id} {topic}{alias}{}", if publish.dup { " DUP" } else { "" })
        }
        Packet::Puback(it) => ack("PUBACK", it),
        Packet::Pubrec(it) => ack("PUBREC", it),
        Packet::Pubrel(it) => ack("PUBREL", it),
        Packet::Pubcomp(it) => ack("PUBCOMP", it),
        Packet::Subscribe(subscribe) => format!("SUBSCRIBE {}", subscribe.packet_id),
        Packet::Unsubscribe(unsubscribe) => format!("UNSUBSCRIBE {}", unsubscribe.packet_id),
        Packet::Disconnect(disconnect) => format!("DISCONNECT {:#x}", disconnect.reason_code.value()),
        packet => packet.packet_type().to_string(),
    }
}

impl World {
    /// Connected with these properties of CONNECT and CONNACK, which have been taken from the output and the events.
    pub(super) fn new(version: ProtocolVersion, asked: &[Property<'_>], answered: &[Property<'_>]) -> Self {
        let mut world = Self::opened(version, &connect(version, true, asked));
        world.receive(&connack(false, answered));
        assert!(matches!(world.events()[..], [Event::Connected(_)]));
        world
    }

    pub(super) fn opened(version: ProtocolVersion, connect: &Connect<'_>) -> Self {
        let mut world = Self { client: Client::new(Config::default()), version, now: Instant::from_ms(0) };
        world.open(connect);
        world
    }

    pub(super) fn open(&mut self, connect: &Connect<'_>) {
        self.client.connection_opened(self.now, connect).unwrap();
        assert_eq!(self.sent(), ["CONNECT"]);
    }

    pub(super) fn reopen(&mut self, session_present: bool, answered: &[Property<'_>]) {
        self.client.connection_lost();
        let lost = self.events();
        assert_eq!(lost.last(), Some(&Event::Closed(CloseCause::Lost)));
        let expiry = [Property::SessionExpiryInterval(60)];
        let asked = if self.version == V5_0 { &expiry[..] } else { &[] };
        self.open(&connect(self.version, false, asked));
        self.receive(&connack(session_present, answered));
    }

    /// Connected with a Session that outlives the connection.
    pub(super) fn durable(version: ProtocolVersion) -> Self {
        let expiry = [Property::SessionExpiryInterval(60)];
        let asked = if version == V5_0 { &expiry[..] } else { &[] };
        let mut world = Self::opened(version, &connect(version, false, asked));
        world.receive(&connack(false, &[]));
        world.events();
        world
    }

    pub(super) fn receive(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.client.handle(self.now, &bytes);
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.client.poll_event()).collect()
    }

    pub(super) fn sent(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let bytes = self.client.poll_output().to_vec();
            if bytes.is_empty() {
                return all;
            }
            let mut rest = &bytes[..];
            while let Some(frame) = Frame::split(rest, u32::MAX).unwrap() {
                all.push(describe(&Packet::decode(self.version, frame).unwrap()));
                rest = &rest[frame.encoded_len..];
            }
            assert!(rest.is_empty());
            self.client.output_written(bytes.len());
        }
    }

    pub(super) fn publish(&mut self, topic_name: &str, qos: QoS) -> Result<Option<PacketId>, RequestError> {
        self.client.publish(self.now, message(topic_name, qos))
    }

    pub(super) fn subscribe(&mut self, filters: &[&str]) -> Result<PacketId, RequestError> {
        let options = SubscriptionOptions::with_qos(AtLeastOnce);
        let requests: Vec<_> =
            filters.iter().map(|topic_filter| SubscriptionRequest { topic_filter, options }).collect();
        self.client.subscribe(self.now, &requests, &PropertyList::EMPTY)
    }

    /// The Server sends `packet`; the Client closes for `error`, and says so in version 5.0.
    pub(super) fn fails(mut self, packet: &Packet<'_>, error: ServerError) {
        self.receive(packet);
        assert_eq!(self.events().last(), Some(&Event::Closed(CloseCause::ServerError(error))));
        let code = error.reason_code().value();
        let last = if self.version == V5_0 { vec![format!("DISCONNECT {code:#x}")] } else { vec![] };
        assert_eq!(self.sent(), last);
        assert!(!self.client.wants_bytes() && self.client.next_timeout().is_none());
        self.receive(&publish(AtMostOnce, 0, "late", &[]));
        assert_eq!(self.events(), []);
    }
}

pub(super) fn published(packet_id: u16, reason_code: ReasonCode) -> Event {
    let packet_id = PacketId::new(packet_id).unwrap();
    Event::Published { packet_id, reason_code, properties: Properties::EMPTY }
}
