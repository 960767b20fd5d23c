//! The thread that watches a run: it takes samples, looks at the processes, shows progress, and ends what stalls.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::{MILLISECOND, to_seconds};
use crate::job::Job;
use crate::measure::{Percentiles, STRETCH_NS, Timeline};
use crate::process::Snapshot;
use crate::shared::{Shared, Stop, Totals, histogram};

/// What was seen from outside.
pub(crate) struct Watched {
    pub(crate) latency: Histogram<u64>,
    pub(crate) timeline: Timeline,
    /// The Server before the connections, and this program and the Server at both ends of the measured time.
    pub(crate) server_before: Option<Snapshot>,
    pub(crate) server_after: Option<Snapshot>,
    pub(crate) server: Option<(Snapshot, Snapshot)>,
    pub(crate) bench: Option<(Snapshot, Snapshot)>,
    /// The end of the warm-up came, so that something was measured.
    pub(crate) has_begun: bool,
}

/// Samples are collected a moment after the threads have made them.
const MOMENT_NS: u64 = 10 * MILLISECOND;

/// The watching thread's view of a run.
pub(crate) struct Watch<'a> {
    job: &'a Job<'a>,
    shared: &'a Shared,
    watched: Watched,
    begin: Option<[Option<Snapshot>; 2]>,
    end: Option<[Option<Snapshot>; 2]>,
    /// Sums at the end of the warm-up.
    base: Option<Totals>,
    /// The measured time is over, and all of it is in the timeline.
    is_closed: bool,
    totals: Totals,
    /// What moved last, and when.
    moved: (u64, u64),
    shown: Shown,
}

/// What was on the screen last.
struct Shown {
    at: u64,
    totals: Totals,
    latency: Histogram<u64>,
}

impl<'a> Watch<'a> {
    /// Begins to watch, before there are connections.
    pub(crate) fn new(job: &'a Job<'a>, shared: &'a Shared) -> Self {
        let now = job.clock.now();
        let watched = Watched {
            latency: histogram(),
            timeline: Timeline::new(),
            server_before: job.server_pid.and_then(Snapshot::take),
            server_after: None,
            server: None,
            bench: None,
            has_begun: false,
        };
        Self {
            job,
            shared,
            watched,
            begin: None,
            end: None,
            base: None,
            is_closed: false,
            totals: Totals::default(),
            moved: (0, now),
            shown: Shown { at: now, totals: Totals::default(), latency: histogram() },
        }
    }

    /// Watches from the first of `connections` until a thread has ended, of which `is_ended` tells.
    pub(crate) fn run(&mut self, connections: usize, is_ended: impl Fn() -> bool) {
        if self.await_ready(connections, &is_ended) {
            let start = self.job.clock.now() + MILLISECOND;
            self.shared.start(start);
            self.shown.at = start;
            self.moved.1 = start;
            self.go(start, &is_ended);
        }
    }

    /// Waits until all connections are up; false if that does not come.
    fn await_ready(&mut self, connections: usize, is_ended: &impl Fn() -> bool) -> bool {
        while !self.shared.are_ready(Duration::from_millis(50)) {
            if self.job.interrupt.has_come() {
                self.shared.stop(Stop::Interrupted);
            }
            if is_ended() || self.shared.stopped().is_some() {
                return false;
            }
            let now = self.job.clock.now();
            if now - self.shown.at >= self.job.progress.period().as_nanos() as u64 {
                self.shown.at = now;
                let connected = self.shared.connected.load(Ordering::Relaxed);
                let text = format!("{connected} of {connections} connections are up");
                self.job.progress.show(connected, connections as u64, &text);
            }
        }
        true
    }

