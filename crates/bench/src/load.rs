//! The part of a run that one thread does: its publishers send, its subscribers verify what comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dunlin_packet::disconnect::Disconnect;
use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet_type::PacketType;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::version::ProtocolVersion;
use hdrhistogram::Histogram;

use crate::clock::SECOND;
use crate::due::{Due, Taken};
use crate::order::{Stream, Verdict};
use crate::pace::Pace;
use crate::publisher::{Publisher, last_acknowledgement};
use crate::reactor::{Handler, Reactor};
use crate::shared::{Shared, Stop, Totals};
use crate::topology::Numbering;
use crate::wire::{self, HEAD_LEN, Head, Message, Template};

/// What a thread counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) acknowledged: u64,
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
    /// Not a message of this run, or changed on its way.
    pub(crate) malformed: u64,
    /// Acknowledgements that say no.
    pub(crate) refused: u64,
    /// Acknowledgements of nothing that is under way.
    pub(crate) unknown_acks: u64,
    pub(crate) closed: u64,
}

/// What the thread's messages have in common.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) version: ProtocolVersion,
    pub(crate) qos: u8,
    /// The payload of every message; its head changes.
    pub(crate) payload: Vec<u8>,
    pub(crate) tag: u32,
    pub(crate) fan: u32,
    pub(crate) window: u64,
    pub(crate) numbering: Numbering,
    pub(crate) gets_all: bool,
}

/// The state of one thread.
pub(crate) struct Load {
    pub(crate) kind: Kind,
    has_properties: bool,
    thread: usize,
    shared: Arc<Shared>,
    /// For each publisher of the run.
    due: Arc<[Due]>,
    pub(crate) templates: Vec<Template>,
    pub(crate) publishers: Vec<Publisher>,
    /// For each publisher of the run its place in `publishers`, if it is one of this thread's.
    pub(crate) here: Vec<u32>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) streams: Vec<Stream>,
    /// What each connection is for.
    pub(crate) roles: Vec<Role>,
    /// Publishers that may be able to send.
    ready: Vec<u32>,
    /// The same list while it is gone through.
    going: Vec<u32>,
    /// Publishers whose output is held up.
    held: Vec<u32>,
    /// Publishers of other threads with news, and the threads to be woken.
    news: Vec<u32>,
    wake: Vec<bool>,
    pub(crate) timetable: Option<Timetable>,
    pub(crate) is_sending: bool,
    pub(crate) is_measuring: bool,
    pub(crate) latency: Histogram<u64>,
    pub(crate) ack_latency: Histogram<u64>,
    /// How late messages left by the timetable.
    pub(crate) lateness: Histogram<u64>,
    pub(crate) counts: Counts,
    /// Why the Server, or the system, ended a connection.
    pub(crate) closed_why: Option<String>,
}

/// A subscriber of this thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscriber {
    /// Its publishers among all of the run.
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// Where its streams begin, in order of publisher and topic.
    pub(crate) streams: usize,
    pub(crate) topics: usize,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Publisher(u32),
    Subscriber(u32),
}

/// An open loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timetable {
    pub(crate) pace: Pace,
    pub(crate) start: u64,
    /// Messages due from here on are measured, and none are due from `end` on.
    pub(crate) measured_from: u64,
    pub(crate) end: u64,
    /// The number of the next message of the thread.
    pub(crate) next: u64,
}

/// How long what was due before the end is still sent after it.
const CATCH_UP_NS: u64 = 5 * SECOND;

/// Bytes that may wait for one connection before its publisher waits as well.
const PENDING_MAX: usize = 64 << 10;

impl Load {
    /// The part of `thread`, without publishers and subscribers.
    pub(crate) fn new(
        kind: Kind,
        thread: usize,
        threads: usize,
        shared: Arc<Shared>,
        due: Arc<[Due]>,
    ) -> Self {
        Self {
            has_properties: kind.version.has_properties(),
            kind,
            thread,
            shared,
            here: vec![u32::MAX; due.len()],
            due,
            templates: Vec::new(),
            publishers: Vec::new(),
            subscribers: Vec::new(),
            streams: Vec::new(),
            roles: Vec::new(),
            ready: Vec::new(),
            going: Vec::new(),
            held: Vec::new(),
            news: Vec::new(),
            wake: vec![false; threads],
            timetable: None,
            is_sending: false,
            is_measuring: false,
            latency: crate::shared::histogram(),
            ack_latency: crate::shared::histogram(),
            lateness: crate::shared::histogram(),
            counts: Counts::default(),
            closed_why: None,
        }
    }

