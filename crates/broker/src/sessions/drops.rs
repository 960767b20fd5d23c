//! Messages that a Session did not get, counted by cause.

use dunlin_protocol::time::Instant;

use crate::pace::{Pace, SUMS_FOR_A_CLIENT};

/// Why a message was dropped for one Session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DropCause {
    /// QoS 0, and the Client does not read fast enough.
    Slow,
    /// QoS 0, and there is no Network Connection.
    Offline,
    /// The queue is full: this message, or the oldest for it.
    QueueFull,
    /// The Message Expiry Interval is over.
    Expired,
    /// Larger than the Client's Maximum Packet Size.
    TooLarge,
    /// What was read from the disk is not what was written.
    Damaged,
}

/// What one Session did not get since it began, or since the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts {
    /// QoS 0 messages that came while the Client did not read fast enough.
    pub slow: u64,
    /// QoS 0 messages that came while there was no Network Connection.
    pub offline: u64,
    /// Messages for which there was no room in the queue.
    pub queue_full: u64,
    /// Messages that expired in the queue.
    pub expired: u64,
    /// Messages larger than the Client's Maximum Packet Size.
    pub too_large: u64,
    /// Messages whose records are damaged.
    pub damaged: u64,
}

/// The counts of a Session, and when they were last told.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    pub(crate) counts: DropCounts,
    pace: Pace,
    /// What the counts were when the log was told last.
    told: DropCounts,
}

impl Drops {
    pub(crate) fn count(&mut self, cause: DropCause) {
        let count = match cause {
            DropCause::Slow => &mut self.counts.slow,
            DropCause::Offline => &mut self.counts.offline,
            DropCause::QueueFull => &mut self.counts.queue_full,
            DropCause::Expired => &mut self.counts.expired,
            DropCause::TooLarge => &mut self.counts.too_large,
            DropCause::Damaged => &mut self.counts.damaged,
        };
        *count += 1;
    }

    /// What the log is to be told now, if enough time has passed since the last time.
    pub(crate) fn news(&mut self, now: Instant) -> Option<DropCounts> {
        self.pace.may_tell(now, SUMS_FOR_A_CLIENT)?;
        let counts = self.counts;
        let before = std::mem::replace(&mut self.told, counts);
        Some(DropCounts {
            slow: counts.slow - before.slow,
            offline: counts.offline - before.offline,
            queue_full: counts.queue_full - before.queue_full,
            expired: counts.expired - before.expired,
            too_large: counts.too_large - before.too_large,
            damaged: counts.damaged - before.damaged,
        })
    }
}
