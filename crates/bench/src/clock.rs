//! Time in nanoseconds that is steady inside a process and means the same in others.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// One millisecond.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds since the UNIX epoch, read from the system once and carried on by the steady clock: so it never jumps,
/// and another process that has done the same reads the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
    base_ns: u64,
}

impl Clock {
    /// Reads the system's time.
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { base: Instant::now(), base_ns: u64::try_from(since_epoch.as_nanos()).unwrap_or(0) }
    }

    /// The time now.
    #[inline]
    pub(crate) fn now(self) -> u64 {
        let elapsed = self.base.elapsed();
        self.base_ns + elapsed.as_secs() * SECOND + u64::from(elapsed.subsec_nanos())
    }
}

/// `seconds` in nanoseconds; not finite and negative numbers are nothing.
pub(crate) fn from_seconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * SECOND as f64) as u64
}

/// Nanoseconds in seconds.
pub(crate) fn to_seconds(ns: u64) -> f64 {
    ns as f64 / SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_agree() {
        let (first, second) = (Clock::start(), Clock::start());
        let before = first.now();
        let between = second.now();
        let after = first.now();
        assert!(before <= after);
        assert!(between + MILLISECOND > before && between < after + MILLISECOND);
    }

    #[test]
    fn seconds_go_both_ways() {
        assert_eq!(from_seconds(1.5), 1_500_000_000);
        assert_eq!(from_seconds(-1.0), 0);
        assert_eq!(from_seconds(f64::NAN), 0);
        assert!((to_seconds(250 * MILLISECOND) - 0.25).abs() < 1e-12);
    }
}
