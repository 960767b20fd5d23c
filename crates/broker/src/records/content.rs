//! What stands in the records of one kind or another, and in which bytes.

use std::num::NonZeroU32;

use dunlin_packet::{
    packet_identifier::PacketId, qos::QoS, subscribe::SubscriptionOptions, topic::name::TopicName,
    version::ProtocolVersion,
};
use dunlin_protocol::time::Instant;

use crate::{
    message::{Message, MessageFacts, View},
    permissions::identity::Identity,
    records::{identity, reader::Reader},
    subscriptions::subscription::Subscription,
};

/// A Session (4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionContent<'a> {
    /// The Client Identifier.
    pub client_id: &'a str,
    /// Session Expiry Interval in seconds; 4,294,967,295 has no end.
    pub expiry_s: u32,
    /// When its Network Connection ended; nothing while it had one.
    pub left_at: Option<Instant>,
    /// Whose it is; nothing in records of version 1: the first that comes for it owns it.
    pub owner: Option<Identity>,
}

/// A Will (3.1.2.5).
#[derive(Clone, Debug)]
pub struct WillContent {
    /// Will Delay Interval in seconds.
    pub delay_s: u32,
    /// Message Expiry Interval in seconds, from the moment it is published.
    pub expiry_s: Option<u32>,
    /// What to publish.
    pub message: Message,
}

/// A message that a Session has not acknowledged.
#[derive(Clone, Debug)]
pub struct MessageContent<'a> {
    /// The QoS to deliver with: 1 or 2.
    pub qos: QoS,
    /// The RETAIN flag to deliver with.
    pub retain: bool,
    /// The identifier it was sent with when it was filed; nothing if it was queued.
    pub packet_id: Option<PacketId>,
    /// The Subscription Identifiers.
    pub identifiers: Vec<NonZeroU32>,
    /// The whole Topic Filter of the Shared Subscription it came by; empty for none.
    pub group: &'a str,
    /// The message itself.
    pub body: BodyContent,
}

/// Where a message's topic, properties and payload are.
#[derive(Clone, Debug)]
pub enum BodyContent {
    /// In the record.
    Inside(Message),
    /// In a [`Key::Body`](super::key::Key::Body) with the number of the message, with this size in bytes.
    Shared {
        /// See [`Message::size`].
        size: u32,
    },
}

/// How far an acknowledgement of the Client has come (4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InFlightState {
    /// PUBLISH was sent.
    Sent,
    /// PUBREC came: PUBREL is sent, the message itself is gone.
    Released,
}

/// What one shard has written to another.
#[derive(Clone, Debug)]
pub enum TransitContent<'a> {
    /// A message for the Subscriptions of the receiver.
    Publish(Message),
    /// A message for the Retained Messages of the receiver, with its publisher, if that is known.
    Retain(Message, Option<Identity>),
    /// A message for a member of a Shared Subscription, which is named by its whole Topic Filter.
    Share(&'a str, Message),
}

/// Which layout a record has: the second one says who was behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    One = 1,
    Two = 2,
}

impl Version {
    /// The one that a record with or without an identity has.
    pub(super) fn of<T>(identity: Option<T>) -> Self {
        if identity.is_some() { Self::Two } else { Self::One }
    }

    pub(super) fn from_value(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).expect("a text of MQTT has at most 65,535 bytes");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

impl<'a> SessionContent<'a> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.expiry_s.to_be_bytes());
        out.extend_from_slice(&self.left_at.map_or(0, Instant::as_ms).to_be_bytes());
        put_text(out, self.client_id);
        if let Some(owner) = &self.owner {
            identity::encode(owner, out);
        }
    }

    pub(super) fn decode(version: Version, reader: &mut Reader<'a>) -> Option<Self> {
        let expiry_s = reader.u32()?;
        let left_at = reader.u64()?;
        let left_at = (left_at != 0).then(|| Instant::from_ms(left_at));
        let client_id = reader.text()?;
        let owner = match version {
            Version::One => None,
            Version::Two => Some(identity::decode(reader)?),
        };
        Some(Self { client_id, expiry_s, left_at, owner })
    }
}

