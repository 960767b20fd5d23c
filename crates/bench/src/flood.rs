//! Publishers and subscribers of one topology, measured for a while.

use std::sync::Arc;

use dunlin_packet::topic::name::TopicName;
use hdrhistogram::Histogram;

use crate::bring_up::{Client, Up};
use crate::crew::{self, Outcome};
use crate::due::Due;
use crate::failure::Failure;
use crate::job::{Job, Work};
use crate::load::{Kind, Load, Role, Subscriber, Timetable};
use crate::order::Stream;
use crate::pace::Pace;
use crate::publisher::{Acks, Publisher};
use crate::reactor::Reactor;
use crate::settings::{Messages, Settings, Times};
use crate::shared::{Shared, Totals};
use crate::topology::{Numbering, Topology};
use crate::wire::{self, Template};

/// One thread's load, and what it needs to begin.
pub(crate) struct Flooding {
    pub(crate) load: Load,
    messages: Messages,
    times: Times,
    /// All publishers of the run.
    publishers: usize,
    quota: u64,
}

/// Messages that may be under way in an open loop, over all publishers: memory of this machine.
const UNDER_WAY_MAX: usize = 4 << 20;

/// Runs the topology.
///
/// # Errors
/// Those of [`crew::run`]; a message that is too large.
pub(crate) fn run(
    job: &Job<'_>,
    topology: &Topology,
    messages: Messages,
) -> Result<Outcome<Flooding>, Failure> {
    let threads = job.settings.threads;
    let count = topology.publishers.len();
    let window = match job.times.rate > 0.0 {
        true => (UNDER_WAY_MAX / count.max(1)).clamp(256, 1 << 16),
        false => messages.window,
    };
    let window = if topology.fan == 0 { 1 } else { window };
    let due: Arc<[Due]> = (0..count).map(|number| Due::new(window, number % threads, threads)).collect();
    let make = |thread, shared: &Arc<Shared>| {
        let builder = Builder { job, topology, messages, thread, threads };
        builder.build(shared, &due, window)
    };
    crew::run(job, make)
}

struct Builder<'a> {
    job: &'a Job<'a>,
    topology: &'a Topology,
    messages: Messages,
    thread: usize,
    threads: usize,
}

impl Builder<'_> {
    fn build(
        &self,
        shared: &Arc<Shared>,
        due: &Arc<[Due]>,
        window: usize,
    ) -> Result<(Flooding, Vec<Client>), Failure> {
        let Self { job, topology, messages, thread, threads } = *self;
        let kind = Kind {
            version: job.settings.version,
            qos: messages.qos.value(),
            payload: wire::payload(messages.size),
            tag: job.settings.tag,
            fan: topology.fan,
            window: if topology.fan == 0 { u64::MAX } else { window as u64 },
            numbering: topology.numbering,
            gets_all: topology.gets_all,
        };
        let mut load = Load::new(kind, thread, threads, shared.clone(), due.clone());
        let mut clients = Vec::new();
        self.add_publishers(&mut load, &mut clients)?;
        self.add_subscribers(&mut load, &mut clients);
        let publishers = topology.publishers.len();
        let quota = load.publishers.iter().map(|publisher| publisher.left).fold(0, u64::saturating_add);
        Ok((Flooding { load, messages, times: job.times, publishers, quota }, clients))
    }

    fn add_publishers(&self, load: &mut Load, clients: &mut Vec<Client>) -> Result<(), Failure> {
        let all = &self.topology.publishers;
        let settings = self.job.settings;
        let mut before: Option<(&Arc<[String]>, usize)> = None;
        for number in Topology::part(all.len(), self.thread, self.threads) {
            let topics = &all[number];
            let first = match before {
                Some((same, first)) if Arc::ptr_eq(same, topics) => first,
                _ => {
                    let first = load.templates.len();
                    for topic in topics.iter() {
                        load.templates.push(template(settings, self.messages, topic, &load.kind.payload)?);
                    }
                    first
                }
            };
            before = Some((topics, first));
            load.here[number] = load.publishers.len() as u32;
            load.roles.push(Role::Publisher(load.publishers.len() as u32));
            let is_scattered = self.topology.numbering == Numbering::ByPublisher;
            let mut publisher = Publisher::new(clients.len(), number, first, topics.len(), is_scattered);
            if let Some(messages) = self.job.times.messages {
                let count = all.len() as u64;
                publisher.left = messages / count + u64::from((number as u64) < messages % count);
            }
            load.publishers.push(publisher);
            clients.push(Client::new(format!("{}p{number}", settings.id_prefix)));
        }
        Ok(())
    }

    fn add_subscribers(&self, load: &mut Load, clients: &mut Vec<Client>) {
        let all = &self.topology.subscribers;
        let settings = self.job.settings;
        let topics = match self.topology.numbering {
            Numbering::ByTopic => self.topology.publishers.first().map_or(1, |topics| topics.len()),
            Numbering::ByPublisher => 1,
        };
        for number in Topology::part(all.len(), self.thread, self.threads) {
            let subscriber = &all[number];
            load.roles.push(Role::Subscriber(load.subscribers.len() as u32));
            let (first, count, streams) = (subscriber.first, subscriber.count, load.streams.len());
            load.subscribers.push(Subscriber { first, count, streams, topics });
            load.streams.resize(streams + count * topics, Stream::default());
            clients.push(Client {
                filters: subscriber.filters.clone(),
                qos: self.messages.qos,
                clean_start: !settings.keeps_sessions,
                session_expiry_s: if settings.keeps_sessions { settings.session_expiry_s } else { 0 },
                ..Client::new(format!("{}s{number}", settings.id_prefix))
            });
        }
    }
}

