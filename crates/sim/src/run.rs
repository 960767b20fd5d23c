//! One run from one seed: rounds of life, each with a rest at its end, and a last day on which all is settled.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::BTreeSet,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use dunlin_broker::input::Input;
use dunlin_packet::{reason_code::ReasonCode, version::ProtocolVersion};

use crate::{
    doom::Way,
    faults::{Sabotage, Saboteur},
    network::LinkId,
    oracle::{
        tally::{MINIMUMS_OF_A_RUN, Tally},
        words::{Broken, Check, broken},
    },
    trace::Trace,
    workload::{choices, client::Client},
    world::World,
};

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Steps of the run, apart from rests.
    pub steps: u64,
    /// What the broker does wrong on purpose, and once in how many chances.
    pub sabotage: Option<(Sabotage, u64)>,
    /// Whether lines are kept for a person.
    pub is_telling: bool,
    /// Whether every durable Server crashes now and then, and not only every other one.
    pub is_crashing: bool,
    /// This operation of the disk fails; only a durable Server has one.
    pub fails_at: Option<u64>,
}

/// Steps of a run of the usual length.
pub const STEPS: u64 = 30_000;

impl Options {
    /// A run of the usual length of a broker that nobody spoils.
    #[must_use]
    pub const fn new() -> Self {
        Self { steps: STEPS, sabotage: None, is_telling: false, is_crashing: false, fails_at: None }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The promise that was broken, if any.
    pub failure: Option<Broken>,
    /// What was exercised.
    pub tally: Tally,
    /// All that passed the broker's face.
    pub trace: Trace,
    /// The conditions, in words.
    pub conditions: String,
    /// How often the broker did wrong on purpose.
    pub deeds: u64,
    /// Commits and readings of the disk, if the Server has one.
    pub operations: u64,
}

/// Runs `seed`. A panic is a failure like any other.
#[must_use]
pub fn run(seed: u64, options: Options) -> Report {
    let trace = if options.is_telling { Trace::telling() } else { Trace::silent() };
    let mut world = World::new(seed, options.steps, trace);
    world.plan.is_crashing |= options.is_crashing && world.plan.settings.is_durable;
    if let Some(operation) = options.fails_at.filter(|_| world.plan.settings.is_durable) {
        world.disk.fail_at(operation);
    }
    world.saboteur = options.sabotage.map(|(sabotage, times)| Saboteur::new(sabotage, times, seed));
    let outcome = caught(|| world.live(options.steps));
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some(*broken),
        Err(panicked) => Some(panic_in_words(&*panicked)),
    };
    let tally = world.oracle.tally.clone();
    let failure = failure.or_else(|| too_quiet(&tally, options.steps));
    let plan = world.plan();
    let conditions = format!("{} shards, {} Clients, {:?}", plan.shards, plan.clients, plan.settings);
    let deeds = world.saboteur.as_ref().map_or(0, |saboteur| saboteur.deeds);
    let operations = if world.plan.settings.is_durable { world.disk.operations() } else { 0 };
    Report { seed, failure, tally, trace: world.trace, conditions, deeds, operations }
}

/// A run in which nothing happened proves nothing.
fn too_quiet(tally: &Tally, steps: u64) -> Option<Broken> {
    let short = tally.shortfalls(MINIMUMS_OF_A_RUN);
    if short.is_empty() || steps < STEPS {
        return None;
    }
    Some(Broken {
        promise: format!("too little happened: {}", short.join(", ")),
        clause: "none",
        about: Vec::new(),
    })
}

thread_local! {
    static IS_RUNNING: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Calls `live`; what it panics with is kept, with the place, and not printed.
fn caught<T>(live: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let printing = panic::take_hook();
        panic::set_hook(Box::new(move |info| match IS_RUNNING.get() {
            true => LAST_PANIC.with_borrow_mut(|last| *last = info.to_string()),
            false => printing(info),
        }));
    });
    IS_RUNNING.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(live));
    IS_RUNNING.set(false);
    outcome
}

fn panic_in_words(panicked: &(dyn Any + Send)) -> Broken {
    let text = panicked.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panicked.downcast_ref::<String>().cloned()).unwrap_or_default();
    let last = LAST_PANIC.with_borrow(Clone::clone);
    let promise = if last.contains(&text) { last } else { text };
    Broken {
        promise: format!("the broker or the simulation panics: {promise}"),
        clause: "none",
        about: Vec::new(),
    }
}

