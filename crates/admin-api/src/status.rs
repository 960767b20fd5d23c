//! The Server as a whole.

use serde::{Deserialize, Serialize};

/// How the Server does. Numbers with `messages`, `bytes` and `drops` are sums over all shards, each of its own moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Threads that carry Clients.
    pub shards: u8,
    /// Connected Clients.
    pub connections: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Subscriptions, without Shared Subscriptions.
    pub subscriptions: u64,
    /// Shared Subscriptions.
    pub shared_subscriptions: u64,
    /// Retained Messages.
    pub retained_messages: u64,
    /// Their topics, Properties and payloads, in bytes.
    pub retained_bytes: u64,
    /// What waits in queues.
    pub queue: Queue,
    /// Messages sent to Clients and not acknowledged by them.
    pub in_flight_messages: u64,
    /// Bytes that wait for the sockets of Clients.
    pub output_bytes: u64,
    /// What happened since the start.
    pub traffic: Traffic,
    /// Messages that were dropped since the start.
    pub drops: Drops,
    /// What limits have done since the start.
    #[serde(default)]
    pub limits: Limits,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Whether what it promises does not hold when power is lost.
    pub is_unsafe: bool,
    /// How it stands with the storage.
    pub storage: Storage,
    /// Resident memory of the process in bytes, if the operating system says it.
    pub resident_bytes: Option<u64>,
    /// Panics that were caught; anything but 0 is a fault of the program.
    pub panics: u64,
}

/// What waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Queue {
    /// Messages.
    pub messages: u64,
    /// Their topics, Properties and payloads, in bytes.
    pub bytes: u64,
    /// Those of the messages that are only on the disk.
    pub disk_messages: u64,
    /// Those of the bytes that are only on the disk.
    pub disk_bytes: u64,
}

/// What happened since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Network Connections that became connected.
    pub connects: u64,
    /// Control Packets received, CONNECT not included.
    pub packets_received: u64,
    /// PUBLISH packets received.
    pub publishes_received: u64,
    /// PUBLISH packets sent.
    pub publishes_sent: u64,
    /// Packets that broke the rules and ended a Network Connection.
    pub protocol_errors: u64,
}

/// What limits have done since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Connections that were refused because their address had too many without CONNECT,
    pub refused_half_open: u64,
    /// because too many came in a second,
    pub refused_rate: u64,
    /// because there were as many as there may be,
    pub refused_connections: u64,
    /// for a ban,
    pub refused_banned: u64,
    /// for want of memory,
    pub refused_memory: u64,
    /// or because others with the Client Identifier waited already.
    pub refused_fights: u64,
    /// How often a Client was not read for a while because it had sent too much in a second.
    pub rate_delays: u64,
    /// Clients that were disconnected for that.
    pub rate_disconnects: u64,
    /// Connections that ended because another one came with their Client Identifier.
    pub takeovers: u64,
    /// Client Identifiers that several Clients took from each other again and again.
    pub fights: u64,
    /// How short memory is now: 0 not at all, from 1 on new Clients are refused, from 2 on QoS 1 and 2, with 3 the Clients that use
    /// most are disconnected.
    pub memory_pressure: u64,
    /// Messages of QoS 1 and 2 that were refused for want of memory.
    pub memory_refused_messages: u64,
    /// Clients that were disconnected for want of memory.
    pub memory_disconnects: u64,
}

impl Limits {
    /// Each in a word, with its number.
    #[must_use]
    pub fn by_name(&self) -> [(&'static str, u64); 13] {
        [
            ("refused-half-open", self.refused_half_open),
            ("refused-rate", self.refused_rate),
            ("refused-connections", self.refused_connections),
            ("refused-banned", self.refused_banned),
            ("refused-memory", self.refused_memory),
            ("refused-fights", self.refused_fights),
            ("rate-delays", self.rate_delays),
            ("rate-disconnects", self.rate_disconnects),
            ("takeovers", self.takeovers),
            ("fights", self.fights),
            ("memory-pressure", self.memory_pressure),
            ("memory-refused-messages", self.memory_refused_messages),
            ("memory-disconnects", self.memory_disconnects),
        ]
    }
}

/// Messages that were dropped, by cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Drops {
    /// QoS 0, and the Client did not read fast enough.
    pub slow: u64,
    /// QoS 0, and there was no Network Connection.
    pub offline: u64,
    /// There was no room in the queue.
    pub queue_full: u64,
    /// The Message Expiry Interval was over.
    pub expired: u64,
    /// Larger than the Client's Maximum Packet Size.
    pub too_large: u64,
    /// Their records on the disk are damaged.
    #[serde(default)]
    pub damaged: u64,
    /// Of a Shared Subscription, and no member was left; counted for the Server only.
    #[serde(default)]
    pub no_member: u64,
    /// A Retained Message for which there was no room; counted for the Server only.
    #[serde(default)]
    pub retained_full: u64,
}

impl Drops {
    /// All causes together.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { slow, offline, queue_full, expired, too_large, damaged, no_member, retained_full } = self;
        slow + offline + queue_full + expired + too_large + damaged + no_member + retained_full
    }

    /// Each cause in a word, with its number.
    #[must_use]
    pub fn by_cause(&self) -> [(&'static str, u64); 8] {
        [
            ("slow", self.slow),
            ("offline", self.offline),
            ("queue-full", self.queue_full),
            ("expired", self.expired),
            ("too-large", self.too_large),
            ("damaged", self.damaged),
            ("no-member", self.no_member),
            ("retained-full", self.retained_full),
        ]
    }
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// That the disk has it.
    Sync,
    /// That the operating system has it, and the disk soon: unsafe when power is lost.
    Interval,
    /// That the operating system has it: unsafe when power is lost.
    None,
    /// Nothing beyond the end of the program.
    MemoryOnly,
}

/// How it stands with the storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// All is well.
    Ready,
    /// There is little room: messages that must be kept are refused.
    Low,
    /// It has failed: nothing that must be kept is acknowledged until the Server is started anew.
    Failed,
    /// There is none.
    Off,
}
