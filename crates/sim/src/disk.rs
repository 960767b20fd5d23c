//! A simulated disk: what is durable, what is on its way there, and what a crash leaves of both.
//!
//! It stands for the storage of the whole Server, with one writer for all shards: what is pending becomes durable at once
//! and whole, or not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use dunlin_broker::{
    ids::ShardId,
    input::{Page, PageRecord, Storage},
    message::Message,
    output::{Outbox, PageRequest},
    records::{
        batch::{Batch, Change},
        key::{Key, kind},
        record::{Record, shared_body},
    },
    restore::ranges_to_restore,
    shard::Shard,
};

use crate::random::Random;

/// The records of all shards.
#[derive(Debug, Default)]
pub struct Disk {
    synced: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What no crash takes away was put under these keys at some time.
    used: BTreeSet<Vec<u8>>,
    /// What the next commit makes durable or answers, in order.
    pending: Vec<Pending>,
    faults: Faults,
    commits: u64,
    has_failed: bool,
    /// Keys that were said to be new and were not.
    misused: Vec<Vec<u8>>,
}

/// What goes wrong, by the number of the commit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// This commit fails, and all after it.
    pub fails_at: Option<u64>,
    /// From the first of these commits to the second there is little room left.
    pub is_low: Option<(u64, u64)>,
}

#[derive(Debug)]
enum Pending {
    Batch { shard: ShardId, number: u64, changes: Vec<Deed> },
    Page { shard: ShardId, request: PageRequest },
}

/// One change.
#[derive(Debug)]
struct Deed {
    key: Vec<u8>,
    /// Nothing if the record goes.
    value: Option<Vec<u8>>,
    is_new: bool,
}

/// The changes of one commit, by key.
type Group = BTreeMap<Vec<u8>, Last>;

/// The last change of a record in a commit.
#[derive(Debug)]
struct Last {
    /// Nothing if the record goes.
    value: Option<Vec<u8>>,
    /// There was none before.
    is_new: bool,
}

/// What a shard is told.
#[derive(Debug)]
pub enum Report {
    /// Its batches up to this one are durable.
    Committed {
        /// The number.
        number: u64,
    },
    /// What it asked for.
    Page(Page),
}

/// The disk has failed: nothing becomes durable any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed;

impl Faults {
    /// Decides for a run: most disks are good.
    #[must_use]
    pub fn choose(random: &mut Random) -> Self {
        let fails_at = random.once_in(12).then(|| random.between(1, 400));
        let is_low = random.once_in(8).then(|| {
            let first = random.between(1, 300);
            (first, first + random.between(1, 60))
        });
        Self { fails_at, is_low }
    }
}

impl Disk {
    /// An empty one that will have these faults.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    /// Takes batch `number` of a shard; the batch may be used again.
    pub fn submit(&mut self, shard: ShardId, number: u64, batch: &Batch) {
        let changes = batch.changes().map(|change| match change {
            Change::PutNew { key, value } => {
                Deed { key: key.into(), value: Some(value.into()), is_new: true }
            }
            Change::Put { key, value } => Deed { key: key.into(), value: Some(value.into()), is_new: false },
            Change::Delete { key } => Deed { key: key.into(), value: None, is_new: false },
        });
        self.pending.push(Pending::Batch { shard, number, changes: changes.collect() });
    }

    /// Loses new records of the batch of `shard` that was taken last, if it is not durable yet; returns its number.
    pub fn lose(&mut self, of: ShardId, mut loses: impl FnMut(&[u8]) -> bool) -> Option<u64> {
        let last = self.pending.iter_mut().rev().find_map(|pending| match pending {
            Pending::Batch { shard, number, changes } if *shard == of => Some((number, changes)),
            _ => None,
        });
        let (number, changes) = last?;
        changes.retain(|deed| deed.value.is_none() || !loses(&deed.key));
        Some(*number)
    }

    /// Takes a question; the answer knows everything that was submitted before.
    pub fn ask(&mut self, shard: ShardId, request: PageRequest) {
        self.pending.push(Pending::Page { shard, request });
    }

