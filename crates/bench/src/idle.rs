//! Connections that do nothing but be there, or ping at a fixed rate.

use std::io;
use std::sync::Arc;

use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet_type::PacketType;
use hdrhistogram::Histogram;

use crate::bring_up::Up;
use crate::job::Work;
use crate::pace::Pace;
use crate::reactor::{Handler, Reactor};
use crate::shared::{Shared, Stop, Totals, histogram};
use crate::wire;

/// One thread's connections.
pub(crate) struct Idle {
    shared: Arc<Shared>,
    /// Pings, if there are to be any.
    pace: Option<Pace>,
    start: u64,
    next: u64,
    /// When each connection's ping was due; 0 if none is under way.
    pinged: Vec<u64>,
    is_measuring: bool,
    is_pinging: bool,
    is_cut: bool,
    latency: Histogram<u64>,
    pub(crate) pings: u64,
    pub(crate) pongs: u64,
    pub(crate) closed: u64,
    pub(crate) closed_why: Option<String>,
}

impl Idle {
    /// `connections` connections that ping at `pace`, and are cut at the end if `is_cut`.
    pub(crate) fn new(shared: Arc<Shared>, connections: usize, pace: Option<Pace>, is_cut: bool) -> Self {
        Self {
            shared,
            pace: pace.filter(|_| connections > 0),
            start: 0,
            next: 0,
            pinged: vec![0; connections],
            is_measuring: false,
            is_pinging: false,
            is_cut,
            latency: histogram(),
            pings: 0,
            pongs: 0,
            closed: 0,
            closed_why: None,
        }
    }
}

impl Handler for Idle {
    fn packet(&mut self, _reactor: &mut Reactor, at: usize, frame: Frame<'_>, now: u64) {
        if frame.header.packet_type != PacketType::Pingresp {
            return;
        }
        let due = std::mem::take(&mut self.pinged[at]);
        if due > 0 {
            self.pongs += 1;
            if self.is_measuring {
                self.latency.saturating_record(now.saturating_sub(due));
            }
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

impl Work for Idle {
    fn connected(&mut self, _up: &Up) {}

    fn begin(&mut self, start: u64) {
        self.start = start;
        self.is_pinging = true;
    }

    fn measure(&mut self, is_measuring: bool) {
        self.is_measuring = is_measuring;
    }

    fn produce(&mut self, reactor: &mut Reactor) -> u64 {
        let Some(pace) = self.pace.filter(|_| self.is_pinging) else { return u64::MAX };
        let now = reactor.now();
        loop {
            let due = self.start + pace.due(self.next);
            if due > now {
                reactor.flush();
                return due;
            }
            let at = (self.next % self.pinged.len() as u64) as usize;
            self.next += 1;
            // A connection whose last ping is unanswered is not pinged again: it shows as missing.
            if self.pinged[at] == 0 {
                self.pinged[at] = due;
                self.pings += 1;
                reactor.out(at).extend_from_slice(&wire::PINGREQ);
            }
        }
    }

    fn end(&mut self, _now: u64) {
        self.is_pinging = false;
    }

    fn has_enough(&mut self) -> bool {
        false
    }

    fn says_goodbye(&self) -> bool {
        !self.is_cut
    }

    fn is_done(&mut self) -> bool {
        self.pings == self.pongs
    }

    fn totals(&self) -> Totals {
        Totals { sent: self.pings, received: self.pongs, acknowledged: 0, under_way: self.pings - self.pongs }
    }

    fn latency(&mut self) -> &mut Histogram<u64> {
        &mut self.latency
    }
}