pub(super) fn encode_subscription(subscription: &Subscription, out: &mut Vec<u8>) {
    out.push(subscription.options.encode(ProtocolVersion::V5_0));
    out.extend_from_slice(&subscription.identifier.map_or(0, NonZeroU32::get).to_be_bytes());
}

pub(super) fn decode_subscription(reader: &mut Reader<'_>) -> Option<Subscription> {
    let options = SubscriptionOptions::decode(ProtocolVersion::V5_0, reader.u8()?).ok()?;
    Some(Subscription { options, identifier: NonZeroU32::new(reader.u32()?) })
}

impl WillContent {
    pub(super) fn encode(delay_s: u32, expiry_s: Option<u32>, message: &View<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&delay_s.to_be_bytes());
        out.push(expiry_s.is_some().into());
        out.extend_from_slice(&expiry_s.unwrap_or(0).to_be_bytes());
        encode_body(message, out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let delay_s = reader.u32()?;
        let has_expiry = reader.u8()? != 0;
        let expiry_s = reader.u32()?;
        let message = decode_body(reader)?;
        Some(Self { delay_s, expiry_s: has_expiry.then_some(expiry_s), message })
    }
}

/// A [`MessageContent`] as it is written: all parts borrowed.
pub(crate) struct MessageParts<'a> {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) identifiers: &'a [NonZeroU32],
    pub(crate) group: &'a str,
    pub(crate) message: View<'a>,
    /// Whether only the size of the message is written: it is in a record of its own.
    pub(crate) is_shared: bool,
}

const QOS_BITS: u8 = 0b0011;
const RETAIN_BIT: u8 = 0b0100;
const SHARED_BIT: u8 = 0b1000;

impl MessageParts<'_> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flags = self.qos.value()
            | if self.retain { RETAIN_BIT } else { 0 }
            | if self.is_shared { SHARED_BIT } else { 0 };
        out.push(flags);
        out.extend_from_slice(&self.packet_id.map_or(0, PacketId::value).to_be_bytes());
        let count = u16::try_from(self.identifiers.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for identifier in &self.identifiers[..usize::from(count)] {
            out.extend_from_slice(&identifier.get().to_be_bytes());
        }
        put_text(out, self.group);
        if self.is_shared {
            out.extend_from_slice(&(self.message.size() as u32).to_be_bytes());
        } else {
            encode_body(&self.message, out);
        }
    }
}

impl<'a> MessageContent<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let flags = reader.u8()?;
        let qos = QoS::from_value(flags & QOS_BITS).filter(|&qos| qos != QoS::AtMostOnce)?;
        let packet_id = PacketId::new(reader.u16()?);
        let count = reader.u16()?;
        let identifiers = (0..count).map(|_| NonZeroU32::new(reader.u32()?)).collect::<Option<_>>()?;
        let group = reader.text()?;
        let body = match flags & SHARED_BIT {
            0 => BodyContent::Inside(decode_body(reader)?),
            _ => BodyContent::Shared { size: reader.u32()? },
        };
        Some(Self { qos, retain: flags & RETAIN_BIT != 0, packet_id, identifiers, group, body })
    }
}

impl InFlightState {
    pub(super) fn encode(self, number: u64, out: &mut Vec<u8>) {
        out.push(matches!(self, Self::Released).into());
        out.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<(Self, u64)> {
        let state = match reader.u8()? {
            0 => Self::Sent,
            1 => Self::Released,
            _ => return None,
        };
        Some((state, reader.u64()?))
    }
}

/// What a [`TransitContent`] is, as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TransitParts<'a> {
    Publish,
    Retain(Option<&'a Identity>),
    Share(&'a str),
}

impl TransitParts<'_> {
    pub(super) fn encode(self, message: &View<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Publish => out.push(0),
            Self::Retain(publisher) => {
                out.push(1);
                publisher.iter().for_each(|publisher| identity::encode(publisher, out));
            }
            Self::Share(group) => {
                out.push(2);
                put_text(out, group);
            }
        }
        encode_body(message, out);
    }
}

