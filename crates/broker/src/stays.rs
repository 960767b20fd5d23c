//! Clients that were let in for some time only, such as by a token that expires.

use std::time::Duration;

use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::time::Instant;

use crate::{ids::ConnectionId, output::Outbox, state::State, timers::Timer};

impl State {
    /// From `now` on the connection may stay for `valid_for`, or without end.
    pub(crate) fn limit_stay(&mut self, now: Instant, id: ConnectionId, valid_for: Option<Duration>) {
        self.forget_stay(id);
        if let Some(valid_for) = valid_for {
            let at = now + valid_for.min(LONGEST);
            self.stays.insert(id, at);
            self.timers.set(at, Timer::StayOver(id));
        }
    }

    /// The connection has ended.
    pub(crate) fn forget_stay(&mut self, id: ConnectionId) {
        // Most often there is nothing to look up.
        if self.stays.is_empty() {
            return;
        }
        if let Some(at) = self.stays.remove(&id) {
            self.timers.cancel(at, Timer::StayOver(id));
        }
    }

    /// The time is over.
    pub(crate) fn end_stay(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) {
        self.stays.remove(&id);
        if self.find_connection(id).is_some() {
            let reason = "the time for which the Client was let in is over; connect again";
            self.disconnect(now, id, ReasonCode::NotAuthorized, reason, out);
        }
    }
}

/// Beyond any token, and far from the end of the clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