    /// All publishers may send from now on.
    pub(crate) fn start_sending(&mut self) {
        self.is_sending = true;
        self.ready = (0..self.publishers.len() as u32).collect();
        self.ready.reserve(self.publishers.len());
        self.going.reserve(2 * self.publishers.len());
        for publisher in &mut self.publishers {
            publisher.is_ready = true;
        }
    }

    /// Nothing new is sent after `now`; what is due by the timetable still is, for a while.
    pub(crate) fn end(&mut self, now: u64) {
        match &mut self.timetable {
            Some(timetable) => timetable.end = timetable.end.min(now),
            None => self.is_sending = false,
        }
    }

    /// Whether all that the publishers sent is delivered and acknowledged.
    pub(crate) fn is_done(&mut self) -> bool {
        if self.is_sending && self.owed() > 0 {
            return false;
        }
        let fan = self.kind.fan;
        let due = &self.due;
        self.publishers.iter_mut().all(|publisher| {
            match fan {
                0 => publisher.forget(),
                _ => publisher.advance(&due[publisher.number]),
            }
            publisher.is_done()
        })
    }

    /// The counts that the watching thread wants.
    pub(crate) fn totals(&self) -> Totals {
        let under_way = |publisher: &Publisher| {
            let range = publisher.incomplete();
            let incomplete = if self.kind.fan == 0 { 0 } else { range.end - range.start };
            incomplete.max(u64::from(publisher.acks.under_way))
        };
        Totals {
            sent: self.counts.sent,
            received: self.counts.received,
            acknowledged: self.counts.acknowledged,
            under_way: self.publishers.iter().map(under_way).sum(),
        }
    }

    /// Deliveries that are missing although later ones have come.
    pub(crate) fn gaps(&self) -> u64 {
        match self.kind.gets_all {
            true => self.streams.iter().map(Stream::missing).sum(),
            false => 0,
        }
    }

    /// Deliveries that are still due of what this thread's publishers have sent.
    pub(crate) fn undelivered(&self) -> u64 {
        let due = |publisher: &Publisher| -> u64 {
            let due = &self.due[publisher.number];
            publisher.incomplete().map(|number| u64::from(due.left(number))).sum()
        };
        match self.kind.fan {
            0 => 0,
            _ => self.publishers.iter().map(due).sum(),
        }
    }

