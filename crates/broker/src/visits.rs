//! How many lines of the log Clients cause that come and go: a bounded number, whatever they do.

use dunlin_protocol::time::Instant;

use crate::pace::{Measure, Pace};

/// How many lines may still be written.
#[derive(Debug, Default)]
pub(crate) struct Visits(Pace);

impl Visits {
    /// Whether one more line may be written; before it, tells how many were not.
    pub(crate) fn may_tell(&mut self, now: Instant) -> bool {
        let Some(untold) = self.0.may_tell(now, OF_A_SHARD) else { return false };
        if untold > 0 {
            tracing::info!(untold, "more Clients came and went than are told");
        }
        true
    }
}

/// Lines of one shard.
const OF_A_SHARD: Measure = Measure { lines_max: 100, ms: 1_000 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_clients_is_not_a_storm_of_lines() {
        let mut visits = Visits::default();
        let at = Instant::from_ms;
        let told = (0..1_000).filter(|_| visits.may_tell(at(5_000))).count();
        assert_eq!(told, 100);
        assert!(visits.may_tell(at(6_000)));
    }
}
