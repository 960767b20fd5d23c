//! Which shards may care about a Topic Name: one bit a shard in a table of words (4.7).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::name::TopicName;

use crate::topics::hashing::TextHash;
use crate::topics::levels::level_end;

/// What all shards know of each other's Topic Filters; shared by all of them.
///
/// A filter is filed under its literal head, the levels before its first wildcard, as one bit of one word. The filters
/// that match a Topic Name have heads among the heads of that name, so the words of these, put together, name every
/// shard with a match. Two heads may fall on one word: then a shard is asked that has nothing, which does no harm.
#[derive(Debug)]
pub struct Interest {
    words: Box<[AtomicU64]>,
    hash: TextHash,
}

/// One shard's own side of an [`Interest`]: sets and clears the shard's bit and nobody else's.
#[derive(Debug)]
pub struct ShardInterest {
    interest: Arc<Interest>,
    bit: u64,
    /// For each word, how many of the shard's filters are filed there.
    counts: Vec<u32>,
}

impl Interest {
    /// Words that serve a Server of any size, 512 KiB.
    pub const SLOTS: usize = 65_536;

    /// Makes a table of `slots` words, rounded up to a power of two and at least 64.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let slots = slots.next_power_of_two().max(SLOTS_MIN);
        let words = (0..slots).map(|_| AtomicU64::new(0)).collect();
        Interest { words, hash: TextHash::new() }
    }

    /// The shards that may have a Subscription to `name`, one bit each; no shard that has one is missing.
    ///
    /// For a name of k levels, k + 1 words are read: those of the heads of no level up to all k, the whole name.
    ///
    /// What a shard had added when it sent a message to the caller's mailbox is seen from the moment the message is
    /// taken out: sending releases, taking acquires, so [`ShardInterest::add`] happened before, and then even a
    /// relaxed load of the same word may not give an older value. No other order is needed: a word stands for itself.
    #[must_use]
    pub fn look_up(&self, name: TopicName<'_>) -> u64 {
        let name = name.as_str().as_bytes();
        let mut head = NO_LEVEL;
        // A filter that begins with a wildcard does not match a `$` there [MQTT-4.7.2-1] [MQTT3-4.7.2-1].
        let mut shards = if name.starts_with(b"$") { 0 } else { self.word(head).load(Ordering::Relaxed) };
        let mut start = 0;
        while start <= name.len() {
            let end = level_end(name, start);
            head = self.below(head, &name[start..end]);
            shards |= self.word(head).load(Ordering::Relaxed);
            start = end + 1;
        }
        shards
    }

    /// The number of the word under which `filter` is filed.
    fn slot(&self, filter: TopicFilter<'_>) -> usize {
        let is_literal = |level: &&str| !matches!(*level, "+" | "#");
        let levels = filter.levels().take_while(is_literal);
        self.slot_of(levels.fold(NO_LEVEL, |head, level| self.below(head, level.as_bytes())))
    }

    /// The hash of the head that has one level more.
    fn below(&self, head: u32, level: &[u8]) -> u32 {
        self.hash.join(head, self.hash.text(level))
    }

    fn slot_of(&self, head: u32) -> usize {
        head as usize & (self.words.len() - 1)
    }

    fn word(&self, head: u32) -> &AtomicU64 {
        &self.words[self.slot_of(head)]
    }
}

impl ShardInterest {
    /// Takes the side of the shard number `shard`, of which there must be only one.
    ///
    /// # Panics
    /// If `shard` is 64 or more: a word has one bit for each shard.
    #[must_use]
    pub fn new(interest: Arc<Interest>, shard: u8) -> Self {
        assert!(u32::from(shard) < u64::BITS, "there are at most 64 shards");
        let counts = vec![0; interest.words.len()];
        ShardInterest { interest, bit: 1 << shard, counts }
    }

    /// Files a filter that has its first subscriber in this shard; of a Shared Subscription the part that is matched.
    pub fn add(&mut self, filter: TopicFilter<'_>) {
        let slot = self.interest.slot(filter);
        self.counts[slot] += 1;
        if self.counts[slot] == 1 {
            // Relaxed: see `Interest::look_up`.
            self.interest.words[slot].fetch_or(self.bit, Ordering::Relaxed);
        }
    }

    /// Takes a filter out that has lost its last subscriber in this shard.
    ///
    /// # Panics
    /// If the filter was not added.
    pub fn remove(&mut self, filter: TopicFilter<'_>) {
        let slot = self.interest.slot(filter);
        self.counts[slot] =
            self.counts[slot].checked_sub(1).expect("only a filter that was added is removed");
        if self.counts[slot] == 0 {
            self.interest.words[slot].fetch_and(!self.bit, Ordering::Relaxed);
        }
    }
}

/// Stands for the hash of the head without levels.
const NO_LEVEL: u32 = 0;

/// Words: fewer would only make shards ask each other in vain.
const SLOTS_MIN: usize = 64;
