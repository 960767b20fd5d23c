//! The Server of the simulated world starts with another number of shards, as the real one does.

use std::collections::BTreeSet;

use dunlin_broker::{
    ids::ShardId,
    records::{
        batch::Batch,
        key::{Key, kind},
        writing,
    },
};

use crate::{disk::Disk, oracle::words::Check, world::World};

impl World {
    /// Brings to an end what depends on the number of shards until now; from then on there are `shards`. Now and then the
    /// Server ends in the middle and starts anew, perhaps with yet another number.
    pub(crate) fn reshard(&mut self, shards: usize, last_alive_ms: u64) -> Check {
        if shards == self.plan.shards {
            return Ok(());
        }
        self.has_stray_bodies = false;
        self.trace.note(|| format!("there are {shards} shards now"));
        if self.disk.has_transits() {
            self.start_shards(last_alive_ms)?;
            self.exchange_mail()?;
            while self.disk.has_pending() {
                self.disk.commit();
            }
            self.oracle.goes_down(last_alive_ms.min(self.now_ms));
        }
        let changes_max = if self.random.once_in(4) { self.random.below(6) as usize } else { usize::MAX };
        if !self.disk.unshare(self.plan.shards as u8, changes_max) {
            self.oracle.tally.count("changes of the shards cut short");
            // If the old number comes back, some of them are no longer needed and stay.
            self.has_stray_bodies = true;
            let shards = self.random.between(1, 5) as usize;
            return self.reshard(shards, last_alive_ms);
        }
        self.oracle.tally.count("restarts with other shards");
        self.plan.shards = shards;
        self.oracle.reshards(shards);
        Ok(())
    }
}

impl Disk {
    /// Whether there is mail between shards.
    #[must_use]
    pub fn has_transits(&self) -> bool {
        self.scan(&[kind::TRANSIT], &[kind::TRANSIT + 1]).next().is_some()
    }

    /// Gives each message that several share a body of its own, and takes the shared ones away, at most `changes_max`
    /// changes one by one. Returns whether that was all.
    pub fn unshare(&mut self, before: u8, changes_max: usize) -> bool {
        let bodies: BTreeSet<_> =
            self.scan(&[kind::BODY], &[kind::BODY + 1]).map(|(key, _)| key.to_vec()).collect();
        let mut batches = Vec::new();
        let messages = self.scan(&[kind::MESSAGE], &[kind::MESSAGE + 1]).filter(|_| !bodies.is_empty());
        for (key, value) in messages {
            let Some(Key::Message(owner, number)) = Key::decode(key) else { continue };
            let shard = ShardId((owner.slot % u16::from(before)) as u8);
            let mut batch = Batch::new();
            writing::unshare(key, value, || self.body(shard, number), &mut batch);
            if !batch.is_empty() {
                batches.push(batch);
            }
        }
        // Only when every message has its own body are the shared ones taken away.
        batches.extend(bodies.iter().map(|key| {
            let mut batch = Batch::new();
            batch.delete(key);
            batch
        }));
        batches.iter().take(changes_max).for_each(|batch| self.write(batch));
        batches.len() <= changes_max
    }
}
