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
    /// Starts the clock, not before `earliest`: if the clock of the machine was set back while the Server was down, what
    /// has expired stays so.
    pub(crate) fn start_after(earliest: Option<Instant>) -> Self {
        // A machine whose clock stands before 1970 counts from there.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(0);
        let earliest_ms = earliest.map_or(0, Instant::as_ms);
        if wall_ms < earliest_ms {
            let seconds = (earliest_ms - wall_ms) / 1_000;
            tracing::warn!(seconds, "the clock of this machine was set back: time goes on from the last run");
        } else if earliest_ms > 0 && wall_ms - earliest_ms > NOTABLE_GAP_MS {
            let seconds = (wall_ms - earliest_ms) / 1_000;
            tracing::info!(seconds, "time since the last run");
        }
        Self { start: Monotonic::now(), start_ms: wall_ms.max(earliest_ms) }
    }

    /// Starts the clock.
    #[cfg(test)]
    pub(crate) fn start() -> Self {
        Self::start_after(None)
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

/// A gap to the last run that is told: an hour.
const NOTABLE_GAP_MS: u64 = 3_600_000;
