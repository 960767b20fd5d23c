//! Clients that connect again and again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::source::Source;

/// How often Clients have connected lately, by Client Identifier and address.
#[derive(Debug)]
pub(super) struct Flapping {
    visits: HashMap<(Box<str>, Source), Visits>,
    /// 0 counts nobody.
    connects_max: u32,
    window: Duration,
}

#[derive(Debug)]
struct Visits {
    count: u32,
    since: Instant,
}

impl Flapping {
    /// More than `connects_max` connections within `window` are too many.
    pub(super) fn new(connects_max: u32, window: Duration) -> Self {
        Self { visits: HashMap::new(), connects_max, window }
    }

    /// Whether nobody is counted.
    pub(super) fn is_off(&self) -> bool {
        self.connects_max == 0
    }

    /// A Client connects; whether this is once too often.
    pub(super) fn count(&mut self, now: Instant, client_id: &str, source: Source) -> bool {
        let key = (Box::from(client_id), source);
        let window = self.window;
        if self.visits.len() >= CLIENTS_MAX && !self.visits.contains_key(&key) {
            self.visits.retain(|_, visits| now.saturating_duration_since(visits.since) < window);
            if self.visits.len() >= CLIENTS_MAX {
                self.visits.clear();
            }
        }
        let visits = self.visits.entry(key).or_insert(Visits { count: 0, since: now });
        if now.saturating_duration_since(visits.since) >= window {
            *visits = Visits { count: 0, since: now };
        }
        visits.count += 1;
        let is_too_often = visits.count > self.connects_max;
        if is_too_often {
            // What comes after the ban is counted anew.
            visits.count = 0;
        }
        is_too_often
    }
}

/// Clients that are remembered.
const CLIENTS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_too_often_in_a_window_is_noticed_once() {
        let mut flapping = Flapping::new(3, Duration::from_secs(60));
        let start = Instant::now();
        let here = Source::of([192, 0, 2, 1].into());
        let mut count = |seconds, id| flapping.count(start + Duration::from_secs(seconds), id, here);
        assert_eq!([0, 1, 2, 3, 4].map(|at| count(at, "a")), [false, false, false, true, false]);
        assert!(!count(4, "b"));
        assert_eq!(
            [100, 130, 159, 161, 162, 163].map(|at| count(at, "c")),
            [false; 6],
            "the window has moved on"
        );
    }
}
