//! What waits for the next commit: the changes of each shard, without those that nobody needs any more.

use std::hash::BuildHasher;

use dunlin_broker::{
    ids::ShardId,
    records::{
        batch::{Batch, Change},
        key::kind,
    },
};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Bytes that an empty one keeps at most.
const BYTES_KEPT_MAX: usize = 4 << 20;
/// Changes for which an empty one keeps memory at most.
const ENTRIES_KEPT_MAX: usize = 1 << 16;
/// Bytes that a change is counted with besides its key and value.
const CHANGE_COST: usize = 32;

/// The changes of one shard since its last commit. There is at most one for each key: the last, which is all that counts
/// since they become durable together.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: Vec<Entry>,
    /// Keys and values one after the other.
    bytes: Vec<u8>,
    /// Where the change of a key is in `entries`.
    places: HashTable<usize>,
    hasher: FixedState,
    /// The newest batch in it.
    newest: Option<u64>,
    cancelled: usize,
    /// Whether the shard was told to wait until there is room.
    pub(super) is_awaited: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    key_len: u32,
    value_len: u32,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// No record with this key is in the store.
    PutNew,
    Put,
    Delete,
    /// A later one has taken its place, or both are needless.
    Nothing,
}

impl Pending {
    /// Adds the changes of a batch, and empties it.
    pub(super) fn merge(&mut self, number: u64, batch: &mut Batch) {
        for change in batch.changes() {
            match change {
                Change::PutNew { key, value } => self.add(What::PutNew, key, value),
                Change::Put { key, value } => self.add(What::Put, key, value),
                Change::Delete { key } => self.add(What::Delete, key, &[]),
            }
        }
        self.newest = Some(number);
        batch.clear();
    }

    fn add(&mut self, what: What, key: &[u8], value: &[u8]) {
        let Self { entries, bytes, places, hasher, .. } = self;
        let hash = hasher.hash_one(key);
        let place = places.entry(
            hash,
            |&index| entries[index].key(bytes) == key,
            |&index| hasher.hash_one(entries[index].key(bytes)),
        );
        let place = match place {
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                vacant.insert(entries.len());
                self.push(what, key, value);
                return;
            }
            hashbrown::hash_table::Entry::Occupied(occupied) => occupied,
        };
        let older = &mut entries[*place.get()];
        let was_new = older.what == What::PutNew;
        older.what = What::Nothing;
        self.cancelled += 1;
        if was_new && what == What::Delete {
            place.remove();
            self.cancelled += 1;
            return;
        }
        *place.into_mut() = entries.len();
        let what = match what {
            What::Delete => What::Delete,
            _ if was_new => What::PutNew,
            _ => What::Put,
        };
        self.push(what, key, value);
    }

    fn push(&mut self, what: What, key: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a record is smaller than 4 GiB");
        self.entries.push(Entry { start, key_len: len(key), value_len: len(value), what });
    }

    /// Takes a record that was put here and that the store does not have away again; whether there was one.
    fn cancel_new(&mut self, key: &[u8]) -> bool {
        let Self { entries, bytes, places, hasher, .. } = self;
        let is_it = |&index: &usize| entries[index].what == What::PutNew && entries[index].key(bytes) == key;
        let Ok(place) = places.find_entry(hasher.hash_one(key), is_it) else { return false };
        let (index, _) = place.remove();
        entries[index].what = What::Nothing;
        self.cancelled += 1;
        true
    }

    /// Bytes of memory in use, about.
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + self.entries.len() * CHANGE_COST
    }

    /// The newest batch in it, if there is one.
    pub(super) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Changes that became needless.
    pub(super) fn cancelled(&self) -> usize {
        self.cancelled
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.places.clear();
        if self.bytes.capacity() > BYTES_KEPT_MAX {
            self.bytes = Vec::new();
        }
        if self.entries.capacity() > ENTRIES_KEPT_MAX {
            self.entries = Vec::new();
            self.places = HashTable::new();
        }
        (self.newest, self.cancelled, self.is_awaited) = (None, 0, false);
    }

    fn changes(&self, is_end_of_transit: bool) -> impl Iterator<Item = Change<'_>> {
        let chosen = move |entry: &&Entry| entry.is_end_of_transit(&self.bytes) == is_end_of_transit;
        self.entries.iter().filter(chosen).filter_map(|entry| {
            let key = entry.key(&self.bytes);
            let value_at = entry.start + key.len();
            let value = &self.bytes[value_at..value_at + entry.value_len as usize];
            match entry.what {
                What::PutNew => Some(Change::PutNew { key, value }),
                What::Put => Some(Change::Put { key, value }),
                What::Delete => Some(Change::Delete { key }),
                What::Nothing => None,
            }
        })
    }
}

