//! How short memory is, for all threads to see.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use dunlin_broker::pressure::Pressure;

/// The bound, and how near to it the process is.
#[derive(Debug)]
pub(crate) struct Gauge {
    /// Bytes; 0 is no bound.
    max: u64,
    pressure: AtomicU8,
    shed: AtomicU64,
}

impl Gauge {
    /// A process that may use `max` bytes; 0 is no bound.
    pub(crate) fn new(max: u64) -> Self {
        Self { max, pressure: AtomicU8::new(0), shed: AtomicU64::new(0) }
    }

    /// Bytes that the process may use; 0 is no bound.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// How short memory is.
    pub(crate) fn pressure(&self) -> Pressure {
        Pressure::ALL[usize::from(self.pressure.load(Ordering::Relaxed)).min(Pressure::ALL.len() - 1)]
    }

    /// The process uses so many bytes now; returns the new pressure if it is another one.
    pub(super) fn look(&self, used: u64) -> Option<Pressure> {
        let before = self.pressure();
        let now = self.pressure_at(before, used);
        self.pressure.store(now as u8, Ordering::Relaxed);
        (now != before).then_some(now)
    }

    /// Each step begins at its share of the bound, and ends some way below it.
    fn pressure_at(&self, before: Pressure, used: u64) -> Pressure {
        let is_at = |step: Pressure| {
            let begins = BEGINS_PERCENT[step as usize];
            let percent = if before >= step { begins - BACK_PERCENT } else { begins };
            u128::from(used) * 100 >= u128::from(self.max) * u128::from(percent)
        };
        let steps = Pressure::ALL.into_iter().skip(1).take_while(|&step| is_at(step));
        if self.max == 0 { Pressure::None } else { steps.last().unwrap_or_default() }
    }

    /// A Client was disconnected for want of memory.
    pub(super) fn count_shed(&self) {
        self.shed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}

/// At which share of the bound each step begins.
const BEGINS_PERCENT: [u64; 4] = [0, 80, 90, 100];
/// How much less must be used for it to end.
const BACK_PERCENT: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_begins_at_its_share_and_ends_below_it() {
        let gauge = Gauge::new(1_000);
        for (used, pressure) in [
            (799, Pressure::None),
            (800, Pressure::Tight),
            (750, Pressure::Tight),
            (900, Pressure::Short),
            (850, Pressure::Short),
            (1_000, Pressure::Over),
            (960, Pressure::Over),
            (949, Pressure::Short),
            (849, Pressure::Tight),
            (749, Pressure::None),
            (5_000, Pressure::Over),
            (0, Pressure::None),
        ] {
            gauge.look(used);
            assert_eq!(gauge.pressure(), pressure, "{used}");
        }
        let free = Gauge::new(0);
        assert_eq!((free.look(u64::MAX), free.pressure()), (None, Pressure::None));
    }
}
