//! Wrong passwords cost time: by address and user, by address, and by user, each in a table with a bound.
//!
//! - *One user from one address* (a person or a device with a wrong password, or one that guesses): after some failures each
//!   further one doubles the time in which that address is refused this user without a look at the password.
//! - *One address* with many failures in all, whatever the users: the same for all users of that address but those that have come
//!   from there with the right password before.
//! - *One user* with many failures in all, from wherever: nobody is refused, or strangers could lock the user out; but each answer
//!   waits a little, except at addresses from which that user has come before.
//!
//! Failures are forgotten one by one as time goes by, and at once when the password is right.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::recent::Recent;

/// Counts failures and says what they cost. One for all listeners.
#[derive(Debug)]
pub struct Throttle {
    limits: ThrottleLimits,
    hasher: RandomState,
    tables: Mutex<Tables>,
}

/// How much is forgiven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// Failures of one user from one address without a consequence; ten times as many for one user in all or one address in all.
    pub free: u32,
    /// The longest delay; nothing is delayed if it is zero. It is also the time after which one failure is forgotten.
    pub delay_max: Duration,
    /// Entries of each table.
    pub entries_max: u32,
}

/// What a Client may expect now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Toll {
    /// It is asked at once.
    Free,
    /// It is asked after this time.
    Wait(Duration),
    /// It is refused for this time, without being asked.
    Refuse(Duration),
}

/// Who tries: a user at an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pair: u64,
    network: u64,
    user: Option<u64>,
}

/// Keys are hashed with a secret of this process, so that an entry has one size, however long the names are.
#[derive(Debug)]
struct Tables {
    pairs: Recent<u64, Failures>,
    networks: Recent<u64, Failures>,
    users: Recent<u64, Failures>,
    /// Users that have come from an address with the right password.
    proven: Recent<u64, ()>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// When the count was right.
    at: Instant,
    /// Until then it is refused.
    until: Instant,
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        Self { free: 5, delay_max: Duration::from_secs(60), entries_max: 100_000 }
    }
}

impl Throttle {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(limits: ThrottleLimits) -> Self {
        let max = limits.entries_max as usize;
        let tables = Tables {
            pairs: Recent::new(max),
            networks: Recent::new(max),
            users: Recent::new(max),
            proven: Recent::new(max),
        };
        Self { limits, hasher: RandomState::new(), tables: Mutex::new(tables) }
    }

