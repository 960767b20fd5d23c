//! What a shard says of itself.

use crate::{message::Message, metrics::Counters, retained::Cursor};

use super::{
    explanation::{Called, GroupOutlook, KeepingReport, Outlook, ReceiverReport, Receivers, RightReport},
    question::SubscriptionPlace,
    reports::{GroupReport, QueueReport, SessionReport, SubscriptionReport},
};

/// The answer to one [`Asked`](super::question::Asked).
#[derive(Debug)]
pub struct Answered {
    /// As asked.
    pub ticket: u64,
    /// The answer, of the kind that was asked for.
    pub answer: Answer,
}

/// What a shard says; one kind for each [`Question`](super::question::Question).
#[derive(Debug)]
pub enum Answer {
    /// What happened so far.
    Totals(Box<Totals>),
    /// Sums over some Sessions.
    Count {
        /// The sums.
        sums: Sums,
        /// From where to go on; nothing at the end.
        next: Option<u32>,
    },
    /// Some Sessions; a page may be empty and not be the last.
    Sessions {
        /// The Sessions.
        rows: Vec<SessionReport>,
        /// From where to go on; nothing at the end.
        next: Option<u32>,
    },
    /// The Session, if there is one.
    Session(Option<Box<SessionReport>>),
    /// Some Subscriptions; a page may be empty and not be the last.
    Subscriptions {
        /// The Subscriptions.
        rows: Vec<SubscriptionReport>,
        /// From where to go on; nothing at the end.
        next: Option<SubscriptionPlace>,
    },
    /// Who gets a message.
    Subscribers {
        /// Subscriptions that match, not more than were wanted.
        rows: Vec<SubscriptionReport>,
        /// How many match.
        total: usize,
        /// Groups at home here of which one member gets it.
        groups: Vec<GroupReport>,
    },
    /// Some Retained Messages; a page may be empty and not be the last.
    Retained {
        /// The messages.
        messages: Vec<Message>,
        /// From where to go on; nothing at the end.
        next: Option<Cursor>,
    },
    /// What a Client may.
    Right(Box<RightReport>),
    /// Who would get a message.
    Receivers(Receivers),
    /// Groups, and how many there are.
    Groups {
        /// Not more than were wanted.
        rows: Vec<GroupOutlook>,
        /// How many match.
        total: usize,
    },
    /// What would become of a message for a member; nothing if it has gone.
    Member(Option<Box<ReceiverReport>>),
    /// What would become of a message for a Client; nothing if there is no such Session.
    Outlook(Option<Box<Outlook>>),
    /// What a message with RETAIN would do.
    Keeping(Box<KeepingReport>),
    /// Retained Messages that a new Subscription would call for.
    Called(Called),
    /// Whether there was a Network Connection, which is ended now.
    Disconnected(bool),
    /// What became of the wish to end a Session.
    Deleted(Deletion),
    /// The messages are published.
    Published,
}

/// What became of the wish to end a Session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// It has ended, and no crash brings it back.
    Done,
    /// There is none.
    Unknown,
    /// It has ended, but the storage has failed: after a restart it may be there again.
    NotDurable,
}

/// What happened in one shard, and how much there is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// What happened since the start.
    pub counters: Counters,
    /// Control Packets sent since the start.
    pub packets_sent: u64,
    /// Connected Clients.
    pub connections: usize,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Subscriptions, without Shared Subscriptions.
    pub subscriptions: usize,
    /// Retained Messages whose topics are at home here.
    pub retained_messages: usize,
    /// Topics, Properties and payloads of them, in bytes.
    pub retained_bytes: u64,
    /// Little room is left for what must be kept.
    pub is_storage_low: bool,
    /// Nothing can be kept any more.
    pub has_storage_failed: bool,
}

/// Sums over Sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Shared Subscriptions.
    pub shared_subscriptions: u64,
    /// What waits in their queues.
    pub queue: QueueReport,
    /// Messages sent and not acknowledged.
    pub in_flight: u64,
    /// Bytes that wait for the Clients' sockets.
    pub output_bytes: u64,
}

impl Sums {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.shared_subscriptions += other.shared_subscriptions;
        self.queue.add(&other.queue);
        self.in_flight += other.in_flight;
        self.output_bytes += other.output_bytes;
    }
}
