//! The Server, its Clients, and the rounds they go through.

use std::time::{Duration, Instant};

use dunlin_sim::random::Random;
use mio::{Events, Poll};

use super::{
    client::{Client, Mood, Stage},
    ledger::Ledger,
    power::Disk,
    retained::{Reader, Shelf},
    role,
    wills::GRACE,
};
use crate::support::server::{Options, Server};

/// How a round ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// `kill -9`.
    Kill,
    /// SIGTERM.
    Terminate,
    /// The machine loses its power: only what was synced is sure to be there.
    PowerCut,
}

/// What a run is like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) rounds: u32,
    /// The numbers of shards: the first at the beginning, at some restarts another of them.
    pub(crate) shards: Vec<usize>,
    pub(crate) ends: Vec<End>,
}

/// After so many rounds everything is drained and counted.
const ROUNDS_OF_A_CHAPTER: u32 = 20;

/// A graceful stop takes no longer.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The longest wait for what must come.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// Nothing more comes after so long a silence.
const SILENCE: Duration = Duration::from_millis(300);

/// Server, Clients, and the ledger between them.
pub(crate) struct World {
    plan: Plan,
    server: Server,
    /// The disk below the Server, if it may lose its power.
    disk: Option<Disk>,
    clients: Vec<Client>,
    ledger: Ledger,
    shelf: Shelf,
    random: Random,
    poll: Poll,
    started: Instant,
    mood: Mood,
    /// When something came last.
    last: Instant,
}

/// Plays a whole run, and fails with its seed if anything was not as promised.
pub(crate) fn play(plan: Plan) {
    let begin = Instant::now();
    println!("DUNLIN_CRASH_SEED={} plays {} rounds with {:?} shards", plan.seed, plan.rounds, plan.shards);
    let mut world = World::open(plan);
    world.begin();
    for round in 1..=world.plan.rounds {
        world.ledger.round = round;
        world.round();
        if round % ROUNDS_OF_A_CHAPTER == 0 || round == world.plan.rounds {
            world.drain();
        }
        world.check();
    }
    let totals = world.ledger.totals;
    println!(
        "{} rounds with {:?} shards in {:?}: {totals:?}",
        world.plan.rounds,
        world.plan.shards,
        begin.elapsed()
    );
}

impl World {
    fn open(plan: Plan) -> World {
        let config = format!("[mqtt]\nwill_grace_s = {}\n", GRACE.as_secs());
        let options = Options { shards: plan.shards[0], config: Some(config), ..Options::default() };
        let mut random = Random::new(plan.seed);
        let mut ledger = Ledger::new();
        let now = Instant::now();
        let mut server = Server::prepare(&options);
        let disk = plan.ends.contains(&End::PowerCut).then(|| Disk::new(server.folder()));
        if let Some(disk) = &disk {
            server.set_environment(disk.environment());
        }
        server.start_again();
        let clients = role::cast().into_iter().map(|role| Client::new(role, &mut ledger, now)).collect();
        World {
            random: random.fork(),
            server,
            disk,
            clients,
            ledger,
            shelf: Shelf::default(),
            poll: Poll::new().expect("the system has epoll"),
            started: now,
            mood: Mood::Begin,
            last: now,
            plan,
        }
    }

    /// Calls `each` with every Client.
    fn each(&mut self, mut each: impl FnMut(&mut Client, &mut Stage<'_>)) {
        let World { clients, ledger, shelf, random, poll, server, .. } = self;
        let mut stage = Stage {
            ledger,
            shelf,
            random,
            registry: poll.registry(),
            address: server.address(),
            now: Instant::now(),
            started: self.started,
            mood: self.mood,
            is_busy: false,
        };
        clients.iter_mut().for_each(|client| each(client, &mut stage));
        if stage.is_busy {
            self.last = stage.now;
        }
    }

    /// Waits a moment for something to come.
    fn wait(&mut self) {
        let mut events = Events::with_capacity(64);
        match self.poll.poll(&mut events, Some(Duration::from_millis(1))) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => panic!("epoll: {error}"),
            _ => {}
        }
    }

    /// Lets the Clients act until `is_done`, at most for `bound`; returns whether it came so far.
    fn run(&mut self, bound: Duration, mut is_done: impl FnMut(&mut World) -> bool) -> bool {
        let deadline = Instant::now() + bound;
        loop {
            self.each(Client::step);
            if is_done(self) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            self.wait();
        }
    }

