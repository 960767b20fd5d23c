//! What the broker foretells, in the words of the admin API.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dunlin_admin_api::{explain, question::PAYLOAD_BYTES, session};
use dunlin_broker::{
    ids::ShardId,
    inspect::{
        explanation::{
            CalledReport, Fate, Keeping, KeepingReport, LimitsReport, Loss, ReceiverReport, RightReport,
            RulingReport, Stated, Trial, Wait,
        },
        reports::{SessionReport, SubscriptionReport},
    },
    limits::Overflow,
    message::publisher_key,
    permissions::subject::Subject,
};
use dunlin_packet::{qos::QoS, reason_code::ReasonCode, topic::name::TopicName};

use super::words;

/// A message that somebody asks about.
pub(super) struct Asked {
    pub(super) client_id: String,
    pub(super) topic: String,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) payload_bytes: Option<u64>,
}

impl Asked {
    /// The message, as if `publisher` would publish it.
    ///
    /// # Errors
    /// If there is no such message, in words.
    pub(super) fn trial(&self, publisher: Option<&str>) -> Result<Trial, String> {
        let topic = &self.topic;
        TopicName::parse(topic).map_err(|error| format!("{topic:?} is no Topic Name: {error}"))?;
        Ok(Trial {
            topic_name: topic.as_str().into(),
            qos: qos(self.qos)?,
            retain: self.retain,
            payload_bytes: usize::try_from(self.payload_bytes.unwrap_or(PAYLOAD_BYTES))
                .unwrap_or(usize::MAX / 2),
            publisher: publisher.map_or(0, publisher_key),
        })
    }
}

/// What is stated of a Client.
///
/// # Errors
/// If it cannot be: what is wrong with it, in words.
pub(super) fn stated(stated: explain::Stated) -> Result<Stated, String> {
    let explain::Stated { user_name, groups, address } = stated;
    let address = address.map(|text| {
        text.parse::<IpAddr>().map_err(|_| format!("{text:?} is no address such as 192.0.2.9 or 2001:db8::9"))
    });
    Ok(Stated {
        user_name: user_name.map(Into::into),
        groups: groups.map(|groups| groups.into_iter().map(Into::into).collect()),
        address: address.transpose()?,
    })
}

/// A QoS from outside.
///
/// # Errors
/// If there is no such QoS, in words.
pub(super) fn qos(value: u8) -> Result<QoS, String> {
    QoS::from_value(value).ok_or_else(|| format!("{value} is no QoS: 0, 1 or 2"))
}

/// Who a Client is.
pub(super) fn who(
    client_id: &str,
    shard: ShardId,
    subject: &Arc<Subject>,
    session: Option<SessionReport>,
    is_stated: bool,
) -> explain::Who {
    let Subject { user_name, groups, address, certificate, .. } = &**subject;
    let is_known = *address != IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    explain::Who {
        client_id: client_id.to_owned(),
        shard: shard.0,
        session: session.map(words::session),
        user_name: user_name.as_deref().map(Into::into),
        groups: groups.iter().map(|group| group.to_string()).collect(),
        address: is_known.then(|| address.to_string()),
        certificate: certificate.as_deref().map(|facts| facts.subject.to_string()),
        is_stated,
    }
}

pub(super) fn ruling(report: RulingReport) -> explain::Ruling {
    explain::Ruling {
        allowed: report.is_allowed,
        reason: report.reason.into(),
        rule: report.rule.map(|(file, line)| explain::RulePlace { file: file.into(), line }),
    }
}

pub(super) fn refusal(refusal: Option<(ReasonCode, Box<str>)>) -> Option<explain::Refusal> {
    refusal.map(|(code, reason)| explain::Refusal {
        reason_code: code.value(),
        name: code.name().to_owned(),
        reason: reason.into(),
    })
}

pub(super) fn keeping(report: KeepingReport, shard: ShardId) -> explain::KeepingReport {
    explain::KeepingReport {
        keeping: match report.keeping {
            Keeping::Kept => explain::Keeping::Kept,
            Keeping::Replaces => explain::Keeping::Replaces,
            Keeping::Removes => explain::Keeping::Removes,
            Keeping::Nothing => explain::Keeping::Nothing,
            Keeping::NoRoom => explain::Keeping::NoRoom,
        },
        shard: shard.0,
        present: report.present.as_ref().map(words::retained),
        set_by: report.publisher.map(|subject| subject.client_id.to_string()),
    }
}

