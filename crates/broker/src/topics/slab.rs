//! A vector whose freed places are given out again, so that a number names an entry for as long as it lives.

use std::ops::{Index, IndexMut};

/// Entries of one kind, each named by a `u32`.
///
/// A place is used again once it is free: the memory is that of the most entries alive at one time, until
/// none is.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    /// Entries in use, and the default value in places that are free.
    entries: Vec<T>,
    free: Vec<u32>,
}

impl<T: Default> Slab<T> {
    pub(crate) const fn new() -> Self {
        Slab { entries: Vec::new(), free: Vec::new() }
    }

    /// Keeps `entry` and gives the number that names it from now on.
    pub(crate) fn insert(&mut self, entry: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self[id] = entry;
            return id;
        }
        let id = u32::try_from(self.entries.len()).expect("a table of a shard has fewer than 2^32 entries");
        reserve(&mut self.entries, 1);
        self.entries.push(entry);
        id
    }

    /// Takes the entry out and frees its number.
    pub(crate) fn remove(&mut self, id: u32) -> T {
        let entry = std::mem::take(&mut self[id]);
        self.free.push(id);
        if self.free.len() == self.entries.len() {
            *self = Slab::new();
        }
        entry
    }

    /// The entry of `id`; a free place gives the default value, a number never given out gives `None`.
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.entries.get(id as usize)
    }

    /// The number of entries in use.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }
}

/// Makes room for `more` entries; a long vector grows by a quarter, so that less of it is idle than if it
/// doubled.
pub(crate) fn reserve<T>(entries: &mut Vec<T>, more: usize) {
    let len = entries.len();
    if len + more > entries.capacity() {
        entries.reserve_exact(more.max(len.min(DOUBLING_BELOW)).max(len / 4));
    }
}

/// Entries: a vector of fewer doubles.
const DOUBLING_BELOW: usize = 1024;

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        &self.entries[id as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.entries[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_place_is_used_again() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        let second = slab.insert("second");
        assert_eq!(slab.remove(first), "first");
        assert_eq!(slab.len(), 1);
        assert_eq!(slab.insert("third"), first);
        assert_eq!((slab[first], slab[second]), ("third", "second"));
        assert_eq!(slab.get(2), None);
    }

    #[test]
    fn empty_slab_takes_no_memory() {
        let mut slab = Slab::new();
        let ids: Vec<u32> = (0..10).map(|number| slab.insert(number)).collect();
        ids.iter().for_each(|&id| assert_eq!(slab.remove(id), id));
        assert_eq!((slab.len(), slab.entries.capacity(), slab.get(3)), (0, 0, None));
    }
}