    /// All connect and subscribe.
    fn begin(&mut self) {
        let has_begun = self.run(DRAIN_MAX, |world| world.clients.iter().all(Client::has_begun));
        if !has_begun {
            self.fault_unsettled("not all Clients are connected and subscribed");
        }
        self.check();
        self.mood = Mood::Run;
    }

    /// Traffic, and the end of the Server in the midst of it; then it is started again.
    fn round(&mut self) {
        let mut reader = None;
        if self.mood == Mood::Look {
            let now = Instant::now();
            reader = Some(Reader::start(self.server.address(), self.poll.registry(), now));
        }
        let time = Duration::from_millis(self.random.between(60, 1_200));
        self.run(time, |world| {
            if let Some(reading) = &mut reader
                && reading.step(&world.shelf, &mut world.ledger, Instant::now())
            {
                reader = None;
                world.mood = Mood::Run;
            }
            false
        });
        self.end();
        self.start_again();
        self.mood = Mood::Look;
    }

    fn end(&mut self) {
        let end = self.random.pick(&self.plan.ends);
        match end {
            End::Kill | End::PowerCut => self.server.kill(),
            End::Terminate => self.server.signal("TERM"),
        }
        let deadline = Instant::now() + STOP_MAX;
        loop {
            let mut is_read = true;
            self.each(|client, stage| is_read &= client.read_to_the_end(stage));
            if is_read {
                break;
            }
            assert!(Instant::now() < deadline, "{end:?}: the sockets are still open after {STOP_MAX:?}");
            self.wait();
        }
        if end == End::Terminate {
            let finished = self.server.await_end(deadline.saturating_duration_since(Instant::now()));
            if !finished.status.success() {
                let text = format!("after SIGTERM it ended with {}: {}", finished.status, finished.errors());
                self.ledger.fault(&text, None);
            }
        }
        self.each(|client, stage| client.server_ended(end != End::Terminate, stage));
        if end == End::PowerCut {
            self.cut_power();
        }
    }

    fn cut_power(&mut self) {
        if let Some(disk) = &self.disk {
            disk.cut_power(&mut self.random);
        }
    }

    fn start_again(&mut self) {
        if self.random.once_in(3) {
            self.server.set_shards(self.random.pick(&self.plan.shards));
        }
        if !self.plan.ends.contains(&End::Terminate) && self.random.once_in(6) {
            // Killed again while it starts.
            let mut program = self.server.launch();
            program.take_output_for(Duration::from_millis(self.random.between(1, 60)));
            drop(program);
            if self.random.once_in(2) {
                self.cut_power();
            }
        }
        self.started = Instant::now();
        self.server.start_again();
        self.each(|client, stage| client.server_started(stage));
    }

    /// All come back and finish what is under way; then everything is counted.
    fn drain(&mut self) {
        self.mood = Mood::Drain;
        let begin = Instant::now();
        let after_wills = self.started + GRACE + Duration::from_millis(1_500);
        let mut next = begin;
        let is_drained = self.run(DRAIN_MAX, |world| {
            let now = Instant::now();
            if now < next.max(world.last + SILENCE).max(after_wills) {
                return false;
            }
            next = now + Duration::from_millis(100);
            let mut is_settled = true;
            world.each(|client, stage| is_settled &= client.is_settled() && !client.awaits_will(stage));
            is_settled && world.ledger.missing().is_empty()
        });
        if !is_drained {
            self.fault_unsettled("not everything is finished");
        }
        self.ledger.reckon();
        self.ledger.close_accounts();
        self.mood = Mood::Run;
    }

    fn fault_unsettled(&mut self, text: &str) {
        let mut open = Vec::new();
        self.each(|client, stage| {
            if client.awaits_will(stage) {
                open.push(format!("{} waits for its Will to be sent", client.role.name));
            } else if !client.is_settled() {
                open.push(client.unsettled());
            }
        });
        self.ledger.fault(&format!("{text} after {DRAIN_MAX:?}:\n  {}", open.join("\n  ")), None);
    }

    /// Fails if anything went wrong so far.
    fn check(&mut self) {
        if self.ledger.faults.is_empty() {
            return;
        }
        let Plan { seed, shards, rounds, .. } = &self.plan;
        panic!(
            "DUNLIN_CRASH_SEED={seed} DUNLIN_CRASH_ROUNDS={rounds} with {shards:?} shards:\n\n{}\n\n{:?}",
            self.ledger.faults.join("\n\n"),
            self.ledger.totals
        );
    }
}
