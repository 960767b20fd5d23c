//! How many Network Connections may be open, and how many are: in all, of one address, and of those for whom there is an
//! exception.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use dunlin_broker::{
    limits::{Settings, exceptions::Fitting},
    permissions::subject::Subject,
};

use crate::source::Source;

/// Counts the Network Connections of Clients in all shards.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: AtomicU32,
    max: AtomicU32,
    /// Nothing if only the whole is bounded.
    rows: Option<Rows>,
}

/// Bounds for parts of the whole.
#[derive(Debug)]
struct Rows {
    settings: Arc<Settings>,
    per_address_max: u32,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    by_source: HashMap<Source, u32>,
    /// By the places of the exceptions.
    by_exception: HashMap<usize, u32>,
}

/// The right to one Network Connection; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Nothing once the seat is kept.
    seats: Option<Arc<Seats>>,
    place: Option<Place>,
}

/// Which parts of the whole a Network Connection belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    source: Source,
    exceptions: Fitting,
}

/// Why there is no seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoSeat {
    /// There are as many connections as there may be.
    Full,
    /// There are as many of this address as there may be.
    Address,
    /// There are as many as there may be of those for whom there is an exception.
    Exception,
}

impl Seats {
    /// `max` seats, all free, for whomever.
    #[cfg(test)]
    pub(crate) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self { taken: AtomicU32::new(0), max: AtomicU32::new(max), rows: None })
    }

    /// `max` seats, all free; `per_address_max` for one address, if that is not 0, and as many as `settings` allow to those for
    /// whom there are exceptions.
    pub(crate) fn with_rows(max: u32, per_address_max: u32, settings: &Arc<Settings>) -> Arc<Self> {
        let is_bounded = |place: usize| {
            let limits = &settings.exceptions[place].limits;
            limits.connections_max.is_some() || limits.connections_per_address_max.is_some()
        };
        let has_rows = per_address_max > 0 || (0..settings.exceptions.len()).any(is_bounded);
        let rows = has_rows.then(|| Rows {
            settings: Arc::clone(settings),
            per_address_max,
            counts: Mutex::default(),
        });
        Arc::new(Self { taken: AtomicU32::new(0), max: AtomicU32::new(max), rows })
    }

    /// From now on there are `max` seats; whoever has one keeps it.
    pub(crate) fn change_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Takes a seat for a Client at a listener.
    pub(crate) fn take(self: &Arc<Self>, subject: &Subject, listener: &str) -> Result<Seat, NoSeat> {
        let mut seat = self.take_any()?;
        if let Some(rows) = &self.rows {
            // If there is none, the one just taken goes back.
            seat.place = Some(rows.take(subject, listener)?);
        }
        Ok(seat)
    }

    /// Takes a seat for one that nothing is known of.
    pub(crate) fn take_any(self: &Arc<Self>) -> Result<Seat, NoSeat> {
        let max = self.max.load(Ordering::Relaxed);
        let one_more = |taken| (taken < max).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.map_err(|_| NoSeat::Full)?;
        Ok(Seat { seats: Some(Arc::clone(self)), place: None })
    }

    /// Gives back a seat that was [kept](Seat::keep).
    pub(crate) fn release(&self, place: Option<Place>) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        if let (Some(rows), Some(place)) = (&self.rows, place) {
            rows.release(place);
        }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Rows {
    fn take(&self, subject: &Subject, listener: &str) -> Result<Place, NoSeat> {
        let settings = &self.settings;
        let exceptions = settings.exceptions_for(subject, Some(listener));
        let place = Place { source: Source::of(subject.address), exceptions };
        let per_address_max = settings.exceptional(exceptions, |it| it.connections_per_address_max);
        let per_address_max = per_address_max.unwrap_or(self.per_address_max);
        let mut counts = self.lock();
        let here = counts.by_source.get(&place.source).copied().unwrap_or(0);
        if per_address_max > 0 && here >= per_address_max {
            return Err(NoSeat::Address);
        }
        let bounded = || {
            let max = |place: usize| settings.exceptions[place].limits.connections_max;
            exceptions.places().filter_map(move |place| Some((place, max(place)?)))
        };
        let is_full = |(place, max)| counts.by_exception.get(&place).copied().unwrap_or(0) >= max;
        if bounded().any(is_full) {
            return Err(NoSeat::Exception);
        }
        counts.by_source.insert(place.source, here + 1);
        bounded().for_each(|(place, _)| *counts.by_exception.entry(place).or_default() += 1);
        Ok(place)
    }

    fn release(&self, place: Place) {
        let mut counts = self.lock();
        let is_last = counts.by_source.get_mut(&place.source).is_some_and(|count| {
            *count -= 1;
            *count == 0
        });
        if is_last {
            counts.by_source.remove(&place.source);
        }
        for place in place.exceptions.places() {
            if let Some(count) = counts.by_exception.get_mut(&place) {
                *count -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("nobody panics while holding the lock of the seats")
    }
}

impl Seat {
    /// Leaves the seat taken without this handle, so that a connection at rest need not hold one;
    /// [`Seats::release`] gives it back, with the place.
    pub(crate) fn keep(mut self) -> Option<Place> {
        self.seats = None;
        self.place
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(seats) = &self.seats {
            seats.release(self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_broker::{
        limits::exceptions::{Exception, Exceptional},
        permissions::who::{NamePattern, Who},
    };

    use super::*;

    fn subject(user: &str, address: [u8; 4]) -> Subject {
        Subject { user_name: Some(user.into()), ..Subject::anonymous("a", address.into()) }
    }

    #[test]
    fn a_seat_is_taken_until_it_is_given_back() {
        let seats = Seats::new(2);
        let first = seats.take_any().unwrap();
        seats.take_any().unwrap().keep();
        assert_eq!(seats.take_any().unwrap_err(), NoSeat::Full);
        drop(first);
        assert!(seats.take_any().is_ok());
        seats.release(None);
        assert_eq!(seats.taken(), 0);
        seats.change_max(0);
        assert!(seats.take_any().is_err());
    }

    #[test]
    fn an_address_has_so_many_seats_and_an_exception_others() {
        let mut settings = Settings::default();
        let who = Who { users: [NamePattern::parse("gateway")].into(), ..Who::default() };
        let limits = Exceptional { connections_per_address_max: Some(3), ..Exceptional::default() };
        settings.add_exception(Exception { who, limits, ..Exception::default() });
        let seats = Seats::with_rows(100, 2, &Arc::new(settings));
        let take = |user, address| seats.take(&subject(user, address), "tcp");
        let first = take("ann", [192, 0, 2, 1]).unwrap();
        let place = take("ann", [192, 0, 2, 1]).unwrap().keep();
        assert_eq!(take("ann", [192, 0, 2, 1]).unwrap_err(), NoSeat::Address);
        let _other = take("ann", [192, 0, 2, 2]).unwrap();
        let third = take("gateway", [192, 0, 2, 1]).unwrap();
        assert_eq!(take("gateway", [192, 0, 2, 1]).unwrap_err(), NoSeat::Address);
        drop((first, third));
        seats.release(place);
        assert_eq!(seats.taken(), 1, "those that were refused have given theirs back");
        assert_eq!(seats.rows.as_ref().unwrap().lock().by_source.len(), 1);
    }

    #[test]
    fn those_of_an_exception_share_its_seats() {
        let mut settings = Settings::default();
        let limits = Exceptional { connections_max: Some(1), ..Exceptional::default() };
        let listeners = ["public".into()].into();
        settings.add_exception(Exception { listeners, limits, ..Exception::default() });
        let seats = Seats::with_rows(100, 0, &Arc::new(settings));
        let take = |listener| seats.take(&subject("ann", [192, 0, 2, 1]), listener);
        let public = take("public").unwrap();
        let _inner = (take("inner").unwrap(), take("inner").unwrap());
        assert_eq!(take("public").unwrap_err(), NoSeat::Exception);
        drop(public);
        assert!(take("public").is_ok());
    }
}
