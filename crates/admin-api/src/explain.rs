//! What would become of a message or a Subscription, and why.

use serde::{Deserialize, Serialize};

use crate::{
    session::{Group, Retained, Session, Subscription},
    status::Queue,
};

/// What is to be taken for known of a Client, whatever the Server knows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stated {
    /// Its user name.
    #[serde(default)]
    pub user_name: Option<String>,
    /// The groups of its user.
    #[serde(default)]
    pub groups: Option<Vec<String>>,
    /// The address it comes from.
    #[serde(default)]
    pub address: Option<String>,
}

/// Who a Client is, or would be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Who {
    /// Its Client Identifier.
    pub client_id: String,
    /// The shard that is the home of its Session.
    pub shard: u8,
    /// Its Session, if there is one.
    pub session: Option<Session>,
    /// Its user name, if it has proved one.
    pub user_name: Option<String>,
    /// The groups of its user.
    pub groups: Vec<String>,
    /// The address it comes from, if one is known.
    pub address: Option<String>,
    /// The subject of its certificate, if it has shown one.
    pub certificate: Option<String>,
    /// Whether some of this was stated in the question, and is not what the Server knows.
    pub is_stated: bool,
}

/// What the rules say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ruling {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, in words.
    pub reason: String,
    /// The rule that decides, if one does.
    pub rule: Option<RulePlace>,
}

/// Where a rule stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RulePlace {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// What refuses something: a rule or a limit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// The Reason Code of MQTT 5.0.
    pub reason_code: u8,
    /// Its name.
    pub name: String,
    /// Why, in words.
    pub reason: String,
}

/// What would become of a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Publication {
    /// Who would publish it.
    pub who: Who,
    /// What the rules say.
    pub ruling: Ruling,
    /// What refuses it, if anything does.
    pub refusal: Option<Refusal>,
    /// What it would do to the Retained Messages, if it has RETAIN.
    pub keeping: Option<KeepingReport>,
}

/// What a message with RETAIN would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeepingReport {
    /// What it would do.
    pub keeping: Keeping,
    /// The shard that is the home of the topic.
    pub shard: u8,
    /// The Retained Message that is there.
    pub present: Option<Retained>,
    /// The Client Identifier of who has set it, if that is known.
    pub set_by: Option<String>,
}

/// What a message with RETAIN would do to the Retained Messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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

/// What would become of a message for one Session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receiver {
    /// Whose.
    pub client_id: String,
    /// Whether it is connected.
    pub is_connected: bool,
    /// What would become of it.
    pub fate: Fate,
    /// Why, in words.
    pub why: String,
    /// The QoS it would come with.
    pub qos: u8,
    /// The RETAIN flag it would come with.
    pub retain: bool,
    /// Its Subscriptions that match: the first of them.
    pub subscriptions: Vec<Subscription>,
    /// How many match.
    pub matched: u64,
    /// The rule by which it may or may not have it.
    pub ruling: Ruling,
    /// What waits for it.
    pub queue: Queue,
}

/// What would become of a message for one Session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Sent at once.
    Sent,
    /// Queued.
    Queued,
    /// Dropped.
    Dropped,
    /// The Client may not receive it.
    Denied,
    /// It is its own, and it asked for No Local.
    NoLocal,
}

/// A group of Shared Subscriptions of which one member would get a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupOutlook {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// The member whose turn it is. Each message moves the turn on: the next one goes to another.
    pub next: Option<Receiver>,
}

/// What would become of a Subscription.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subscribing {
    /// Who would subscribe.
    pub who: Who,
    /// What the rules say.
    pub ruling: Ruling,
    /// What refuses it, if anything does.
    pub refusal: Option<Refusal>,
    /// The QoS that would be granted; nothing if it is refused.
    pub granted_qos: Option<u8>,
    /// Whether it is a Shared Subscription.
    pub is_shared: bool,
    /// The options of the Subscription with this Topic Filter that it would replace.
    pub replaces: Option<Subscription>,
    /// Subscriptions that the Session has.
    pub subscriptions: u64,
    /// How many it may have.
    pub subscriptions_max: u64,
}

/// A Retained Message that a Subscription would call for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Called {
    /// The message.
    #[serde(flatten)]
    pub message: Retained,
    /// Why it would not come, if so.
    pub objection: Option<String>,
}

/// Whether a Client may get a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receiving {
    /// Who would get it.
    pub who: Who,
    /// What the rules say.
    pub ruling: Ruling,
    /// What refuses it, if anything does.
    pub refusal: Option<Refusal>,
}

/// Why a Client does not get a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// Who does not get it.
    pub who: Who,
    /// Each possible cause, in the order in which a message meets them.
    pub steps: Vec<Step>,
    /// Whether it would get one that came now.
    pub verdict: Verdict,
    /// The most likely cause, in a sentence.
    pub conclusion: String,
}

/// Whether a message would arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It would.
    Delivered,
    /// Somebody's rights stand in its way.
    Denied,
    /// Something else stands in its way.
    NotDelivered,
}

/// One possible cause, looked into.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What was looked into.
    pub check: Check,
    /// What was found.
    pub finding: Finding,
    /// The same in words.
    pub words: String,
    /// The rule that decides, if one does.
    pub rule: Option<RulePlace>,
}

/// What can keep a message from a Client, in the order in which it is looked into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Whether it has a Session.
    Session,
    /// Whether it is connected.
    Connection,
    /// Whether one of its Subscriptions matches.
    Subscription,
    /// Whether it may receive the message.
    ReceiveRight,
    /// Whether the publisher may publish it, and nothing else refuses it.
    Publisher,
    /// Whether it is its own message, and it asked for No Local.
    NoLocal,
    /// Whether another member of a group gets it.
    Shared,
    /// Whether messages for it were dropped.
    Drops,
    /// Whether the message is larger than it takes.
    PacketSize,
    /// Whether it acknowledges what it gets.
    InFlight,
    /// Whether it reads what it is sent.
    Output,
    /// What waits for it.
    Queue,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It is no cause.
    Fine,
    /// It may be a cause for some messages.
    Perhaps,
    /// It is a cause.
    Cause,
    /// It cannot be said.
    Unknown,
}
