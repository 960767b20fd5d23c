//! A run on several threads: all are brought up, start together, are watched, and end together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::ScopedJoinHandle;

use crate::bring_up::{Client, Up, bring_up};
use crate::clock::{MILLISECOND, SECOND, to_seconds};
use crate::failure::Failure;
use crate::job::{Job, Work};
use crate::measure::STRETCH_NS;
use crate::reactor::{Calls, Reactor, Route};
use crate::settings::make_room_for;
use crate::shared::{Shared, Stop, Totals};
use crate::watch::{Watch, Watched};

/// What came of a run.
pub(crate) struct Outcome<W> {
    pub(crate) works: Vec<W>,
    pub(crate) up: Up,
    pub(crate) watched: Watched,
    /// Seconds that were measured, and what was counted in them.
    pub(crate) seconds: f64,
    pub(crate) measured: Totals,
    pub(crate) calls: Calls,
    pub(crate) stop: Option<Stop>,
}

/// What one thread brings home.
struct Part<W> {
    work: W,
    up: Up,
    begin: Option<Mark>,
    finish: Option<Mark>,
}

/// One end of the measured time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    totals: Totals,
    calls: Calls,
}

/// How long messages that come too often or too late are looked for at the end.
const SURPLUS_NS: u64 = 100 * MILLISECOND;
/// How long a run that was interrupted waits for what is under way.
const PATIENCE_NS: u64 = SECOND;

/// Runs what `build` makes for each thread: its work and its Clients.
///
/// # Errors
/// The first failure of a thread before the start; limits of this machine.
pub(crate) fn run<W: Work>(
    job: &Job<'_>,
    build: impl Fn(usize, &Arc<Shared>) -> Result<(W, Vec<Client>), Failure>,
) -> Result<Outcome<W>, Failure> {
    let threads = job.settings.threads;
    let shared = Arc::new(Shared::new(threads));
    let parts: Vec<(W, Vec<Client>)> =
        (0..threads).map(|thread| build(thread, &shared)).collect::<Result<_, _>>()?;
    let connections = parts.iter().map(|(_, clients)| clients.len()).sum();
    make_room_for(connections)?;
    let (parts, watched) = std::thread::scope(|scope| {
        let mut handles: Vec<ScopedJoinHandle<'_, _>> = Vec::new();
        let mut failure = None;
        for (thread, (work, clients)) in parts.into_iter().enumerate() {
            let worker = Worker { job, shared: shared.clone(), thread };
            let builder = std::thread::Builder::new().name(format!("bench-{thread}"));
            match builder.spawn_scoped(scope, move || worker.run(work, &clients)) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    let text = format!(
                        "cannot start thread {thread} of {threads}: {error}; give fewer with --threads"
                    );
                    failure = Some(Failure::new(text));
                    shared.stop(Stop::Failed);
                    break;
                }
            }
        }
        let mut watch = Watch::new(job, &shared);
        watch.run(connections, || handles.iter().any(ScopedJoinHandle::is_finished));
        let join =
            |handle: ScopedJoinHandle<'_, _>| handle.join().expect("a thread of the run does not panic");
        let parts: Result<Vec<Part<W>>, Failure> = handles.into_iter().map(join).collect();
        match failure {
            Some(failure) => Err(failure),
            None => Ok((parts?, watch.finish())),
        }
    })?;
    gather(parts, watched, shared.stopped())
}

struct Worker<'a> {
    job: &'a Job<'a>,
    shared: Arc<Shared>,
    thread: usize,
}

impl Worker<'_> {
    fn run<W: Work>(&self, mut work: W, clients: &[Client]) -> Result<Part<W>, Failure> {
        let done = self.try_run(&mut work, clients);
        if done.is_err() {
            self.shared.stop(Stop::Failed);
        }
        self.shared.tell();
        let (up, begin, finish) = done?;
        Ok(Part { work, up, begin, finish })
    }

    fn try_run<W: Work>(
        &self,
        work: &mut W,
        clients: &[Client],
    ) -> Result<(Up, Option<Mark>, Option<Mark>), Failure> {
        let Job { settings, clock, .. } = self.job;
        let route = Route {
            server: settings.server,
            transport: settings.transport.clone(),
            sources: settings.sources.clone(),
            first: self.thread,
            step: settings.threads,
        };
        let of_system = |error| Failure::new(format!("the operating system gives no poller: {error}"));
        let mut reactor = Reactor::new(route, *clock).map_err(of_system)?;
        self.shared.mailbox(self.thread).set_waker(reactor.waker().map_err(of_system)?);
        reactor.keep_alive(settings.keep_alive_s);
        let up = bring_up(&mut reactor, settings, &self.shared, clients, 0, work)?;
        work.connected(&up);
        if up.keep_alive_s != settings.keep_alive_s {
            reactor.keep_alive(up.keep_alive_s);
        }
        let start = if up.is_complete { self.shared.await_start() } else { None };
        let Some(start) = start else { return Ok((up, None, None)) };
        work.begin(start);
        let mut driven = Driven { worker: self, start, begin: None, finish: None, is_done: false };
        driven.drive(work, &mut reactor);
        if work.says_goodbye() {
            reactor.leave_all();
        }
        Ok((up, driven.begin, driven.finish))
    }
}

