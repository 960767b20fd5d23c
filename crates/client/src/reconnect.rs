//! How long to wait before the next attempt to connect.

use std::time::Duration;

use crate::options::Reconnect;

/// Doubles the delay with each attempt that fails, and spreads many Clients by chance.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0 }
    }

    /// Nothing if no other attempt is to be made.
    pub(crate) fn of(reconnect: &Reconnect) -> Option<Self> {
        match *reconnect {
            Reconnect::Never => None,
            Reconnect::Always { first, max } => Some(Self::new(first, max)),
        }
    }

    /// Starts afresh, after an attempt that succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The delay before the next attempt: between half of the full delay and all of it, by `chance`.
    pub(crate) fn next_delay(&mut self, chance: u16) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        full / 2 + (full / 2).mul_f64(f64::from(chance) / f64::from(u16::MAX))
    }
}

/// A number by chance; without a source of chance, the middle.
pub(crate) fn chance() -> u16 {
    let mut bytes = [0; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u16::from_le_bytes(bytes),
        Err(_) => u16::MAX / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        let mut delays = [0; 6].map(|_| backoff.next_delay(u16::MAX).as_secs());
        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
        backoff.succeeded();
        delays = [0; 6].map(|_| backoff.next_delay(0).as_millis() as u64);
        assert_eq!(delays, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next_delay(u16::MAX).as_secs(), 10);
    }
}
