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
    /// PUBLISH packets sent.
    pub publishes_sent: u64,
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
    /// Messages that Clients may not publish, Wills too.
    pub denied_publish: u64,
    /// Topic Filters that Clients may not subscribe to.
    pub denied_subscribe: u64,
    /// Messages that were not delivered because a Client may not receive them.
    pub denied_receive: u64,
    /// Retained Messages that were not delivered because their publisher may not publish them any more.
    pub denied_retained: u64,
    /// Packets that broke the rules and ended a Network Connection.
    pub protocol_errors: u64,
}
