//! What a shard says of a Session and of what belongs to it.

use std::sync::Arc;

use dunlin_packet::version::ProtocolVersion;
use dunlin_protocol::time::Instant;

use crate::{
    entry::Entry, rights::denials::DenialCounts, sessions::drops::DropCounts,
    subscriptions::subscription::Subscription,
};

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
    /// How it got in, if that is known.
    pub entry: Option<Arc<Entry>>,
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
    /// The Client's Maximum Packet Size in bytes; 4,294,967,295 is no bound.
    pub maximum_packet_size: u32,
    /// How many messages with QoS 1 and 2 may be in flight to it.
    pub in_flight_max: u16,
    /// When it last acknowledged something, or nothing was in flight to it.
    pub progress_at: Instant,
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
