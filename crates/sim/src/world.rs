//! The world around the broker: shards with mailboxes, a clock, a lobby, a network, and Clients.

use std::{collections::BTreeSet, sync::Arc};

use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::{Arrival, Cause, ConnectRequest, Input, Storage},
    routing::{interest::Interest, interests::Interests},
    slot::home_of,
};
use dunlin_protocol::time::Instant;

use crate::{
    describe,
    desk::{Desk, Task},
    disk::{Disk, Report},
    doom::Doom,
    faults::Saboteur,
    lobby::{self, Lobby, Outcome},
    network::{End, LinkId, Network},
    oracle::{
        state::{Emission, Oracle},
        words::{Check, broken},
    },
    plan::Plan,
    random::Random,
    trace::Trace,
    workload::{
        client::{Client, Scene},
        rogue,
    },
};

/// Everything there is in one run.
#[derive(Debug)]
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) now_ms: u64,
    pub(crate) began_ms: u64,
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) oracle: Oracle,
    pub(crate) network: Network,
    pub(crate) lobby: Lobby,
    pub(crate) desks: Vec<Desk>,
    pub(crate) disk: Disk,
    pub(crate) doom: Option<Doom>,
    /// What the shards were told of the disk.
    pub(crate) told: Storage,
    /// A change of the number of shards was cut short and taken back.
    pub(crate) has_stray_bodies: bool,
    /// When the Server was last noted to run, in milliseconds of virtual time.
    pub(crate) alive_ms: u64,
    pub(crate) clients: Vec<Client>,
    pub(crate) rogues: BTreeSet<LinkId>,
    pub(crate) last_number: u64,
    /// Does wrong, if the oracle is to be tried.
    pub saboteur: Option<Saboteur>,
}

impl World {
    /// The world that `seed` makes, for a run of about `steps` steps.
    #[must_use]
    pub fn new(seed: u64, steps: u64, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::new(&mut random.fork(), steps);
        let desks = Self::fresh_desks(&plan, &mut random);
        let mut oracle = Oracle::new(Arc::clone(&plan.settings), plan.shards);
        oracle.kept = desks.first().map(|desk| Arc::clone(&desk.kept));
        let clients = (0..plan.clients).map(|number| Client::new(number, &mut random, &plan)).collect();
        let now_ms = 1_700_000_000_000 + random.below(1 << 36);
        let disk = Disk::with_faults(plan.faults.clone());
        Self {
            plan,
            now_ms,
            began_ms: now_ms,
            random,
            trace,
            oracle,
            network: Network::default(),
            lobby: Lobby::default(),
            desks,
            disk,
            doom: None,
            told: Storage::Ready,
            has_stray_bodies: false,
            alive_ms: now_ms,
            clients,
            rogues: BTreeSet::new(),
            last_number: 0,
            saboteur: None,
        }
    }

    pub(crate) fn fresh_desks(plan: &Plan, random: &mut Random) -> Vec<Desk> {
        // In a small table heads share places: shards are asked in vain.
        let words = random.pick(&[64, Interest::WORDS]);
        let interests = Interests::with_seed(words, plan.shards as u8, random.bits());
        (0..plan.shards).map(|index| Desk::new(index, plan.shards, &plan.settings, &interests)).collect()
    }

    /// The conditions of this run.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What was noted.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The oracle.
    #[must_use]
    pub fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// One small thing happens.
    ///
    /// # Errors
    /// The promise that the broker broke by it.
    pub fn step(&mut self) -> Check {
        match self.random.weighted(&self.plan.weights) {
            0 => {
                let ready: Vec<usize> = self.ready_desks();
                if !ready.is_empty() {
                    let index = self.random.pick(&ready);
                    self.turn(index, self.plan.inputs_a_turn)?;
                }
            }
            1 => {
                let ready = self.lobby.ready(&self.network);
                if !ready.is_empty() {
                    let link = self.random.pick(&ready);
                    self.lobby_step(link)?;
                }
            }
            2 => self.some_client_reads()?,
            3 => self.somebody_acts(),
            4 => self.network_fails(),
            5 => self.commit_or_not()?,
            _ => self.time_passes(),
        }
        self.meets_doom()
    }