/// The time after the start.
struct Driven<'a> {
    worker: &'a Worker<'a>,
    start: u64,
    begin: Option<Mark>,
    finish: Option<Mark>,
    /// Whether it was counted that this thread's publishers are done.
    is_done: bool,
}

impl Driven<'_> {
    fn drive<W: Work>(&mut self, work: &mut W, reactor: &mut Reactor) {
        let Job { times, .. } = self.worker.job;
        let warm = self.start + times.warm_up_ns;
        let end = warm + times.duration_ns;
        let mut next_sample = self.start;
        let is_exact = times.rate > 0.0;
        let mut over_at = None;
        while reactor.now() < self.start {
            reactor.round(work, self.start, true);
        }
        while over_at.is_none_or(|over_at| reactor.now() < over_at) {
            let now = reactor.now();
            if self.begin.is_none() && now >= warm {
                self.begin = Some(mark(work, reactor, now));
                work.measure(true);
                next_sample = now;
            }
            self.note_done(work, times.messages.is_some());
            if self.finish.is_none() && (now >= end || self.is_over()) {
                work.end(now);
                work.measure(false);
                self.finish = Some(mark(work, reactor, now));
                next_sample = now;
            }
            if now >= next_sample {
                self.sample(work);
                next_sample = if now < warm {
                    warm.min(now + STRETCH_NS)
                } else {
                    now + STRETCH_NS - (now - warm) % STRETCH_NS
                };
            }
            if over_at.is_none() {
                over_at = self.leaves_at(now);
            }
            let due = work.produce(reactor);
            let last = over_at.unwrap_or(if self.finish.is_some() { now + 5 * MILLISECOND } else { end });
            let first = if self.begin.is_none() { warm } else { last };
            reactor.round(work, due.min(next_sample).min(first).min(last), is_exact);
            work.after_round();
        }
        self.sample(work);
    }

    /// Whether the run is over before its time.
    fn is_over(&self) -> bool {
        let shared = &self.worker.shared;
        shared.stopped().is_some() || shared.busy.load(Ordering::Acquire) == 0
    }

    /// Counts, once, that this thread has nothing more to send and nothing under way.
    fn note_done<W: Work>(&mut self, work: &mut W, has_number: bool) {
        let may_be = self.finish.is_some() || has_number && work.has_enough();
        if !self.is_done && may_be && work.is_done() {
            self.is_done = true;
            let shared = &self.worker.shared;
            if shared.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
                shared.tell();
                (0..self.worker.job.settings.threads).for_each(|thread| shared.mailbox(thread).wake());
            }
        }
    }

    /// When this thread leaves, once it is known.
    fn leaves_at(&self, now: u64) -> Option<u64> {
        let finish = self.finish?;
        let shared = &self.worker.shared;
        match shared.stopped() {
            _ if shared.busy.load(Ordering::Acquire) == 0 => Some(now + SURPLUS_NS),
            None => None,
            Some(Stop::Interrupted) => Some(finish.at + PATIENCE_NS).filter(|at| *at <= now),
            Some(Stop::Stalled | Stop::Failed) => Some(now),
        }
    }

    fn sample<W: Work>(&self, work: &mut W) {
        let totals = work.totals();
        let mut sample = self.worker.shared.sample(self.worker.thread);
        sample.totals = totals;
        let latency = work.latency();
        sample.latency.add(&*latency).expect("all have the same bounds");
        latency.reset();
    }
}

fn mark<W: Work>(work: &W, reactor: &Reactor, at: u64) -> Mark {
    Mark { at, totals: work.totals(), calls: reactor.calls }
}

fn gather<W>(parts: Vec<Part<W>>, watched: Watched, stop: Option<Stop>) -> Result<Outcome<W>, Failure> {
    let mut up: Option<Up> = None;
    let mut measured = Totals::default();
    let mut calls = Calls::default();
    let mut longest = 0;
    let mut works = Vec::new();
    for part in parts {
        if let (Some(begin), Some(finish)) = (part.begin, part.finish) {
            longest = longest.max(finish.at.saturating_sub(begin.at));
            measured.sent += finish.totals.sent - begin.totals.sent;
            measured.received += finish.totals.received - begin.totals.received;
            measured.acknowledged += finish.totals.acknowledged - begin.totals.acknowledged;
            calls.reads += finish.calls.reads - begin.calls.reads;
            calls.writes += finish.calls.writes - begin.calls.writes;
        }
        works.push(part.work);
        match &mut up {
            Some(up) => up.merge(&part.up),
            None => up = Some(part.up),
        }
    }
    let up = up.ok_or_else(|| Failure::new("there are no threads"))?;
    Ok(Outcome { works, up, watched, seconds: to_seconds(longest), measured, calls, stop })
}

impl Up {
    /// Takes in what another thread has brought up at the same time.
    fn merge(&mut self, other: &Up) {
        self.connect_ns = self.connect_ns.max(other.connect_ns);
        self.ready_ns = self.ready_ns.max(other.ready_ns);
        self.connack.add(&other.connack).expect("all have the same bounds");
        self.connected += other.connected;
        self.receive_maximum = self.receive_maximum.min(other.receive_maximum);
        self.keep_alive_s = self.keep_alive_s.min(other.keep_alive_s);
        self.sessions_present += other.sessions_present;
        self.is_complete &= other.is_complete;
    }
}
