//! A record as a line of text: JSON with MQTT's terms.
//!
//! Numbers that may exceed 2^53 are texts, since many programs round them. What is not UTF-8 stands in base64 under a key of
//! its own. What is not there is left out.

use std::{borrow::Cow, num::NonZeroU32};

use dunlin_broker::{
    ids::ShardId,
    permissions::identity::Identity,
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
    topic::filter::TopicFilter,
};
use dunlin_protocol::time::Instant;
use serde::{Deserialize, Serialize};

use crate::{
    base64,
    line::identity::IdentityLine,
    line::message::{BODY_MAX, MessageLine, checked_qos, checked_text},
};

pub(crate) mod identity;
pub(crate) mod message;

/// The format of these lines, in the first of them.
pub(crate) const FORMAT: u32 = 1;

/// One line.
#[derive(Serialize, Deserialize, Debug)]
#[serde(tag = "record", deny_unknown_fields)]
pub(crate) enum Line<'a> {
    /// The first one.
    Export {
        /// See [`FORMAT`].
        format: u32,
        /// Name and version of the program that wrote it.
        #[serde(borrow)]
        program: Cow<'a, str>,
    },
    /// The last one.
    End {
        /// How many lines are between it and the first.
        records: u64,
    },
    Fact {
        #[serde(borrow)]
        name: Cow<'a, str>,
        value: FactValue,
    },
    Session {
        #[serde(borrow)]
        session: SessionName<'a>,
        session_expiry_interval_s: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        left_at_ms: Option<u64>,
        /// Whose it is, if that is known.
        #[serde(borrow, skip_serializing_if = "Option::is_none")]
        owner: Option<IdentityLine<'a>>,
    },
    Subscription {
        #[serde(borrow)]
        session: SessionName<'a>,
        #[serde(borrow)]
        topic_filter: Cow<'a, str>,
        qos: u8,
        no_local: bool,
        retain_as_published: bool,
        retain_handling: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        subscription_identifier: Option<NonZeroU32>,
    },
    Will {
        #[serde(borrow)]
        session: SessionName<'a>,
        will_delay_interval_s: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_expiry_interval_s: Option<u32>,
        message: MessageLine<'a>,
    },
    InFlight {
        #[serde(borrow)]
        session: SessionName<'a>,
        packet_identifier: u16,
        sent: SentPacket,
        #[serde(with = "number_text")]
        number: u64,
    },
    Message {
        #[serde(borrow)]
        session: SessionName<'a>,
        #[serde(with = "number_text")]
        number: u64,
        qos: u8,
        retain: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        packet_identifier: Option<u16>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        subscription_identifiers: Vec<NonZeroU32>,
        #[serde(borrow, skip_serializing_if = "Option::is_none")]
        shared_subscription: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<MessageLine<'a>>,
        /// Instead of the message: it is in the `Body` with the same number.
        #[serde(skip_serializing_if = "Option::is_none")]
        body_bytes: Option<u32>,
    },
    Received {
        #[serde(borrow)]
        session: SessionName<'a>,
        packet_identifier: u16,
    },
    Retained {
        slot: u16,
        #[serde(borrow)]
        message: MessageLine<'a>,
        /// Who has published it, if that is known.
        #[serde(borrow, skip_serializing_if = "Option::is_none")]
        set_by: Option<IdentityLine<'a>>,
    },
    Body {
        shard: u8,
        #[serde(with = "number_text")]
        number: u64,
        #[serde(borrow)]
        message: MessageLine<'a>,
    },
    Mail {
        from_shard: u8,
        to_shard: u8,
        #[serde(with = "number_text")]
        number: u64,
        purpose: Purpose,
        #[serde(borrow, skip_serializing_if = "Option::is_none")]
        shared_subscription: Option<Cow<'a, str>>,
        message: MessageLine<'a>,
        /// With the purpose `retain`: who has published it, if that is known.
        #[serde(borrow, skip_serializing_if = "Option::is_none")]
        set_by: Option<IdentityLine<'a>>,
    },
}

/// Which Session.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionName<'a> {
    /// In the line of the Session itself it counts, in others it is for the reader.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) client_identifier: Option<Cow<'a, str>>,
    slot: u16,
    #[serde(with = "number_text")]
    id: u64,
}