pub(super) fn receiver(report: ReceiverReport) -> explain::Receiver {
    let why = why(&report);
    let ReceiverReport { client_id, is_connected, subscriptions, matched, qos, retain, fate, queue, .. } =
        report;
    explain::Receiver {
        client_id: client_id.into(),
        is_connected,
        fate: match fate {
            Fate::Sent => explain::Fate::Sent,
            Fate::Queued(_) => explain::Fate::Queued,
            Fate::Dropped(_) => explain::Fate::Dropped,
            Fate::Denied => explain::Fate::Denied,
            Fate::NoLocal => explain::Fate::NoLocal,
        },
        why,
        qos: qos.value(),
        retain,
        subscriptions: subscriptions.into_iter().map(words::subscription).collect(),
        matched: matched as u64,
        ruling: ruling(report.ruling),
        queue: words::queue(&queue),
    }
}

/// Why a Session gets a message or not.
fn why(report: &ReceiverReport) -> String {
    let ReceiverReport { fate, ruling, queue, overflow, is_connected, .. } = report;
    let mut text = match fate {
        Fate::Sent => "sent at once".to_owned(),
        Fate::Queued(wait) => {
            let reason = match wait {
                Wait::Away => "it is away",
                Wait::NotReading => "it does not read what it was sent",
                Wait::InFlightFull => "as many messages are in flight to it as may be",
                Wait::Resending => "what it has not acknowledged is sent again first",
                Wait::Behind => "others wait before it",
            };
            match queue.messages() {
                0 => format!("queued: {reason}"),
                1 => format!("queued behind 1 message: {reason}"),
                messages => format!("queued behind {messages} messages: {reason}"),
            }
        }
        Fate::Dropped(Loss::Away) => "dropped: QoS 0, and it is away".to_owned(),
        Fate::Dropped(Loss::NotReading) => "dropped: QoS 0, and it does not read what it was sent".to_owned(),
        Fate::Dropped(Loss::QueueFull) => {
            format!("dropped: its queue of {} messages is full", queue.messages())
        }
        Fate::Dropped(Loss::TooLarge) => {
            "dropped: larger than the Maximum Packet Size of the Client".to_owned()
        }
        Fate::Denied => ruling.reason.to_string(),
        Fate::NoLocal => "its own message, and it asked for No Local".to_owned(),
    };
    if let (Some(overflow), Fate::Queued(_)) = (overflow, fate) {
        text += "; the queue is full: ";
        text += overflow_words(*overflow);
    }
    if !is_connected && !ruling.is_allowed && *fate != Fate::NoLocal {
        text += &format!("; it would not be sent when it is back: {}", ruling.reason);
    }
    text
}

/// What happens when a queue is full.
pub(super) fn overflow_words(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::DropOldest => "the oldest message is dropped",
        Overflow::DropNewest => "the newest message is dropped",
        Overflow::Reject => "publishers are refused",
        Overflow::Disconnect => "the Client is disconnected, and the oldest message is dropped",
    }
}

pub(super) fn called(report: &CalledReport) -> explain::Called {
    explain::Called {
        message: words::retained(&report.message),
        objection: report.objection.as_deref().map(Into::into),
    }
}

/// A Subscription that would be taken, or why not.
pub(super) fn subscribing(
    report: RightReport,
    (client_id, shard): (&str, ShardId),
    (topic_filter, qos): (&str, QoS),
    is_shared: bool,
    is_stated: bool,
) -> explain::Subscribing {
    let RightReport { session, subject, ruling, refusal, replaced, limits, .. } = report;
    let LimitsReport { subscriptions_max, maximum_qos, .. } = limits;
    let is_connected = session.as_ref().is_some_and(|session| session.connection.is_some());
    let replaces: Option<session::Subscription> = replaced.map(|subscription| {
        words::subscription(SubscriptionReport {
            client_id: client_id.into(),
            is_connected,
            topic_filter: topic_filter.into(),
            subscription,
        })
    });
    explain::Subscribing {
        granted_qos: refusal.is_none().then(|| qos.min(maximum_qos).value()),
        is_shared,
        replaces,
        subscriptions: session.as_ref().map_or(0, |session| session.subscriptions as u64),
        subscriptions_max: subscriptions_max.into(),
        who: who(client_id, shard, &subject, session.map(|session| *session), is_stated),
        ruling: self::ruling(ruling),
        refusal: self::refusal(refusal),
    }
}
