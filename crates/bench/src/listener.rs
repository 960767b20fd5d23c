//! Subscribers without publishers in this process: they verify the streams that they find.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::packet_type::PacketType;
use dunlin_packet::qos::QoS;
use dunlin_packet::suback::Suback;
use dunlin_packet::version::ProtocolVersion;
use hashbrown::HashMap;
use hdrhistogram::Histogram;

use crate::bring_up::Up;
use crate::clock::SECOND;
use crate::job::Work;
use crate::load::answer;
use crate::order::{Stream, Verdict};
use crate::reactor::{Handler, Reactor};
use crate::shared::{Shared, Stop, Totals, histogram};
use crate::wire::{self, HEAD_LEN, Head, Message};

/// What a listener is to find.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) version: ProtocolVersion,
    /// Deliveries to all connections of all threads; then the run is over.
    pub(crate) expected: Option<u64>,
    /// What all threads have together, as far as they have told.
    pub(crate) come: Arc<AtomicU64>,
    /// Each stream begins with its first message; if not, wherever the listener comes in.
    pub(crate) from_first: bool,
    /// All are to be Retained Messages.
    pub(crate) is_retained: bool,
    /// What every connection subscribes to at the start, so that it is part of what is measured.
    pub(crate) subscribes: Option<(String, QoS)>,
}

/// One thread's subscribers.
pub(crate) struct Listener {
    pub(crate) wanted: Wanted,
    shared: Arc<Shared>,
    /// For each connection the streams that it has seen.
    streams: Vec<HashMap<u32, Stream>>,
    is_measuring: bool,
    has_asked: bool,
    latency: Histogram<u64>,
    pub(crate) received: u64,
    /// What of it was told to the other threads.
    told: u64,
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
    /// Messages that `dunlin bench` has not made.
    pub(crate) foreign: u64,
    pub(crate) not_retained: u64,
    pub(crate) closed: u64,
    pub(crate) closed_why: Option<String>,
    /// When the Subscriptions were asked for, and when the first and the last message came.
    pub(crate) asked_at: u64,
    pub(crate) first_at: u64,
    pub(crate) last_at: u64,
}

impl Listener {
    /// For `connections` connections.
    pub(crate) fn new(wanted: Wanted, connections: usize, shared: Arc<Shared>) -> Self {
        Self {
            wanted,
            shared,
            streams: vec![HashMap::default(); connections],
            is_measuring: false,
            has_asked: false,
            latency: histogram(),
            received: 0,
            told: 0,
            duplicates: 0,
            out_of_order: 0,
            foreign: 0,
            not_retained: 0,
            closed: 0,
            closed_why: None,
            asked_at: 0,
            first_at: 0,
            last_at: 0,
        }
    }

    /// Messages that are missing although later ones have come, and of streams that begin in the middle what was before.
    pub(crate) fn gaps(&self) -> u64 {
        self.streams.iter().flatten().map(|(_, stream)| stream.missing()).sum()
    }

    /// Messages that came for the first time.
    pub(crate) fn unique(&self) -> u64 {
        self.received - self.duplicates
    }

    fn receive(&mut self, reactor: &mut Reactor, at: usize, frame: &Frame<'_>, now: u64) {
        let Some(message) = Message::read(self.wanted.version.has_properties(), frame) else {
            self.foreign += 1;
            return;
        };
        answer(reactor, at, &message);
        self.received += 1;
        self.not_retained += u64::from(!message.retain);
        if self.first_at == 0 {
            self.first_at = now;
        }
        self.last_at = now;
        let Some(head) = Head::read(message.payload).filter(|_| is_made_by_bench(message.payload)) else {
            self.foreign += 1;
            return;
        };
        if self.is_measuring && now.abs_diff(head.time) < 120 * SECOND {
            self.latency.saturating_record(now.saturating_sub(head.time));
        }
        let key = head.tag << 20 | head.stream;
        let from_first = self.wanted.from_first;
        let stream = self.streams[at].entry(key).or_insert_with(|| match from_first {
            true => Stream::default(),
            false => Stream::joined_at(head.number),
        });
        match stream.note(stream.whole(head.number)) {
            Verdict::InOrder | Verdict::After(_) => {}
            Verdict::Late => self.out_of_order += 1,
            Verdict::Double => self.duplicates += 1,
        }
    }

