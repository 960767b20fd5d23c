//! What would become of a message or a Subscription that nobody has sent: questions about it, and what a shard says.

use core::net::IpAddr;
use std::sync::Arc;

use dunlin_packet::{qos::QoS, reason_code::ReasonCode};
use dunlin_protocol::time::Instant;

use crate::{
    limits::Overflow,
    message::Message,
    permissions::{
        Permissions,
        ruling::{Ground, Ruling},
        subject::Subject,
    },
    retained::Cursor,
    routing::group_mail::{GroupName, Member},
    subscriptions::subscription::Subscription,
};

use super::reports::{GroupReport, QueueReport, SessionReport, SubscriptionReport};

/// A message that nobody has published.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The Topic Name; nobody gets what has none.
    pub topic_name: Box<str>,
    /// The QoS it would be published with.
    pub qos: QoS,
    /// Whether with RETAIN.
    pub retain: bool,
    /// Bytes of its payload. It has no Properties.
    pub payload_bytes: usize,
    /// [`publisher_key`](crate::message::publisher_key) of who would publish it; 0 for nobody in particular.
    pub publisher: u64,
}

/// What a Client might want to do.
#[derive(Clone, Debug)]
pub enum Intent {
    /// To publish.
    Publish(Trial),
    /// To subscribe.
    Subscribe {
        /// The Topic Filter.
        topic_filter: Box<str>,
        /// The QoS that is asked for.
        qos: QoS,
    },
    /// To get what one of its Subscriptions matches.
    Receive {
        /// The Topic Name.
        topic_name: Box<str>,
    },
}

/// What is stated about a Client, in the place of what is known of it.
#[derive(Clone, Debug, Default)]
pub struct Stated {
    /// Its user name.
    pub user_name: Option<Box<str>>,
    /// The groups of its user.
    pub groups: Option<Box<[Box<str>]>>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

/// What a Client may, as the home of its Session sees it.
#[derive(Debug)]
pub struct RightReport {
    /// When it was asked.
    pub now: Instant,
    /// Its Session, if there is one.
    pub session: Option<Box<SessionReport>>,
    /// Who it is, or would be.
    pub subject: Arc<Subject>,
    /// Its rights by the rules in force.
    pub permissions: Permissions,
    /// What the rules say.
    pub ruling: RulingReport,
    /// What refuses it: the Reason Code and why, be it a rule or a limit.
    pub refusal: Option<(ReasonCode, Box<str>)>,
    /// The Subscription with the same Topic Filter that a new one would replace.
    pub replaced: Option<Subscription>,
    /// Limits that the words of an answer need.
    pub limits: LimitsReport,
    /// When the oldest message in flight was taken in, if that is known.
    pub in_flight_since: Option<Instant>,
}

/// Limits of one Session.
#[derive(Clone, Copy, Debug)]
pub struct LimitsReport {
    /// Subscriptions.
    pub subscriptions_max: u32,
    /// Messages that wait.
    pub queue_messages_max: u32,
    /// Bytes of them.
    pub queue_bytes_max: u64,
    /// Bytes that wait for its socket.
    pub output_bytes_max: u32,
    /// The greatest QoS.
    pub maximum_qos: QoS,
    /// What happens if the queue is full, for messages to the topic that is asked about.
    pub overflow: Overflow,
}

/// What rules say, in words that can be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RulingReport {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// File and line of the rule that decides, if one does.
    pub rule: Option<(Box<str>, u32)>,
    /// Why.
    pub reason: Box<str>,
}

impl From<Ruling<'_>> for RulingReport {
    fn from(ruling: Ruling<'_>) -> Self {
        let (ground, is_allowed) = (ruling.ground(), ruling.is_allowed());
        let (rule, reason) = match ground {
            Ground::Rule { file, line } => {
                let verb = if is_allowed { "allows" } else { "denies" };
                (Some((file.into(), line)), format!("the rule at {file}:{line} {verb} it"))
            }
            _ => (None, ground.to_string()),
        };
        Self { is_allowed, rule, reason: reason.into() }
    }
}

