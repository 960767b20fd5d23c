//! A record as a whole: its key, and its content with version and checksum.

use std::fmt;

use dunlin_packet::packet_identifier::PacketId;

use crate::{
    ids::ShardId,
    message::{Message, View},
    permissions::identity::Identity,
    records::{
        batch::{Batch, What},
        content::{
            self, InFlightState, MessageContent, MessageParts, Outline, RetainedContent, SessionContent,
            TransitContent, TransitParts, Version, WillContent,
        },
        key::{Key, Owner},
        reader::Reader,
    },
    subscriptions::subscription::Subscription,
};

/// One record.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// A fact about the whole store.
    Fact {
        /// Its name.
        name: &'a str,
        /// What it says.
        value: &'a [u8],
    },
    /// A Session.
    Session(Owner, SessionContent<'a>),
    /// A Subscription, by its whole Topic Filter.
    Subscription(Owner, &'a str, Subscription),
    /// A Will.
    Will(Owner, WillContent),
    /// A message in a Session's queue or in flight, with its place.
    Message(Owner, u64, MessageContent<'a>),
    /// A Packet Identifier in flight, with the place of its message.
    InFlight(Owner, PacketId, InFlightState, u64),
    /// A QoS 2 Packet Identifier that waits for PUBREL.
    Received(Owner, PacketId),
    /// A Retained Message, with the slot of its topic, and its publisher, if that is known.
    Retained(u16, Message, Option<Identity>),
    /// A message that several in one shard share.
    Body(ShardId, u64, Message),
    /// Mail between two shards.
    Transit {
        /// The sender.
        from: ShardId,
        /// The receiver.
        to: ShardId,
        /// Its place among all that this sender has written.
        number: u64,
        /// What it says.
        content: TransitContent<'a>,
    },
}

/// Bytes that are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// The key is none.
    Key,
    /// A newer version of the program has written it.
    Version(u8),
    /// The checksum does not fit: key or content have changed since they were written.
    Checksum,
    /// The content is not that of its kind.
    Content,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("its key is of no known kind"),
            Self::Version(version) => {
                write!(
                    f,
                    "it has version {version}, and this program knows versions up to {} only",
                    Version::Two as u8
                )
            }
            Self::Checksum => f.write_str("its checksum is wrong: it has changed since it was written"),
            Self::Content => f.write_str("its content is not that of its kind"),
        }
    }
}

impl std::error::Error for RecordError {}

/// Bytes before the content: version and checksum.
const HEAD: usize = 5;

impl<'a> Record<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// If the bytes are none, or not those that were written.
    pub fn decode(key: &'a [u8], value: &'a [u8]) -> Result<Self, RecordError> {
        let (version, content) = checked(key, value)?;
        let mut reader = Reader(content);
        let record = Self::decode_content(version, Key::decode(key).ok_or(RecordError::Key)?, &mut reader);
        record.filter(|_| reader.0.is_empty()).ok_or(RecordError::Content)
    }

    fn decode_content(version: Version, key: Key<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match key {
            Key::Fact(name) => Self::Fact { name, value: std::mem::take(&mut reader.0) },
            Key::Session(owner) => Self::Session(owner, SessionContent::decode(version, reader)?),
            Key::Subscription(owner, filter) => {
                Self::Subscription(owner, filter, content::decode_subscription(reader)?)
            }
            Key::Will(owner) => Self::Will(owner, WillContent::decode(reader)?),
            Key::Message(owner, number) => Self::Message(owner, number, MessageContent::decode(reader)?),
            Key::InFlight(owner, packet_id) => {
                let (state, number) = InFlightState::decode(reader)?;
                Self::InFlight(owner, packet_id, state, number)
            }
            Key::Received(owner, packet_id) => Self::Received(owner, packet_id),
            Key::Retained(slot, _) => {
                let (message, publisher) = content::decode_retained(version, reader)?;
                Self::Retained(slot, message, publisher)
            }
            Key::Body(shard, number) => Self::Body(shard, number, content::decode_body(reader)?),
            Key::Transit { from, to, number } => {
                Self::Transit { from, to, number, content: TransitContent::decode(version, reader)? }
            }
        })
    }
}

