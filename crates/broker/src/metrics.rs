//! Counters of one shard. Each shard writes its own; readers add them up.

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Network Connections that became connected.
    pub connects: u64,
    /// Control Packets received.
    pub packets_received: u64,
    /// PUBLISH packets received.
    pub publishes_received: u64,
    /// Bytes of the payloads of PUBLISH packets received.
    pub payload_bytes_received: u64,
    /// PUBLISH packets sent.
    pub publishes_sent: u64,
    /// Bytes of the payloads of PUBLISH packets sent.
    pub payload_bytes_sent: u64,
    /// Sessions that ended because their Session Expiry Interval was over.
    pub sessions_expired: u64,
    /// Messages dropped because the Client does not read fast enough (QoS 0).
    pub dropped_slow: u64,
    /// Messages dropped because a queue was full.
    pub dropped_queue_full: u64,
    /// Messages dropped because they had expired.
    pub dropped_expired: u64,
    /// Messages not sent because they are larger than the Client's Maximum Packet Size.
    pub dropped_too_large: u64,
    /// Messages of a Shared Subscription that no member was left for.
    pub dropped_no_member: u64,
    /// Retained Messages not kept because the table was full.
    pub dropped_retained_full: u64,
    /// QoS 0 messages not kept for Clients without Network Connection.
    pub dropped_offline: u64,
    /// Messages that were dropped because their records are damaged.
    pub dropped_damaged: u64,
    /// How often a part of a queue could not be read from the disk.
    pub pages_unreadable: u64,
    /// Messages that Clients may not publish, Wills too.
    pub denied_publish: u64,
    /// Topic Filters that Clients may not subscribe to.
    pub denied_subscribe: u64,
    /// Messages that were not delivered because a Client may not receive them.
    pub denied_receive: u64,
    /// Retained Messages that were not delivered because their publisher may not publish them any more.
    pub denied_retained: u64,
    /// How often a Client was not read for a while because it had sent more than it may.
    pub rate_delays: u64,
    /// Clients that were disconnected for that.
    pub rate_disconnects: u64,
    /// Network Connections that ended because another one came with the same Client Identifier.
    pub takeovers: u64,
    /// Messages of QoS 1 and 2 that were refused for want of memory.
    pub refused_for_memory: u64,
    /// Packets that broke the rules and ended a Network Connection.
    pub protocol_errors: u64,
}

impl Counters {
    /// Messages that somebody did not get, for whatever cause.
    #[must_use]
    pub fn drops(&self) -> u64 {
        self.dropped_slow
            + self.dropped_offline
            + self.dropped_queue_full
            + self.dropped_expired
            + self.dropped_too_large
            + self.dropped_no_member
            + self.dropped_retained_full
    }

    /// Adds those of another shard.
    pub fn add(&mut self, other: &Self) {
        self.connects += other.connects;
        self.packets_received += other.packets_received;
        self.publishes_received += other.publishes_received;
        self.payload_bytes_received += other.payload_bytes_received;
        self.publishes_sent += other.publishes_sent;
        self.payload_bytes_sent += other.payload_bytes_sent;
        self.sessions_expired += other.sessions_expired;
        self.dropped_slow += other.dropped_slow;
        self.dropped_queue_full += other.dropped_queue_full;
        self.dropped_expired += other.dropped_expired;
        self.dropped_too_large += other.dropped_too_large;
        self.dropped_no_member += other.dropped_no_member;
        self.dropped_retained_full += other.dropped_retained_full;
        self.dropped_offline += other.dropped_offline;
        self.rate_delays += other.rate_delays;
        self.rate_disconnects += other.rate_disconnects;
        self.takeovers += other.takeovers;
        self.refused_for_memory += other.refused_for_memory;
        self.protocol_errors += other.protocol_errors;
    }
}
