//! Time as the caller tells it: a point in milliseconds, never read from a clock here.

use core::ops::Add;
use core::time::Duration;

/// A point in time: milliseconds since the Unix epoch by a clock that never goes back.
///
/// The machines of this crate only ever receive one; whoever owns a clock makes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The point `ms` milliseconds after the epoch.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this point, zero if `earlier` is not earlier.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// The point `duration` later, rounded down to milliseconds; the end of time if there is none so late.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_and_measuring_agree_and_nothing_overflows() {
        let start = Instant::from_ms(1_000);
        let later = start + Duration::from_millis(1_500);
        assert_eq!(later.as_ms(), 2_500);
        assert_eq!(later.saturating_since(start), Duration::from_millis(1_500));
        assert_eq!(start.saturating_since(later), Duration::ZERO);
        assert_eq!(later + Duration::MAX, Instant::from_ms(u64::MAX));
    }
}
