//! The time that the machine is told.

use std::time::{Duration, SystemTime};

use dunlin_protocol::time::Instant;

/// Milliseconds since the Unix epoch, counted on from the start by a clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: tokio::time::Instant,
    start_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let start_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(0);
        Self { start: tokio::time::Instant::now(), start_ms }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_ms(self.start_ms) + self.start.elapsed()
    }

    /// The same point on tokio's clock.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        self.start + instant.saturating_since(Instant::from_ms(self.start_ms))
    }
}
