//! The disk of the simulated world at work: it commits, fails, and fills up.

use dunlin_broker::{input::Storage, records::key::Key};

use crate::{
    disk::Report,
    doom::{Doom, Way},
    oracle::words::{Check, broken},
    world::World,
};

impl World {
    /// Perhaps what is pending becomes durable.
    pub(crate) fn commit_or_not(&mut self) -> Check {
        let way = self.doom.as_ref().map(|doom| doom.way);
        match way {
            None => {
                self.commit()?;
                self.tempt_fate();
                Ok(())
            }
            Some(Way::Failure) => self.commit(),
            Some(Way::Crash | Way::Torn { .. }) => Ok(()),
        }
    }

    /// What is pending becomes durable, unless the disk fails or is full.
    pub(crate) fn commit(&mut self) -> Check {
        let is_pretending = self.disk.is_doomed() && !self.disk.has_failed();
        let is_pretending =
            is_pretending && self.saboteur.as_mut().is_some_and(|saboteur| saboteur.pretends_to_write());
        let reports = if is_pretending { self.disk.pretend() } else { self.disk.commit() };
        if !reports.is_empty() {
            self.trace.note(|| format!("the disk commits: {reports:?}"));
        }
        for (shard, report) in reports {
            self.desks[shard.index()].reports.push_back(report);
        }
        if let Some(saboteur) = &mut self.saboteur {
            self.disk.forget(|key| saboteur.forgets_record(key));
        }
        self.tell_storage();
        self.expects_failure();
        match self.disk.misused() {
            [] => Ok(()),
            [key, ..] => broken("none", format!("{:?} was used before", Key::decode(key)), &[]),
        }
    }

    /// Tells the shards how it stands with the disk, if that is new.
    pub(crate) fn tell_storage(&mut self) {
        let storage = self.disk.storage();
        if std::mem::replace(&mut self.told, storage) == storage {
            return;
        }
        self.trace.note(|| format!("the disk is {storage:?}"));
        self.oracle.tally.count(match storage {
            Storage::Ready => "times that room came back",
            Storage::Low => "times that room was short",
            Storage::Failed => "commits failed",
        });
        self.desks.iter_mut().for_each(|desk| desk.reports.push_back(Report::State(storage)));
    }

    /// What is durable now is all that will be, if the next commit is to fail.
    pub(crate) fn expects_failure(&mut self) {
        if self.doom.is_none() && self.disk.is_doomed() {
            let steps = self.random.pick(&[0, 40, 300, 3_000]);
            let steps = self.random.between(0, steps);
            self.doom = Some(Doom { durable: Some(Box::new(self.oracle.clone())), way: Way::Failure, steps });
        }
    }

    /// Perhaps this commit was the last one.
    fn tempt_fate(&mut self) {
        let is_due = self.plan.is_crashing && self.doom.is_none() && !self.disk.has_pending();
        if !is_due || !self.random.once_in(self.plan.commits_a_crash) {
            return;
        }
        let steps = self.random.pick(&[0, 3, 40, 300]);
        let steps = self.random.between(0, steps);
        match self.random.below(6) {
            0 => {
                self.disk.fail_next();
                self.expects_failure();
            }
            1 | 2 => {
                let way = Way::Torn { batches: self.random.between(1, 12) };
                self.doom = Some(Doom { durable: None, way, steps });
            }
            _ => {
                let durable = Some(Box::new(self.oracle.clone()));
                self.doom = Some(Doom { durable, way: Way::Crash, steps });
            }
        }
    }

    /// A batch has been handed over: it may be the last one that is written whole.
    pub(crate) fn seals(&mut self) {
        let Some(doom) = &mut self.doom else { return };
        let Way::Torn { batches } = &mut doom.way else { return };
        *batches = batches.saturating_sub(1);
        if *batches == 0 && doom.durable.is_none() {
            self.disk.seal();
            doom.durable = Some(Box::new(self.oracle.clone()));
        }
    }
}