    fn go(&mut self, start: u64, is_ended: &impl Fn() -> bool) {
        let times = self.job.times;
        let warm = start + times.warm_up_ns;
        let end = warm + times.duration_ns;
        let mut next = warm.min(start + STRETCH_NS) + MOMENT_NS;
        while !is_ended() {
            let now = self.job.clock.now();
            if self.job.interrupt.has_come() {
                self.shared.stop(Stop::Interrupted);
            }
            if self.begin.is_none() && now >= warm {
                self.begin = Some(self.snapshots());
            }
            let is_over = now >= end
                || self.shared.stopped().is_some()
                || self.shared.busy.load(Ordering::Acquire) == 0;
            if self.end.is_none() && self.begin.is_some() && is_over {
                self.end = Some(self.snapshots());
            }
            if now >= next {
                self.sample(now.min(end), warm);
                self.is_closed |= self.end.is_some();
                self.look_for_stall(now);
                self.show(now, start, warm, end);
                next += STRETCH_NS * ((now - next) / STRETCH_NS + 1);
                if next > warm + MOMENT_NS && next < warm + STRETCH_NS {
                    next = warm + MOMENT_NS;
                }
            }
            let edge = if self.begin.is_none() {
                warm
            } else if self.end.is_none() {
                end
            } else {
                u64::MAX
            };
            let wait = next.min(edge).saturating_sub(self.job.clock.now());
            self.shared.await_news(Duration::from_nanos(wait.clamp(MILLISECOND / 10, 100 * MILLISECOND)));
        }
        if self.begin.is_some() && self.end.is_none() {
            self.end = Some(self.snapshots());
        }
    }

    fn snapshots(&self) -> [Option<Snapshot>; 2] {
        [self.job.server_pid.and_then(Snapshot::take), Snapshot::take(std::process::id())]
    }

    /// Collects what the threads have told.
    fn sample(&mut self, now: u64, warm: u64) {
        let mut totals = Totals::default();
        let mut latency = histogram();
        for mut sample in self.shared.samples() {
            totals.sent += sample.totals.sent;
            totals.received += sample.totals.received;
            totals.acknowledged += sample.totals.acknowledged;
            totals.under_way += sample.totals.under_way;
            latency.add(&sample.latency).expect("all have the same bounds");
            sample.latency.reset();
        }
        self.totals = totals;
        if now < warm {
            return;
        }
        self.watched.has_begun = true;
        self.watched.latency.add(&latency).expect("all have the same bounds");
        self.shown.latency.add(&latency).expect("all have the same bounds");
        let Some(base) = self.base else {
            self.base = Some(totals);
            return;
        };
        let since = Totals {
            sent: totals.sent.saturating_sub(base.sent),
            received: totals.received.saturating_sub(base.received),
            ..totals
        };
        if !self.is_closed {
            self.watched.timeline.add(now - warm, since, &latency);
        }
    }

    /// Something is under way and nothing has moved for too long.
    fn look_for_stall(&mut self, now: u64) {
        let Totals { sent, received, acknowledged, under_way } = self.totals;
        let moved = sent + received + acknowledged;
        if moved != self.moved.0 || under_way == 0 {
            self.moved = (moved, now);
        } else if now.saturating_sub(self.moved.1) > self.job.settings.stall_ns {
            self.shared.stop(Stop::Stalled);
        }
    }

    fn show(&mut self, now: u64, start: u64, warm: u64, end: u64) {
        let elapsed = now.saturating_sub(self.shown.at);
        if elapsed < self.job.progress.period().as_nanos() as u64 {
            return;
        }
        let seconds = to_seconds(elapsed);
        let per_s = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let sent = per_s(self.totals.sent, self.shown.totals.sent);
        let received = per_s(self.totals.received, self.shown.totals.received);
        let latency = match Percentiles::of(&self.shown.latency) {
            Some(latency) => format!(", latency p50 {:.0} us, p99 {:.0} us", latency.p50, latency.p99),
            None => String::new(),
        };
        let phase = if now < warm {
            "warming up"
        } else if now < end {
            self.job.what
        } else {
            "waiting for the rest"
        };
        let at = to_seconds(now.saturating_sub(start));
        let text = match self.totals.sent + self.totals.received {
            0 => format!("{at:6.1} s  {phase}"),
            _ => format!("{at:6.1} s  {phase}: {sent:.0} sent/s, {received:.0} received/s{latency}"),
        };
        self.job.progress.show((now - start) / MILLISECOND, (end - start) / MILLISECOND, &text);
        self.shown.at = now;
        self.shown.totals = self.totals;
        self.shown.latency.reset();
    }

    /// Takes what the threads told last, after they have ended.
    pub(crate) fn finish(mut self) -> Watched {
        self.is_closed = true;
        if self.begin.is_some() {
            self.sample(u64::MAX, 0);
        }
        let mut watched = self.watched;
        watched.server_after = self.job.server_pid.and_then(Snapshot::take);
        if let (Some([server, bench]), Some([server_end, bench_end])) = (self.begin, self.end) {
            watched.server = server.zip(server_end);
            watched.bench = bench.zip(bench_end);
        }
        watched
    }
}
