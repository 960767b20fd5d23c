//! How often the log is told of what Clients can cause without end: the first lines at once, then a count.

use dunlin_protocol::time::Instant;

/// Lets a few lines through in a time and counts the others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// When the first of the last lines was written.
    began: Option<Instant>,
    lines: u32,
    untold: u64,
}

/// How many lines there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// So many lines
    pub(crate) lines_max: u32,
    /// in so many milliseconds, from the first of them on.
    pub(crate) ms: u64,
}

/// Lines about one Client and one kind of event.
pub(crate) const FOR_A_CLIENT: Measure = Measure { lines_max: 5, ms: 60_000 };

/// Lines that sum up for one Client what happened since the one before.
pub(crate) const SUMS_FOR_A_CLIENT: Measure = Measure { lines_max: 1, ms: 60_000 };

impl Pace {
    /// If there may be a line now, returns how many times there was none since the last one.
    pub(crate) fn may_tell(&mut self, now: Instant, measure: Measure) -> Option<u64> {
        let is_over = self.began.is_none_or(|at| now.as_ms().saturating_sub(at.as_ms()) >= measure.ms);
        if is_over {
            (self.began, self.lines) = (Some(now), 0);
        }
        if self.lines >= measure.lines_max {
            self.untold += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_come_at_once_and_the_others_as_a_count() {
        let mut pace = Pace::default();
        let mut tell = |ms| pace.may_tell(Instant::from_ms(ms), FOR_A_CLIENT);
        assert_eq!((0..1_000).filter_map(|_| tell(5_000)).collect::<Vec<_>>(), [0; 5]);
        assert_eq!(tell(64_999), None);
        assert_eq!(tell(65_000), Some(996));
        assert_eq!(tell(65_000), Some(0));
    }
}
