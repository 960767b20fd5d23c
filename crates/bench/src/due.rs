//! How many deliveries of each message are still due: counted down by receivers in all threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The messages of one publisher that are under way. Its thread files them, the receivers' threads count them down.
#[derive(Debug)]
pub(crate) struct Due {
    /// The lower half of the message's number above, the deliveries still due below.
    cells: Box<[AtomicU64]>,
    /// Whether several threads count. One alone needs no exchange, which would be a tenth of its time for a message.
    is_shared: bool,
    /// The thread of the publisher.
    pub(crate) thread: usize,
    /// Whether that thread has been told that something is complete, and has not looked since.
    pub(crate) is_told: AtomicBool,
}

/// What a delivery was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The last one: the message is complete.
    Last,
    /// One of several.
    One,
    /// One too many, or of a message that was complete long ago.
    Surplus,
}

impl Due {
    /// Room for `window` messages, rounded up to a power of two, of a publisher in `thread` of `threads`.
    pub(crate) fn new(window: usize, thread: usize, threads: usize) -> Self {
        let cells = (0..window.next_power_of_two().max(2)).map(|_| AtomicU64::new(0)).collect();
        Self { cells, is_shared: threads > 1, thread, is_told: AtomicBool::new(false) }
    }

    /// How many messages there is room for.
    pub(crate) fn room(&self) -> u64 {
        self.cells.len() as u64
    }

    #[inline]
    fn cell(&self, number: u64) -> &AtomicU64 {
        &self.cells[number as usize & (self.cells.len() - 1)]
    }

    /// Files message `number` with `due` deliveries. Only if [`is_complete`](Self::is_complete) holds for what was there.
    #[inline]
    pub(crate) fn file(&self, number: u64, due: u32) {
        self.cell(number).store(number << 32 | u64::from(due), Ordering::Release);
    }

    /// Counts one delivery of message `number`.
    #[inline]
    pub(crate) fn take(&self, number: u64) -> Taken {
        let cell = self.cell(number);
        let mut value = cell.load(Ordering::Acquire);
        loop {
            if (value >> 32) as u32 != number as u32 || value as u32 == 0 {
                return Taken::Surplus;
            }
            if !self.is_shared {
                cell.store(value - 1, Ordering::Relaxed);
                return if value as u32 == 1 { Taken::Last } else { Taken::One };
            }
            match cell.compare_exchange_weak(value, value - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if value as u32 == 1 => return Taken::Last,
                Ok(_) => return Taken::One,
                Err(other) => value = other,
            }
        }
    }

    /// Whether nothing is due of message `number`, which was filed last in its cell.
    #[inline]
    pub(crate) fn is_complete(&self, number: u64) -> bool {
        self.left(number) == 0
    }

    /// How many deliveries of message `number` are due.
    #[inline]
    pub(crate) fn left(&self, number: u64) -> u32 {
        self.cell(number).load(Ordering::Acquire) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_down() {
        let due = Due::new(3, 0, 1);
        assert_eq!(due.room(), 4);
        due.file(0, 2);
        due.file(1, 1);
        assert_eq!(due.take(0), Taken::One);
        assert!(!due.is_complete(0));
        assert_eq!(due.take(0), Taken::Last);
        assert_eq!(due.take(0), Taken::Surplus);
        assert_eq!(due.left(1), 1);
    }

    #[test]
    fn a_late_double_does_not_count_for_another_message() {
        let due = Due::new(2, 0, 2);
        due.file(0, 1);
        assert_eq!(due.take(0), Taken::Last);
        due.file(2, 1);
        assert_eq!(due.take(0), Taken::Surplus);
        assert_eq!(due.take(2), Taken::Last);
    }

    #[test]
    fn threads_never_count_below_nothing() {
        let due = Due::new(1_024, 0, 4);
        for number in 0..1_024 {
            due.file(number, 3);
        }
        let counts: Vec<[u64; 3]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut counts = [0; 3];
                        for number in 0..1_024 {
                            counts[due.take(number) as usize] += 1;
                        }
                        counts
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sum = |kind: Taken| counts.iter().map(|counts| counts[kind as usize]).sum::<u64>();
        assert_eq!((sum(Taken::Last), sum(Taken::One), sum(Taken::Surplus)), (1_024, 2_048, 1_024));
    }
}
