//! What a person sees of long work.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// Tells now and then how far it has come.
pub(super) struct Progress {
    told: Instant,
}

/// How often.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often the clock is read.
const RECORDS_BETWEEN: u64 = 256;

impl Progress {
    pub(super) fn new() -> Self {
        Self { told: Instant::now() }
    }

    /// So many records are done.
    pub(super) fn tell(&mut self, records: u64) {
        if records.is_multiple_of(RECORDS_BETWEEN) && self.told.elapsed() >= INTERVAL {
            // There is nowhere else to tell that standard error is closed.
            writeln!(io::stderr(), "{records} records so far").ok();
            self.told = Instant::now();
        }
    }
}
