//! What has been exercised: a run in which nothing happened proves nothing.

use std::collections::BTreeMap;

/// Counts by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts one more `what`.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// How many `what` there were.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Adds all counts of `other`.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// All counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.counts.iter().map(|(what, count)| (*what, *count))
    }

    /// What falls short of `minimums`, in words.
    #[must_use]
    pub fn shortfalls(&self, minimums: &[(&'static str, u64)]) -> Vec<String> {
        let short = minimums.iter().filter(|(what, minimum)| self.of(what) < *minimum);
        short.map(|(what, minimum)| format!("{what}: {} of at least {minimum}", self.of(what))).collect()
    }
}

/// What one run of the usual length must have done at least.
pub const MINIMUMS_OF_A_RUN: &[(&str, u64)] = &[
    ("connections opened", 20),
    ("connections cut", 1),
    ("messages accepted", 100),
    ("messages delivered", 50),
    ("subscriptions made", 20),
    ("rests", 1),
];

/// What many runs must have done together, for every forty: what a disk and a clock can do to a Server.
pub const RARE_MINIMUMS: &[(&str, u64)] = &[
    ("Clients cut off by a failed disk", 20),
    ("Clients refused by a failed disk", 10),
    ("bits flipped", 20),
    ("changes of the shards cut short", 1),
    ("clocks set back", 5),
    ("clocks set forward", 5),
    ("commits failed", 20),
    ("commits nobody was told of", 10),
    ("messages refused for want of room", 500),
    ("restarts with other shards", 30),
    ("rests without disk", 1),
    ("times that room came back", 100),
    ("times that room was short", 100),
    ("torn writes", 2),
];

/// What many runs must have done together, for each run.
pub const MINIMUMS_OF_MANY: &[(&str, u64)] = &[
    ("crashes", 1),
    ("sessions restored", 2),
    ("takeovers", 1),
    ("sessions resumed", 2),
    ("sessions expired", 1),
    ("messages sent again", 2),
    ("QoS 2 messages accepted", 10),
    ("QoS 2 duplicates received", 1),
    ("retained messages set", 10),
    ("retained messages deleted", 1),
    ("retained messages sent", 10),
    ("wills sent", 1),
    ("wills discarded", 1),
    ("wills overtaken by their client", 1),
    ("shared deliveries", 10),
    ("misdeeds answered", 2),
    ("aliases used by the broker", 1),
    ("aliases used by clients", 1),
];