    /// Messages of the timetable that were not sent.
    pub(crate) fn owed(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.owed).sum()
    }

    /// Sends what may be sent. Gives the time at which to come again at the latest.
    pub(crate) fn produce(&mut self, reactor: &mut Reactor) -> u64 {
        if !self.is_sending {
            return u64::MAX;
        }
        let now = reactor.now();
        if self.timetable.is_some_and(|timetable| now > timetable.end.saturating_add(CATCH_UP_NS)) {
            self.is_sending = false;
            return u64::MAX;
        }
        let next_due = self.note_due(now);
        std::mem::swap(&mut self.ready, &mut self.going);
        for at in 0..self.going.len() {
            let index = self.going[at];
            self.publishers[index as usize].is_ready = false;
            self.produce_of(reactor, index, now);
        }
        self.going.clear();
        reactor.flush();
        // What the system took at once does not come back as an event.
        while let Some(index) = self.held.pop() {
            if reactor.pending(self.publishers[index as usize].at) == 0 {
                self.mark_ready(index);
            }
        }
        if self.ready.is_empty() { next_due } else { now }
    }

    /// Counts what is due by the timetable, and gives the time at which the next message is.
    fn note_due(&mut self, now: u64) -> u64 {
        let Some(mut timetable) = self.timetable else { return u64::MAX };
        let count = self.publishers.len() as u64;
        if count == 0 {
            return u64::MAX;
        }
        let next_due = loop {
            let due = timetable.start + timetable.pace.due(timetable.next);
            if due >= timetable.end {
                break u64::MAX;
            }
            if due > now {
                break due;
            }
            let index = (timetable.next % count) as u32;
            timetable.next += 1;
            self.publishers[index as usize].owed += 1;
            self.mark_ready(index);
        };
        self.timetable = Some(timetable);
        next_due
    }

    fn produce_of(&mut self, reactor: &mut Reactor, index: u32, now: u64) {
        let count = self.publishers.len() as u64;
        let (fan, window) = (self.kind.fan, self.kind.window);
        let publisher = &mut self.publishers[index as usize];
        let at = publisher.at;
        if fan > 0 {
            publisher.advance(&self.due[publisher.number]);
        }
        loop {
            let publisher = &mut self.publishers[index as usize];
            if fan == 0 {
                publisher.forget();
            }
            if !publisher.has_room(window) {
                if publisher.left == 0 {
                    publisher.owed = 0;
                }
                return;
            }
            let mut time = now;
            if let Some(timetable) = &self.timetable {
                if publisher.owed == 0 {
                    return;
                }
                // Late or not, it counts from the time it was due: nothing that held it up is left out.
                time = timetable.start + timetable.pace.due(publisher.sent * count + u64::from(index));
            }
            if reactor.pending(at) >= PENDING_MAX {
                self.held.push(index);
                return;
            }
            if self.timetable.is_some() {
                publisher.owed -= 1;
                if self.records(time) {
                    self.lateness.saturating_record(now.saturating_sub(time));
                }
            }
            self.send(reactor, index, time);
        }
    }

    #[inline]
    fn send(&mut self, reactor: &mut Reactor, index: u32, time: u64) {
        let publisher = &mut self.publishers[index as usize];
        if self.kind.fan > 0 {
            self.due[publisher.number].file(publisher.sent, self.kind.fan);
        }
        let next = publisher.send(time);
        let (stream, number) = match self.kind.numbering {
            Numbering::ByTopic => (publisher.number * publisher.topics + next.topic, next.round),
            Numbering::ByPublisher => (publisher.number, publisher.sent - 1),
        };
        let head = Head { time, number: number as u32, stream: stream as u32, tag: self.kind.tag };
        let template = &self.templates[publisher.first_template + next.topic];
        template.put(reactor.out(publisher.at), next.packet_id, head);
        self.counts.sent += 1;
    }

    /// Whether the latency of a message is measured. By a timetable that is so if it was to be sent in the measured time,
    /// whenever it comes: else the longest would be left out.
    #[inline]
    fn records(&self, time: u64) -> bool {
        match &self.timetable {
            None => self.is_measuring,
            Some(timetable) => time >= timetable.measured_from && time < timetable.end,
        }
    }

    #[inline]
    fn mark_ready(&mut self, index: u32) {
        let publisher = &mut self.publishers[index as usize];
        if !publisher.is_ready {
            publisher.is_ready = true;
            self.ready.push(index);
        }
    }

    #[inline]
    fn receive(&mut self, reactor: &mut Reactor, at: usize, frame: &Frame<'_>, now: u64) {
        let Some(message) = Message::read(self.has_properties, frame) else {
            self.counts.malformed += 1;
            return;
        };
        answer(reactor, at, &message);
        let Role::Subscriber(subscriber) = self.roles[at] else {
            self.counts.malformed += 1;
            return;
        };
        let head = Head::read(message.payload);
        let is_ours = message.qos == self.kind.qos
            && message.payload.len() == self.kind.payload.len()
            && message.payload[HEAD_LEN..] == self.kind.payload[HEAD_LEN..];
        match head.filter(|head| is_ours && head.tag == self.kind.tag) {
            Some(head) => self.verify(subscriber, head, now),
            None => self.counts.malformed += 1,
        }
    }

    #[inline]
    fn verify(&mut self, subscriber: u32, head: Head, now: u64) {
        let subscriber = self.subscribers[subscriber as usize];
        let topics = subscriber.topics;
        let stream = head.stream as usize;
        let slot = stream.wrapping_sub(subscriber.first * topics);
        if slot >= subscriber.count * topics {
            self.counts.malformed += 1;
            return;
        }
        let (publisher, topic) = if topics == 1 { (stream, 0) } else { (stream / topics, stream % topics) };
        let is_recorded = self.records(head.time);
        let stream = &mut self.streams[subscriber.streams + slot];
        let whole = stream.whole(head.number);
        if whole.saturating_sub(stream.next()) > self.due[publisher].room() && self.kind.gets_all {
            // A number that cannot have been sent: no gap but a changed message.
            self.counts.malformed += 1;
            return;
        }
        self.counts.received += 1;
        if is_recorded {
            self.latency.saturating_record(now.saturating_sub(head.time));
        }
        let verdict = stream.note(whole);
        let number = |round: u64| round * topics as u64 + topic as u64;
        if !self.kind.gets_all {
            if self.settle(publisher, number(whole)) == Taken::Surplus {
                self.counts.duplicates += 1;
            } else if verdict == Verdict::Late {
                self.counts.out_of_order += 1;
            }
            return;
        }
        match verdict {
            Verdict::InOrder => _ = self.settle(publisher, number(whole)),
            Verdict::After(gap) => {
                // What is missing is written off, so that its publisher goes on.
                for missing in whole - gap..=whole {
                    self.settle(publisher, number(missing));
                }
            }
            Verdict::Late => self.counts.out_of_order += 1,
            Verdict::Double => self.counts.duplicates += 1,
        }
    }

    /// Counts one delivery of message `number` of `publisher`.
    #[inline]
    fn settle(&mut self, publisher: usize, number: u64) -> Taken {
        let due = &self.due[publisher];
        let taken = due.take(number);
        if taken == Taken::Last {
            let here = self.here[publisher];
            if here != u32::MAX {
                self.mark_ready(here);
            } else if !due.is_told.swap(true, Ordering::AcqRel) {
                self.news.push(publisher as u32);
            }
        }
        taken
    }

    /// Passes news on to other threads, and takes theirs.
    pub(crate) fn exchange_news(&mut self) {
        for at in 0..self.news.len() {
            let publisher = self.news[at];
            let thread = self.due[publisher as usize].thread;
            self.shared.mailbox(thread).put(publisher);
            self.wake[thread] = true;
        }
        if !self.news.is_empty() {
            self.news.clear();
            for thread in 0..self.wake.len() {
                if std::mem::take(&mut self.wake[thread]) {
                    self.shared.mailbox(thread).wake();
                }
            }
        }
        let mut news = std::mem::take(&mut self.news);
        self.shared.mailbox(self.thread).take(&mut news);
        for publisher in news.drain(..) {
            // An exchange and not a store: whoever finds `true` before it has counted down before it, which is seen below.
            self.due[publisher as usize].is_told.swap(false, Ordering::AcqRel);
            self.mark_ready(self.here[publisher as usize]);
        }
        self.news = news;
    }

    fn acknowledge(&mut self, reactor: &mut Reactor, at: usize, frame: &Frame<'_>, now: u64) {
        let packet_type = frame.header.packet_type;
        let (Some((packet_id, is_refused)), Role::Publisher(index)) =
            (wire::acknowledged(frame.body), self.roles[at])
        else {
            self.counts.malformed += 1;
            return;
        };
        self.counts.refused += u64::from(is_refused);
        if !last_acknowledgement(packet_type) && !is_refused {
            reactor.out(at).extend_from_slice(&wire::acknowledgement(PacketType::Pubrel, packet_id));
            return;
        }
        let publisher = &mut self.publishers[index as usize];
        let Some(time) = publisher.acks.complete(packet_id, publisher.sent) else {
            self.counts.unknown_acks += 1;
            return;
        };
        self.counts.acknowledged += 1;
        if self.records(time) {
            // Where nobody here listens, the acknowledgement is all that comes back.
            let latency = if self.kind.fan == 0 { &mut self.latency } else { &mut self.ack_latency };
            latency.saturating_record(now.saturating_sub(time));
        }
        self.mark_ready(index);
    }

    fn disconnected(&mut self, frame: &Frame<'_>) {
        let why = match Disconnect::decode(self.kind.version, frame.header, frame.body) {
            Ok(disconnect) if disconnect.reason_code == ReasonCode::NORMAL_DISCONNECTION => {
                "DISCONNECT".into()
            }
            Ok(disconnect) => format!("DISCONNECT: {}", disconnect.reason_code),
            Err(error) => format!("DISCONNECT that is not sound: {error}"),
        };
        self.closed_why.get_or_insert(why);
    }
}