impl World {
    /// Lives through the whole run.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn live(&mut self, steps: u64) -> Check {
        let mut left = steps;
        self.expects_failure();
        for _ in 0..self.plan.rounds {
            let steps = self.plan.steps_a_round.min(left);
            left -= steps;
            for _ in 0..steps {
                self.step()?;
            }
            self.rest()?;
            let ms = self.random.below(self.plan.leap_ms * 3);
            self.pass(ms);
        }
        self.last_day()
    }

    /// Everything under way arrives and is answered; then nothing may be owed.
    fn rest(&mut self) -> Check {
        while self.doom.is_some() {
            self.rest_without_disk()?;
            self.crash()?;
            self.settle()?;
        }
        self.settle()?;
        if self.doom.is_some() {
            return self.rest();
        }
        let resting = self.resting();
        self.check_lobby(&resting)?;
        self.oracle.rests(&resting)?;
        for (index, desk) in self.desks.iter().enumerate() {
            self.oracle.checks_timeout(index, desk.next_timeout())?;
            self.oracle.checks_census(index, &desk.shard.census(), &resting)?;
        }
        match &self.disk.left_overs()[..] {
            [] => Ok(()),
            left => broken("4.1", format!("left on the disk: {}", left.join(", ")), &[]),
        }
    }

    /// If the disk is to fail it fails now. What needs no disk goes on: then nothing of that may be owed.
    fn rest_without_disk(&mut self) -> Check {
        if !self.doom.as_ref().is_some_and(|doom| doom.way == Way::Failure) {
            return Ok(());
        }
        self.commit()?;
        if !self.disk.has_failed() {
            return Ok(());
        }
        self.settle()?;
        let resting = self.resting();
        self.check_lobby(&resting)?;
        self.oracle.tally.count("rests without disk");
        self.oracle.rests(&resting)
    }

    /// The connections whose Clients answer everything.
    fn resting(&self) -> BTreeSet<LinkId> {
        let clients = self.clients.iter().filter_map(|client| Some(client.attached.as_ref()?.link));
        clients.chain(self.rogues.iter().copied()).collect()
    }

    fn check_lobby(&self, resting: &BTreeSet<LinkId>) -> Check {
        if let Some(link) = self.lobby.guests().find(|link| resting.contains(link)) {
            return broken(
                "MQTT-3.1.4-1",
                format!("{link} waits in the lobby for ever"),
                &[&link.to_string()],
            );
        }
        Ok(())
    }

    /// Lets everything happen that can happen without anybody doing anything new.
    fn settle(&mut self) -> Check {
        for pass in 0..PASSES_MAX {
            if pass % 4 == 3 {
                self.pass(1);
            }
            self.welcome();
            let mut has_moved = false;
            for link in self.lobby.ready(&self.network) {
                has_moved = true;
                self.lobby_step(link)?;
            }
            for index in self.ready_desks() {
                has_moved = true;
                self.turn(index, 40)?;
            }
            if self.disk.has_pending() {
                has_moved = true;
                self.commit()?;
            }
            for index in 0..self.clients.len() {
                has_moved |= self.client_reads(index, 1 << 20)?;
                has_moved |= self.with_client(index, |client, scene| {
                    let has_answers =
                        client.attached.as_ref().is_some_and(|attached| !attached.answers.is_empty());
                    client.send_answers(scene, usize::MAX);
                    has_answers
                });
            }
            self.rogues_read();
            if !has_moved {
                return Ok(());
            }
        }
        broken("none", "the world does not come to rest".to_owned(), &[])
    }

    /// Everybody comes back and gets what waits; then everybody leaves for good, and nothing is left.
    fn last_day(&mut self) -> Check {
        self.disk.make_room();
        self.tell_storage();
        self.reveal_all();
        self.settle()?;
        for index in 0..self.clients.len() {
            if self.clients[index].attached.is_none() {
                self.with_client(index, |client, scene| client.connect(scene, false));
            }
        }
        self.rest()?;
        let judge = self.call_judge();
        self.rest()?;
        if self.random.once_in(6) {
            return self.stop();
        }
        // If the Server crashes meanwhile, some of it has to be done again.
        loop {
            let crashes = self.oracle.tally.of("crashes");
            self.end_all(judge)?;
            if self.oracle.tally.of("crashes") == crashes {
                return self.take_census();
            }
        }
    }

    /// The judge ends all Sessions, and all Retained Messages.
    fn end_all(&mut self, judge: usize) -> Check {
        if self.clients[judge].attached.is_none() {
            self.with_client(judge, |judge, scene| judge.connect(scene, true));
            self.rest()?;
        }
        self.sweep(judge)?;
        self.with_client(judge, |judge, scene| judge.clear_retained(scene));
        self.rest()?;
        self.with_client(judge, |judge, scene| {
            judge.disconnect(scene, ReasonCode::NORMAL_DISCONNECTION, None)
        });
        self.rest()
    }

    fn reveal_all(&mut self) {
        for link in self.network.silent() {
            self.network.reveal(link);
        }
    }

    /// Somebody new who subscribes to everything. Returns its place.
    fn call_judge(&mut self) -> usize {
        let mut judge = Client::new(0, &mut self.random, &self.plan);
        judge.make_plain("judge");
        self.clients.push(judge);
        let index = self.clients.len() - 1;
        self.with_client(index, |judge, scene| {
            judge.connect(scene, true);
            // Clients need not wait for CONNACK (3.1.4), but this one is to know what is allowed.
        });
        index
    }

    /// Ends all Sessions but that of the judge.
    fn sweep(&mut self, judge: usize) -> Check {
        self.with_client(judge, |judge, scene| judge.subscribe_to_all(scene));
        self.rest()?;
        for index in (0..self.clients.len()).filter(|&index| index != judge) {
            self.with_client(index, Client::cut);
        }
        self.rest()?;
        for name in self.oracle.living_clients() {
            if name == "judge" {
                continue;
            }
            let mut heir = Client::new(0, &mut self.random, &self.plan);
            heir.make_plain(&name);
            self.clients.push(heir);
            let index = self.clients.len() - 1;
            self.with_client(index, |heir, scene| heir.connect(scene, true));
        }
        self.rest()?;
        for index in (0..self.clients.len()).filter(|&index| index != judge) {
            self.with_client(index, |client, scene| {
                client.disconnect(scene, ReasonCode::NORMAL_DISCONNECTION, None);
            });
        }
        self.rest()
    }

    /// All Sessions have ended and no topic has a Retained Message: the broker holds nothing.
    fn take_census(&mut self) -> Check {
        for (index, desk) in self.desks.iter().enumerate() {
            let census = desk.shard.census();
            if census != dunlin_broker::inspect::Census::default() {
                let promise = format!("all Sessions are over, but shard {index} holds {census:?}");
                return broken("MQTT-4.1.0-2", promise, &[]);
            }
        }
        match &self.disk.names(self.has_stray_bodies)[..] {
            [] => Ok(()),
            left => broken("MQTT-4.1.0-2", format!("all is over, but there are {}", left.join(", ")), &[]),
        }
    }

    /// The Server shuts down: all Clients are told and disconnected.
    fn stop(&mut self) -> Check {
        self.oracle.stops();
        self.oracle.tally.count("shutdowns");
        for index in 0..self.desks.len() {
            self.oracle.begins_call(self.now_ms);
            self.trace.note(|| format!("shard {index} < Stop"));
            self.call(index, Input::Stop, None)?;
        }
        self.settle()?;
        let open = self.desks.iter().map(|desk| desk.shard.census().connections).sum::<usize>();
        if open > 0 {
            return broken("3.14", format!("{open} connections are open after Stop"), &[]);
        }
        Ok(())
    }
}

impl Client {
    /// Makes it one of no peculiarities, with this name.
    fn make_plain(&mut self, id: &str) {
        id.clone_into(&mut self.id);
        self.version = ProtocolVersion::V5_0;
        self.character.is_persistent = false;
        self.character.keep_alive_s = 0;
        self.character.receive_maximum = None;
        self.character.maximum_packet_size = None;
        self.character.is_slow = false;
        self.character.is_sharer = false;
        self.character.has_ids = false;
        self.character.is_fickle = false;
    }

    fn subscribe_to_all(&mut self, scene: &mut crate::workload::client::Scene<'_>) {
        if scene.plan.settings.wildcard_subscription_available {
            self.subscribe_to(scene, &["#", "$d/#"]);
        } else {
            self.subscribe_to(scene, choices::TOPICS);
        }
    }

    /// Takes the Retained Message of each topic away.
    fn clear_retained(&mut self, scene: &mut crate::workload::client::Scene<'_>) {
        for topic in scene.oracle.retained_topics() {
            self.publish_empty(scene, &topic);
        }
    }
}

/// Passes over everything in which the world must come to rest.
const PASSES_MAX: u32 = 20_000;
