//! What a shard says of itself.

use dunlin_packet::version::ProtocolVersion;
use dunlin_protocol::time::Instant;

use crate::{
    message::Message, metrics::Counters, retained::Cursor, rights::denials::DenialCounts,
    sessions::drops::DropCounts, subscriptions::subscription::Subscription,
};

use super::question::SubscriptionPlace;

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

/// What waits for one Session, or for several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// Messages in memory.
    pub messages_in_memory: u64,
    /// Their topics, Properties and payloads, in bytes.
    pub bytes_in_memory: u64,
    /// Messages that are only on the disk.
    pub messages_on_disk: u64,
    /// Their topics, Properties and payloads, in bytes.
    pub bytes_on_disk: u64,
}

/// One Session.
#[derive(Clone, Debug)]
pub struct SessionReport {
    /// Whose it is.
    pub client_id: Box<str>,
    /// Whether it is to survive the end of the program.
    pub is_kept: bool,
    /// Session Expiry Interval in seconds; 4,294,967,295 has no end.
    pub expiry_s: u32,
    /// When it ends, while there is no Network Connection.
    pub expires_at: Option<Instant>,
    /// Subscriptions, shared ones too.
    pub subscriptions: usize,
    /// What waits for it.
    pub queue: QueueReport,
    /// Messages sent to the Client and not acknowledged by it.
    pub in_flight: usize,
    /// QoS 1 and 2 messages of the Client that are not acknowledged, as the Receive Maximum counts them.
    pub in_flight_from: usize,
    /// Whether a Will waits.
    pub has_will: bool,
    /// Messages it did not get.
    pub drops: DropCounts,
    /// What its Client was denied.
    pub denials: DenialCounts,
    /// Its Network Connection, if it has one.
    pub connection: Option<ConnectionReport>,
}

/// One Network Connection.
#[derive(Clone, Debug)]
pub struct ConnectionReport {
    /// Where the Client comes from.
    pub peer: Box<str>,
    /// The user name it was authenticated with.
    pub user_name: Option<Box<str>>,
    /// The version it speaks.
    pub version: ProtocolVersion,
    /// When it came.
    pub connected_at: Instant,
    /// When its last packet came.
    pub last_packet_at: Instant,
    /// Keep Alive in seconds, as agreed; 0 is off.
    pub keep_alive_s: u16,
    /// Bytes that wait for its socket.
    pub output_bytes: u64,
}

/// One Subscription.
#[derive(Clone, Debug)]
pub struct SubscriptionReport {
    /// Whose.
    pub client_id: Box<str>,
    /// Whether the Client is connected.
    pub is_connected: bool,
    /// The Topic Filter, with `$share/name/` if it is shared.
    pub topic_filter: Box<str>,
    /// Options and identifier.
    pub subscription: Subscription,
}

/// A group of Shared Subscriptions.
#[derive(Clone, Debug)]
pub struct GroupReport {
    /// The whole Topic Filter, `$share/name/filter`.
    pub topic_filter: Box<str>,
    /// How many Sessions share it.
    pub members: usize,
    /// How many of them are connected.
    pub connected: usize,
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

impl QueueReport {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.messages_in_memory += other.messages_in_memory;
        self.bytes_in_memory += other.bytes_in_memory;
        self.messages_on_disk += other.messages_on_disk;
        self.bytes_on_disk += other.bytes_on_disk;
    }

    /// Messages, wherever they are.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages_in_memory + self.messages_on_disk
    }

    /// Bytes, wherever they are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes_in_memory + self.bytes_on_disk
    }
}
