//! Points in time at which something is due.

use std::collections::BTreeSet;

use dunlin_protocol::time::Instant;

use crate::{ids::ConnectionId, topics::ids::SessionIndex};

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    /// A Client may have been silent for 1.5 times its Keep Alive.
    KeepAlive(ConnectionId),
    /// The time for which a Client was let in is over.
    StayOver(ConnectionId),
    /// A Client that has sent too much may send again.
    Pace(ConnectionId),
    /// A Session without Network Connection ends.
    SessionExpiry(SessionIndex),
    /// A Will Delay Interval is over.
    WillDelay(SessionIndex),
    /// What is left of Sessions that have ended may be readable now.
    Purge,
}

/// All timers of a shard, in order. Each owner keeps the instant its timer is set to, so that it can be taken out.
///
/// A Keep Alive is not set anew with each packet: when it comes up, the owner looks when the last packet came and sets it
/// again. So the work is one entry for each Keep Alive Interval, whatever the Clients send.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    entries: BTreeSet<(u64, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.entries.insert((at.as_ms(), timer));
    }

    /// Takes out a timer set to `at`; does nothing if it has come up already.
    pub(crate) fn cancel(&mut self, at: Instant, timer: Timer) {
        self.entries.remove(&(at.as_ms(), timer));
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.entries.first().map(|&(at, _)| Instant::from_ms(at))
    }

    /// Takes out the first timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let &(at, timer) = self.entries.first()?;
        if at > now.as_ms() {
            return None;
        }
        self.entries.pop_first();
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_up_in_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        let at = Instant::from_ms;
        timers.set(at(20), Timer::KeepAlive(ConnectionId(1)));
        timers.set(at(10), Timer::SessionExpiry(SessionIndex(2)));
        timers.set(at(15), Timer::WillDelay(SessionIndex(3)));
        timers.cancel(at(15), Timer::WillDelay(SessionIndex(3)));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(30)), Some(Timer::SessionExpiry(SessionIndex(2))));
        assert_eq!(timers.pop_due(at(30)), Some(Timer::KeepAlive(ConnectionId(1))));
        assert_eq!(timers.pop_due(at(30)), None);
    }
}
