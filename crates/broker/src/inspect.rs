//! What a shard holds, in numbers.

use crate::{ids::ConnectionId, rights::denials::DenialCounts, sessions::drops::DropCounts, shard::Shard};

/// The contents of one shard, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connected Clients.
    pub connections: usize,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Subscriptions, without Shared Subscriptions.
    pub subscriptions: usize,
    /// Shared Subscriptions of the Sessions that live here.
    pub shares: usize,
    /// Groups of Shared Subscriptions that are at home here.
    pub groups: usize,
    /// Retained Messages.
    pub retained: usize,
    /// Messages that wait in queues.
    pub queued: usize,
    /// Messages sent and not acknowledged.
    pub in_flight: usize,
    /// QoS 2 identifiers whose PUBREL is awaited.
    pub awaiting_pubrel: usize,
    /// Questions and acknowledgements that wait for other shards.
    pub waiting_for_peers: usize,
    /// Packets held back until what they say is durable.
    pub held: usize,
    /// Messages that have a record which several deliveries share.
    pub shared_bodies: usize,
    /// Timers set.
    pub timers: usize,
}

/// One Session in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionReport {
    /// Whether it has a Network Connection.
    pub is_connected: bool,
    /// Whether it is to survive the end of the program.
    pub is_kept: bool,
    /// Session Expiry Interval in seconds.
    pub expiry_s: u32,
    /// Subscriptions, shared ones too.
    pub subscriptions: usize,
    /// Messages that wait.
    pub queued: usize,
    /// Those of them that are in memory.
    pub queued_in_memory: usize,
    /// Messages sent and not acknowledged.
    pub in_flight: usize,
    /// QoS 2 identifiers whose PUBREL is awaited.
    pub awaiting_pubrel: usize,
    /// Messages it did not get.
    pub drops: DropCounts,
    /// What its Client was denied.
    pub denials: DenialCounts,
}

impl Shard {
    /// The Network Connection that uses `client_id` now. Who hands in an [`Arrival`](crate::input::Arrival) should
    /// first hand in what that one has sent: it was sent before.
    #[must_use]
    pub fn connection_of(&self, client_id: &str) -> Option<ConnectionId> {
        let index = self.state.sessions.find(client_id)?;
        self.state.sessions[index].connection
    }

    /// What there is to say about one Session.
    #[must_use]
    pub fn session(&self, client_id: &str) -> Option<SessionReport> {
        let session = self.state.sessions.at(self.state.sessions.find(client_id)?)?;
        Some(SessionReport {
            is_connected: session.connection.is_some(),
            is_kept: session.is_kept(),
            expiry_s: session.expiry_s,
            subscriptions: session.subscriptions(),
            queued: session.queue.len(),
            queued_in_memory: session.queue.len_in_memory(),
            in_flight: session.outbound.in_flight(),
            awaiting_pubrel: session.inbound.awaiting_pubrel().count(),
            drops: session.drops.as_ref().map(|drops| drops.counts).unwrap_or_default(),
            denials: session.denials.as_ref().map(|denials| denials.counts).unwrap_or_default(),
        })
    }

    /// Counts everything; the time grows with the number of Sessions.
    #[must_use]
    pub fn census(&self) -> Census {
        let state = &self.state;
        let mut census = Census {
            connections: state.connections.iter().flatten().count(),
            sessions: state.sessions.len(),
            subscriptions: state.subscriptions.len(),
            groups: state.groups.len(),
            retained: state.retained.len(),
            waiting_for_peers: state.asks.len() + state.tickets.len(),
            timers: state.timers.len(),
            held: state.held.len(),
            shared_bodies: state.filing.bodies(),
            ..Census::default()
        };
        for session in state.sessions.iter() {
            census.shares += session.shares.len();
            census.queued += session.queue.len();
            census.in_flight += session.outbound.in_flight();
            census.awaiting_pubrel += session.inbound.awaiting_pubrel().count();
        }
        census
    }
}