    /// Takes what an outbox wants to be made durable and read.
    pub fn take(&mut self, shard: ShardId, outbox: &mut Outbox) {
        if let Some((number, batch)) = outbox.take_batch() {
            self.submit(shard, number, batch);
            batch.clear();
        }
        for request in outbox.pages.drain(..) {
            self.ask(shard, request);
        }
    }

    /// Whether a commit would do anything.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty() && !self.has_failed
    }

    /// How it stands.
    #[must_use]
    pub fn storage(&self) -> Storage {
        if self.has_failed {
            return Storage::Failed;
        }
        match self.faults.is_low {
            Some((first, last)) if (first..=last).contains(&self.commits) => Storage::Low,
            _ => Storage::Ready,
        }
    }

    /// Makes durable at once what is pending, of all shards, and says what each of them is to be told.
    ///
    /// # Errors
    /// If the disk fails: nothing of it is durable, and nothing will be.
    pub fn commit(&mut self) -> Result<Vec<(ShardId, Report)>, Failed> {
        if self.has_failed {
            return Err(Failed);
        }
        self.commits += 1;
        if self.faults.fails_at.is_some_and(|at| self.commits >= at) {
            self.has_failed = true;
            self.pending.clear();
            return Err(Failed);
        }
        let mut reports = Vec::new();
        let mut questions = Vec::new();
        let mut group = Group::new();
        // Such a record is put by one shard and taken away by another one, which knows of it: always after.
        let mut received = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Batch { shard, number, changes } => {
                    for deed in changes {
                        match deed.value {
                            None if deed.key.starts_with(&[kind::TRANSIT]) => received.push(deed),
                            _ => self.gather(&mut group, deed),
                        }
                    }
                    reports.push((shard, Report::Committed { number }));
                }
                Pending::Page { shard, request } => questions.push((shard, request)),
            }
        }
        received.into_iter().for_each(|deed| self.gather(&mut group, deed));
        self.apply(group);
        reports.extend(
            questions.into_iter().map(|(shard, request)| (shard, Report::Page(self.page(shard, request)))),
        );
        Ok(reports)
    }

    /// Adds a change to a group. A new record that is deleted in the same group needs neither change.
    fn gather(&mut self, group: &mut Group, Deed { key, value, is_new }: Deed) {
        if is_new && self.used.contains(&key) {
            self.misused.push(key.clone());
        }
        match group.get_mut(&key) {
            Some(other) if other.is_new && value.is_none() => drop(group.remove(&key)),
            Some(other) => other.value = value,
            None => drop(group.insert(key, Last { value, is_new })),
        }
    }

    fn apply(&mut self, group: Group) {
        for (key, Last { value, .. }) in group {
            match value {
                None => drop(self.synced.remove(&key)),
                Some(value) => {
                    self.used.insert(key.clone());
                    self.synced.insert(key, value);
                }
            }
        }
    }

    fn page(&self, shard: ShardId, request: PageRequest) -> Page {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut is_last = true;
        for (key, value) in self.scan(&request.from, &request.to) {
            if bytes >= request.bytes_max {
                is_last = false;
                break;
            }
            bytes += value.len();
            let body = shared_body(shard, key, value).map(|body| body.to_bytes());
            let body = body.and_then(|body| self.synced.get(&body).cloned());
            records.push(PageRecord { key: key.to_vec(), value: value.to_vec(), body });
        }
        Page { reader: request.reader, records, is_last }
    }

    /// The program, or the machine, stops here: what is not durable is lost, and what was torn never was. The disk is
    /// repaired or replaced, if it has failed.
    pub fn crash(&mut self) {
        self.pending.clear();
        if std::mem::take(&mut self.has_failed) {
            self.faults.fails_at = None;
        }
    }

    /// The durable records from `from` on and before `to`, in the order of their keys.
    pub fn scan(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        let range = (Bound::Included(from), Bound::Excluded(to));
        self.synced.range::<[u8], _>(range).map(|(key, value)| (&**key, &**value))
    }

    /// Keys that were put as new ones though they had been used before: then a record that is deleted at once might stay.
    #[must_use]
    pub fn misused(&self) -> &[Vec<u8>] {
        &self.misused
    }

    /// Puts everything back that `shard`, number `id` of `shards`, owns.
    ///
    /// # Errors
    /// A record that is none.
    pub fn restore(
        &self,
        shard: &mut Shard,
        id: ShardId,
        shards: u8,
        outbox: &mut Outbox,
    ) -> Result<(), String> {
        let mut find = |number| self.body(id, number);
        for (from, to) in ranges_to_restore(id, shards) {
            for (key, value) in self.scan(&from, &to) {
                let record =
                    Record::decode(key, value).map_err(|error| format!("{:?}: {error}", Key::decode(key)))?;
                shard.restore(record, &mut find, outbox);
            }
        }
        Ok(())
    }

    fn body(&self, shard: ShardId, number: u64) -> Option<Message> {
        let key = Key::Body(shard, number).to_bytes();
        match Record::decode(&key, self.synced.get(&key)?) {
            Ok(Record::Body(_, _, message)) => Some(message),
            _ => None,
        }
    }

    /// How many records are durable.
    #[must_use]
    pub fn records(&self) -> usize {
        self.synced.len()
    }

    /// Records that nobody would ask for any more: those of Sessions that are gone, and mail between shards. There are
    /// none while all is at rest.
    #[must_use]
    pub fn left_overs(&self) -> Vec<String> {
        let owner = |key: &[u8]| key.get(1..11).map(<[u8]>::to_vec);
        let (first, last) = ([kind::SESSION], [kind::SESSION + 1]);
        let sessions: BTreeSet<_> = self.scan(&first, &last).filter_map(|(key, _)| owner(key)).collect();
        let is_orphan = |key: &&Vec<u8>| match key.first() {
            Some(&kind::TRANSIT) => true,
            Some(&(kind::FACT | kind::RETAINED | kind::BODY)) | None => false,
            Some(_) => owner(key).is_none_or(|owner| !sessions.contains(&owner)),
        };
        self.synced.keys().filter(is_orphan).map(|key| format!("{:?}", Key::decode(key))).collect()
    }
}

