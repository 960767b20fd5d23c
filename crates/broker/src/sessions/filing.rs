//! What a shard remembers of its records.

use dunlin_protocol::time::Instant;
use foldhash::HashMap;

use crate::input::Storage;

/// The state of filing in one shard.
#[derive(Debug)]
pub(crate) struct Filing {
    /// The last number given to a Session or message.
    last: u64,
    /// How many deliveries share each body that has a record of its own.
    bodies: HashMap<u64, u32>,
    /// Ends of kept Sessions that are not durable yet: by the key of the Client Identifier, the batch.
    ends: HashMap<u64, u64>,
    pub(crate) storage: Storage,
    /// The last batch that is durable.
    pub(crate) committed: u64,
}

impl Default for Filing {
    fn default() -> Self {
        Self {
            last: 0,
            bodies: HashMap::default(),
            ends: HashMap::default(),
            storage: Storage::Ready,
            committed: 0,
        }
    }
}

impl Filing {
    /// A number greater than all before, also than those before a restart: it begins with the time.
    pub(crate) fn next_number(&mut self, now: Instant) -> u64 {
        self.last = (self.last + 1).max(now.as_ms() << 16);
        self.last
    }

    /// Makes sure that no number is given again that was given up to this moment.
    pub(crate) fn note_time(&mut self, moment: Instant) {
        self.note_number(moment.as_ms() << 16 | 0xffff);
    }

    /// Makes sure that `number` is not given again.
    pub(crate) fn note_number(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    /// Counts one more delivery that shares a body; returns whether it is the first.
    pub(crate) fn share_body(&mut self, number: u64) -> bool {
        let count = self.bodies.entry(number).or_default();
        *count += 1;
        *count == 1
    }

    /// One delivery less; returns whether it was the last.
    pub(crate) fn leave_body(&mut self, number: u64) -> bool {
        let Some(count) = self.bodies.get_mut(&number) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.bodies.remove(&number);
        true
    }

    /// The kept Session of the Client with this key has ended, which `batch` makes durable.
    pub(crate) fn note_end(&mut self, key: u64, batch: u64) {
        self.ends.insert(key, batch);
    }

    /// The batch that makes the end of an earlier Session of this Client durable, if it is not yet.
    pub(crate) fn end_of(&self, key: u64) -> Option<u64> {
        self.ends.get(&key).copied()
    }

    /// All batches up to this one are durable.
    pub(crate) fn is_committed(&mut self, batch: u64) {
        self.committed = self.committed.max(batch);
        self.ends.retain(|_, end| *end > batch);
    }

    /// How many bodies have records.
    pub(crate) fn bodies(&self) -> usize {
        self.bodies.len()
    }
}