    /// Shards that can do something.
    #[must_use]
    pub fn ready_desks(&self) -> Vec<usize> {
        let indices = 0..self.desks.len();
        indices.filter(|&index| self.desks[index].is_ready(self.now_ms, &self.network)).collect()
    }

    /// Lets `ms` milliseconds pass.
    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        if self.doom.is_none() && self.now_ms - self.alive_ms >= ALIVE_MS {
            self.alive_ms = self.now_ms;
        }
        for index in 0..self.clients.len() {
            self.with_client(index, Client::keep_alive);
        }
    }

    fn time_passes(&mut self) {
        let ms = match self.random.once_in(60) {
            true => self.random.between(1, self.plan.leap_ms),
            false => self.random.between(0, self.plan.small_time_ms),
        };
        self.pass(ms);
    }

    fn network_fails(&mut self) {
        let silent = self.network.silent();
        if !silent.is_empty() && self.random.once_in(2) {
            let link = self.random.pick(&silent);
            self.network.reveal(link);
        }
    }

    fn somebody_acts(&mut self) {
        if self.random.once_in(50) {
            let link = self.with_scene(rogue::spawn);
            self.rogues.insert(link);
        } else {
            let index = self.random.index(self.clients.len());
            self.with_client(index, Client::act);
        }
        self.welcome();
    }

    /// New connections go to the lobby.
    pub(crate) fn welcome(&mut self) {
        for link in self.network.take_fresh() {
            self.lobby.enter(link, &self.plan.settings, &mut self.random);
        }
    }

    fn some_client_reads(&mut self) -> Check {
        let index = self.random.index(self.clients.len());
        let is_slow = self.clients[index].character.is_slow;
        let max = match is_slow || self.random.once_in(4) {
            true => self.random.between(1, 60),
            false => 1 << 20,
        };
        self.client_reads(index, max as usize)?;
        self.rogues_read();
        Ok(())
    }

    /// A Client reads; returns whether there was anything.
    pub(crate) fn client_reads(&mut self, index: usize, max: usize) -> Check<bool> {
        let Some(link) = self.clients[index].attached.as_ref().map(|attached| attached.link) else {
            return Ok(false);
        };
        if !self.network.has_mail(link) {
            return Ok(false);
        }
        self.oracle.tick();
        self.trace.at(self.oracle.moment().tick, self.now_ms - self.began_ms);
        let mut outcome = Ok(());
        self.with_client(index, |client, scene| outcome = client.read(scene, max));
        outcome.map(|()| true)
    }

    /// Rogues read and do not care.
    pub(crate) fn rogues_read(&mut self) {
        let network = &mut self.network;
        self.rogues.retain(|&link| network.receive(link, 1 << 20).1.is_none());
    }

    pub(crate) fn with_client<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Client, &mut Scene<'_>) -> T,
    ) -> T {
        let mut scene = Scene {
            random: &mut self.random,
            network: &mut self.network,
            oracle: &mut self.oracle,
            trace: &mut self.trace,
            plan: &self.plan,
            now_ms: self.now_ms,
            last_number: &mut self.last_number,
        };
        act(&mut self.clients[index], &mut scene)
    }

    fn with_scene<T>(&mut self, act: impl FnOnce(&mut Scene<'_>) -> T) -> T {
        let mut scene = Scene {
            random: &mut self.random,
            network: &mut self.network,
            oracle: &mut self.oracle,
            trace: &mut self.trace,
            plan: &self.plan,
            now_ms: self.now_ms,
            last_number: &mut self.last_number,
        };
        act(&mut scene)
    }

    /// The lobby does one thing for a connection.
    pub(crate) fn lobby_step(&mut self, link: LinkId) -> Check {
        match self.lobby.step(link, &mut self.network, &mut self.random) {
            Outcome::Waits => Ok(()),
            Outcome::Gone => {
                self.oracle.gives_up(link);
                Ok(())
            }
            Outcome::Refused(bytes) => {
                self.trace.mix_bytes(&bytes);
                self.trace.note(|| format!("lobby refuses {link}: {bytes:02x?}"));
                self.oracle.refused(link, &bytes)
            }
            Outcome::Welcome { request, unread } => {
                let home = home_of(&request.client_id, self.desks.len() as u8).index();
                self.desks[home].arrivals.push_back((link, request, unread));
                Ok(())
            }
        }
    }

    /// A shard handles at most `inputs_max` inputs, then sends what it has to send.
    pub(crate) fn turn(&mut self, index: usize, inputs_max: u64) -> Check {
        for _ in 0..self.random.between(1, inputs_max) {
            let tasks = self.desks[index].tasks(self.now_ms, &self.network);
            if tasks.is_empty() {
                break;
            }
            let task = self.random.pick(&tasks);
            self.perform(index, task)?;
        }
        self.flush(index)
    }

    fn perform(&mut self, index: usize, task: Task) -> Check {
        self.oracle.begins_call(self.now_ms);
        self.trace.at(self.oracle.moment().tick, self.now_ms - self.began_ms);
        self.trace.mix(index as u64);
        self.trace.mix(self.now_ms);
        match task {
            Task::Mail => self.deliver_mail(index),
            Task::Report => self.report(index),
            Task::Arrival => self.let_in(index),
            Task::Bytes(id) => self.pass_bytes(index, id),
            Task::Gone(id) => self.tell_gone(index, id),
            Task::Drained(id) => {
                self.seat(index, id).is_drained = false;
                self.call(index, Input::Drained { connection: id }, None)
            }
            Task::Answer => {
                let Some((link, id, data)) = self.desks[index].questions.pop_front() else { return Ok(()) };
                if self.desks[index].seats.get(&id).is_none_or(|seat| seat.link != link || seat.is_closing) {
                    return Ok(());
                }
                self.call(index, Input::Authenticated { connection: id, decision: lobby::echo(&data) }, None)
            }
            Task::Timeout => self.tell_time(index),
        }
    }

    fn seat(&mut self, index: usize, id: ConnectionId) -> &mut crate::desk::Seat {
        self.desks[index].seats.get_mut(&id).expect("tasks name sockets that are there")
    }

    fn deliver_mail(&mut self, index: usize) -> Check {
        let Some((from, mail)) = self.desks[index].inbox.pop_front() else { return Ok(()) };
        self.desks[index].handled += 1;
        self.trace.note(|| format!("shard {index} < shard {}: {mail:?}", from.0));
        self.call(index, Input::Routed { from, mail }, None)?;
        self.oracle.handled_mail(index, self.desks[index].handled);
        Ok(())
    }

    fn report(&mut self, index: usize) -> Check {
        let Some(report) = self.desks[index].reports.pop_front() else { return Ok(()) };
        self.trace.note(|| format!("shard {index} < {report:?}"));
        let input = match report {
            Report::Committed { number } => Input::Committed { batch: number },
            Report::Page(page) => Input::Page(page),
            Report::State(storage) => {
                self.oracle.storage_is(index, storage);
                self.call(index, Input::Storage(storage), None)?;
                return self.oracle.has_heard_of_storage(index);
            }
        };
        self.call(index, input, None)
    }

    fn let_in(&mut self, index: usize) -> Check {
        let Some((link, request, mut unread)) = self.desks[index].arrivals.pop_front() else { return Ok(()) };
        if self.random.once_in(2) {
            self.hear_out(index, &request.client_id)?;
        }
        if self.oracle.is_short(index) {
            self.network.give_back(link, &std::mem::take(&mut unread));
        }
        let request: ConnectRequest = *request;
        let (version, client_id) = (request.version, request.client_id.clone());
        let id = self.desks[index].seat(link, version);
        self.oracle.arrives(link, index, &client_id, &unread)?;
        self.trace.note(|| {
            let unread = describe::packets(version, &unread);
            format!("shard {index} < {client_id} arrives on {link}, clean {}: {unread}", request.clean_start)
        });
        let arrival = Arrival { connection: id, request, unread };
        self.call(index, Input::Arrived(Box::new(arrival)), Some(link))
    }

    /// What came on the old connection of a Client is read before the new one is let in; what comes later is lost.
    fn hear_out(&mut self, index: usize, client_id: &str) -> Check {
        let Some(old) = self.desks[index].shard.connection_of(client_id) else { return Ok(()) };
        while self.desks[index]
            .seats
            .get(&old)
            .is_some_and(|seat| !seat.is_closing && !seat.has_left && self.network.unread(seat.link) > 0)
        {
            self.pass_bytes(index, old)?;
            self.oracle.begins_call(self.now_ms);
        }
        Ok(())
    }

    fn pass_bytes(&mut self, index: usize, id: ConnectionId) -> Check {
        let link = self.seat(index, id).link;
        let max = match self.random.once_in(4) {
            true => self.random.between(1, 30),
            false => 1 << 20,
        };
        // Where messages may be refused, packets come one by one: then it is known which, and what comes behind.
        let max = match self.oracle.is_short(index) {
            true => self.oracle.to_next_packet(link, self.network.peek(link)).min(max as usize),
            false => max as usize,
        };
        let bytes = self.network.read(link, max);
        self.trace.mix_bytes(&bytes);
        if self.trace.is_telling() {
            let version = self.seat(index, id).version;
            let words = self.oracle.in_words(link, version, &bytes);
            self.trace.note(|| format!("shard {index} < {words}"));
        }
        self.oracle.receives(link, &bytes)?;
        self.call(index, Input::Received { connection: id, bytes: &bytes }, None)
    }

    fn tell_gone(&mut self, index: usize, id: ConnectionId) -> Check {
        let seat = self.seat(index, id);
        seat.has_left = true;
        let link = seat.link;
        let cause = self.random.pick(&[Cause::Closed, Cause::Failed, Cause::Panicked]);
        self.trace.note(|| format!("shard {index} < {link} is gone"));
        self.oracle.leaves(link);
        self.call(index, Input::Left { connection: id, cause }, None)
    }

    fn tell_time(&mut self, index: usize) -> Check {
        self.trace.note(|| format!("shard {index} < Timeout"));
        self.oracle.times_out(index);
        self.call(index, Input::Timeout, None)?;
        match self.desks[index].next_timeout() {
            Some(next) if next <= self.now_ms => {
                let promise =
                    format!("after Timeout at {} shard {index} wants another at {next}", self.now_ms);
                broken("none", promise, &[])
            }
            _ => Ok(()),
        }
    }

    /// Calls the broker and shows the oracle what comes of it.
    pub(crate) fn call(&mut self, index: usize, input: Input<'_>, arrived: Option<LinkId>) -> Check {
        let desk = &mut self.desks[index];
        let full = desk.shard.counters().dropped_queue_full;
        desk.shard.handle(Instant::from_ms(self.now_ms), input, &mut desk.outbox);
        if desk.shard.counters().dropped_queue_full > full {
            self.oracle.sees_full_queue(index);
        }
        let mut emission = Emission { arrived, ..Emission::default() };
        for id in std::mem::take(&mut desk.outbox.closings) {
            let Some(seat) = desk.seats.get_mut(&id) else {
                return broken("none", format!("the broker closes {id:?}, which is not open"), &[]);
            };
            seat.is_closing = true;
            emission.closings.push(seat.link);
        }
        for question in std::mem::take(&mut desk.outbox.authentications) {
            if let Some(seat) = desk.seats.get(&question.connection) {
                desk.questions.push_back((seat.link, question.connection, question.data));
            }
        }
        let seats: Vec<_> = desk.seats.iter().map(|(&id, seat)| (id, seat.seen)).collect();
        for (id, seen) in seats {
            let new = desk.unseen(id, seen);
            let Some(seat) = desk.seats.get_mut(&id).filter(|_| !new.is_empty()) else { continue };
            let bytes = match &mut self.saboteur {
                Some(saboteur) => {
                    let bytes = saboteur.tamper(seat.link, seat.version, &new);
                    let buffer = desk.outbox.buffer(id);
                    buffer.truncate(buffer.len() - new.len());
                    buffer.extend_from_slice(&bytes);
                    bytes
                }
                None => new,
            };
            seat.seen += bytes.len();
            emission.outputs.push((seat.link, bytes));
        }
        self.show(index, &emission)
    }

    fn show(&mut self, index: usize, emission: &Emission) -> Check {
        for (link, bytes) in &emission.outputs {
            self.trace.mix(u64::from(link.0));
            self.trace.mix_bytes(bytes);
            if self.trace.is_telling() {
                let words = self.oracle.out_words(*link, bytes);
                self.trace.note(|| format!("shard {index} > {words}"));
            }
        }
        for link in &emission.closings {
            self.trace.note(|| format!("shard {index} > closes {link}"));
        }
        self.oracle.emits(emission)?;
        let desk = &self.desks[index];
        for (&id, seat) in &desk.seats {
            self.oracle.sees_backlog(seat.link, desk.outbox.backlog(id));
        }
        Ok(())
    }

    /// The shard's turn ends: mail leaves, sockets are written, closed ones are closed.
    pub(crate) fn flush(&mut self, index: usize) -> Check {
        let has_batch = self.disk.take(ShardId(index as u8), &mut self.desks[index].outbox);
        if let Some(saboteur) = &mut self.saboteur {
            let taken = self.disk.lose(ShardId(index as u8), |key| saboteur.loses_record(key));
            let early = taken.filter(|_| saboteur.acknowledges_early());
            let reports = early.map(|number| Report::Committed { number });
            self.desks[index].reports.extend(reports);
        }
        self.post(index);
        let mut dirty = Vec::new();
        self.desks[index].outbox.take_dirty(&mut dirty);
        let ids: Vec<ConnectionId> = self.desks[index].seats.keys().copied().collect();
        for id in ids {
            self.write(index, id);
            self.close_if_done(index, id);
        }
        if self.desks.iter().all(|desk| desk.inbox.is_empty()) {
            self.oracle.is_quiet();
        }
        if has_batch {
            self.seals();
        }
        Ok(())
    }

    fn post(&mut self, index: usize) {
        let mut saboteur = self.saboteur.take();
        let (before, rest) = self.desks.split_at_mut(index);
        let Some((desk, after)) = rest.split_first_mut() else { return };
        let mut peers: Vec<Option<&mut Desk>> = before.iter_mut().map(Some).collect();
        peers.push(None);
        peers.extend(after.iter_mut().map(Some));
        desk.post(index, &mut peers, |mail| saboteur.as_mut().is_some_and(|saboteur| saboteur.loses(mail)));
        self.saboteur = saboteur;
        let sent: Vec<u64> = self.desks.iter().map(|desk| desk.sent).collect();
        self.oracle.flushed(index, &sent);
    }

    /// The socket takes what it can.
    fn write(&mut self, index: usize, id: ConnectionId) {
        let desk = &mut self.desks[index];
        let Some(seat) = desk.seats.get_mut(&id) else { return };
        let pending = desk.outbox.pending(id);
        let count = pending.len().min(self.network.room(seat.link));
        if count == 0 {
            return;
        }
        self.network.write(seat.link, &pending[..count]);
        self.oracle.is_heard(seat.link);
        seat.seen -= count;
        if desk.outbox.consume(id, count) && desk.outbox.wants_drained(id) {
            seat.is_drained = true;
        }
    }

    /// Closes what the broker has ended, once its bytes are out or lost, and what is gone.
    fn close_if_done(&mut self, index: usize, id: ConnectionId) {
        let desk = &mut self.desks[index];
        let Some(seat) = desk.seats.get(&id) else { return };
        let is_written = desk.outbox.backlog(id) == 0;
        let is_given_up = seat.is_closing && !is_written && self.random.once_in(8);
        let is_done = seat.has_left || is_given_up || seat.is_closing && is_written;
        if !is_done {
            return;
        }
        let end = if is_given_up || self.random.once_in(12) { End::Reset } else { End::Closed };
        if let Some(seat) = desk.unseat(id) {
            self.network.shut(seat.link, end, &mut self.random);
        }
    }
}

/// How often it is noted that the Server runs, in milliseconds.
pub(crate) const ALIVE_MS: u64 = 30_000;
