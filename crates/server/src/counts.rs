//! What happened that should not have happened.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted by all threads; all of it must be 0.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    panics: AtomicU64,
}

impl Counts {
    /// Counts a panic that was caught.
    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}