impl<'a> TransitContent<'a> {
    pub(super) fn decode(version: Version, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match reader.u8()? {
            0 => Self::Publish(decode_body(reader)?),
            1 => {
                let (message, publisher) = decode_retained(version, reader)?;
                Self::Retain(message, publisher)
            }
            2 => Self::Share(reader.text()?, decode_body(reader)?),
            _ => return None,
        })
    }
}

/// A Retained Message, with its publisher in front, if that is known.
pub(super) fn encode_retained(message: &View<'_>, publisher: Option<&Identity>, out: &mut Vec<u8>) {
    publisher.iter().for_each(|publisher| identity::encode(publisher, out));
    encode_body(message, out);
}

pub(super) fn decode_retained(
    version: Version,
    reader: &mut Reader<'_>,
) -> Option<(Message, Option<Identity>)> {
    let publisher = match version {
        Version::One => None,
        Version::Two => Some(identity::decode(reader)?),
    };
    Some((decode_body(reader)?, publisher))
}

/// A Retained Message, and its publisher as it is written, if that is known.
#[derive(Debug)]
pub(crate) struct RetainedContent<'a> {
    pub(crate) message: Message,
    pub(crate) publisher: Option<&'a [u8]>,
}

impl<'a> RetainedContent<'a> {
    pub(super) fn decode(version: Version, reader: &mut Reader<'a>) -> Option<Self> {
        let publisher = match version {
            Version::One => None,
            Version::Two => Some(identity::passed(reader)?),
        };
        Some(Self { message: decode_body(reader)?, publisher })
    }

    /// Reads what stands in [`publisher`](Self::publisher).
    pub(crate) fn read_publisher(publisher: &[u8]) -> Option<Identity> {
        identity::decode(&mut Reader(publisher))
    }
}

pub(super) fn encode_body(message: &View<'_>, out: &mut Vec<u8>) {
    let facts = message.facts;
    out.push(facts.qos.value() | if facts.retain { RETAIN_BIT } else { 0 });
    out.extend_from_slice(&facts.expires_at.map_or(0, Instant::as_ms).to_be_bytes());
    out.extend_from_slice(&facts.publisher.to_be_bytes());
    put_text(out, message.topic_name.as_str());
    out.extend_from_slice(&(message.properties.len() as u32).to_be_bytes());
    out.extend_from_slice(message.properties);
    out.extend_from_slice(message.payload);
}

/// The message takes all that is left.
pub(super) fn decode_body(reader: &mut Reader<'_>) -> Option<Message> {
    let flags = reader.u8()?;
    let qos = QoS::from_value(flags & QOS_BITS)?;
    let expires_at = reader.u64()?;
    let expires_at = (expires_at != 0).then(|| Instant::from_ms(expires_at));
    let publisher = reader.u64()?;
    let facts = MessageFacts { qos, retain: flags & RETAIN_BIT != 0, expires_at, publisher };
    let body = reader.0.get(2..)?; // Behind the length of the topic.
    let topic_name = TopicName::parse(reader.text()?).ok()?;
    let properties_len = reader.u32()?;
    let properties = reader.bytes(properties_len as usize)?;
    reader.0 = &[];
    Some(Message::from_record(body, topic_name, properties, facts))
}

/// What a queue has to know of a message that waits on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outline {
    pub(crate) packet_id: Option<PacketId>,
    /// Whether its body is in a record of its own.
    pub(crate) is_shared: bool,
    /// See [`Message::size`].
    pub(crate) size: u32,
}

impl Outline {
    /// Reads no more of a [`MessageContent`].
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let is_shared = reader.u8()? & SHARED_BIT != 0;
        let packet_id = PacketId::new(reader.u16()?);
        let identifiers = reader.u16()?;
        reader.bytes(usize::from(identifiers) * size_of::<u32>())?;
        let group_len = reader.u16()?;
        reader.bytes(group_len.into())?;
        let size = if is_shared {
            reader.u32()?
        } else {
            // Flags, expiry, publisher, and the lengths of topic and Properties.
            u32::try_from(reader.0.len()).ok()?.checked_sub(1 + 8 + 8 + 2 + 4)?
        };
        Some(Self { packet_id, is_shared, size })
    }
}
