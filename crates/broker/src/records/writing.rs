//! A record that was read, written again: for tools that carry records from one store to another.

use dunlin_packet::{qos::QoS, topic::name::TopicName};

use crate::{
    message::{Message, MessageFacts, View},
    records::{
        batch::Batch,
        content::{BodyContent, MessageContent, MessageParts, TransitContent, TransitParts},
        key::{Key, Owner},
        record::Record,
    },
};

/// Adds `record` to `batch`. What is decoded from there is the same again.
///
/// The texts in it must have at most 65,535 bytes, and a shared body at least one.
pub fn encode(record: &Record<'_>, batch: &mut Batch) {
    match record {
        Record::Fact { name, value } => batch.put_fact(name, value),
        Record::Session(owner, content) => batch.put_session(*owner, content),
        Record::Subscription(owner, filter, subscription) => {
            batch.put_subscription(*owner, filter, subscription);
        }
        Record::Will(owner, will) => batch.put_will(*owner, will.delay_s, will.expiry_s, &will.message),
        Record::Message(owner, number, content) => encode_message(*owner, *number, content, batch),
        Record::InFlight(owner, packet_id, state, number) => {
            batch.put_in_flight(*owner, *packet_id, *state, *number);
        }
        Record::Received(owner, packet_id) => batch.put_received(*owner, *packet_id),
        Record::Retained(slot, message, publisher) => batch.put_retained(*slot, message, publisher.as_ref()),
        Record::Body(shard, number, message) => batch.put_body(*shard, *number, &message.view()),
        Record::Transit { from, to, number, content } => {
            let key = Key::Transit { from: *from, to: *to, number: *number };
            let (parts, message) = match content {
                TransitContent::Publish(message) => (TransitParts::Publish, message),
                TransitContent::Retain(message, publisher) => {
                    (TransitParts::Retain(publisher.as_ref()), message)
                }
                TransitContent::Share(group, message) => (TransitParts::Share(group), message),
            };
            batch.put_transit(key, parts, &message.view());
        }
    }
}

/// Writes a message's record anew with its body inside, if it shares one; `body` reads that.
pub fn unshare(key: &[u8], value: &[u8], body: impl FnOnce() -> Option<Message>, batch: &mut Batch) {
    let Ok(Record::Message(owner, number, content)) = Record::decode(key, value) else { return };
    if matches!(content.body, BodyContent::Shared { .. })
        && let Some(message) = body()
    {
        encode_message(
            owner,
            number,
            &MessageContent { body: BodyContent::Inside(message), ..content },
            batch,
        );
    }
}

fn encode_message(owner: Owner, number: u64, content: &MessageContent<'_>, batch: &mut Batch) {
    let mut parts = |message, is_shared| {
        let parts = MessageParts {
            qos: content.qos,
            retain: content.retain,
            packet_id: content.packet_id,
            identifiers: &content.identifiers,
            group: content.group,
            message,
            is_shared,
        };
        batch.put_message(owner, number, &parts);
    };
    match &content.body {
        BodyContent::Inside(message) => parts(message.view(), false),
        BodyContent::Shared { size } => {
            // Of a shared message only the size is written: any of that size will do. Zeros that nobody reads cost no
            // memory.
            let topic_name = TopicName::parse("-").expect("it is one");
            let payload = vec![0; (*size as usize).saturating_sub(topic_name.as_str().len())];
            let facts = MessageFacts { qos: QoS::AtMostOnce, retain: false, expires_at: None, publisher: 0 };
            parts(View { topic_name, properties: &[], payload: &payload, facts }, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, sync::Arc};

    use dunlin_packet::{packet_identifier::PacketId, subscribe::SubscriptionOptions};
    use dunlin_protocol::time::Instant;

    use super::*;
    use crate::{
        ids::ShardId,
        message::Message,
        permissions::identity::Identity,
        records::{
            batch::Change,
            content::{InFlightState, SessionContent, WillContent},
        },
        subscriptions::subscription::Subscription,
    };

    fn put(change: Change<'_>) -> (&[u8], &[u8]) {
        match change {
            Change::Put { key, value } | Change::PutNew { key, value } => (key, value),
            Change::Delete { .. } => panic!("nothing is deleted"),
        }
    }

    #[test]
    fn what_was_decoded_is_encoded_to_the_same_bytes() {
        let owner = Owner { slot: 5, uid: 77 };
        let packet_id = PacketId::new(300).unwrap();
        let facts = MessageFacts {
            qos: QoS::ExactlyOnce,
            retain: true,
            expires_at: Some(Instant::from_ms(1)),
            publisher: 9,
        };
        let message = Message::from_parts(TopicName::parse("a/b").unwrap(), &[1, 1], b"hot", facts);
        let content = |body| MessageContent {
            qos: QoS::AtLeastOnce,
            retain: true,
            packet_id: Some(packet_id),
            identifiers: vec![NonZeroU32::MIN],
            group: "$share/g/a",
            body,
        };
        let options =
            SubscriptionOptions { no_local: true, ..SubscriptionOptions::with_qos(QoS::AtLeastOnce) };
        let transit = |number, content| Record::Transit { from: ShardId(0), to: ShardId(1), number, content };
        let session = |owner| SessionContent { client_id: "c", expiry_s: 60, left_at: None, owner };
        let identity = Identity { subject: Arc::default(), rules: Some("main".into()) };
        let records = [
            Record::Fact { name: "shards", value: &[2] },
            Record::Session(owner, session(None)),
            Record::Session(owner, session(Some(identity.clone()))),
            Record::Subscription(owner, "a/#", Subscription { options, identifier: NonZeroU32::new(8) }),
            Record::Will(owner, WillContent { delay_s: 3, expiry_s: Some(4), message: message.clone() }),
            Record::Message(owner, 11, content(BodyContent::Inside(message.clone()))),
            Record::Message(owner, 12, content(BodyContent::Shared { size: 70_000 })),
            Record::InFlight(owner, packet_id, InFlightState::Released, 11),
            Record::Received(owner, packet_id),
            Record::Retained(6, message.clone(), None),
            Record::Retained(6, message.clone(), Some(identity.clone())),
            Record::Body(ShardId(1), 12, message.clone()),
            transit(1, TransitContent::Publish(message.clone())),
            transit(2, TransitContent::Retain(message.clone(), None)),
            transit(4, TransitContent::Retain(message.clone(), Some(identity))),
            transit(3, TransitContent::Share("$share/g/a", message)),
        ];
        for record in records {
            let (mut once, mut twice) = (Batch::new(), Batch::new());
            encode(&record, &mut once);
            let (key, value) = put(once.changes().next().unwrap());
            let decoded = Record::decode(key, value).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{record:?}"));
            encode(&decoded, &mut twice);
            assert_eq!((key, value), put(twice.changes().next().unwrap()));
        }
    }
}
