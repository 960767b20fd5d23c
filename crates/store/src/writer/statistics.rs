//! What the writer has done, for whoever wants to know.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Counters of a writer. It alone writes them; anybody may read.
#[derive(Debug)]
pub struct Statistics {
    commits: AtomicU64,
    syncs: AtomicU64,
    changes: AtomicU64,
    bytes: AtomicU64,
    cancelled: AtomicU64,
    microseconds: AtomicU64,
    longest: AtomicU64,
    shortest: AtomicU64,
    times: Box<[AtomicU64]>,
}

/// Counters of a writer since it was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// Groups that were handed to the engine.
    pub commits: u64,
    /// Those that waited for the disk, and other times that was done.
    pub syncs: u64,
    /// Changes in them.
    pub changes: u64,
    /// Bytes of keys and values in them.
    pub bytes: u64,
    /// Changes that were needless before it came to a commit.
    pub cancelled: u64,
    /// How long waiting for the disk has taken, commit included.
    pub time: Times,
}

/// How long something has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// The shortest.
    pub min: Duration,
    /// The mean.
    pub mean: Duration,
    /// Half of them took no longer, within an eighth.
    pub p50: Duration,
    /// 99 in 100 took no longer, within an eighth.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// Eight buckets for each power of two of microseconds.
const BUCKETS: usize = 40 * 8;

impl Default for Statistics {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            commits: zero(),
            syncs: zero(),
            changes: zero(),
            bytes: zero(),
            cancelled: zero(),
            microseconds: zero(),
            longest: zero(),
            shortest: AtomicU64::new(u64::MAX),
            times: (0..BUCKETS).map(|_| zero()).collect(),
        }
    }
}

impl Statistics {
    pub(super) fn note_commit(&self, changes: u64, bytes: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(changes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn note_cancelled(&self, changes: u64) {
        self.cancelled.fetch_add(changes, Ordering::Relaxed);
    }

    pub(super) fn note_sync(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(took, Ordering::Relaxed);
        self.longest.fetch_max(took, Ordering::Relaxed);
        self.shortest.fetch_min(took, Ordering::Relaxed);
        self.times[bucket(took)].fetch_add(1, Ordering::Relaxed);
    }

    /// What they say now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let syncs = read(&self.syncs);
        Figures {
            commits: read(&self.commits),
            syncs,
            changes: read(&self.changes),
            bytes: read(&self.bytes),
            cancelled: read(&self.cancelled),
            time: if syncs == 0 { Times::default() } else { self.times(syncs) },
        }
    }

    fn times(&self, count: u64) -> Times {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Times {
            min: Duration::from_micros(read(&self.shortest)),
            mean: Duration::from_micros(read(&self.microseconds) / count),
            p50: self.quantile(count.div_ceil(2)),
            p99: self.quantile(count - count / 100),
            max: Duration::from_micros(read(&self.longest)),
        }
    }

    /// The time that so many have not exceeded.
    fn quantile(&self, rank: u64) -> Duration {
        let mut seen = 0;
        let reaches = |counter: &AtomicU64| {
            seen += counter.load(Ordering::Relaxed);
            seen >= rank
        };
        let bucket = self.times.iter().position(reaches).unwrap_or(BUCKETS - 1);
        let longest = self.longest.load(Ordering::Relaxed);
        Duration::from_micros(upper_end(bucket).min(longest))
    }
}

fn bucket(microseconds: u64) -> usize {
    if microseconds < 8 {
        return microseconds as usize;
    }
    let power = microseconds.ilog2() as usize;
    let eighth = (microseconds >> (power - 3)) as usize & 7;
    ((power - 2) * 8 + eighth).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn upper_end(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let (power, eighth) = (bucket / 8 + 2, bucket as u64 % 8);
    ((8 + eighth + 1) << (power - 3)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_they_say() {
        for microseconds in (0..100_000_u64).chain([1 << 33, (1 << 35) + 12_345]) {
            let bucket = bucket(microseconds);
            assert!(upper_end(bucket) >= microseconds);
            assert!(upper_end(bucket) <= microseconds + microseconds / 8);
            assert!(bucket == 0 || upper_end(bucket - 1) < microseconds);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn figures_are_those_noted() {
        let statistics = Statistics::default();
        assert_eq!(statistics.figures().time, Times::default());
        (1..=100).for_each(|ms| statistics.note_sync(Duration::from_millis(ms)));
        statistics.note_commit(3, 30);
        let figures = statistics.figures();
        assert_eq!((figures.commits, figures.syncs, figures.changes, figures.bytes), (1, 100, 3, 30));
        let Times { min, mean, p50, p99, max } = figures.time;
        assert_eq!((min, max), (Duration::from_millis(1), Duration::from_millis(100)));
        assert_eq!(mean, Duration::from_micros(50_500));
        assert!(
            (50..57).contains(&p50.as_millis()) && (99..=100).contains(&p99.as_millis()),
            "{p50:?} {p99:?}"
        );
    }
}
