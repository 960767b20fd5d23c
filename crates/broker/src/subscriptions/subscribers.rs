//! The subscribers of one Topic Filter: two in place, more in a list, quick at any length (3.8.4).

use hashbrown::HashTable;

use crate::subscriptions::packed::Packed;
use crate::topics::ids::SessionIndex;
use crate::topics::slab::Slab;

/// One or two subscribers, or the place of a [`List`]; each Session at most once [MQTT-3.8.4-3].
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscribers {
    /// Subscribers first, then [`Packed::NONE`]; or the number of a list.
    places: [Packed; 2],
}

/// The lists of all filters of a table.
pub(super) type Lists = Slab<List>;

/// Three subscribers or more, one after the other in memory.
#[derive(Debug, Default)]
pub(super) struct List {
    entries: Vec<Packed>,
    /// Where each Session stands in `entries`; only in long lists, where a search would take too long.
    index: Option<Box<HashTable<u32>>>,
}

impl Subscribers {
    pub(super) const NONE: Subscribers = Subscribers { places: [Packed::NONE; 2] };

    /// All of them, in no order that means anything.
    #[inline]
    pub(super) fn as_slice<'a>(&'a self, lists: &'a Lists) -> &'a [Packed] {
        match self.places {
            [Packed::NONE, _] => &[],
            [first, _] if first.as_list().is_some() => {
                first.as_list().map_or(&[], |list| &lists[list].entries)
            }
            [_, Packed::NONE] => &self.places[..1],
            _ => &self.places,
        }
    }

    pub(super) fn get(&self, session: SessionIndex, lists: &Lists) -> Option<Packed> {
        match self.places[0].as_list() {
            Some(list) => lists[list].position(session).map(|at| lists[list].entries[at]),
            None => self.as_slice(lists).iter().copied().find(|entry| entry.session() == session),
        }
    }

    /// Adds `entry`, in the place of the one that its Session has already; gives that one back.
    pub(super) fn insert(&mut self, entry: Packed, lists: &mut Lists) -> Option<Packed> {
        if let Some(list) = self.places[0].as_list() {
            return lists[list].insert(entry);
        }
        for place in &mut self.places {
            if *place == Packed::NONE {
                *place = entry;
                return None;
            }
            if place.session() == entry.session() {
                return Some(std::mem::replace(place, entry));
            }
        }
        let [first, second] = self.places;
        let list = List { entries: vec![first, second, entry], index: None };
        self.places = [Packed::list(lists.insert(list)), Packed::NONE];
        None
    }

    pub(super) fn remove(&mut self, session: SessionIndex, lists: &mut Lists) -> Option<Packed> {
        if let Some(list) = self.places[0].as_list() {
            let removed = lists[list].remove(session)?;
            if let [first, second] = lists[list].entries[..] {
                self.places = [first, second];
                lists.remove(list);
            }
            return Some(removed);
        }
        let at = self.as_slice(lists).iter().position(|entry| entry.session() == session)?;
        let removed = self.places[at];
        self.places = [self.places[1 - at], Packed::NONE];
        Some(removed)
    }
}

impl List {
    fn position(&self, session: SessionIndex) -> Option<usize> {
        let is_it = |at: usize| self.entries[at].session() == session;
        match &self.index {
            Some(index) => index.find(hash(session), |&at| is_it(at as usize)).map(|&at| at as usize),
            None => self.entries.iter().position(|entry| entry.session() == session),
        }
    }

    fn insert(&mut self, entry: Packed) -> Option<Packed> {
        if let Some(at) = self.position(entry.session()) {
            return Some(std::mem::replace(&mut self.entries[at], entry));
        }
        let at = self.entries.len();
        self.entries.push(entry);
        match &mut self.index {
            Some(index) => add_to_index(index, &self.entries, at),
            None if at >= INDEX_ABOVE => {
                let mut index = Box::new(HashTable::with_capacity(self.entries.capacity()));
                (0..=at).for_each(|at| add_to_index(&mut index, &self.entries, at));
                self.index = Some(index);
            }
            None => {}
        }
        None
    }

