//! The timetable of an open loop: when each message is due, whatever has become of those before it.

use crate::clock::SECOND;

/// Messages at a fixed rate, after a linear ramp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Messages a nanosecond at the start of the ramp and after it.
    from: f64,
    rate: f64,
    ramp_ns: f64,
}

impl Pace {
    /// `rate` messages a second, reached from 0 within `ramp_ns`.
    pub(crate) fn new(rate: f64, ramp_ns: u64) -> Self {
        Self { from: 0.0, rate: rate / SECOND as f64, ramp_ns: ramp_ns as f64 }
    }

    /// The part of a thread that has `part` of `all` publishers.
    pub(crate) fn share(self, part: usize, all: usize) -> Self {
        let share = part as f64 / all.max(1) as f64;
        Self { from: self.from * share, rate: self.rate * share, ..self }
    }

    /// Nanoseconds from the start until message `number` (from 0) is due.
    pub(crate) fn due(&self, number: u64) -> u64 {
        let number = number as f64;
        let in_ramp = (self.from + self.rate) / 2.0 * self.ramp_ns;
        if number >= in_ramp {
            return (self.ramp_ns + (number - in_ramp) / self.rate) as u64;
        }
        // number = from * t + curve * t^2
        let curve = (self.rate - self.from) / (2.0 * self.ramp_ns);
        (((self.from * self.from + 4.0 * curve * number).sqrt() - self.from) / (2.0 * curve)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_ramp_the_gaps_are_equal() {
        let pace = Pace::new(1_000.0, 0);
        assert_eq!(pace.due(0), 0);
        assert_eq!(pace.due(1), 1_000_000);
        assert_eq!(pace.due(5_000), 5 * SECOND);
        let half = pace.share(1, 2);
        assert_eq!(half.due(1), 2_000_000);
    }

    #[test]
    fn a_ramp_rises_in_a_straight_line() {
        let pace = Pace::new(1_000.0, 2 * SECOND);
        // In 2 s at half the rate on average: 1,000 messages, a quarter of them in the first half.
        assert_eq!(pace.due(1_000), 2 * SECOND);
        assert_eq!(pace.due(250), SECOND);
        assert_eq!(pace.due(2_000), 3 * SECOND);
        let times: Vec<u64> = (0..1_500).map(|number| pace.due(number)).collect();
        assert!(times.is_sorted());
    }
}