    /// Names a try of `user`, if it has said who it is, from `address`. Of an IPv6 address the network (/64) counts.
    pub(crate) fn attempt(&self, address: IpAddr, user: Option<&str>) -> Attempt {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()) | 1 << 63,
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64 & !(1 << 63),
        };
        Attempt {
            pair: self.hasher.hash_one((network, user)),
            network: self.hasher.hash_one(network),
            user: user.map(|user| self.hasher.hash_one(user)),
        }
    }

    /// What `attempt` costs at `now`.
    pub(crate) fn toll(&self, attempt: Attempt, now: Instant) -> Toll {
        if self.limits.delay_max.is_zero() {
            return Toll::Free;
        }
        let mut tables = self.lock();
        let left = |failures: Option<&mut Failures>| {
            failures.map(|it| it.until.saturating_duration_since(now)).filter(|left| !left.is_zero())
        };
        if let Some(left) = left(tables.pairs.find(&attempt.pair)) {
            return Toll::Refuse(left);
        }
        if tables.proven.find(&attempt.pair).is_some() {
            return Toll::Free;
        }
        if let Some(left) = left(tables.networks.find(&attempt.network)) {
            return Toll::Refuse(left);
        }
        let Some(user) = attempt.user else { return Toll::Free };
        let free = self.limits.free.saturating_mul(TOTAL);
        match tables.users.find(&user).map(|failures| failures.forget(now, self.limits.delay_max)) {
            Some(count) if count > free => Toll::Wait(self.delay(count - free).min(WAIT_MAX)),
            _ => Toll::Free,
        }
    }

    /// The password was wrong, or nobody knows the user.
    pub(crate) fn failed(&self, attempt: Attempt, now: Instant) {
        if self.limits.delay_max.is_zero() {
            return;
        }
        let free = self.limits.free;
        let mut tables = self.lock();
        self.count(&mut tables.pairs, attempt.pair, free, now);
        self.count(&mut tables.networks, attempt.network, free.saturating_mul(TOTAL), now);
        if let Some(user) = attempt.user {
            self.count(&mut tables.users, user, u32::MAX, now);
        }
    }

    /// It was the right one. What others do wrong at the same address, or with the same name elsewhere, stays counted.
    pub(crate) fn succeeded(&self, attempt: Attempt) {
        if self.limits.delay_max.is_zero() {
            return;
        }
        let mut tables = self.lock();
        tables.pairs.remove(&attempt.pair);
        if attempt.user.is_some() {
            tables.proven.insert(attempt.pair, ());
        }
    }

    fn count(&self, table: &mut Recent<u64, Failures>, key: u64, free: u32, now: Instant) {
        let known = table.find(&key).map(|failures| {
            failures.forget(now, self.limits.delay_max);
            *failures
        });
        let mut failures = known.unwrap_or(Failures { count: 0, at: now, until: now });
        failures.count = failures.count.saturating_add(1);
        if let Some(over) = failures.count.checked_sub(free).filter(|&over| over > 0) {
            failures.until = now + self.delay(over);
        }
        table.insert(key, failures);
    }

    /// One second, two, four, up to the longest.
    fn delay(&self, over: u32) -> Duration {
        let factor = 1_u32.checked_shl(over.saturating_sub(1)).unwrap_or(u32::MAX);
        FIRST_DELAY.saturating_mul(factor.max(1)).min(self.limits.delay_max)
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nobody panics while holding the lock of the failures")
    }
}

impl Failures {
    /// Takes away what is forgiven by now, and returns the rest.
    fn forget(&mut self, now: Instant, each: Duration) -> u32 {
        let passed = now.saturating_duration_since(self.at);
        let forgiven = u32::try_from(passed.as_millis() / each.as_millis().max(1)).unwrap_or(u32::MAX);
        if forgiven > 0 {
            self.count = self.count.saturating_sub(forgiven);
            self.at = now;
        }
        self.count
    }
}

