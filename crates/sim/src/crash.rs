//! The Server of the simulated world ends and starts again.

use dunlin_broker::{ids::ShardId, input::Input, input::Storage, records::key::Key, records::key::kind};
use dunlin_protocol::time::Instant;

use crate::{
    desk::Desk,
    doom::Way,
    network::{End, LinkId},
    oracle::words::{Check, broken},
    world::{ALIVE_MS, World},
};

impl World {
    /// A step has been made; a crash may be due.
    pub(crate) fn meets_doom(&mut self) -> Check {
        let has_failed = self.disk.has_failed();
        match &mut self.doom {
            Some(doom) if doom.way == Way::Failure && !has_failed => Ok(()),
            Some(doom) if doom.steps > 0 => {
                doom.steps -= 1;
                Ok(())
            }
            _ => self.crash(),
        }
    }

    /// The crash happens, if there is to be one, and the Server starts again.
    pub(crate) fn crash(&mut self) -> Check {
        let Some(doom) = self.doom.take() else { return Ok(()) };
        self.trace.note(|| format!("the Server crashes ({:?})", doom.way));
        let durable = doom.durable.unwrap_or_else(|| {
            self.disk.seal();
            Box::new(self.oracle.clone())
        });
        if let Some(saboteur) = self.saboteur.as_mut().filter(|saboteur| saboteur.tears_batches()) {
            saboteur.deeds += u64::from(self.disk.tear());
        }
        let wreck = self.disk.crash(matches!(doom.way, Way::Torn { .. }));
        self.cut_all();
        let start_ms = self.start_ms();
        let last_alive_ms = self.alive_ms + ALIVE_MS;
        self.oracle.begins_call(start_ms);
        self.oracle.crashed(*durable, last_alive_ms.min(start_ms))?;
        if wreck.untold > 0 {
            self.oracle.tally.count("commits nobody was told of");
        }
        if wreck.is_torn {
            self.oracle.tally.count("torn writes");
        }
        match start_ms.checked_sub(self.now_ms) {
            Some(ms) => self.pass(ms),
            None => self.now_ms = start_ms,
        }
        self.restart(last_alive_ms)
    }

    /// All sockets are gone.
    fn cut_all(&mut self) {
        let mut links: Vec<LinkId> = self.lobby.clear();
        for desk in &mut self.desks {
            links.extend(desk.seats.values().map(|seat| seat.link));
            links.extend(desk.arrivals.iter().map(|(link, ..)| *link));
        }
        for link in links {
            self.network.shut(link, End::Reset, &mut self.random);
        }
    }

    /// What the clock of the Server says when it starts again: the machine's may have been set while it was down, but what
    /// is known to have passed has passed.
    fn start_ms(&mut self) -> u64 {
        let ms = self.random.pick(&[1, 10, 30_000]);
        let wall_ms = self.now_ms + self.random.between(1, ms);
        let (step_ms, what) = match self.random.below(12) {
            0 => (self.random.pick(&[1_000, 60_000, 86_400_000]), "clocks set back"),
            1 => (self.random.pick(&[60_000, 3_600_000, 90_000_000]), "clocks set forward"),
            _ => return wall_ms,
        };
        self.oracle.tally.count(what);
        let step_ms = self.random.between(1, step_ms);
        if what == "clocks set forward" {
            return wall_ms + step_ms;
        }
        match wall_ms.saturating_sub(step_ms) {
            wall_ms if wall_ms < self.alive_ms => self.alive_ms + ALIVE_MS,
            wall_ms => wall_ms,
        }
    }

    fn restart(&mut self, last_alive_ms: u64) -> Check {
        self.oracle.begins_call(self.now_ms);
        self.trace.at(self.oracle.moment().tick, self.now_ms - self.began_ms);
        self.trace.note(|| "the Server starts again".to_owned());
        self.alive_ms = self.now_ms;
        if self.random.once_in(3) {
            let shards = self.random.between(1, 5) as usize;
            self.reshard(shards, last_alive_ms)?;
        }
        self.meets_damage()?;
        self.start_shards(last_alive_ms)?;
        self.told = Storage::Ready;
        self.tell_storage();
        self.expects_failure();
        Ok(())
    }

