//! Token buckets: how much may come in a second, and how much at once. Time is an argument.

use std::time::Duration;

use dunlin_protocol::time::Instant;

/// A bucket: full at first, it fills with so many units a second, and each thing takes out what it costs. It may be overdrawn
/// by one thing; then nothing more comes until it has units again.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Thousandths of a unit.
    level: i64,
    at: Instant,
    per_s: u32,
    burst: u32,
}

impl Bucket {
    /// A full bucket for `burst` units, at least one, that fills with `per_s` units a second, at least one.
    #[must_use]
    pub fn new(now: Instant, per_s: u32, burst: u32) -> Self {
        let (per_s, burst) = (per_s.max(1), burst.max(1));
        Self { level: i64::from(burst) * UNIT, at: now, per_s, burst }
    }

    /// Fills it with what the time since the last look brings.
    pub fn fill(&mut self, now: Instant) {
        let elapsed_ms = now.saturating_since(self.at).as_millis();
        self.at = self.at.max(now);
        let gained = i64::try_from(elapsed_ms).unwrap_or(i64::MAX).saturating_mul(i64::from(self.per_s));
        self.level = self.level.saturating_add(gained).min(i64::from(self.burst) * UNIT);
    }

    /// Whether there is a whole unit.
    #[must_use]
    pub fn has_units(&self) -> bool {
        self.level >= UNIT
    }

    /// Whether nothing was taken out for long.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.level == i64::from(self.burst) * UNIT
    }

    /// Takes out what something costs, even if there is less.
    pub fn take(&mut self, units: u32) {
        self.level = self.level.saturating_sub(i64::from(units) * UNIT);
    }

    /// Takes out one unit, if there is one.
    pub fn take_one(&mut self, now: Instant) -> bool {
        self.fill(now);
        let has_units = self.has_units();
        if has_units {
            self.take(1);
        }
        has_units
    }

    /// How long until there is a unit again. With many units a second it is some of them: whoever waits is not woken for each.
    #[must_use]
    pub fn time_to_wait(&self) -> Duration {
        if self.has_units() {
            return Duration::ZERO;
        }
        let wanted = (self.per_s / WAKES_PER_S).clamp(1, self.burst);
        let missing = (i64::from(wanted) * UNIT).saturating_sub(self.level).unsigned_abs();
        Duration::from_millis(missing.div_ceil(u64::from(self.per_s)))
    }
}

/// The level counts thousandths: with a rate in units a second these are units a millisecond.
const UNIT: i64 = 1_000;

/// How often in a second somebody who waits is woken at most.
const WAKES_PER_S: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_ms(1_000_000 + ms)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(at(0), 10, 5);
        assert_eq!((0..20).filter(|_| bucket.take_one(at(0))).count(), 5);
        assert_eq!(bucket.time_to_wait(), Duration::from_millis(100));
        assert!(!bucket.take_one(at(99)));
        assert!(bucket.take_one(at(100)) && !bucket.take_one(at(100)));
        // Over ten seconds, looked at now and then: ten a second.
        let taken = (0..1_000).map(|step| (0..9).filter(|_| bucket.take_one(at(100 + step * 10))).count());
        assert_eq!(taken.sum::<usize>(), 99);
        // However long nothing comes, no more than the burst.
        assert_eq!((0..20).filter(|_| bucket.take_one(at(100_000_000))).count(), 5);
    }

    #[test]
    fn what_costs_more_than_the_burst_comes_and_is_paid_for_later() {
        let mut bucket = Bucket::new(at(0), 1_000, 100);
        bucket.take(5_000);
        // 4,900 are owed, and 50 more are waited for.
        assert_eq!(bucket.time_to_wait(), Duration::from_millis(4_950));
        bucket.fill(at(4_950));
        assert!(bucket.has_units() && !bucket.is_full());
        assert_eq!(bucket.time_to_wait(), Duration::ZERO);
        bucket.fill(at(5_001));
        assert!(bucket.is_full());
    }

    #[test]
    fn nothing_overflows_and_time_does_not_go_back() {
        let mut bucket = Bucket::new(at(0), u32::MAX, u32::MAX);
        bucket.fill(Instant::from_ms(u64::MAX));
        assert!(bucket.is_full());
        for _ in 0..10_000 {
            bucket.take(u32::MAX);
        }
        bucket.fill(at(0));
        assert!(!bucket.has_units() && bucket.time_to_wait() > Duration::ZERO);
        let mut least = Bucket::new(at(0), 0, 0);
        assert!(least.take_one(at(0)) && !least.take_one(at(999)) && least.take_one(at(1_000)));
    }
}