    fn ask(&mut self, reactor: &mut Reactor) {
        self.has_asked = true;
        self.asked_at = reactor.now();
        let Some((filter, qos)) = self.wanted.subscribes.clone() else { return };
        let filters = [filter];
        for at in 0..reactor.count() {
            let packet_id = PacketId::new(1).expect("1 is a Packet Identifier");
            wire::put_subscribe(reactor.out(at), self.wanted.version, packet_id, &filters, qos)
                .expect("the filter was checked");
        }
        reactor.flush();
    }

    fn suback(&mut self, frame: &Frame<'_>) {
        let refused = match Suback::decode(self.wanted.version, frame.header, frame.body) {
            Ok(suback) => {
                suback.reason_codes.iter().find(|code| code.is_error()).map(|code| code.to_string())
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(refused) = refused {
            self.closed_why.get_or_insert(format!("the Subscription is refused: {refused}"));
            self.shared.stop(Stop::Failed);
        }
    }
}

/// Whether a payload has the bytes behind its head that `dunlin bench` puts there.
fn is_made_by_bench(payload: &[u8]) -> bool {
    let is_it = |(at, byte): (usize, &u8)| *byte == (at as u8).wrapping_mul(31).wrapping_add(7);
    payload.iter().enumerate().skip(HEAD_LEN).take(64).all(is_it)
}

impl Handler for Listener {
    fn packet(&mut self, reactor: &mut Reactor, at: usize, frame: Frame<'_>, now: u64) {
        match frame.header.packet_type {
            PacketType::Publish => self.receive(reactor, at, &frame, now),
            PacketType::Pubrel => {
                if let Some((packet_id, _)) = wire::acknowledged(frame.body) {
                    let pubcomp = wire::acknowledgement(PacketType::Pubcomp, packet_id);
                    reactor.out(at).extend_from_slice(&pubcomp);
                }
            }
            PacketType::Suback => self.suback(&frame),
            PacketType::Disconnect => _ = self.closed_why.get_or_insert("DISCONNECT".into()),
            _ => {}
        }
    }

    fn closed(&mut self, _reactor: &mut Reactor, _at: usize, cause: Option<io::Error>) {
        self.closed += 1;
        if let Some(cause) = cause {
            self.closed_why.get_or_insert(cause.to_string());
        }
        self.shared.stop(Stop::Failed);
    }
}

impl Work for Listener {
    fn connected(&mut self, _up: &Up) {}

    fn begin(&mut self, _start: u64) {}

    fn measure(&mut self, is_measuring: bool) {
        self.is_measuring = is_measuring;
    }

    fn produce(&mut self, reactor: &mut Reactor) -> u64 {
        if !self.has_asked {
            self.ask(reactor);
        }
        u64::MAX
    }

    fn after_round(&mut self) {
        let unique = self.unique();
        if unique != self.told {
            self.wanted.come.fetch_add(unique - self.told, Ordering::Relaxed);
            self.told = unique;
        }
    }

    fn end(&mut self, _now: u64) {}

    fn has_enough(&mut self) -> bool {
        self.wanted.expected.is_some_and(|expected| self.wanted.come.load(Ordering::Relaxed) >= expected)
    }

    fn is_done(&mut self) -> bool {
        true
    }

    fn totals(&self) -> Totals {
        // Before the first message nobody knows whether one was sent; what is queued or retained is there.
        let come = self.wanted.come.load(Ordering::Relaxed);
        let is_awaited = come > 0 || self.wanted.from_first;
        let left = self.wanted.expected.map_or(0, |expected| expected.saturating_sub(come));
        Totals {
            sent: 0,
            received: self.received,
            acknowledged: 0,
            under_way: if is_awaited { left } else { 0 },
        }
    }

    fn latency(&mut self) -> &mut Histogram<u64> {
        &mut self.latency
    }
}
