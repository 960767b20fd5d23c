//! The one clock of the Server: wall time at the start, and from then on a clock that never goes back.

use std::time::{Instant as Monotonic, SystemTime, UNIX_EPOCH};

use dunlin_protocol::time::Instant;

/// Tells the time; all shards and the lobby have copies of one and the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Monotonic,
    start_ms: u64,
}

impl Clock {
    /// Starts the clock.
    pub(crate) fn start() -> Self {
        // A machine whose clock stands before 1970 counts from there.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Monotonic::now(), start_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(0) }
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.at(Monotonic::now())
    }

    /// Moves this copy of the clock forward.
    #[cfg(test)]
    pub(crate) fn advance(&mut self, by: std::time::Duration) {
        self.start_ms += u64::try_from(by.as_millis()).expect("a test does not wait that long");
    }

    /// The time at `moment`.
    pub(crate) fn at(&self, moment: Monotonic) -> Instant {
        let elapsed = moment.saturating_duration_since(self.start);
        Instant::from_ms(self.start_ms + u64::try_from(elapsed.as_millis()).unwrap_or(0))
    }
}
