//! How many lines of the log Clients cause that come and go: a bounded number, whatever they do.

use dunlin_protocol::time::Instant;

/// How many lines may still be written.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    /// The second it is about.
    second: u64,
    lines: u32,
    /// What was not told.
    untold: u64,
}

impl Visits {
    /// Whether one more line may be written; before it, tells how many were not.
    pub(crate) fn may_tell(&mut self, now: Instant) -> bool {
        let second = now.as_ms() / 1_000;
        if second != self.second {
            let untold = std::mem::take(&mut self.untold);
            *self = Self { second, ..Self::default() };
            if untold > 0 {
                tracing::info!(untold, "more Clients came and went than are told");
            }
        }
        if self.lines >= LINES_MAX {
            self.untold += 1;
            return false;
        }
        self.lines += 1;
        true
    }
}

/// Lines of one shard in a second.
const LINES_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_clients_is_not_a_storm_of_lines() {
        let mut visits = Visits::default();
        let at = Instant::from_ms;
        let told = (0..1_000).filter(|_| visits.may_tell(at(5_000))).count();
        assert_eq!((told, visits.untold), (100, 900));
        assert!(visits.may_tell(at(6_000)) && visits.untold == 0);
    }
}