impl Outline {
    /// Reads it from a message's record, whose checksum has to be right.
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        Self::decode(&mut Reader(checked(key, value)?.1)).ok_or(RecordError::Content)
    }
}

impl<'a> RetainedContent<'a> {
    /// Reads it from a record of a Retained Message.
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub(crate) fn read(key: &[u8], value: &'a [u8]) -> Result<Self, RecordError> {
        let (version, content) = checked(key, value)?;
        Self::decode(version, &mut Reader(content)).ok_or(RecordError::Content)
    }
}

/// The content of a value whose version and checksum are right.
fn checked<'a>(key: &[u8], value: &'a [u8]) -> Result<(Version, &'a [u8]), RecordError> {
    let (head, content) = value.split_at_checked(HEAD).ok_or(RecordError::Content)?;
    let version = Version::from_value(head[0]).ok_or(RecordError::Version(head[0]))?;
    if checksum(key, head[0], content).to_be_bytes() != head[1..] {
        return Err(RecordError::Checksum);
    }
    Ok((version, content))
}

fn checksum(key: &[u8], version: u8, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&[version]);
    hasher.update(content);
    hasher.finalize()
}

impl Batch {
    /// Adds a fact about the store.
    pub fn put_fact(&mut self, name: &str, value: &[u8]) {
        self.put_record(What::Put, Key::Fact(name), |out| out.extend_from_slice(value));
    }

    pub(crate) fn put_session(&mut self, owner: Owner, session: &SessionContent<'_>) {
        let version = Version::of(session.owner.as_ref());
        self.put_version(version, What::Put, Key::Session(owner), |out| session.encode(out));
    }

    pub(crate) fn put_subscription(&mut self, owner: Owner, filter: &str, subscription: &Subscription) {
        self.put_record(What::Put, Key::Subscription(owner, filter), |out| {
            content::encode_subscription(subscription, out);
        });
    }

    pub(crate) fn put_will(&mut self, owner: Owner, delay_s: u32, expiry_s: Option<u32>, message: &Message) {
        let view = message.view();
        self.put_record(What::Put, Key::Will(owner), |out| {
            WillContent::encode(delay_s, expiry_s, &view, out)
        });
    }

    pub(crate) fn put_message(&mut self, owner: Owner, number: u64, message: &MessageParts<'_>) {
        self.put_record(What::PutNew, Key::Message(owner, number), |out| message.encode(out));
    }

    pub(crate) fn put_in_flight(
        &mut self,
        owner: Owner,
        packet_id: PacketId,
        state: InFlightState,
        number: u64,
    ) {
        self.put_record(What::Put, Key::InFlight(owner, packet_id), |out| state.encode(number, out));
    }

    pub(crate) fn put_received(&mut self, owner: Owner, packet_id: PacketId) {
        self.put_record(What::Put, Key::Received(owner, packet_id), |_| {});
    }

    pub(crate) fn put_retained(&mut self, slot: u16, message: &Message, publisher: Option<&Identity>) {
        let view = message.view();
        let key = Key::Retained(slot, view.topic_name.as_str());
        self.put_version(Version::of(publisher), What::Put, key, |out| {
            content::encode_retained(&view, publisher, out);
        });
    }

    pub(crate) fn put_body(&mut self, shard: ShardId, number: u64, message: &View<'_>) {
        self.put_record(What::PutNew, Key::Body(shard, number), |out| content::encode_body(message, out));
    }

    pub(crate) fn put_transit(&mut self, key: Key<'_>, transit: TransitParts<'_>, message: &View<'_>) {
        let version = match transit {
            TransitParts::Retain(publisher) => Version::of(publisher),
            TransitParts::Publish | TransitParts::Share(_) => Version::One,
        };
        self.put_version(version, What::PutNew, key, |out| transit.encode(message, out));
    }

    fn put_record(&mut self, what: What, key: Key<'_>, content: impl FnOnce(&mut Vec<u8>)) {
        self.put_version(Version::One, what, key, content);
    }

