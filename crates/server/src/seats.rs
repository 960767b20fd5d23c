//! How many Network Connections may be open, and how many are.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Counts the Network Connections of Clients in all shards.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: AtomicU32,
    max: AtomicU32,
}

/// The right to one Network Connection; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Nothing once the seat is kept.
    seats: Option<Arc<Seats>>,
}

impl Seats {
    /// `max` seats, all free.
    pub(crate) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { taken: AtomicU32::new(0), max: AtomicU32::new(max) })
    }

    /// From now on there are `max` seats; whoever has one keeps it.
    pub(crate) fn change_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Takes a seat; `None` if there is none.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Seat> {
        let max = self.max.load(Ordering::Relaxed);
        let one_more = |taken| (taken < max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Seat { seats: Some(Arc::clone(self)) })
    }

    /// Gives back a seat that was [kept](Seat::keep).
    pub(crate) fn release(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Seat {
    /// Leaves the seat taken without this handle, so that a connection at rest need not hold one;
    /// [`Seats::release`] gives it back.
    pub(crate) fn keep(mut self) {
        self.seats = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(seats) = &self.seats {
            seats.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_taken_until_it_is_given_back() {
        let seats = Seats::new(2);
        let first = seats.take().unwrap();
        seats.take().unwrap().keep();
        assert!(seats.take().is_none());
        drop(first);
        assert!(seats.take().is_some());
        seats.release();
        assert_eq!(seats.taken(), 0);
        seats.change_max(0);
        assert!(seats.take().is_none());
    }
}
