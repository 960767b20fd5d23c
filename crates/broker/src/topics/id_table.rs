//! A hash table of numbers: the thing that a number names, and so the key, stays where its owner keeps it.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Numbers found by a 32-bit hash and a comparison that the caller makes.
///
/// The hash stands beside the number: a wrong candidate is refused and the table grows without a look at any
/// key. Nothing ever walks over the entries, so what the table answers does not depend on the seed of the
/// hash.
#[derive(Debug, Default)]
pub(crate) struct IdTable {
    slots: HashTable<Slot>,
}

/// A number and the hash of its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) hash: u32,
    pub(crate) id: u32,
}

impl IdTable {
    pub(crate) const fn new() -> Self {
        IdTable { slots: HashTable::new() }
    }

    /// The number with this hash of which `is_it` says yes.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.slots.find(spread(hash), |slot| slot.hash == hash && is_it(slot.id)).map(|slot| slot.id)
    }

    /// Adds many numbers, none of which the table holds under its key yet: in the order of their places, so that they find
    /// memory that is near.
    pub(crate) fn insert_many(&mut self, mut slots: Vec<Slot>) {
        self.slots.reserve(slots.len(), |slot| spread(slot.hash));
        let mask = (self.slots.num_buckets() as u32).wrapping_sub(1);
        slots.sort_unstable_by_key(|slot| slot.hash & mask);
        for slot in slots {
            self.insert(slot.hash, slot.id);
        }
    }

    /// Adds `id`, which the table does not hold under this key yet.
    pub(crate) fn insert(&mut self, hash: u32, id: u32) {
        self.slots.insert_unique(spread(hash), Slot { hash, id }, |slot| spread(slot.hash));
    }

    /// Takes `id` out; the table shrinks when it has become far too large.
    pub(crate) fn remove(&mut self, hash: u32, id: u32) {
        if let Entry::Occupied(entry) = self.entry(hash, id) {
            entry.remove();
        }
        let len = self.slots.len();
        if self.slots.capacity() > SHRINK_ABOVE.max(8 * len) {
            self.slots.shrink_to(2 * len, |slot| spread(slot.hash));
        }
    }

    /// Puts `new` into the place of `old`; the key, and so the hash, is the same.
    pub(crate) fn replace(&mut self, hash: u32, old: u32, new: u32) {
        if let Entry::Occupied(mut entry) = self.entry(hash, old) {
            entry.get_mut().id = new;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    fn entry(&mut self, hash: u32, id: u32) -> Entry<'_, Slot> {
        self.slots.entry(spread(hash), |slot| slot.id == id, |slot| spread(slot.hash))
    }
}

/// The table takes places from the low bits and tells neighbours apart by the high ones: both need a hash.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Slots: a smaller table is not worth shrinking.
const SHRINK_ABOVE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_equal_hashes_are_told_apart() {
        let mut table = IdTable::new();
        table.insert(7, 1);
        table.insert(7, 2);
        assert_eq!(table.find(7, |id| id == 2), Some(2));
        table.replace(7, 2, 3);
        table.remove(7, 1);
        assert_eq!(table.find(7, |id| id != 3), None);
        assert_eq!(table.find(7, |_| true), Some(3));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn many_at_once_are_found_as_one_by_one() {
        let hash = |id: u32| id.wrapping_mul(0x9e37_79b9);
        for count in [0, 1, 100, 10_000] {
            let mut table = IdTable::new();
            table.insert(hash(0), 0);
            table.insert_many((1..=count).map(|id| Slot { hash: hash(id), id }).collect());
            assert_eq!(table.len(), count as usize + 1);
            assert!((0..=count).all(|id| table.find(hash(id), |found| found == id).is_some()));
            assert_eq!(table.find(hash(count + 1), |id| id == count + 1), None);
        }
    }

    #[test]
    fn table_shrinks_after_a_storm() {
        let mut table = IdTable::new();
        let hash = |id: u32| id.wrapping_mul(0x9e37_79b9);
        (0..100_000).for_each(|id| table.insert(hash(id), id));
        (10..100_000).for_each(|id| table.remove(hash(id), id));
        assert!(table.slots.capacity() <= SHRINK_ABOVE);
        assert!((0..10).all(|id| table.find(hash(id), |found| found == id).is_some()));
    }
}