#[cfg(test)]
mod tests {
    use dunlin_broker::{output::PageReader, records::key::Owner};

    use super::*;

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);

    fn batch(fill: impl FnOnce(&mut Batch)) -> Batch {
        let mut batch = Batch::new();
        fill(&mut batch);
        batch
    }

    fn all(disk: &Disk) -> Vec<(&[u8], &[u8])> {
        disk.scan(b"", b"\xff").collect()
    }

    fn committed(reports: &[(ShardId, Report)]) -> Vec<(ShardId, u64)> {
        let number = |(shard, report): &(ShardId, Report)| match report {
            Report::Committed { number } => Some((*shard, *number)),
            Report::Page(_) => None,
        };
        reports.iter().filter_map(number).collect()
    }

    #[test]
    fn a_crash_leaves_what_was_committed_and_nothing_else() {
        let mut disk = Disk::default();
        disk.submit(A, 1, &batch(|it| it.put(b"s1", b"one")));
        disk.submit(B, 1, &batch(|it| it.put(b"s2", b"two")));
        let reports = disk.commit().unwrap();
        assert_eq!(committed(&reports), [(A, 1), (B, 1)]);
        disk.submit(A, 2, &batch(|it| it.put(b"s1", b"three")));
        disk.submit(B, 2, &batch(|it| it.delete(b"s2")));
        assert!(disk.has_pending());
        disk.crash();
        assert!(!disk.has_pending());
        assert_eq!(all(&disk), [(&b"s1"[..], &b"one"[..]), (b"s2", b"two")]);
        assert!(disk.commit().unwrap().is_empty());
    }

    #[test]
    fn changes_are_made_in_order_and_received_mail_goes_last() {
        let mut disk = Disk::default();
        // The receiver's turn ends before the sender's: it knew of the mail all the same.
        disk.submit(B, 1, &batch(|it| it.delete(b"x\0\x01n")));
        disk.submit(A, 1, &batch(|it| it.put_new(b"x\0\x01n", b"mail")));
        disk.submit(A, 2, &batch(|it| it.put(b"s", b"1")));
        disk.submit(A, 3, &batch(|it| it.delete(b"s")));
        disk.submit(A, 4, &batch(|it| it.put(b"s", b"2")));
        disk.commit().unwrap();
        assert_eq!(all(&disk), [(&b"s"[..], &b"2"[..])]);
    }

    #[test]
    fn a_question_is_answered_behind_what_was_submitted_before() {
        let owner = Owner { slot: 1, uid: 2 };
        let key = |number| Key::Message(owner, number).to_bytes();
        let mut disk = Disk::default();
        disk.submit(A, 1, &batch(|it| (1..=3).for_each(|number| it.put_new(&key(number), b"four"))));
        let reader = PageReader::Purge(owner);
        disk.ask(A, PageRequest { reader, from: key(2), to: key(9), bytes_max: 1 });
        let reports = disk.commit().unwrap();
        assert_eq!(committed(&reports), [(A, 1)]);
        let Some((A, Report::Page(page))) = reports.last() else { panic!("{reports:?}") };
        let keys: Vec<_> = page.records.iter().map(|record| record.key.clone()).collect();
        assert_eq!((keys, page.is_last), (vec![key(2)], false));
    }

    #[test]
    fn a_failure_is_final_until_the_program_starts_again() {
        let mut disk = Disk::with_faults(Faults { fails_at: Some(2), is_low: None });
        disk.submit(A, 1, &batch(|it| it.put(b"s", b"1")));
        disk.commit().unwrap();
        for number in 2..4 {
            disk.submit(A, number, &batch(|it| it.put(b"s", b"2")));
            assert_eq!(disk.commit().unwrap_err(), Failed);
            assert_eq!(disk.storage(), Storage::Failed);
        }
        disk.crash();
        assert_eq!(disk.storage(), Storage::Ready);
        assert_eq!(all(&disk), [(&b"s"[..], &b"1"[..])]);
        assert!(disk.commit().is_ok());
    }

    #[test]
    fn room_is_short_for_a_while() {
        let mut disk = Disk::with_faults(Faults { fails_at: None, is_low: Some((2, 3)) });
        let storages: Vec<_> = (0..5)
            .map(|_| {
                disk.commit().unwrap();
                disk.storage()
            })
            .collect();
        assert_eq!(storages, [Storage::Ready, Storage::Low, Storage::Low, Storage::Ready, Storage::Ready]);
    }

    #[test]
    fn a_new_key_that_is_none_is_noticed() {
        let mut disk = Disk::default();
        disk.submit(A, 1, &batch(|it| it.put_new(b"m1", b"1")));
        disk.crash();
        disk.submit(A, 1, &batch(|it| it.put_new(b"m1", b"1")));
        disk.submit(A, 2, &batch(|it| it.delete(b"m1")));
        disk.commit().unwrap();
        assert!(disk.misused().is_empty() && all(&disk).is_empty());
        disk.submit(A, 2, &batch(|it| it.put_new(b"m1", b"1")));
        disk.commit().unwrap();
        assert!(disk.misused().is_empty());
        disk.submit(A, 3, &batch(|it| it.put_new(b"m1", b"1")));
        disk.commit().unwrap();
        assert_eq!(disk.misused(), [b"m1"]);
    }

    #[test]
    fn records_without_a_session_are_left_overs() {
        let owner = |uid| Owner { slot: 1, uid };
        let mut disk = Disk::default();
        disk.submit(
            A,
            1,
            &batch(|it| {
                it.put(&Key::Session(owner(1)).to_bytes(), b"");
                it.put(&Key::Message(owner(1), 1).to_bytes(), b"");
                it.put(&Key::Message(owner(2), 1).to_bytes(), b"");
                it.put(&Key::Retained(1, "a").to_bytes(), b"");
            }),
        );
        disk.commit().unwrap();
        assert_eq!(disk.left_overs(), [format!("{:?}", Some(Key::Message(owner(2), 1)))]);
    }
}