/// What a fact says.
#[derive(Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FactValue {
    Base64(String),
    Text(String),
    /// In one byte.
    Number(u8),
    /// In milliseconds since the Unix epoch.
    TimeMs(u64),
}

/// What was sent last under a Packet Identifier.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum SentPacket {
    Publish,
    Pubrel,
}

/// What mail between shards is for.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    Publish,
    Retain,
    Share,
}

/// The fact whose value is a time.
pub(crate) const ALIVE_FACT: &str = "alive";

impl FactValue {
    fn of(name: &str, value: &[u8]) -> Self {
        match (value, value.try_into()) {
            (_, Ok(time)) if name == ALIVE_FACT => Self::TimeMs(u64::from_be_bytes(time)),
            (&[number], _) => Self::Number(number),
            _ => match std::str::from_utf8(value) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Base64(base64::encode(value)),
            },
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::TimeMs(time) => Ok(time.to_be_bytes().into()),
            Self::Number(number) => Ok(vec![*number]),
            Self::Text(text) => Ok(text.as_bytes().into()),
            Self::Base64(text) => base64::decode(text).ok_or_else(|| "`base64` is not base64".into()),
        }
    }
}

impl<'a> SessionName<'a> {
    fn new(owner: Owner, client_id: Option<&'a str>) -> Self {
        Self { client_identifier: client_id.map(Cow::Borrowed), slot: owner.slot, id: owner.uid }
    }

    fn owner(&self) -> Result<Owner, String> {
        if self.id == 0 {
            return Err("the `id` of a session is never 0".into());
        }
        let owner = Owner { slot: self.slot, uid: self.id };
        match &self.client_identifier {
            Some(client_id) => checked_slot(self.slot, client_id).map(|()| owner),
            None => Ok(owner),
        }
    }
}

impl<'a> Line<'a> {
    /// The line of a record; `client_id` is that of its Session, if it has one and it is known.
    pub(crate) fn of(record: &'a Record<'_>, client_id: Option<&'a str>) -> Self {
        let named = |owner: &Owner| SessionName::new(*owner, client_id);
        match record {
            Record::Fact { name, value } => {
                Self::Fact { name: (*name).into(), value: FactValue::of(name, value) }
            }
            Record::Session(owner, content) => Self::Session {
                session: SessionName::new(*owner, Some(content.client_id)),
                session_expiry_interval_s: content.expiry_s,
                left_at_ms: content.left_at.map(Instant::as_ms),
                owner: content.owner.as_ref().map(IdentityLine::of),
            },
            Record::Subscription(owner, filter, subscription) => {
                subscription_line(named(owner), filter, subscription)
            }
            Record::Will(owner, will) => Self::Will {
                session: named(owner),
                will_delay_interval_s: will.delay_s,
                message_expiry_interval_s: will.expiry_s,
                message: MessageLine::of(&will.message),
            },
            Record::Message(owner, number, content) => message_line(named(owner), *number, content),
            Record::InFlight(owner, packet_id, state, number) => Self::InFlight {
                session: named(owner),
                packet_identifier: packet_id.value(),
                sent: match state {
                    InFlightState::Sent => SentPacket::Publish,
                    InFlightState::Released => SentPacket::Pubrel,
                },
                number: *number,
            },
            Record::Received(owner, packet_id) => {
                Self::Received { session: named(owner), packet_identifier: packet_id.value() }
            }
            Record::Retained(slot, message, publisher) => Self::Retained {
                slot: *slot,
                message: MessageLine::of(message),
                set_by: publisher.as_ref().map(IdentityLine::of),
            },
            Record::Body(shard, number, message) => {
                Self::Body { shard: shard.0, number: *number, message: MessageLine::of(message) }
            }
            Record::Transit { from, to, number, content } => mail_line(*from, *to, *number, content),
        }
    }