impl Entry {
    fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start..self.start + self.key_len as usize]
    }

    /// Whether it deletes mail between two shards: the one change of a record that another shard has put.
    fn is_end_of_transit(&self, bytes: &[u8]) -> bool {
        self.what == What::Delete && self.key(bytes).first() == Some(&kind::TRANSIT)
    }
}

/// Mail that was put and deleted in the same group needs no change at all.
pub(super) fn cancel_transit(group: &mut [Pending]) {
    for receiver in 0..group.len() {
        for index in 0..group[receiver].entries.len() {
            let entry = group[receiver].entries[index];
            if !entry.is_end_of_transit(&group[receiver].bytes) {
                continue;
            }
            let Some(&sender) = entry.key(&group[receiver].bytes).get(1) else { continue };
            let sender = ShardId(sender).index();
            let Ok([theirs, ours]) = group.get_disjoint_mut([sender, receiver]) else { continue };
            if theirs.cancel_new(entry.key(&ours.bytes)) {
                ours.entries[index].what = What::Nothing;
                ours.cancelled += 1;
            }
        }
    }
}

/// The changes of a group in the order in which they are to be applied: what one shard has put, another deletes after.
pub(super) fn ordered(group: &[Pending]) -> impl Iterator<Item = Change<'_>> {
    let most = group.iter().flat_map(|it| it.changes(false));
    most.chain(group.iter().flat_map(|it| it.changes(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(fill: impl FnOnce(&mut Batch)) -> Pending {
        let mut pending = Pending::default();
        let mut batch = Batch::new();
        fill(&mut batch);
        pending.merge(1, &mut batch);
        assert!(batch.is_empty());
        pending
    }

    fn texts(group: &[Pending]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ordered(group)
            .map(|change| match change {
                Change::PutNew { key, value } => format!("new {}={}", text(key), text(value)),
                Change::Put { key, value } => format!("{}={}", text(key), text(value)),
                Change::Delete { key } => format!("-{}", text(key)),
            })
            .collect()
    }

    #[test]
    fn a_new_record_and_its_end_are_both_needless() {
        let mut it = pending(|it| {
            it.put_new(b"m1", b"a");
            it.put_new(b"m2", b"b");
            it.put(b"m1", b"c");
            it.delete(b"m1");
        });
        assert_eq!((texts(std::slice::from_ref(&it)), it.cancelled()), (vec!["new m2=b".into()], 3));
        let mut batch = Batch::new();
        batch.delete(b"m2");
        batch.delete(b"m3");
        it.merge(2, &mut batch);
        assert_eq!((texts(std::slice::from_ref(&it)), it.newest()), (vec!["-m3".into()], Some(2)));
        it.clear();
        assert_eq!((it.cost(), it.newest(), it.cancelled()), (0, None, 0));
    }

    #[test]
    fn only_the_last_change_of_a_key_is_left() {
        let it = pending(|it| {
            it.put(b"s1", b"a");
            it.put(b"s1", b"b");
            it.put(b"s2", b"c");
            it.delete(b"s2");
            it.delete(b"s3");
            it.put_new(b"s3", b"d");
            it.put_new(b"s4", b"e");
            it.put(b"s4", b"f");
        });
        assert_eq!(texts(&[it]), ["s1=b", "-s2", "s3=d", "new s4=f"]);
    }

    #[test]
    fn mail_is_deleted_after_it_was_put() {
        let sender = pending(|it| it.put(b"x\x01\x00one", b"a"));
        let receiver = pending(|it| {
            it.delete(b"x\x01\x00one");
            it.put(b"m1", b"a");
        });
        assert_eq!(texts(&[receiver, sender]), ["m1=a", "x\x01\0one=a", "-x\x01\0one"]);
    }

    #[test]
    fn mail_of_one_group_leaves_no_trace() {
        let receiver = pending(|it| {
            it.delete(b"x\x01\x00one");
            it.delete(b"x\x01\x00zero");
            it.delete(b"x\x09\x00far");
            it.delete(b"x");
        });
        let sender = pending(|it| {
            it.put_new(b"x\x01\x00one", b"a");
            it.put_new(b"x\x01\x00two", b"b");
        });
        let mut group = [receiver, sender];
        cancel_transit(&mut group);
        assert_eq!(texts(&group), ["new x\x01\0two=b", "-x\x01\0zero", "-x\x09\0far", "-x"]);
    }
}