/// All users of an address, and all addresses of a user, may fail so many times more than one user at one address.
const TOTAL: u32 = 10;
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest that a Client waits for an answer because others have guessed its password.
const WAIT_MAX: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_OVER: Duration = Duration::from_secs(3_600);

    fn throttle() -> Throttle {
        Throttle::new(ThrottleLimits { free: 3, entries_max: 1_000, ..ThrottleLimits::default() })
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn seconds(toll: Toll) -> u64 {
        match toll {
            Toll::Refuse(left) => left.as_secs(),
            _ => 0,
        }
    }

    #[test]
    fn each_further_failure_doubles_the_time() {
        let (throttle, mut now) = (throttle(), Instant::now());
        let ann = throttle.attempt(address(1), Some("ann"));
        let mut delays = Vec::new();
        for _ in 0..12 {
            throttle.failed(ann, now);
            let left = seconds(throttle.toll(ann, now));
            delays.push(left);
            now += Duration::from_secs(left);
            assert_eq!(throttle.toll(ann, now), Toll::Free, "after the delay it is asked again");
        }
        // Once in a while one of them is forgotten.
        assert_eq!(delays, [0, 0, 0, 1, 2, 4, 8, 16, 32, 32, 60, 60]);
        assert_eq!(throttle.toll(ann, now + ALL_OVER), Toll::Free);
        throttle.failed(ann, now + ALL_OVER);
        assert_eq!(throttle.toll(ann, now + ALL_OVER), Toll::Free, "old failures are forgotten");
    }

    #[test]
    fn the_right_password_forgives() {
        let (throttle, now) = (throttle(), Instant::now());
        let ann = throttle.attempt(address(1), Some("ann"));
        for _ in 0..3 {
            throttle.failed(ann, now);
        }
        throttle.succeeded(ann);
        throttle.failed(ann, now);
        assert_eq!(throttle.toll(ann, now), Toll::Free);
    }

    #[test]
    fn nobody_is_locked_out_from_elsewhere() {
        let (throttle, now) = (throttle(), Instant::now());
        let home = throttle.attempt(address(1), Some("ann"));
        throttle.succeeded(home);
        // A hundred machines guess her password.
        for number in 100..200 {
            let guess = throttle.attempt(address(number), Some("ann"));
            for _ in 0..4 {
                throttle.failed(guess, now);
            }
            assert!(matches!(throttle.toll(guess, now), Toll::Refuse(_)));
        }
        assert_eq!(throttle.toll(home, now), Toll::Free, "where she has been before");
        let elsewhere = throttle.attempt(address(2), Some("ann"));
        assert_eq!(throttle.toll(elsewhere, now), Toll::Wait(WAIT_MAX), "where she has not");
    }

    #[test]
    fn one_address_that_tries_many_users_is_refused_but_not_for_those_who_live_there() {
        let (throttle, now) = (throttle(), Instant::now());
        let lives_there = throttle.attempt(address(1), Some("ann"));
        throttle.succeeded(lives_there);
        let attempt = |number: u32| throttle.attempt(address(1), Some(&format!("user {number}")));
        for number in 0..31 {
            assert_eq!(throttle.toll(attempt(number), now), Toll::Free, "{number}");
            throttle.failed(attempt(number), now);
        }
        assert_eq!(seconds(throttle.toll(attempt(99), now)), 1);
        assert_eq!(throttle.toll(lives_there, now), Toll::Free);
        assert_eq!(throttle.toll(throttle.attempt(address(2), Some("user 1")), now), Toll::Free);
    }

    #[test]
    fn a_device_with_a_wrong_password_does_not_shut_its_neighbours_out() {
        let (throttle, mut now) = (throttle(), Instant::now());
        let device = throttle.attempt(address(1), Some("old device"));
        // It tries for a day, every second.
        for _ in 0..86_400 {
            if throttle.toll(device, now) == Toll::Free {
                throttle.failed(device, now);
            }
            now += Duration::from_secs(1);
        }
        assert_eq!(throttle.toll(throttle.attempt(address(1), Some("new device")), now), Toll::Free);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let throttle = throttle();
        let attempt = |text: &str| throttle.attempt(text.parse().unwrap(), Some("ann")).pair;
        assert_eq!(attempt("2001:db8::1"), attempt("2001:db8::ffff:2"));
        assert_ne!(attempt("2001:db8::1"), attempt("2001:db8:0:1::1"));
        assert_eq!(attempt("::ffff:192.0.2.1"), attempt("192.0.2.1"));
    }

    #[test]
    fn the_tables_have_bounds_and_no_delay_means_no_throttle() {
        let (throttle, now) = (throttle(), Instant::now());
        for number in 0..10_000 {
            let attempt = throttle.attempt(address(number), Some(&number.to_string()));
            throttle.failed(attempt, now);
            throttle.succeeded(attempt);
        }
        let tables = throttle.lock();
        let lengths = [tables.pairs.len(), tables.networks.len(), tables.users.len(), tables.proven.len()];
        assert!(lengths.iter().all(|&length| length <= 1_000), "{lengths:?}");
        drop(tables);
        let off = Throttle::new(ThrottleLimits { delay_max: Duration::ZERO, ..ThrottleLimits::default() });
        let attempt = off.attempt(address(1), Some("ann"));
        for _ in 0..1_000 {
            off.failed(attempt, now);
        }
        assert_eq!(off.toll(attempt, now), Toll::Free);
    }
}
