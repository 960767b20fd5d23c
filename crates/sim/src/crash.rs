//! The Server of the simulated world crashes and starts again.

use dunlin_broker::{ids::ShardId, input::Input};
use dunlin_protocol::time::Instant;

use crate::{
    doom::Doom,
    network::{End, LinkId},
    oracle::words::{Check, broken},
    world::World,
};

impl World {
    /// Perhaps this commit was the last one before a crash.
    pub(crate) fn tempt_fate(&mut self) {
        if self.plan.is_crashing && self.random.once_in(self.plan.commits_a_crash) {
            let steps = self.random.pick(&[0, 3, 40, 300]);
            let steps = self.random.between(0, steps);
            self.doom = Some(Doom { durable: Box::new(self.oracle.clone()), steps });
        }
    }

    /// A step has been made; a crash may be due.
    pub(crate) fn meets_doom(&mut self) -> Check {
        match &mut self.doom {
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
        self.trace.note(|| "the Server crashes".to_owned());
        self.disk.crash();
        self.cut_all();
        self.oracle.begins_call(self.now_ms);
        self.oracle.crashed(*doom.durable)?;
        let last_alive_ms = self.now_ms;
        let ms = self.random.pick(&[1, 10, 30_000]);
        let ms = self.random.between(1, ms);
        self.pass(ms);
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

    fn restart(&mut self, last_alive_ms: u64) -> Check {
        self.desks = Self::fresh_desks(&self.plan, &mut self.random);
        let shards = self.desks.len();
        self.oracle.begins_call(self.now_ms);
        self.trace.at(self.oracle.moment().tick, self.now_ms - self.began_ms);
        self.trace.note(|| "the Server starts again".to_owned());
        let now = Instant::from_ms(self.now_ms);
        for (index, desk) in self.desks.iter_mut().enumerate() {
            let id = ShardId(index as u8);
            let outcome = self.disk.restore(&mut desk.shard, id, shards as u8, &mut desk.outbox);
            if let Err(damage) = outcome {
                return broken("4.1", format!("a record cannot be read: {damage}"), &[]);
            }
            desk.shard.restored(now, &mut desk.outbox);
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

    /// Before the doors open, all mail is handled.
    fn exchange_mail(&mut self) -> Check {
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
}
