//! A table with a bound that forgets what was used longest ago.

use std::{collections::HashMap, hash::Hash, mem};

/// Keeps at most `max` entries, in two halves: when the younger one is full it becomes the older one, and what was in that and
/// not asked for since is forgotten. No operation looks at more than one entry.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Empty, for `max` entries, at least two.
    pub(crate) fn new(max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (max / 2).max(1) }
    }

    /// The entry, which counts as used now.
    pub(crate) fn find<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    /// Puts an entry in the place of an older one.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Takes an entry out.
    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_kept_and_what_is_used_stays() {
        let mut recent = Recent::new(10);
        recent.insert("kept".to_owned(), 0);
        for number in 1..1_000 {
            recent.insert(number.to_string(), number);
            assert_eq!(recent.find("kept"), Some(&mut 0), "after {number}");
            assert!(recent.len() <= 10);
        }
        assert_eq!(recent.find("1"), None);
        assert_eq!(recent.find("999"), Some(&mut 999));
        recent.remove("999");
        recent.insert("998".to_owned(), 1);
        assert_eq!(recent.find("999"), None);
        assert_eq!(recent.find("998"), Some(&mut 1));
    }
}
