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
        record::{Record, RecordError, shared_body},
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
    /// So many of these are durable, should the end come now.
    sealed: usize,
    faults: Faults,
    commits: u64,
    /// Commits and readings so far.
    operations: u64,
    has_failed: bool,
    /// Keys that were said to be new and were not.
    misused: Vec<Vec<u8>>,
}

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// This operation fails, and all after it: commits and readings count.
    pub fails_at: Option<u64>,
    /// When there is little room or none.
    pub room: Option<Shortage>,
}

/// Little room for a while, again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortage {
    /// After so many commits it begins anew.
    pub period: u64,
    /// So many of them, the last ones, have little room.
    pub low: u64,
    /// So many of these, the last ones, find no room at all and are tried again.
    pub full: u64,
}

/// What a crash left of what was on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wreck {
    /// Batches that are durable, though nobody was told.
    pub untold: usize,
    /// Batches that are lost.
    pub lost: usize,
    /// The first of these was being written: what is there of it is cut off.
    pub is_torn: bool,
}

/// A record with a wrong bit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The record.
    pub key: Vec<u8>,
    /// What it was.
    pub value: Vec<u8>,
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
    /// How it stands with the disk.
    State(Storage),
}

impl Faults {
    /// Decides for a run: on some disks room is short now and then.
    #[must_use]
    pub fn choose(random: &mut Random) -> Self {
        let room = random.once_in(3).then(|| {
            let period = random.between(20, 120);
            let low = random.between(1, period / 2);
            Shortage { period, low, full: random.below(low / 2 + 1) }
        });
        Self { fails_at: None, room }
    }
}

impl Disk {
    /// An empty one that will have these faults.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    /// The next operation will fail.
    pub fn fail_next(&mut self) {
        self.faults.fails_at = Some(self.operations + 1);
    }

    /// The operation with this number will fail, counted from the first one on.
    pub fn fail_at(&mut self, operation: u64) {
        self.faults.fails_at = Some(operation);
    }

    /// Room is made, once and for all.
    pub fn make_room(&mut self) {
        self.faults.room = None;
    }

    /// Commits and readings so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether nothing that is submitted from now on becomes durable.
    #[must_use]
    pub fn is_doomed(&self) -> bool {
        self.has_failed || self.faults.fails_at.is_some_and(|at| self.operations + 1 >= at)
    }

    /// Whether it has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// What was submitted so far will be durable, though nobody learns it before the end comes.
    pub fn seal(&mut self) {
        self.sealed = self.pending.len();
    }

