//! Tells the log who comes and goes.

use std::fmt::Display;

use dunlin_protocol::time::Instant;

use crate::{ids::ConnectionId, state::State};

impl State {
    /// Tells the log that a Client has come.
    pub(crate) fn tell_arrival(&mut self, now: Instant, id: ConnectionId, session_present: bool) {
        if !tracing::enabled!(tracing::Level::INFO) || !self.visits.may_tell(now) {
            return;
        }
        let (connection, session) = self.both(id);
        tracing::info!(
            client_id = &*session.client_id,
            user = connection.user_name.as_deref(),
            address = &*connection.peer,
            version = %connection.version,
            keep_alive_s = connection.keep_alive_s,
            expiry_s = session.expiry_s,
            session_present,
            "connected"
        );
    }

    /// Tells the log that a Client leaves, and why.
    pub(crate) fn tell_departure(&mut self, now: Instant, id: ConnectionId, why: &dyn Display) {
        if !tracing::enabled!(tracing::Level::INFO) || !self.visits.may_tell(now) {
            return;
        }
        let (connection, session) = self.both(id);
        tracing::info!(
            client_id = &*session.client_id,
            user = connection.user_name.as_deref(),
            address = &*connection.peer,
            version = %connection.version,
            reason = %why,
            "disconnected"
        );
    }
}