    /// All shards restore what is durable and settle with each other.
    pub(crate) fn start_shards(&mut self, last_alive_ms: u64) -> Check {
        self.desks = Self::fresh_desks(&self.plan, &mut self.random);
        self.oracle.kept = self.desks.first().map(|desk| std::sync::Arc::clone(&desk.kept));
        let shards = self.desks.len();
        let now = Instant::from_ms(self.now_ms);
        let saboteur = &mut self.saboteur;
        let mut skips = || saboteur.as_mut().is_some_and(crate::faults::Saboteur::skips_damage);
        for (index, desk) in self.desks.iter_mut().enumerate() {
            let Desk { shard, outbox, .. } = desk;
            let id = ShardId(index as u8);
            if let Err((key, error)) = self.disk.restore(shard, id, shards as u8, outbox, &mut skips) {
                let damage = format!("a record cannot be read: {:?}: {error}", Key::decode(&key));
                return broken("4.1", damage, &[]);
            }
            shard.restored(now, outbox);
        }
        self.exchange_mail()?;
        let grace_ms = u64::from(self.plan.settings.will_grace_s) * 1_000;
        for index in 0..shards {
            self.oracle.begins_call(self.now_ms);
            self.oracle.restarts(index, grace_ms);
            let desk = &mut self.desks[index];
            desk.shard.settle(now, Instant::from_ms(last_alive_ms), &mut desk.outbox);
            if desk.shard.counters().dropped_queue_full > 0 {
                self.oracle.sees_full_queue(index);
            }
        }
        (0..shards).try_for_each(|index| self.flush(index))
    }

    /// All mail is handled, and nothing else.
    pub(crate) fn exchange_mail(&mut self) -> Check {
        let shards = 0..self.desks.len();
        shards.clone().try_for_each(|index| self.flush(index))?;
        for index in shards.cycle() {
            if self.desks.iter().all(|desk| desk.inbox.is_empty()) {
                break;
            }
            while let Some((from, mail)) = self.desks[index].inbox.pop_front() {
                self.desks[index].handled += 1;
                self.call(index, Input::Routed { from, mail }, None)?;
                self.oracle.handled_mail(index, self.desks[index].handled);
            }
            self.flush(index)?;
        }
        Ok(())
    }

    /// Perhaps a bit of the disk is wrong: the Server does not start, and says which record it is. Then it is put back from
    /// a copy.
    fn meets_damage(&mut self) -> Check {
        let may_skip = self.saboteur.as_ref().is_some_and(|saboteur| saboteur.is_careless());
        if !may_skip && !self.random.once_in(4) {
            return Ok(());
        }
        // What a careless Server makes of the others is seen at once.
        let spares = |key: &[u8]| may_skip && !key.starts_with(&[kind::MESSAGE]);
        let Some(damage) = self.disk.damage(&mut self.random, spares) else { return Ok(()) };
        if may_skip {
            return Ok(());
        }
        let named = self.try_to_restore();
        let is_right = match Key::decode(&damage.key) {
            // It is read when the message is, which is passed over then.
            Some(Key::Body(shard, number)) => named.is_none() && self.disk.body(shard, number).is_none(),
            _ => named.as_ref() == Some(&damage.key),
        };
        if !is_right {
            let promise = format!("the record {:02x?} is damaged, and {named:02x?} is told", damage.key);
            return broken("4.1", promise, &[]);
        }
        self.trace.note(|| format!("a bit of {:?} was wrong", Key::decode(&damage.key)));
        self.oracle.tally.count("bits flipped");
        self.disk.mend(damage);
        Ok(())
    }

    /// Restores all shards in vain; returns the key of a record that cannot be read.
    fn try_to_restore(&mut self) -> Option<Vec<u8>> {
        // The world goes on as if this had not been tried.
        let mut desks = Self::fresh_desks(&self.plan, &mut self.random.clone());
        let shards = desks.len() as u8;
        let mut outcomes = desks.iter_mut().enumerate().map(|(index, Desk { shard, outbox, .. })| {
            self.disk.restore(shard, ShardId(index as u8), shards, outbox, &mut || false)
        });
        outcomes.find_map(|outcome| outcome.err().map(|(key, _)| key))
    }
}
