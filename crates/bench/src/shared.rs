//! All that the threads of a run share with each other and with the one that watches them.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use mio::Waker;

use crate::clock::SECOND;

/// Why a run is to end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Ctrl-C.
    Interrupted,
    /// Nothing has moved for too long.
    Stalled,
    /// A connection is gone, or a thread cannot go on.
    Failed,
}

/// What a thread has counted since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) acknowledged: u64,
    /// Messages of its publishers that are not complete.
    pub(crate) under_way: u64,
}

/// What a thread tells of itself now and then.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) totals: Totals,
    /// Latencies that were measured and not yet collected.
    pub(crate) latency: Histogram<u64>,
}

/// Notes of other threads for one: publishers whose oldest messages are complete.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    is_full: AtomicBool,
    notes: Mutex<Vec<u32>>,
    waker: OnceLock<Waker>,
}

/// The shared part of a run.
#[derive(Debug)]
pub(crate) struct Shared {
    stop: AtomicU8,
    /// Connections that are open and subscribed.
    pub(crate) connected: AtomicU64,
    /// Threads whose publishers still send or wait.
    pub(crate) busy: AtomicUsize,
    gate: Mutex<Gate>,
    news: Condvar,
    samples: Vec<Mutex<Sample>>,
    mailboxes: Vec<Mailbox>,
}

#[derive(Debug, Default)]
struct Gate {
    arrived: usize,
    start: Option<u64>,
}

/// Latencies above this are counted as this.
const LATENCY_MAX_NS: u64 = 120 * SECOND;

/// An empty histogram of nanoseconds that never grows, with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("the bounds are in order")
}

impl Shared {
    pub(crate) fn new(threads: usize) -> Self {
        let sample = || Mutex::new(Sample { totals: Totals::default(), latency: histogram() });
        Self {
            stop: AtomicU8::new(0),
            connected: AtomicU64::new(0),
            busy: AtomicUsize::new(threads),
            gate: Mutex::default(),
            news: Condvar::new(),
            samples: (0..threads).map(|_| sample()).collect(),
            mailboxes: (0..threads).map(|_| Mailbox::default()).collect(),
        }
    }

    /// Ends the run; the first reason stays.
    pub(crate) fn stop(&self, why: Stop) {
        let value = why as u8 + 1;
        self.stop.compare_exchange(0, value, Ordering::AcqRel, Ordering::Acquire).ok();
        self.tell();
        for mailbox in &self.mailboxes {
            mailbox.wake();
        }
    }

    /// Why the run ends before its time, if it does.
    #[inline]
    pub(crate) fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Stop::Interrupted),
            2 => Some(Stop::Stalled),
            _ => Some(Stop::Failed),
        }
    }

    /// A thread is ready and waits for the start; nothing if the run is stopped first.
    pub(crate) fn await_start(&self) -> Option<u64> {
        let mut gate = lock(&self.gate);
        gate.arrived += 1;
        self.news.notify_all();
        loop {
            if self.stopped().is_some() {
                return None;
            }
            if let Some(start) = gate.start {
                return Some(start);
            }
            gate = wait(&self.news, gate, Duration::from_millis(100));
        }
    }

    /// Whether all threads are ready; waits for them at most `limit`.
    pub(crate) fn are_ready(&self, limit: Duration) -> bool {
        let gate = lock(&self.gate);
        let is_ready = |gate: &Gate| gate.arrived >= self.samples.len();
        if is_ready(&gate) { true } else { is_ready(&wait(&self.news, gate, limit)) }
    }

    /// Lets the threads start at `start`.
    pub(crate) fn start(&self, start: u64) {
        lock(&self.gate).start = Some(start);
        self.news.notify_all();
    }

    /// Ends a wait in [`await_news`](Self::await_news).
    pub(crate) fn tell(&self) {
        let _gate = lock(&self.gate);
        self.news.notify_all();
    }

    /// Waits until a thread has something to tell, at most `limit`.
    pub(crate) fn await_news(&self, limit: Duration) {
        drop(wait(&self.news, lock(&self.gate), limit));
    }

    /// The sample of `thread`.
    pub(crate) fn sample(&self, thread: usize) -> MutexGuard<'_, Sample> {
        lock(&self.samples[thread])
    }

    /// All samples, one at a time.
    pub(crate) fn samples(&self) -> impl Iterator<Item = MutexGuard<'_, Sample>> {
        self.samples.iter().map(lock)
    }

    /// The mailbox of `thread`.
    pub(crate) fn mailbox(&self, thread: usize) -> &Mailbox {
        &self.mailboxes[thread]
    }
}

impl Mailbox {
    /// Names what ends the wait of the thread that reads.
    pub(crate) fn set_waker(&self, waker: Waker) {
        self.waker.get_or_init(|| waker);
    }

    /// Puts a note in; [`wake`](Self::wake) once after all of them.
    pub(crate) fn put(&self, note: u32) {
        lock(&self.notes).push(note);
        self.is_full.store(true, Ordering::Release);
    }

    /// Ends the wait of the thread that reads.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            // If it fails the thread looks by itself within some milliseconds.
            waker.wake().ok();
        }
    }

    /// Moves all notes to the end of `notes`.
    #[inline]
    pub(crate) fn take(&self, notes: &mut Vec<u32>) {
        if self.is_full.load(Ordering::Relaxed) && self.is_full.swap(false, Ordering::AcqRel) {
            notes.append(&mut lock(&self.notes));
        }
    }
}

/// A thread that has panicked leaves numbers behind that are still sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(news: &Condvar, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
    news.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_to_stop_stays() {
        let shared = Shared::new(1);
        assert_eq!(shared.stopped(), None);
        for why in [Stop::Stalled, Stop::Interrupted, Stop::Failed] {
            shared.stop(why);
            assert_eq!(shared.stopped(), Some(Stop::Stalled));
        }
        assert_eq!(shared.await_start(), None);
    }

    #[test]
    fn all_start_together() {
        let shared = Shared::new(2);
        std::thread::scope(|scope| {
            let threads = [scope.spawn(|| shared.await_start()), scope.spawn(|| shared.await_start())];
            while !shared.are_ready(Duration::from_millis(10)) {}
            shared.start(42);
            assert!(threads.into_iter().all(|thread| thread.join().unwrap() == Some(42)));
        });
    }

    #[test]
    fn notes_are_taken_once() {
        let mailbox = Mailbox::default();
        let mut notes = vec![1];
        mailbox.put(2);
        mailbox.put(3);
        mailbox.take(&mut notes);
        mailbox.take(&mut notes);
        assert_eq!(notes, [1, 2, 3]);
    }
}