/// Some of those who would get a message, in the order of their places.
#[derive(Debug)]
pub struct Receivers {
    /// The Sessions.
    pub rows: Vec<ReceiverReport>,
    /// From where to go on; nothing at the end.
    pub next: Option<u32>,
    /// How many Sessions there are in all, and how many of their Subscriptions match; only if the question was about the
    /// first page.
    pub total: Option<(u64, u64)>,
}

/// What would become of a message for one Session.
#[derive(Debug)]
pub struct ReceiverReport {
    /// Whose.
    pub client_id: Box<str>,
    /// Whether it is connected.
    pub is_connected: bool,
    /// Its Subscriptions that match: the first of them.
    pub subscriptions: Vec<SubscriptionReport>,
    /// How many match.
    pub matched: usize,
    /// The QoS it would come with.
    pub qos: QoS,
    /// The RETAIN flag it would come with.
    pub retain: bool,
    /// What would become of it.
    pub fate: Fate,
    /// The rule that lets it have the message or not. For one that is away, by the rules of now: they are asked when it is
    /// back.
    pub ruling: RulingReport,
    /// What waits for it.
    pub queue: QueueReport,
    /// What the full queue asks for; nothing if there is room, or if nothing would be queued.
    pub overflow: Option<Overflow>,
}

/// What would become of a message for one Session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Sent at once.
    Sent,
    /// Queued.
    Queued(Wait),
    /// Dropped.
    Dropped(Loss),
    /// The Client may not receive it.
    Denied,
    /// It is its own, and it asked for No Local. [MQTT-3.8.3-3]
    NoLocal,
}

/// Why a message would wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// There is no Network Connection.
    Away,
    /// The Client does not read: its output buffer is full.
    NotReading,
    /// As many messages are in flight as may be.
    InFlightFull,
    /// What was sent on an earlier Network Connection is sent again first.
    Resending,
    /// Others wait before it.
    Behind,
}

/// Why a message would be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// QoS 0, and there is no Network Connection.
    Away,
    /// QoS 0, and the Client does not read.
    NotReading,
    /// The queue is full, and the newest message gives way.
    QueueFull,
    /// Larger than the Client's Maximum Packet Size.
    TooLarge,
}

/// A group of Shared Subscriptions, and whose turn it is in it.
#[derive(Debug)]
pub struct GroupOutlook {
    /// The group.
    pub report: GroupReport,
    /// Its name, for the question to the member's shard.
    pub name: GroupName,
    /// Who would get the message; nothing if nobody may.
    pub next: Option<Member>,
}

/// What a message with RETAIN would do to the Retained Messages.
#[derive(Debug)]
pub struct KeepingReport {
    /// What it would do.
    pub keeping: Keeping,
    /// The Retained Message that is there.
    pub present: Option<Message>,
    /// Who has set it, if that is known.
    pub publisher: Option<Arc<Subject>>,
}

/// What a message with RETAIN would do to the Retained Messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeping {
    /// It would be kept, where there is none.
    Kept,
    /// It would take the place of another.
    Replaces,
    /// Its payload is empty: the one that is there would be removed.
    Removes,
    /// Its payload is empty, and none is there.
    Nothing,
    /// There is no room for it; the one that is there would be removed.
    NoRoom,
}

/// Some of the Retained Messages that a new Subscription would call for.
#[derive(Debug)]
pub struct Called {
    /// The messages.
    pub rows: Vec<CalledReport>,
    /// From where to go on; nothing at the end.
    pub next: Option<Cursor>,
}

/// One of them.
#[derive(Debug)]
pub struct CalledReport {
    /// The message.
    pub message: Message,
    /// The rule by which the Client may not receive it, or by which who has set it may not publish it any more.
    pub objection: Option<Box<str>>,
}

/// What would become of a message for one Client.
#[derive(Debug)]
pub struct Outlook {
    /// By its own Subscriptions; nothing if none of them matches.
    pub own: Option<ReceiverReport>,
    /// Its Shared Subscriptions that match.
    pub shares: Vec<SubscriptionReport>,
}