/// Answers a message with QoS 1 or 2.
#[inline]
pub(crate) fn answer(reactor: &mut Reactor, at: usize, message: &Message<'_>) {
    let packet_type = match message.qos {
        0 => return,
        1 => PacketType::Puback,
        _ => PacketType::Pubrec,
    };
    reactor.out(at).extend_from_slice(&wire::acknowledgement(packet_type, message.packet_id));
}

impl Handler for Load {
    #[inline]
    fn packet(&mut self, reactor: &mut Reactor, at: usize, frame: Frame<'_>, now: u64) {
        match frame.header.packet_type {
            PacketType::Publish => self.receive(reactor, at, &frame, now),
            PacketType::Puback | PacketType::Pubrec | PacketType::Pubcomp => {
                self.acknowledge(reactor, at, &frame, now);
            }
            PacketType::Pubrel => match wire::acknowledged(frame.body) {
                Some((packet_id, _)) => {
                    reactor.out(at).extend_from_slice(&wire::acknowledgement(PacketType::Pubcomp, packet_id))
                }
                None => self.counts.malformed += 1,
            },
            PacketType::Pingresp => {}
            PacketType::Disconnect => self.disconnected(&frame),
            _ => self.counts.malformed += 1,
        }
    }

    fn drained(&mut self, _reactor: &mut Reactor, at: usize) {
        if let Role::Publisher(index) = self.roles[at] {
            self.mark_ready(index);
        }
    }

    fn closed(&mut self, _reactor: &mut Reactor, _at: usize, cause: Option<io::Error>) {
        self.counts.closed += 1;
        if let Some(cause) = cause {
            self.closed_why.get_or_insert(cause.to_string());
        }
        self.shared.stop(Stop::Failed);
    }
}
