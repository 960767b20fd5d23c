//! What happened that should not have happened.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

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

/// Counts the panic of the task that owns it, if it ends so.
pub(crate) struct PanicWatch(pub(crate) Arc<Counts>);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.panicked();
        }
    }
}
