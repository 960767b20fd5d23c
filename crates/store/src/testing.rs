//! A store with every kind of record, for tests.

use std::{num::NonZeroU32, ops::ControlFlow, sync::Arc};

use dunlin_broker::{
    ids::ShardId,
    message::{Message, MessageFacts, publisher_key},
    permissions::{
        identity::Identity,
        subject::{CertificateFacts, Subject},
    },
    records::{
        batch::Batch,
        content::{BodyContent, InFlightState, MessageContent, SessionContent, TransitContent, WillContent},
        key::Owner,
        record::Record,
        writing::encode,
    },
    slot::slot_of,
    subscriptions::subscription::Subscription,
};
use dunlin_packet::{
    packet_identifier::PacketId,
    qos::QoS,
    subscribe::{RetainHandling, SubscriptionOptions},
    topic::name::TopicName,
};
use dunlin_protocol::time::Instant;

use crate::{memory::Memory, store::Store};

pub(crate) const SHARDS: u8 = 2;
pub(crate) const CLIENT: &str = "pump \"7\"";
pub(crate) const NUMBER: u64 = 117_000_000_000_000_001;

pub(crate) fn owner() -> Owner {
    Owner { slot: slot_of(CLIENT), uid: u64::MAX }
}

pub(crate) fn shard() -> ShardId {
    ShardId((owner().slot % u16::from(SHARDS)) as u8)
}

pub(crate) fn packet_id(value: u16) -> PacketId {
    PacketId::new(value).expect("it is not 0")
}

/// A message with Properties: all that are forwarded.
pub(crate) fn message(topic: &str, payload: &[u8]) -> Message {
    let facts = MessageFacts {
        qos: QoS::ExactlyOnce,
        retain: true,
        expires_at: Some(Instant::from_ms(1_900_000_000_000)),
        publisher: publisher_key("sender"),
    };
    let properties = [
        &[1, 1][..],
        b"\x03\x00\x06text/x",
        b"\x08\x00\x03a/b",
        b"\x09\x00\x02\xff\x00",
        b"\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x00",
    ];
    Message::from_parts(TopicName::parse(topic).expect("it is one"), &properties.concat(), payload, facts)
}

pub(crate) fn queued(packet_id: Option<PacketId>, body: BodyContent) -> MessageContent<'static> {
    let identifiers = vec![NonZeroU32::MIN];
    MessageContent { qos: QoS::AtLeastOnce, retain: false, packet_id, identifiers, group: "$share/g/a", body }
}

/// Somebody of whom all is known.
fn identity() -> Identity {
    let certificate = CertificateFacts {
        subject: "CN=pump".into(),
        common_name: Some("pump".into()),
        dns_names: ["pump.example".into()].into(),
        issuer: "CN=\"ca\"".into(),
        serial: "01".into(),
        fingerprint: [0xA5; 32],
        ..CertificateFacts::default()
    };
    let subject = Subject {
        user_name: Some("ann\n".into()),
        groups: ["staff".into()].into(),
        certificate: Some(Arc::new(certificate)),
        ..Subject::anonymous(CLIENT, "2001:db8::1".parse().expect("an address"))
    };
    Identity { subject: Arc::new(subject), rules: Some("main".into()) }
}

/// Every kind, so that all can be used.
pub(crate) fn records() -> Vec<Record<'static>> {
    let options = SubscriptionOptions {
        no_local: true,
        retain_handling: RetainHandling::DoNotSend,
        ..SubscriptionOptions::with_qos(QoS::AtLeastOnce)
    };
    let subscription = Subscription { options, identifier: NonZeroU32::new(8) };
    let plain = message("a/ü", b"hot\n");
    let size = plain.size() as u32;
    let binary = message("a/binary", b"\xff\x00");
    let owner = owner();
    let (from, to) = (ShardId(0), ShardId(1));
    let transit = |number, content| Record::Transit { from, to, number, content };
    vec![
        Record::Fact { name: "shards", value: &[SHARDS] },
        Record::Fact { name: "alive", value: &[0, 0, 1, 0x9a, 0, 0, 0, 0] },
        Record::Fact { name: "later", value: b"\xffx" },
        Record::Session(
            owner,
            SessionContent {
                client_id: CLIENT,
                expiry_s: u32::MAX,
                left_at: Some(Instant::from_ms(5)),
                owner: Some(identity()),
            },
        ),
        Record::Subscription(owner, "$share/g/a", subscription),
        Record::Subscription(owner, "a/#", subscription),
        Record::Will(owner, WillContent { delay_s: 3, expiry_s: Some(4), message: plain.clone() }),
        Record::Message(owner, NUMBER, queued(Some(packet_id(1)), BodyContent::Inside(plain.clone()))),
        Record::Message(owner, NUMBER + 1, queued(None, BodyContent::Shared { size })),
        Record::Message(owner, NUMBER + 2, queued(None, BodyContent::Inside(binary.clone()))),
        Record::InFlight(owner, packet_id(2), InFlightState::Sent, NUMBER + 1),
        Record::InFlight(owner, packet_id(3), InFlightState::Released, NUMBER - 1),
        Record::Received(owner, packet_id(65_535)),
        Record::Retained(slot_of("a/binary"), binary.clone(), Some(identity())),
        Record::Retained(slot_of("a/ü"), plain.clone(), None),
        Record::Body(shard(), NUMBER + 1, plain.clone()),
        transit(1, TransitContent::Publish(plain.clone())),
        transit(2, TransitContent::Retain(plain.clone(), Some(identity()))),
        transit(4, TransitContent::Retain(plain, None)),
        transit(3, TransitContent::Share("$share/g/a", binary)),
    ]
}

pub(crate) fn put(store: &dyn Store, records: &[Record<'_>]) {
    let mut batch = Batch::new();
    records.iter().for_each(|record| encode(record, &mut batch));
    store.commit(&mut batch.changes(), true).expect("memory takes it");
}

pub(crate) fn filled() -> Memory {
    let store = Memory::new();
    put(&store, &records());
    store
}

pub(crate) fn all(store: &dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    let scanned = store.scan(b"", b"\xff", &mut |key, value| {
        all.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scanned.expect("memory can be read");
    all
}
