//! How fast connections may come: to one listener, and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use dunlin_broker::{limits::Settings, permissions::subject::Subject, rates::Bucket};
use dunlin_protocol::time::Instant;

use crate::{config::model::LobbyConfig, source::Source};

use super::door::Door;

/// Watches over new connections.
#[derive(Debug)]
pub(crate) struct ConnectionRates {
    settings: Arc<Settings>,
    per_listener_per_s: u32,
    per_address_per_s: u32,
    /// Whether there is any bound for an address.
    minds_addresses: bool,
    began: std::time::Instant,
    /// By listener and address.
    buckets: Mutex<HashMap<(u8, Source), Bucket>>,
}

impl ConnectionRates {
    pub(crate) fn new(settings: &Arc<Settings>, config: &LobbyConfig) -> Self {
        let mut limits = settings.exceptions.iter().map(|it| &it.limits);
        let minds_addresses = config.connections_per_address_per_s > 0
            || limits.any(|limits| limits.connections_per_address_per_s.is_some_and(|per_s| per_s > 0));
        Self {
            settings: Arc::clone(settings),
            per_listener_per_s: config.connections_per_s,
            per_address_per_s: config.connections_per_address_per_s,
            minds_addresses,
            began: std::time::Instant::now(),
            buckets: Mutex::default(),
        }
    }

    /// The pace at which connections to `listener` are accepted.
    pub(super) fn pace(&self, listener: &str) -> Option<Pace> {
        let fitting = self.settings.exceptions_for_strangers(&Subject::default(), listener);
        let per_s =
            self.settings.exceptional(fitting, |it| it.connections_per_s).unwrap_or(self.per_listener_per_s);
        let bucket = Bucket::new(Instant::from_ms(0), per_s, per_s);
        (per_s > 0).then(|| Pace { bucket, began: std::time::Instant::now() })
    }

    /// Whether one more may come from `address` now; it counts.
    pub(super) fn admit(&self, door: &Door, address: IpAddr) -> bool {
        !self.minds_addresses || self.admit_at(self.now(), door.number, &door.name, address)
    }

    fn admit_at(&self, now: Instant, door: u8, listener: &str, address: IpAddr) -> bool {
        let fitting = self.settings.exceptions_for_strangers(&Subject::anonymous("", address), listener);
        let per_s = self.settings.exceptional(fitting, |it| it.connections_per_address_per_s);
        let per_s = per_s.unwrap_or(self.per_address_per_s);
        if per_s == 0 {
            return true;
        }
        let mut buckets = self.buckets.lock().expect("nobody panics while holding the lock of the rates");
        let key = (door, Source::of(address));
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&key) {
            forget_some(&mut buckets, now);
        }
        buckets.entry(key).or_insert_with(|| Bucket::new(now, per_s, per_s)).take_one(now)
    }

    fn now(&self) -> Instant {
        Instant::from_ms(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Forgets those who have been quiet for so long that it makes no difference, or all if there are none.
fn forget_some(buckets: &mut HashMap<(u8, Source), Bucket>, now: Instant) {
    buckets.retain(|_, bucket| {
        bucket.fill(now);
        !bucket.is_full()
    });
    if buckets.len() >= ADDRESSES_MAX {
        buckets.clear();
    }
}

/// How fast one listener accepts.
#[derive(Debug)]
pub(super) struct Pace {
    bucket: Bucket,
    began: std::time::Instant,
}

impl Pace {
    /// How long until the next one may be accepted.
    pub(super) fn time_to_wait(&mut self) -> Duration {
        self.bucket
            .fill(Instant::from_ms(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)));
        self.bucket.time_to_wait()
    }

    /// One was accepted.
    pub(super) fn accepted(&mut self) {
        self.bucket.take(1);
    }
}

/// Addresses that are remembered, at all listeners.
const ADDRESSES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use dunlin_broker::{
        limits::exceptions::{Exception, Exceptional},
        permissions::who::Who,
    };

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_ms(ms)
    }

    #[test]
    fn an_address_comes_so_often_and_another_is_not_kept_back() {
        let mut settings = Settings::default();
        let who = Who { addresses: ["192.0.2.128/25".parse().unwrap()].into(), ..Who::default() };
        let limits = Exceptional { connections_per_address_per_s: Some(0), ..Exceptional::default() };
        settings.add_exception(Exception { who, limits, ..Exception::default() });
        let config = LobbyConfig { connections_per_address_per_s: 2, ..LobbyConfig::default() };
        let rates = ConnectionRates::new(&Arc::new(settings), &config);
        let admit = |ms, door, host| rates.admit_at(at(ms), door, "tcp", [192, 0, 2, host].into());
        assert_eq!([0, 0, 0, 499].map(|ms| admit(ms, 0, 1)), [true, true, false, false]);
        assert!(admit(0, 0, 2), "another address");
        assert!(admit(0, 1, 1), "another listener");
        assert!(admit(500, 0, 1) && !admit(500, 0, 1));
        assert!((0..100).all(|_| admit(0, 0, 200)), "an exception without a bound");
    }

    #[test]
    fn the_table_of_addresses_is_bounded() {
        let config = LobbyConfig { connections_per_address_per_s: 1, ..LobbyConfig::default() };
        let rates = ConnectionRates::new(&Arc::new(Settings::default()), &config);
        let admit =
            |now, number: u32| rates.admit_at(now, 0, "tcp", std::net::Ipv4Addr::from_bits(number).into());
        for number in 0..ADDRESSES_MAX as u32 {
            assert!(admit(at(0), number));
        }
        assert!(!admit(at(10), 7));
        assert!(admit(at(500), 1 << 30));
        assert_eq!(rates.buckets.lock().unwrap().len(), 1, "all were busy: they are forgotten");
        assert!(admit(at(100_000), 2 << 30));
        assert_eq!(rates.buckets.lock().unwrap().len(), 2);
    }
}