    /// Takes batch `number` of a shard; the batch may be used again.
    pub fn submit(&mut self, shard: ShardId, number: u64, batch: &Batch) {
        if self.has_failed {
            return;
        }
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
    ///
    /// Returns whether there was a batch.
    pub fn take(&mut self, shard: ShardId, outbox: &mut Outbox) -> bool {
        let batch = outbox.take_batch();
        let has_batch = batch.is_some();
        if let Some((number, batch)) = batch {
            self.submit(shard, number, batch);
            batch.clear();
        }
        for request in outbox.pages.drain(..) {
            self.ask(shard, request);
        }
        has_batch
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
        match self.faults.room {
            Some(Shortage { period, low, .. }) if self.commits % period >= period - low => Storage::Low,
            _ => Storage::Ready,
        }
    }

    /// Makes durable at once what is pending, of all shards, and says what each of them is to be told. If there is no
    /// room, nothing happens. If the disk fails, nothing of it is durable, and nothing will be; if it fails later, some
    /// questions have no answer.
    pub fn commit(&mut self) -> Vec<(ShardId, Report)> {
        let mut reports = Vec::new();
        if self.has_failed {
            return reports;
        }
        self.commits += 1;
        if self.faults.room.is_some_and(|room| self.commits % room.period >= room.period - room.full) {
            return reports;
        }
        if !self.operate() {
            return reports;
        }
        let pending = std::mem::take(&mut self.pending);
        self.sealed = 0;
        let questions = self.make_durable(pending, &mut reports);
        for (shard, request) in questions {
            if !self.operate() {
                break;
            }
            reports.push((shard, Report::Page(self.page(shard, request))));
        }
        reports
    }

    /// One more operation; `false` if it fails.
    fn operate(&mut self) -> bool {
        self.operations += 1;
        if self.faults.fails_at.is_some_and(|at| self.operations >= at) {
            self.has_failed = true;
            self.pending.clear();
            self.sealed = 0;
        }
        !self.has_failed
    }

    /// Makes these batches durable as one; returns the questions among them.
    fn make_durable(
        &mut self,
        pending: Vec<Pending>,
        reports: &mut Vec<(ShardId, Report)>,
    ) -> Vec<(ShardId, PageRequest)> {
        let mut questions = Vec::new();
        let mut group = Group::new();
        // Such a record is put by one shard and taken away by another one, which knows of it: always after.
        let mut received = Vec::new();
        for pending in pending {
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
        questions
    }

    /// Makes these changes durable by themselves, while no shard works: none is needless.
    pub fn write(&mut self, batch: &Batch) {
        let changes = batch.changes().map(|change| match change {
            Change::PutNew { key, value } | Change::Put { key, value } => (key.into(), Some(value.into())),
            Change::Delete { key } => (key.into(), None),
        });
        self.apply(changes.map(|(key, value)| (key, Last { value, is_new: false })).collect());
    }

    /// What waits is never written, and the disk says that it is: what a bad one does whose failed write is tried again.
    pub fn pretend(&mut self) -> Vec<(ShardId, Report)> {
        let told = std::mem::take(&mut self.pending).into_iter().filter_map(|pending| match pending {
            Pending::Batch { shard, number, .. } => Some((shard, Report::Committed { number })),
            Pending::Page { .. } => None,
        });
        told.collect()
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

    /// The program, or the machine, stops here: what is not durable is lost. With `is_torn` the batch behind what is
    /// sealed was being written, and goes as a whole. The disk is repaired or replaced, if it has failed.
    pub fn crash(&mut self, is_torn: bool) -> Wreck {
        let count =
            |pending: &[Pending]| pending.iter().filter(|it| matches!(it, Pending::Batch { .. })).count();
        let mut sealed = std::mem::take(&mut self.pending);
        let lost = sealed.split_off(std::mem::take(&mut self.sealed));
        let (untold, lost) = (count(&sealed), count(&lost));
        self.make_durable(sealed, &mut Vec::new());
        if self.is_doomed() {
            (self.has_failed, self.faults.fails_at) = (false, None);
        }
        Wreck { untold, lost, is_torn: is_torn && lost > 0 }
    }

    /// The first half of the batch behind what is sealed becomes durable: what no disk may do.
    pub fn tear(&mut self) -> bool {
        let torn = self.pending[self.sealed..].iter_mut().find_map(|pending| match pending {
            Pending::Batch { changes, .. } if changes.len() > 1 => Some(changes),
            _ => None,
        });
        let Some(changes) = torn else { return false };
        let half = changes.len() / 2;
        let changes = changes.drain(..half).collect();
        let half = Pending::Batch { shard: ShardId(0), number: 0, changes };
        self.pending.insert(self.sealed, half);
        self.sealed += 1;
        true
    }

    /// A bit of a record changes, apart from those that `spares` names.
    pub fn damage(&mut self, random: &mut Random, spares: impl Fn(&[u8]) -> bool) -> Option<Damage> {
        let keys: Vec<_> = self.synced.keys().filter(|key| !spares(key)).collect();
        if keys.is_empty() {
            return None;
        }
        let key = keys[random.index(keys.len())].clone();
        let value = self.synced.get_mut(&key)?;
        let damage = Damage { key, value: value.clone() };
        let place = random.index(value.len());
        value[place] ^= 1 << random.below(8);
        Some(damage)
    }

    /// The record is put back from a copy.
    pub fn mend(&mut self, damage: Damage) {
        self.synced.insert(damage.key, damage.value);
    }

    /// Takes a durable record away that was put under such a key: what no Server may do.
    pub fn forget(&mut self, mut is_forgotten: impl FnMut(&[u8]) -> bool) {
        self.synced.retain(|key, _| !is_forgotten(key));
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

    /// Puts everything back that `shard`, number `id` of `shards`, owns. `skips` says whether a damaged record is passed
    /// over, which no Server may do.
    ///
    /// # Errors
    /// The key of a record that is none, and what is wrong with it.
    pub fn restore(
        &self,
        shard: &mut Shard,
        id: ShardId,
        shards: u8,
        outbox: &mut Outbox,
        skips: &mut dyn FnMut() -> bool,
    ) -> Result<(), (Vec<u8>, RecordError)> {
        let mut find = |number| self.body(id, number);
        for (from, to) in ranges_to_restore(id, shards) {
            for (key, value) in self.scan(&from, &to) {
                match Record::decode(key, value) {
                    Ok(record) => shard.restore(record, &mut find, outbox),
                    Err(_) if skips() => {}
                    Err(error) => return Err((key.to_vec(), error)),
                }
            }
        }
        Ok(())
    }

    /// The message of a shared body.
    #[must_use]
    pub fn body(&self, shard: ShardId, number: u64) -> Option<Message> {
        let key = Key::Body(shard, number).to_bytes();
        match Record::decode(&key, self.synced.get(&key)?) {
            Ok(Record::Body(_, _, message)) => Some(message),
            _ => None,
        }
    }

    /// The keys of all durable records, in words; those of shared bodies too, unless some may be strays.
    #[must_use]
    pub fn names(&self, has_stray_bodies: bool) -> Vec<String> {
        let is_told = |key: &&Vec<u8>| !has_stray_bodies || !key.starts_with(&[kind::BODY]);
        self.synced.keys().filter(is_told).map(|key| format!("{:?}", Key::decode(key))).collect()
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
mod tests;
