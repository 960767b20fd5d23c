//! Which shards may care about a Topic Name: one bit a shard, under the heads of the name (4.7).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::name::TopicName;
use foldhash::fast::RandomState;

use crate::topics::hashing::TextHash;
use crate::topics::levels::level_end;

/// What all shards know of each other's Topic Filters; shared by all of them.
///
/// A filter is filed under its literal head, the levels before its first wildcard: a place of the table,
/// found by the hash of the head, with one bit for each shard. The filters that match a Topic Name have heads
/// among the heads of that name, so the places of these, put together, name every shard with a match. Two
/// heads may fall on one place: then a shard is asked that has nothing, which does no harm but costs time. A
/// table with twenty places for each filter that a shard has keeps that rare.
#[derive(Debug)]
pub struct Interest {
    /// Each word holds as many places as there is room for the bits of all shards.
    words: Box<[AtomicU64]>,
    /// Bits of a place, a power of two.
    width: u32,
    hash: TextHash,
}

/// One shard's own side of an [`Interest`]: sets and clears the shard's bits and nobody else's.
#[derive(Debug)]
pub struct ShardInterest {
    interest: Arc<Interest>,
    shard: u8,
    /// For each place with several of the shard's filters, how many there are beyond the first.
    more: HashMap<Place, u32, RandomState>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Place {
    word: u32,
    /// How far the place's bits are from the low end of the word.
    shift: u32,
}

impl Interest {
    /// Words for some ten thousand filters a shard, 512 KiB; a page of them takes memory when it is first
    /// written.
    pub const WORDS: usize = 65_536;

    /// Makes a table for `shards` shards, 1 to 64, of `words` words of eight bytes: rounded up to a power of
    /// two, at least 64, at most 2^26. A word has 64 places for one shard, 8 for eight, 1 for more than 32.
    ///
    /// # Panics
    /// If `shards` is above 64: a place has one bit for each.
    #[must_use]
    pub fn new(words: usize, shards: u8) -> Self {
        let width = u32::from(shards.max(1)).next_power_of_two();
        assert!(width <= u64::BITS, "there are at most 64 shards");
        let words = words.clamp(WORDS_MIN, WORDS_MAX).next_power_of_two();
        let words = (0..words).map(|_| AtomicU64::new(0)).collect();
        Interest { words, width, hash: TextHash::new() }
    }

    /// Makes a table that asks the same shards in vain in every run with this seed: for simulations. A
    /// stranger who knows the seed can choose names that are asked about in vain.
    ///
    /// # Panics
    /// As [`Interest::new`].
    #[must_use]
    pub fn with_seed(words: usize, shards: u8, seed: u64) -> Self {
        Interest { hash: TextHash::with_seed(seed), ..Interest::new(words, shards) }
    }

    /// The shards that may have a Subscription to `name`, one bit each; no shard that has one is missing.
    ///
    /// For a name of k levels, k + 1 words are read: those of its heads, from no level up to all k, the whole
    /// name.
    ///
    /// What a shard had added when it sent a message to the caller's mailbox is seen from the moment the
    /// message is taken out: sending releases, taking acquires, so [`ShardInterest::add`] happened before,
    /// and then even a relaxed load of the same word may not give an older value. No other order is needed: a
    /// word stands for itself.
    #[must_use]
    pub fn look_up(&self, name: TopicName<'_>) -> u64 {
        let name = name.as_str().as_bytes();
        let mut head = NO_LEVEL;
        // A filter that begins with a wildcard does not match a `$` there [MQTT-4.7.2-1] [MQTT3-4.7.2-1].
        let mut shards = if name.starts_with(b"$") { 0 } else { self.shards_at(head) };
        let mut start = 0;
        while start <= name.len() {
            let end = level_end(name, start);
            head = self.below(head, &name[start..end]);
            shards |= self.shards_at(head);
            start = end + 1;
        }
        shards & (u64::MAX >> (u64::BITS - self.width))
    }

    /// The bits of the shards at the place of a head, and bits of other places above.
    #[inline]
    fn shards_at(&self, head: u32) -> u64 {
        let place = self.place(head);
        self.word(place).load(Ordering::Relaxed) >> place.shift
    }

    /// The place under which `filter` is filed.
    fn place_of(&self, filter: TopicFilter<'_>) -> Place {
        let is_literal = |level: &&str| !matches!(*level, "+" | "#");
        let levels = filter.levels().take_while(is_literal);
        self.place(levels.fold(NO_LEVEL, |head, level| self.below(head, level.as_bytes())))
    }

    /// The hash of the head that has one level more.
    #[inline]
    fn below(&self, head: u32, level: &[u8]) -> u32 {
        self.hash.join(head, self.hash.text(level))
    }

    /// The word is chosen by the low bits of the hash, the place in it by the six highest.
    #[inline]
    fn place(&self, head: u32) -> Place {
        Place { word: head & (self.words.len() - 1) as u32, shift: (head >> 26) & !(self.width - 1) }
    }