    fn put_version(
        &mut self,
        version: Version,
        what: What,
        key: Key<'_>,
        content: impl FnOnce(&mut Vec<u8>),
    ) {
        let version = version as u8;
        self.add_with(
            what,
            |out| key.encode(out),
            |out, key_at| {
                let value_at = out.len();
                out.extend_from_slice(&[version, 0, 0, 0, 0]);
                content(out);
                let checksum = checksum(&out[key_at..value_at], version, &out[value_at + HEAD..]);
                out[value_at + 1..value_at + HEAD].copy_from_slice(&checksum.to_be_bytes());
            },
        );
    }

    /// Takes away a record.
    pub(crate) fn delete_record(&mut self, key: Key<'_>) {
        self.add_with(What::Delete, |out| key.encode(out), |_, _| {});
    }
}

/// The shared body that a message's record asks for, if it does. Whoever answers a
/// [`PageRequest`](crate::output::PageRequest) adds it to the answer.
#[must_use]
pub fn shared_body(shard: ShardId, key: &[u8], value: &[u8]) -> Option<Key<'static>> {
    match Record::decode(key, value) {
        Ok(Record::Message(_, number, MessageContent { body: content::BodyContent::Shared { .. }, .. })) => {
            Some(Key::Body(shard, number))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use dunlin_packet::{qos::QoS, subscribe::SubscriptionOptions, topic::name::TopicName};
    use dunlin_protocol::time::Instant;

    use std::sync::Arc;

    use super::*;
    use crate::{
        message::MessageFacts, permissions::subject::Subject, records::batch::Change,
        records::content::BodyContent,
    };

    const OWNER: Owner = Owner { slot: 5, uid: 77 };

    fn message(payload: &[u8]) -> Message {
        let facts = MessageFacts {
            qos: QoS::ExactlyOnce,
            retain: true,
            expires_at: Some(Instant::from_ms(1_234)),
            publisher: 9,
        };
        Message::from_parts(TopicName::parse("a/b").unwrap(), &[1, 7], payload, facts)
    }

    fn identity() -> Identity {
        let subject = Subject::anonymous("setter", "192.0.2.1".parse().unwrap());
        Identity { subject: Arc::new(subject), rules: None }
    }

    fn filled() -> Batch {
        let packet_id = PacketId::new(300).unwrap();
        let mut batch = Batch::new();
        let message = message(b"hot");
        let session = SessionContent {
            client_id: "c",
            expiry_s: 60,
            left_at: Some(Instant::from_ms(5)),
            owner: Some(identity()),
        };
        let options =
            SubscriptionOptions { no_local: true, ..SubscriptionOptions::with_qos(QoS::AtLeastOnce) };
        batch.put_fact("shards", &[2]);
        batch.put_session(OWNER, &session);
        batch.put_subscription(OWNER, "a/#", &Subscription { options, identifier: NonZeroU32::new(8) });
        batch.put_will(OWNER, 3, Some(4), &message);
        for is_shared in [false, true] {
            let parts = MessageParts {
                qos: QoS::AtLeastOnce,
                retain: true,
                packet_id: Some(packet_id),
                identifiers: &[NonZeroU32::MIN, NonZeroU32::MAX],
                group: "$share/g/a",
                message: message.view(),
                is_shared,
            };
            batch.put_message(OWNER, 11, &parts);
        }
        batch.put_in_flight(OWNER, packet_id, InFlightState::Released, 11);
        batch.put_received(OWNER, packet_id);
        batch.put_retained(6, &message, None);
        batch.put_retained(6, &message, Some(&identity()));
        batch.put_body(ShardId(1), 11, &message.view());
        let key = Key::Transit { from: ShardId(0), to: ShardId(1), number: 4 };
        batch.put_transit(key, TransitParts::Share("$share/g/a"), &message.view());
        batch.put_transit(key, TransitParts::Retain(Some(&identity())), &message.view());
        batch
    }

    fn values(batch: &Batch) -> Vec<(Vec<u8>, Vec<u8>)> {
        let put = |change| match change {
            Change::Put { key, value } | Change::PutNew { key, value } => (key.to_vec(), value.to_vec()),
            Change::Delete { .. } => panic!("nothing was deleted"),
        };
        batch.changes().map(put).collect()
    }

    #[test]
    fn every_record_comes_back() {
        let values = values(&filled());
        let told: Vec<_> = values
            .iter()
            .map(|(key, value)| format!("{:?}", Record::decode(key, value).expect("it was written so")))
            .collect();
        let message = format!("{:?}", message(b"hot"));
        let expected = [
            ("Fact", "[2]"),
            ("Session", "client_id: \"c\", expiry_s: 60, left_at: Some(Instant(5))"),
            ("Subscription", "no_local: true"),
            ("Will", &message),
            ("Message", &message),
            ("Message", "Shared { size: 8 }"),
            ("InFlight", "Released, 11"),
            ("Received", "300"),
            ("Retained(6", &message),
            ("Retained(6", "client_id: \"setter\""),
            ("Body(ShardId(1), 11", &message),
            ("Transit", &message),
            ("Transit", "client_id: \"setter\""),
        ];
        assert_eq!(told.len(), expected.len());
        for (told, (kind, part)) in told.iter().zip(expected) {
            assert!(told.starts_with(kind) && told.contains(part), "{told} has not {part}");
        }
        let (key, value) = &values[4];
        let Ok(Record::Message(OWNER, 11, content)) = Record::decode(key, value) else { panic!() };
        assert_eq!((content.identifiers.len(), content.group), (2, "$share/g/a"));
        assert!(matches!(content.body, BodyContent::Inside(body) if body.payload() == b"hot"));
    }

    /// What an older program has written, byte by byte.
    #[test]
    fn records_of_version_1_say_nothing_of_who_was_behind_them() {
        let mut batch = Batch::new();
        let session = SessionContent { client_id: "c", expiry_s: 60, left_at: None, owner: None };
        batch.put_session(OWNER, &session);
        batch.put_retained(6, &message(b"hot"), None);
        let values = values(&batch);
        let session_v1 = [0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'c'];
        assert_eq!((values[0].1[0], &values[0].1[HEAD..]), (1, &session_v1[..]));
        let Ok(Record::Session(_, decoded)) = Record::decode(&values[0].0, &values[0].1) else { panic!() };
        assert_eq!(decoded, session);
        assert_eq!(values[1].1[0], 1);
        let retained = Record::decode(&values[1].0, &values[1].1);
        assert!(matches!(retained, Ok(Record::Retained(6, _, None))));
    }

    #[test]
    fn a_changed_bit_is_noticed_wherever_it_is() {
        for (key, value) in values(&filled()) {
            for bit in 0..(key.len() + value.len()) * 8 {
                let (mut key, mut value) = (key.clone(), value.clone());
                match bit / 8 {
                    at if at < key.len() => key[at] ^= 1 << (bit % 8),
                    at => value[at - key.len()] ^= 1 << (bit % 8),
                }
                assert!(Record::decode(&key, &value).is_err());
            }
            assert!(Record::decode(&key, &value[..value.len() - 1]).is_err());
        }
    }

    #[test]
    fn an_outline_says_what_the_whole_record_does() {
        let values = values(&filled());
        for (key, value) in &values[4..6] {
            let outline = Outline::read(key, value).unwrap();
            let Ok(Record::Message(_, _, content)) = Record::decode(key, value) else { panic!() };
            let (is_shared, size) = match &content.body {
                BodyContent::Inside(message) => (false, message.size() as u32),
                BodyContent::Shared { size } => (true, *size),
            };
            assert_eq!(outline, Outline { packet_id: content.packet_id, is_shared, size });
            assert_eq!(Outline::read(key, &value[..value.len() - 1]), Err(RecordError::Checksum));
        }
    }

    #[test]
    fn a_message_says_where_its_body_is() {
        let values = values(&filled());
        let body = |index: usize| shared_body(ShardId(1), &values[index].0, &values[index].1);
        assert_eq!((body(4), body(5)), (None, Some(Key::Body(ShardId(1), 11))));
    }
}