    /// Adds its record to `batch`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn put(&self, batch: &mut Batch) -> Result<(), String> {
        let record = match self {
            Self::Export { .. } => return Err("this is a first line, and only one is expected".into()),
            Self::End { .. } => return Err("this is the last line".into()),
            Self::Fact { name, value } => {
                checked_text("name", name)?;
                batch.put_fact(name, &value.bytes()?);
                return Ok(());
            }
            Self::Session { session, session_expiry_interval_s, left_at_ms, owner } => {
                session_record(session, *session_expiry_interval_s, *left_at_ms, owner.as_ref())?
            }
            Self::Subscription { session, topic_filter, .. } => {
                TopicFilter::parse(topic_filter).map_err(|error| format!("`topic_filter`: {error}"))?;
                Record::Subscription(session.owner()?, topic_filter, self.subscription()?)
            }
            Self::Will { session, will_delay_interval_s, message_expiry_interval_s, message } => {
                Record::Will(
                    session.owner()?,
                    WillContent {
                        delay_s: *will_delay_interval_s,
                        expiry_s: *message_expiry_interval_s,
                        message: message.message()?,
                    },
                )
            }
            Self::InFlight { session, packet_identifier, sent, number } => {
                let state = match sent {
                    SentPacket::Publish => InFlightState::Sent,
                    SentPacket::Pubrel => InFlightState::Released,
                };
                Record::InFlight(session.owner()?, packet_id(*packet_identifier)?, state, *number)
            }
            Self::Message { session, number, .. } => {
                Record::Message(session.owner()?, *number, self.message_content()?)
            }
            Self::Received { session, packet_identifier } => {
                Record::Received(session.owner()?, packet_id(*packet_identifier)?)
            }
            Self::Retained { slot, message, set_by } => {
                let message = message.message()?;
                checked_slot(*slot, message.topic_name().as_str())?;
                Record::Retained(*slot, message, identity(set_by.as_ref())?)
            }
            Self::Body { shard, number, message } => {
                Record::Body(checked_shard(*shard)?, *number, message.message()?)
            }
            Self::Mail { from_shard, to_shard, number, .. } => Record::Transit {
                from: checked_shard(*from_shard)?,
                to: checked_shard(*to_shard)?,
                number: *number,
                content: self.transit_content()?,
            },
        };
        encode(&record, batch);
        Ok(())
    }

    fn subscription(&self) -> Result<Subscription, String> {
        let Self::Subscription {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
            subscription_identifier,
            ..
        } = self
        else {
            return Err(WRONG_KIND.into());
        };
        let retain_handling = match retain_handling {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err("`retain_handling` is 0, 1 or 2".into()),
        };
        let options = SubscriptionOptions {
            qos: checked_qos(*qos)?,
            no_local: *no_local,
            retain_as_published: *retain_as_published,
            retain_handling,
        };
        Ok(Subscription { options, identifier: *subscription_identifier })
    }

    fn message_content(&self) -> Result<MessageContent<'_>, String> {
        let Self::Message {
            qos,
            retain,
            packet_identifier,
            subscription_identifiers,
            shared_subscription,
            message,
            body_bytes,
            ..
        } = self
        else {
            return Err(WRONG_KIND.into());
        };
        let body = match (message, body_bytes) {
            (Some(message), None) => BodyContent::Inside(message.message()?),
            (None, Some(size)) if (1..=BODY_MAX).contains(size) => BodyContent::Shared { size: *size },
            (None, Some(_)) => return Err(format!("`body_bytes` is 1 to {BODY_MAX}")),
            _ => return Err("either `message` or `body_bytes` is expected".into()),
        };
        if subscription_identifiers.len() > usize::from(u16::MAX) {
            return Err("`subscription_identifiers` has more than 65,535 of them".into());
        }
        Ok(MessageContent {
            qos: checked_qos(*qos).ok().filter(|&qos| qos != QoS::AtMostOnce).ok_or("`qos` is 1 or 2")?,
            retain: *retain,
            packet_id: packet_identifier.map(packet_id).transpose()?,
            identifiers: subscription_identifiers.clone(),
            group: checked_group(shared_subscription.as_deref())?,
            body,
        })
    }

    fn transit_content(&self) -> Result<TransitContent<'_>, String> {
        let Self::Mail { purpose, shared_subscription, message, set_by, .. } = self else {
            return Err(WRONG_KIND.into());
        };
        let group = checked_group(shared_subscription.as_deref())?;
        let message = message.message()?;
        let publisher = identity(set_by.as_ref())?;
        if publisher.is_some() && !matches!(purpose, Purpose::Retain) {
            return Err("`set_by` belongs to the purpose `retain`".into());
        }
        match (purpose, group) {
            (Purpose::Publish, "") => Ok(TransitContent::Publish(message)),
            (Purpose::Retain, "") => Ok(TransitContent::Retain(message, publisher)),
            (Purpose::Share, group) if !group.is_empty() => Ok(TransitContent::Share(group, message)),
            _ => Err("`shared_subscription` belongs to the purpose `share`, and only there".into()),
        }
    }
}