    fn word(&self, place: Place) -> &AtomicU64 {
        &self.words[place.word as usize]
    }
}

impl ShardInterest {
    /// Takes the side of the shard number `shard`; there must be no other one for it.
    ///
    /// # Panics
    /// If the table was made for `shard` shards or fewer.
    #[must_use]
    pub fn new(interest: Arc<Interest>, shard: u8) -> Self {
        assert!(u32::from(shard) < interest.width, "the table was made for this shard too");
        ShardInterest { interest, shard, more: HashMap::default() }
    }

    /// Files a filter that has its first subscriber in this shard; of a Shared Subscription the part that is
    /// matched.
    pub fn add(&mut self, filter: TopicFilter<'_>) {
        let place = self.interest.place_of(filter);
        // Relaxed: see `Interest::look_up`. Only this shard changes its bit, so what is read of it is true.
        let before = self.interest.word(place).fetch_or(self.bit(place), Ordering::Relaxed);
        if before & self.bit(place) != 0 {
            *self.more.entry(place).or_default() += 1;
        }
    }

    /// Takes a filter out that was added and has lost its last subscriber in this shard.
    pub fn remove(&mut self, filter: TopicFilter<'_>) {
        let place = self.interest.place_of(filter);
        match self.more.entry(place) {
            Entry::Occupied(more) if *more.get() == 1 => drop(more.remove()),
            Entry::Occupied(mut more) => *more.get_mut() -= 1,
            Entry::Vacant(_) => {
                let before = self.interest.word(place).fetch_and(!self.bit(place), Ordering::Relaxed);
                debug_assert_ne!(before & self.bit(place), 0, "only a filter that was added is removed");
            }
        }
    }

    fn bit(&self, place: Place) -> u64 {
        1 << (place.shift + u32::from(self.shard))
    }
}

/// Stands for the hash of the head without levels.
const NO_LEVEL: u32 = 0;

/// Fewer words would only make shards ask each other in vain.
const WORDS_MIN: usize = 64;

/// More words would overlap, in the bits of the hash, with the places.
const WORDS_MAX: usize = 1 << 26;

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).expect("the test has valid filters")
    }

    fn look_up(interest: &Interest, name: &str) -> u64 {
        interest.look_up(TopicName::parse(name).expect("the test has valid names"))
    }

    #[test]
    fn each_kind_of_filter_is_found() {
        for (text, name) in [
            ("a/b", "a/b"),
            ("a/#", "a"), // [MQTT-4.7.1-1]
            ("a/#", "a/b/c"),
            ("#", "/"),
            ("+/b", "/b"), // [MQTT-4.7.1-2]
            ("/+", "/a"),
            ("//#", "/"),
            ("$SYS/#", "$SYS/uptime"),
            ("$share/group/a/+", "a/b"),
        ] {
            for shards in [1, 2, 3, 8, 33, 64] {
                let interest = Arc::new(Interest::new(Interest::WORDS, shards));
                let mut shard = ShardInterest::new(interest.clone(), shards - 1);
                shard.add(filter(text));
                assert_eq!(look_up(&interest, name), 1 << (shards - 1), "{text} {name} {shards}");
                shard.remove(filter(text));
                assert_eq!(look_up(&interest, name), 0);
            }
        }
    }

    /// [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
    #[test]
    fn leading_wildcard_is_not_asked_about_a_dollar() {
        let interest = Arc::new(Interest::new(Interest::WORDS, 4));
        let mut shard = ShardInterest::new(interest.clone(), 0);
        shard.add(filter("#"));
        shard.add(filter("+/uptime"));
        assert_eq!((look_up(&interest, "$SYS/uptime"), look_up(&interest, "SYS/uptime")), (0, 1));
    }

    #[test]
    fn bit_stays_until_the_last_filter_of_a_head_goes() {
        let interest = Arc::new(Interest::new(Interest::WORDS, 64));
        let mut shard = ShardInterest::new(interest.clone(), 63);
        let filters = ["fleet", "fleet/+", "fleet/#", "fleet/+/speed"];
        filters.iter().for_each(|text| shard.add(filter(text)));
        for text in filters {
            assert_eq!(look_up(&interest, "fleet"), 1 << 63);
            shard.remove(filter(text));
        }
        assert_eq!(look_up(&interest, "fleet"), 0);
        assert!(shard.more.is_empty());
    }

    #[test]
    fn same_seed_asks_the_same_shards() {
        let [one, other] = [(); 2].map(|()| Arc::new(Interest::with_seed(64, 64, 1)));
        for interest in [&one, &other] {
            let mut shard = ShardInterest::new(interest.clone(), 0);
            (0..20).for_each(|number| shard.add(filter(&format!("a/{number}"))));
        }
        let names = (0..1_000).map(|number| format!("b/{number}"));
        assert!(names.into_iter().all(|name| look_up(&one, &name) == look_up(&other, &name)));
    }

    #[test]
    fn few_shards_are_seldom_asked_in_vain() {
        let interest = Arc::new(Interest::with_seed(Interest::WORDS, 8, 1));
        let mut shard = ShardInterest::new(interest.clone(), 7);
        (0..10_000).for_each(|number| shard.add(filter(&format!("fleet/vehicle-{number}/+"))));
        let others = (0..10_000).map(|number| format!("plant/line-{number}/speed"));
        let in_vain = others.filter(|name| look_up(&interest, name) != 0).count();
        assert!(in_vain < 1_500, "{in_vain}");
    }
}