    fn remove(&mut self, session: SessionIndex) -> Option<Packed> {
        let at = self.position(session)?;
        let last = self.entries.len() - 1;
        if let Some(index) = &mut self.index {
            forget_in_index(index, session, at);
            if at != last {
                let moved = self.entries[last].session();
                if let Some(place) = index.find_mut(hash(moved), |&place| place as usize == last) {
                    *place = at as u32;
                }
            }
        }
        let removed = self.entries.swap_remove(at);
        self.shrink();
        Some(removed)
    }

    /// Gives memory back once three quarters are idle, so that the work is paid for by what was removed.
    fn shrink(&mut self) {
        let len = self.entries.len();
        if len < INDEX_BELOW {
            self.index = None;
        }
        if self.entries.capacity() > 4 * len.max(2) {
            self.entries.shrink_to(2 * len);
            if let Some(index) = &mut self.index {
                index.shrink_to(2 * len, |&at| hash(self.entries[at as usize].session()));
            }
        }
    }
}

fn add_to_index(index: &mut HashTable<u32>, entries: &[Packed], at: usize) {
    let place = u32::try_from(at).expect("a filter has at most one subscriber for each of 2^30 Sessions");
    let hash_at = |&at: &u32| hash(entries[at as usize].session());
    index.insert_unique(hash_at(&place), place, hash_at);
}

fn forget_in_index(index: &mut HashTable<u32>, session: SessionIndex, at: usize) {
    let is_it = |&place: &u32| place as usize == at;
    if let Ok(entry) = index.find_entry(hash(session), is_it) {
        entry.remove();
    }
}

/// Sessions number themselves from 0, not as a stranger likes: a product spreads them well enough.
fn hash(session: SessionIndex) -> u64 {
    u64::from(session.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Subscribers: a longer list has an index. Up to here a search reads no more than 2 KiB.
const INDEX_ABOVE: usize = 256;

/// Subscribers: a shorter list loses its index; well below `INDEX_ABOVE`, so that none is made and dropped in
/// turn.
const INDEX_BELOW: usize = 64;

#[cfg(test)]
mod tests {
    use dunlin_packet::subscribe::SubscriptionOptions;

    use super::*;
    use crate::subscriptions::subscription::Subscription;

    fn entry(session: u32, identifier: u32) -> Packed {
        let identifier = std::num::NonZeroU32::new(identifier);
        Packed::new(
            SessionIndex(session),
            Subscription { options: SubscriptionOptions::default(), identifier },
        )
    }

    /// [MQTT-3.8.4-3]
    #[test]
    fn each_session_stands_once_at_every_length() {
        let mut lists = Lists::new();
        let mut subscribers = Subscribers::NONE;
        for session in 0..2_000 {
            assert_eq!(subscribers.insert(entry(session, 1), &mut lists), None);
            assert_eq!(subscribers.insert(entry(session / 2, 2), &mut lists).map(Packed::session), {
                Some(SessionIndex(session / 2))
            });
            assert_eq!(subscribers.as_slice(&lists).len() as u32, session + 1);
        }
        for session in (0..2_000).rev() {
            assert_eq!(subscribers.remove(SessionIndex(session), &mut lists).map(Packed::session), {
                Some(SessionIndex(session))
            });
            assert_eq!(subscribers.remove(SessionIndex(session), &mut lists), None);
            assert_eq!(subscribers.get(SessionIndex(session), &lists), None);
            assert_eq!(subscribers.as_slice(&lists).len() as u32, session);
        }
        assert_eq!(lists.len(), 0);
    }

    #[test]
    fn long_list_has_an_index_and_gives_memory_back() {
        let mut list = List::default();
        (0..100_000).for_each(|session| assert_eq!(list.insert(entry(session, 0)), None));
        assert_eq!(list.index.as_ref().map(|index| index.len()), Some(100_000));
        (0..100_000).filter(|session| session % 1_000 != 7).for_each(|session| {
            assert_eq!(list.remove(SessionIndex(session)), Some(entry(session, 0)));
        });
        assert_eq!(list.index.as_ref().map(|index| index.len()), Some(100));
        assert!(list.entries.capacity() <= 400);
        assert!(list.index.as_ref().is_some_and(|index| index.capacity() < 1_000));
        assert!(
            (0..100_000)
                .all(|session| list.position(SessionIndex(session)).is_some() == (session % 1_000 == 7))
        );
        (0..50).for_each(|number| assert!(list.remove(SessionIndex(number * 1_000 + 7)).is_some()));
        assert!(list.index.is_none());
    }
}