const WRONG_KIND: &str = "it is a line of another kind";

fn subscription_line<'a>(session: SessionName<'a>, filter: &'a str, subscription: &Subscription) -> Line<'a> {
    let options = subscription.options;
    Line::Subscription {
        session,
        topic_filter: filter.into(),
        qos: options.qos.value(),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: options.retain_handling as u8,
        subscription_identifier: subscription.identifier,
    }
}

fn message_line<'a>(session: SessionName<'a>, number: u64, content: &'a MessageContent<'_>) -> Line<'a> {
    let (message, body_bytes) = match &content.body {
        BodyContent::Inside(message) => (Some(MessageLine::of(message)), None),
        BodyContent::Shared { size } => (None, Some(*size)),
    };
    Line::Message {
        session,
        number,
        qos: content.qos.value(),
        retain: content.retain,
        packet_identifier: content.packet_id.map(PacketId::value),
        subscription_identifiers: content.identifiers.clone(),
        shared_subscription: Some(content.group).filter(|group| !group.is_empty()).map(Cow::Borrowed),
        message,
        body_bytes,
    }
}

fn mail_line<'a>(from: ShardId, to: ShardId, number: u64, content: &'a TransitContent<'_>) -> Line<'a> {
    let (purpose, shared_subscription, message, publisher) = match content {
        TransitContent::Publish(message) => (Purpose::Publish, None, message, None),
        TransitContent::Retain(message, publisher) => (Purpose::Retain, None, message, publisher.as_ref()),
        TransitContent::Share(group, message) => (Purpose::Share, Some(Cow::Borrowed(*group)), message, None),
    };
    let (message, set_by) = (MessageLine::of(message), publisher.map(IdentityLine::of));
    let (from_shard, to_shard) = (from.0, to.0);
    Line::Mail { from_shard, to_shard, number, purpose, shared_subscription, message, set_by }
}

fn session_record<'l>(
    session: &'l SessionName<'_>,
    expiry_s: u32,
    left_at_ms: Option<u64>,
    owner: Option<&IdentityLine<'_>>,
) -> Result<Record<'l>, String> {
    let client_id = session.client_identifier.as_deref().ok_or("its `client_identifier` is missing")?;
    checked_text("client_identifier", client_id)?;
    if left_at_ms == Some(0) {
        return Err("`left_at_ms` is left out rather than 0".into());
    }
    let left_at = left_at_ms.map(Instant::from_ms);
    let content = SessionContent { client_id, expiry_s, left_at, owner: identity(owner)? };
    Ok(Record::Session(session.owner()?, content))
}

fn identity(line: Option<&IdentityLine<'_>>) -> Result<Option<Identity>, String> {
    line.map(IdentityLine::identity).transpose()
}

fn checked_slot(slot: u16, name: &str) -> Result<(), String> {
    match slot_of(name) {
        right if right == slot => Ok(()),
        right => Err(format!("`{name}` belongs to the slot {right}, not {slot}")),
    }
}

fn checked_shard(shard: u8) -> Result<ShardId, String> {
    if shard >= ShardId::MAX_COUNT {
        return Err(format!("a shard is 0 to {}", ShardId::MAX_COUNT - 1));
    }
    Ok(ShardId(shard))
}

fn checked_group(group: Option<&str>) -> Result<&str, String> {
    let Some(group) = group else { return Ok("") };
    let filter = TopicFilter::parse(group).map_err(|error| format!("`shared_subscription`: {error}"))?;
    if filter.share().is_none() {
        return Err("`shared_subscription` begins with $share/ and a name".into());
    }
    Ok(group)
}

fn packet_id(value: u16) -> Result<PacketId, String> {
    PacketId::new(value).ok_or_else(|| "a `packet_identifier` is never 0".into())
}

/// A number as text.
mod number_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not a whole number in quotes")))
    }
}
