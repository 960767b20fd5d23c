//! Clients that take a Client Identifier from each other again and again: noticed, named, and slowed down.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dunlin_broker::output::Takeover;

use super::refusals::Escaped;

/// All Client Identifiers that were taken over lately.
#[derive(Debug)]
pub(crate) struct Fights {
    inner: Mutex<HashMap<Box<str>, Fight>>,
    /// How many there are in it.
    len: AtomicUsize,
    noticed: AtomicU64,
    delay_max: Duration,
}

#[derive(Debug)]
struct Fight {
    takeovers: u32,
    last: Instant,
    told: Option<Instant>,
    /// The next newcomer waits at least until then.
    next: Instant,
}

/// What a newcomer has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// To go in.
    Now,
    /// To wait before.
    After(Duration),
    /// Too many wait already.
    Never,
}

impl Fights {
    /// Newcomers wait for `delay_max` at most, each behind the others; not at all if that is zero.
    pub(crate) fn new(delay_max: Duration) -> Self {
        Self { inner: Mutex::default(), len: AtomicUsize::new(0), noticed: AtomicU64::new(0), delay_max }
    }

    /// How many fights have been noticed.
    pub(crate) fn noticed(&self) -> u64 {
        self.noticed.load(Ordering::Relaxed)
    }

    /// A connection has ended because another one came with its Client Identifier.
    pub(crate) fn note(&self, takeover: &Takeover) {
        let Takeover { client_id, old_peer, new_peer } = takeover;
        if let Some(takeovers) = self.count(Instant::now(), client_id) {
            tracing::warn!(
                client_id = %Escaped(client_id),
                first = &**old_peer,
                second = &**new_peer,
                takeovers,
                "two Clients fight for one Client Identifier: give each its own"
            );
        }
    }

    /// Counts one; returns how many it were if the log is to be told.
    fn count(&self, now: Instant, client_id: &str) -> Option<u32> {
        let mut fights = self.lock();
        if fights.len() >= IDENTIFIERS_MAX && !fights.contains_key(client_id) {
            fights.retain(|_, fight| !fight.is_over(now));
            if fights.len() >= IDENTIFIERS_MAX {
                fights.clear();
            }
        }
        let new = || Fight { takeovers: 0, last: now, told: None, next: now };
        let fight = fights.entry(client_id.into()).or_insert_with(new);
        if fight.is_over(now) {
            *fight = new();
        }
        fight.takeovers = fight.takeovers.saturating_add(1);
        fight.last = now;
        let is_new = fight.takeovers == FIGHT;
        let is_told = fight.takeovers >= FIGHT
            && fight.told.is_none_or(|told| now.saturating_duration_since(told) >= TELLING_TIME);
        if is_told {
            fight.told = Some(now);
        }
        let takeovers = fight.takeovers;
        self.len.store(fights.len(), Ordering::Relaxed);
        if is_new {
            self.noticed.fetch_add(1, Ordering::Relaxed);
        }
        is_told.then_some(takeovers)
    }

    /// When one may go in that comes with this Client Identifier.
    pub(super) fn turn(&self, client_id: &str) -> Turn {
        // Most often nobody fights.
        if self.len.load(Ordering::Relaxed) == 0 || self.delay_max.is_zero() {
            return Turn::Now;
        }
        self.turn_at(Instant::now(), client_id)
    }

    fn turn_at(&self, now: Instant, client_id: &str) -> Turn {
        let mut fights = self.lock();
        let Some(fight) = fights.get_mut(client_id) else { return Turn::Now };
        if fight.is_over(now) || fight.takeovers < FIGHT {
            return Turn::Now;
        }
        let doublings = (fight.takeovers - FIGHT).min(10);
        let delay = (FIRST_DELAY * (1 << doublings)).min(self.delay_max);
        let at = fight.next.max(now) + delay;
        let wait = at.saturating_duration_since(now);
        if wait > self.delay_max {
            return Turn::Never;
        }
        fight.next = at;
        Turn::After(wait)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Fight>> {
        self.inner.lock().expect("nobody panics while holding the lock of the fights")
    }
}

impl Fight {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > PEACE_TIME
    }
}

/// So many takeovers, each soon after the one before, are a fight.
const FIGHT: u32 = 3;
/// How soon: longer than Clients wait between two attempts to connect.
const PEACE_TIME: Duration = Duration::from_secs(60);
/// The first delay; each further takeover doubles it.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// How often the log is told of a fight that goes on.
const TELLING_TIME: Duration = Duration::from_secs(60);
/// Client Identifiers that are remembered.
const IDENTIFIERS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_takeover_is_a_fight_and_each_newcomer_waits_longer() {
        let fights = Fights::new(Duration::from_secs(5));
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(fights.count(at(0), "a"), None);
        assert_eq!(fights.count(at(1_000), "a"), None);
        assert_eq!(fights.turn_at(at(1_500), "a"), Turn::Now);
        assert_eq!(fights.count(at(2_000), "a"), Some(3));
        let mut now = 3_000;
        let mut waits = Vec::new();
        for _ in 0..6 {
            let Turn::After(wait) = fights.turn_at(at(now), "a") else { panic!("it waits") };
            waits.push(wait.as_millis() as u64);
            now += wait.as_millis() as u64;
            assert_eq!(fights.count(at(now), "a"), None, "told once a minute");
        }
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!((fights.noticed(), fights.turn_at(at(now), "b")), (1, Turn::Now));
        assert_eq!(fights.count(at(62_000), "a"), Some(10));
        assert_eq!(fights.turn_at(at(130_000), "a"), Turn::Now, "it is over");
        assert_eq!(fights.count(at(130_000), "a"), None);
    }

    #[test]
    fn newcomers_wait_behind_each_other_but_not_without_end() {
        let fights = Fights::new(Duration::from_secs(5));
        let now = Instant::now();
        for _ in 0..4 {
            fights.count(now, "a");
        }
        let turns: Vec<Turn> = (0..7).map(|_| fights.turn_at(now, "a")).collect();
        let after = |seconds| Turn::After(Duration::from_secs(seconds));
        assert_eq!(turns, [after(1), after(2), after(3), after(4), after(5), Turn::Never, Turn::Never]);
    }

    #[test]
    fn the_table_is_bounded() {
        let fights = Fights::new(Duration::from_secs(1));
        let now = Instant::now();
        for number in 0..IDENTIFIERS_MAX {
            fights.count(now, &number.to_string());
        }
        fights.count(now + PEACE_TIME * 2, "x");
        assert_eq!(fights.lock().len(), 1);
    }
}