/// A message made ready.
///
/// # Errors
/// It is too large for a packet.
pub(crate) fn template(
    settings: &Settings,
    messages: Messages,
    topic: &str,
    payload: &[u8],
) -> Result<Template, Failure> {
    let cannot = |why: &dyn std::fmt::Display| Failure::new(format!("cannot publish to {topic:?}: {why}"));
    let name = TopicName::parse(topic).map_err(|error| cannot(&error))?;
    Template::new(settings.version, name, messages.qos, messages.retain, payload)
        .map_err(|error| cannot(&error))
}

impl Work for Flooding {
    fn connected(&mut self, up: &Up) {
        if self.messages.qos.value() == 0 {
            return;
        }
        let allowed = usize::from(up.receive_maximum);
        let window = if self.times.rate > 0.0 { allowed } else { self.messages.window.min(allowed) };
        for publisher in &mut self.load.publishers {
            publisher.acks = Acks::new(window);
        }
    }

    fn begin(&mut self, start: u64) {
        if self.times.rate > 0.0 {
            let pace = Pace::new(self.times.rate, self.times.ramp_ns);
            let pace = pace.share(self.load.publishers.len(), self.publishers);
            let measured_from = start + self.times.warm_up_ns;
            self.load.timetable = Some(Timetable {
                pace,
                start,
                measured_from,
                end: measured_from + self.times.duration_ns,
                next: 0,
            });
        }
        self.load.start_sending();
    }

    fn measure(&mut self, is_measuring: bool) {
        self.load.is_measuring = is_measuring;
    }

    fn produce(&mut self, reactor: &mut Reactor) -> u64 {
        self.load.produce(reactor)
    }

    fn after_round(&mut self) {
        self.load.exchange_news();
    }

    fn end(&mut self, now: u64) {
        self.load.end(now);
    }

    fn has_enough(&mut self) -> bool {
        self.load.counts.sent >= self.quota
    }

    fn is_done(&mut self) -> bool {
        self.load.is_done()
    }

    fn totals(&self) -> Totals {
        self.load.totals()
    }

    fn latency(&mut self) -> &mut Histogram<u64> {
        &mut self.load.latency
    }
}

impl crate::reactor::Handler for Flooding {
    #[inline]
    fn packet(
        &mut self,
        reactor: &mut Reactor,
        at: usize,
        frame: dunlin_packet::fixed_header::Frame<'_>,
        now: u64,
    ) {
        self.load.packet(reactor, at, frame, now);
    }

    fn drained(&mut self, reactor: &mut Reactor, at: usize) {
        self.load.drained(reactor, at);
    }

    fn closed(&mut self, reactor: &mut Reactor, at: usize, cause: Option<std::io::Error>) {
        self.load.closed(reactor, at, cause);
    }
}
