//! What everybody in the lobby needs to know.

use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use dunlin_auth::chains::Chains;
use dunlin_broker::limits::Settings;

use crate::{
    bans::list::Bans, counts::Counts, husks::Husks, memory::gauge::Gauge, seats::Seats, shard::mailbox::Post,
};

use super::{fights::Fights, half_open::HalfOpen, rates::ConnectionRates, refusals::Refusals};

/// The lobby's knowledge, shared by all its tasks.
#[derive(Debug)]
pub(crate) struct Desk {
    /// What counts for those who come now.
    pub(crate) terms: RwLock<Arc<Terms>>,
    /// The way to the shards.
    pub(crate) post: Arc<Post>,
    /// What comes back from the shards.
    pub(crate) husks: Arc<Husks>,
    /// How many Clients there may be.
    pub(crate) seats: Arc<Seats>,
    /// Who is in the lobby.
    pub(crate) half_open: Arc<HalfOpen>,
    /// Whose TLS handshakes are under way.
    pub(crate) tls_handshakes: Arc<HalfOpen>,
    /// How fast new connections may come.
    pub(crate) rates: ConnectionRates,
    /// How short memory is.
    pub(crate) memory: Arc<Gauge>,
    /// Who may not come in.
    pub(crate) bans: Arc<Bans>,
    /// Who fights for Client Identifiers.
    pub(crate) fights: Arc<Fights>,
    /// Tells the log who did not get in.
    pub(crate) refusals: Refusals,
    /// What should not happen.
    pub(crate) counts: Arc<Counts>,
}

/// What counts for a stranger, from its first byte on.
#[derive(Debug)]
pub(crate) struct Terms {
    /// What the Server allows.
    pub(crate) settings: Arc<Settings>,
    /// Who may connect.
    pub(crate) chains: Arc<Chains>,
    /// Time for TLS, WebSocket, CONNECT and authentication together.
    pub(crate) connect_timeout: Duration,
}

impl Desk {
    /// What counts now.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.read().expect("nobody panics while holding the lock of the terms"))
    }

    /// Other terms, for those who come from now on.
    pub(crate) fn change_terms(&self, terms: Terms) {
        *self.terms.write().expect("nobody panics while holding the lock of the terms") = Arc::new(terms);
    }
}
