//! The one clock of the Server: wall time at the start, and from then on a clock that never goes back.

use std::time::{Duration, Instant as Monotonic, SystemTime, UNIX_EPOCH};

use dunlin_protocol::time::Instant;

/// Tells the time; all shards and the lobby have copies of one and the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Monotonic,
    start_ms: u64,
}

impl Clock {
    /// Starts the clock. `earliest` is when the last run was noted for the last time: if the clock of the machine was set
    /// back while the Server was down, it starts when that run may have gone on to, so that what has expired stays so.
    pub(crate) fn start_after(earliest: Option<Instant>) -> Self {
        // A machine whose clock stands before 1970 counts from there.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(0);
        let earliest_ms = earliest.map_or(0, Instant::as_ms);
        if wall_ms < earliest_ms {
            let start_ms = earliest_ms + ALIVE_TIME.as_millis() as u64;
            let seconds = (start_ms - wall_ms) / 1_000;
            tracing::warn!(seconds, "the clock of this machine was set back: time goes on from the last run");
            return Self { start: Monotonic::now(), start_ms };
        }
        if earliest_ms > 0 && wall_ms - earliest_ms > NOTABLE_GAP_MS {
            let seconds = (wall_ms - earliest_ms) / 1_000;
            tracing::info!(seconds, "time since the last run");
        }
        Self { start: Monotonic::now(), start_ms: wall_ms }
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
    pub(crate) fn advance(&mut self, by: Duration) {
        self.start_ms += u64::try_from(by.as_millis()).expect("a test does not wait that long");
    }

    /// The time at `moment`.
    pub(crate) fn at(&self, moment: Monotonic) -> Instant {
        let elapsed = moment.saturating_duration_since(self.start);
        Instant::from_ms(self.start_ms + u64::try_from(elapsed.as_millis()).unwrap_or(0))
    }
}

/// So often it is noted that the Server runs: at its end it may have run for so long since.
pub(crate) const ALIVE_TIME: Duration = Duration::from_secs(30);
/// A gap to the last run that is told: an hour.
const NOTABLE_GAP_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_starts_where_the_last_run_may_have_ended() {
        let now = Clock::start().now();
        let before = now + Duration::from_secs(3_600);
        let start = Clock::start_after(Some(before)).now();
        assert!(start >= before + ALIVE_TIME && start < before + ALIVE_TIME * 2, "{start:?}");
        assert!(Clock::start_after(Some(now)).now() < now + ALIVE_TIME);
    }
}
