//! What the broker in memory has filed: it outlives a crash, if it was committed.

use std::{collections::BTreeMap, ops::Bound};

use dunlin_broker::{
    ids::ShardId,
    input::{Page, PageRecord},
    message::Message,
    output::{Outbox, PageRequest},
    records::{
        batch::Change,
        key::Key,
        record::{Record, shared_body},
    },
    restore::ranges_to_restore,
    shard::Shard,
};

/// A store of all shards' records.
#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Not durable yet.
    pending: Vec<Pending>,
    pages: Vec<(ShardId, PageRequest)>,
}

/// A batch of one shard: its number, and keys with what they get, nothing if they go.
#[derive(Debug)]
struct Pending {
    shard: ShardId,
    number: u64,
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl MemoryStore {
    /// Takes what an outbox wants to be made durable and read.
    pub(super) fn take(&mut self, shard: ShardId, outbox: &mut Outbox) {
        if let Some((number, batch)) = outbox.take_batch() {
            let changes = batch.changes().map(|change| match change {
                Change::PutNew { key, value } | Change::Put { key, value } => {
                    (key.to_vec(), Some(value.to_vec()))
                }
                Change::Delete { key } => (key.to_vec(), None),
            });
            self.pending.push(Pending { shard, number, changes: changes.collect() });
            batch.clear();
        }
        self.pages.extend(outbox.pages.drain(..).map(|page| (shard, page)));
    }

    /// Makes everything durable and tells which batches that were.
    pub(super) fn commit(&mut self) -> Vec<(ShardId, u64)> {
        let pending = std::mem::take(&mut self.pending);
        let committed = pending.iter().map(|it| (it.shard, it.number)).collect();
        for (key, value) in pending.into_iter().flat_map(|it| it.changes) {
            match value {
                Some(value) => drop(self.records.insert(key, value)),
                None => drop(self.records.remove(&key)),
            }
        }
        committed
    }

    /// Answers what was asked for; everything before is committed.
    pub(super) fn pages(&mut self) -> Vec<(ShardId, Page)> {
        let asked = std::mem::take(&mut self.pages);
        asked.into_iter().map(|(shard, request)| (shard, self.page(shard, request))).collect()
    }

    fn page(&self, shard: ShardId, request: PageRequest) -> Page {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut is_last = true;
        for (key, value) in self.range(&request.from, &request.to) {
            if bytes >= request.bytes_max {
                is_last = false;
                break;
            }
            bytes += value.len();
            let body = shared_body(shard, key, value).map(|body| body.to_bytes());
            let body = body.and_then(|body| self.records.get(&body).cloned());
            records.push(PageRecord { key: key.clone(), value: value.clone(), body });
        }
        Page { reader: request.reader, records, is_last }
    }

    fn range(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.records.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
    }

    /// What was not committed is lost.
    pub(super) fn crash(&mut self) {
        self.pending.clear();
        self.pages.clear();
    }

    /// Puts everything back that `shard` of `shards` owns.
    ///
    /// # Errors
    /// A record that is none.
    pub(super) fn restore(
        &self,
        shard: &mut Shard,
        id: ShardId,
        shards: u8,
        outbox: &mut Outbox,
    ) -> Result<(), String> {
        let mut find = |number| self.body(id, number);
        for (from, to) in ranges_to_restore(id, shards) {
            for (key, value) in self.range(&from, &to) {
                let record =
                    Record::decode(key, value).map_err(|error| format!("{:?}: {error}", Key::decode(key)))?;
                shard.restore(record, &mut find, outbox);
            }
        }
        Ok(())
    }

    fn body(&self, shard: ShardId, number: u64) -> Option<Message> {
        let key = Key::Body(shard, number).to_bytes();
        match Record::decode(&key, self.records.get(&key)?) {
            Ok(Record::Body(_, _, message)) => Some(message),
            _ => None,
        }
    }

    /// Records that nobody would ask for any more: of Sessions that are gone, and mail between shards.
    #[cfg(test)]
    pub(super) fn left_overs(&self) -> Vec<String> {
        let sessions: Vec<_> = self.records.keys().filter_map(|key| owner(key, b's')).collect();
        let is_orphan = |key: &&Vec<u8>| match key.first() {
            Some(b'x') => true,
            Some(&letter) if b"fwmir".contains(&letter) => {
                owner(key, letter).is_some_and(|owner| !sessions.contains(&owner))
            }
            _ => false,
        };
        self.records.keys().filter(is_orphan).map(|key| format!("{:?}", Key::decode(key))).collect()
    }
}

/// The bytes that name the Session of a record of this kind.
#[cfg(test)]
fn owner(key: &[u8], kind: u8) -> Option<&[u8]> {
    (key.first() == Some(&kind)).then(|| &key[1..11])
}
