//! What a shard holds: in numbers for tests, and in answers to an operator.

use crate::{ids::ConnectionId, shard::Shard};

mod acting;
pub mod answer;
mod answering;
mod explaining;
pub mod explanation;
mod foretelling;
pub mod near;
pub mod question;
pub mod reports;

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

impl Shard {
    /// The Network Connection that uses `client_id` now. Who hands in an [`Arrival`](crate::input::Arrival) should
    /// first hand in what that one has sent: it was sent before.
    #[must_use]
    pub fn connection_of(&self, client_id: &str) -> Option<ConnectionId> {
        let index = self.state.sessions.find(client_id)?;
        self.state.sessions[index].connection
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
