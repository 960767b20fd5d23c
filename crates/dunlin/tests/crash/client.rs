//! One Client: its Network Connections one after the other, and the Session that goes through them.

use std::{
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use dunlin_packet::{
    connect::{Connect, Will as WillPacket},
    disconnect::Disconnect,
    packet::{Packet, PacketType},
    property::{list::PropertyList, value::Property},
    qos::QoS,
    reason_code::ReasonCode,
    topic::name::TopicName,
};
use dunlin_sim::random::Random;
use mio::Registry;

use super::{
    history::Deed,
    incoming::Incoming,
    ledger::Ledger,
    outgoing::{Outgoing, payload},
    retained::Shelf,
    role::Role,
    wills::{GRACE, Will},
    wire::{Came, Link},
    wishes::Wishes,
};

/// What all Clients do at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    /// They only connect and subscribe.
    Begin,
    /// They do what their roles say.
    Run,
    /// The same, but those that retain stay away: somebody reads the Retained Messages.
    Look,
    /// All come back and finish what is under way; those with Wills leave.
    Drain,
}

/// What surrounds the Clients.
pub(crate) struct Stage<'a> {
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) shelf: &'a mut Shelf,
    pub(crate) random: &'a mut Random,
    pub(crate) registry: &'a Registry,
    pub(crate) address: SocketAddr,
    pub(crate) now: Instant,
    /// When the Server was started last.
    pub(crate) started: Instant,
    pub(crate) mood: Mood,
    /// Whether anything has come, in this round through all Clients.
    pub(crate) is_busy: bool,
}

impl Stage<'_> {
    pub(crate) fn may_publish(&self) -> bool {
        matches!(self.mood, Mood::Run | Mood::Look)
    }

    pub(crate) fn is_drain(&self) -> bool {
        self.mood == Mood::Drain
    }

    /// The Server has acknowledged a message.
    pub(crate) fn taken(&mut self, number: u64, deed: Deed) {
        self.ledger.taken(number, deed);
        self.shelf.taken(number);
    }

    fn later(&mut self, mean_ms: u64) -> Instant {
        self.now + Duration::from_millis(self.random.below(2 * mean_ms + 1))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Away {
        until: Instant,
    },
    Connecting,
    Online {
        until: Option<Instant>,
    },
    /// DISCONNECT was sent.
    Leaving,
}

/// One Client of the test.
pub(crate) struct Client {
    pub(crate) role: Role,
    publisher: usize,
    book: usize,
    link: Option<Link>,
    phase: Phase,
    /// Whether the Server has acknowledged a Session that it must still have.
    has_session: bool,
    outgoing: Outgoing,
    incoming: Incoming,
    wishes: Wishes,
    will: Will,
    will_before: Option<Will>,
    will_topic: Rc<str>,
}

impl Client {
    pub(crate) fn new(role: Role, ledger: &mut Ledger, now: Instant) -> Client {
        let publisher = ledger.publishers.len();
        ledger.publishers.push(role.name.to_owned());
        Client {
            publisher,
            book: ledger.open_book(role.name, role.is_kept, role.group),
            link: None,
            phase: Phase::Away { until: now },
            has_session: false,
            outgoing: Outgoing::new(now),
            incoming: Incoming::new(),
            wishes: Wishes::new(now),
            will: Will::default(),
            will_before: None,
            will_topic: format!("will/{}", role.name).into(),
            role,
        }
    }

    /// Whether nothing is under way; in the end, whether it needs nothing more.
    pub(crate) fn is_settled(&self) -> bool {
        if self.role.will_delay_s.is_some() {
            return self.link.is_none();
        }
        let is_online = matches!(self.phase, Phase::Online { .. });
        is_online && self.outgoing.is_empty() && self.incoming.is_settled() && self.wishes.is_settled()
    }

    /// Whether it is connected and has the Subscriptions it begins with.
    pub(crate) fn has_begun(&self) -> bool {
        matches!(self.phase, Phase::Online { .. }) && self.wishes.is_settled()
    }

    /// What is not settled, in words.
    pub(crate) fn unsettled(&self) -> String {
        let (incoming, outgoing) = (self.incoming.unsettled(), &self.outgoing);
        format!("{} {:?}: in [{incoming}], out {outgoing:?}", self.role.name, self.phase)
    }

    /// Whether its Will is still to come.
    pub(crate) fn awaits_will(&self, stage: &Stage<'_>) -> bool {
        self.will.is_awaited(stage)
    }

    /// Reads what has come and does what is due.
    pub(crate) fn step(&mut self, stage: &mut Stage<'_>) {
        self.read(stage);
        if self.link.as_ref().is_some_and(Link::is_closed) {
            self.closed(stage);
        }
        match self.phase {
            Phase::Away { until } => {
                if self.may_come(until, stage) {
                    self.connect(stage);
                }
            }
            Phase::Online { until } => self.act(until, stage),
            Phase::Connecting | Phase::Leaving => {}
        }
    }

    fn may_come(&self, until: Instant, stage: &Stage<'_>) -> bool {
        let has_will = self.role.will_delay_s.is_some();
        let is_time = stage.now >= until || matches!(stage.mood, Mood::Begin | Mood::Drain);
        let is_let = match stage.mood {
            Mood::Begin | Mood::Run => true,
            Mood::Look => !self.role.retains,
            Mood::Drain => !has_will,
        };
        is_time && is_let && !self.will.is_awaited(stage)
    }

    fn act(&mut self, until: Option<Instant>, stage: &mut Stage<'_>) {
        let Some(link) = &mut self.link else { return };
        self.wishes.step(&self.role, self.book, link, stage);
        self.incoming.step(&self.role, self.book, link, stage);
        self.outgoing.step(&self.role, self.publisher, link, stage);
        let has_will = self.role.will_delay_s.is_some();
        let is_time = until.is_some_and(|until| stage.now >= until) && stage.may_publish();
        if is_time || stage.is_drain() && has_will {
            self.go(stage);
        }
    }

    /// Ends the connection, with DISCONNECT or without.
    fn go(&mut self, stage: &mut Stage<'_>) {
        if !stage.random.once_in(2) || stage.is_drain() {
            if let Some(link) = &mut self.link {
                link.send(&Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)));
            }
            self.phase = Phase::Leaving;
            return;
        }
        // What has come so far counts; what comes after the cut is never read.
        self.read(stage);
        self.link = None;
        let delay = Duration::from_secs(self.role.will_delay_s.unwrap_or(0).into());
        let is_short = !delay.is_zero() && stage.random.once_in(2);
        self.will.cut(is_short.then_some(stage.now + delay.mul_f32(0.6)), stage);
        self.leave(if is_short { Some(100) } else { None }, stage);
    }

    /// The Network Connection is gone.
    fn leave(&mut self, away_ms: Option<u64>, stage: &mut Stage<'_>) {
        self.link = None;
        let mean = away_ms.unwrap_or(self.role.rhythm.map_or(60, |(_, away_ms)| away_ms));
        self.phase = Phase::Away { until: stage.later(mean) };
        self.wishes.lost();
        if !self.role.is_kept {
            self.outgoing.abandon(stage);
        }
    }

    fn closed(&mut self, stage: &mut Stage<'_>) {
        if self.phase == Phase::Leaving {
            self.will.discarded(stage);
        } else {
            stage.ledger.fault(&format!("the Server closed the connection of {}", self.role.name), None);
        }
        self.leave(None, stage);
    }

    /// The Server has ended, killed or stopped: what it sent before counts. Returns whether all of it was read.
    pub(crate) fn read_to_the_end(&mut self, stage: &mut Stage<'_>) -> bool {
        self.read(stage);
        self.link.as_ref().is_none_or(Link::is_closed)
    }

    /// The Server has ended, and all it sent was read.
    pub(crate) fn server_ended(&mut self, was_killed: bool, stage: &mut Stage<'_>) {
        if was_killed {
            self.incoming.server_killed(self.book, stage);
        }
        let was_leaving = self.phase == Phase::Leaving;
        if self.will.server_ended(self.role.is_kept || !was_killed, stage) {
            // Whether DISCONNECT was heard is not known; who comes back soon need not know.
            let is_short = was_leaving || stage.random.percent(60);
            self.will.cut(is_short.then_some(stage.now + Duration::from_secs(3_600)), stage);
        }
        if self.link.is_some() {
            let is_absent = self.role.rhythm.is_some_and(|(_, away_ms)| away_ms > 1_000);
            self.leave(if is_absent { None } else { Some(80) }, stage);
        }
    }

    /// The Server was started again: Clients have so long to come back before their Wills are sent.
    pub(crate) fn server_started(&mut self, stage: &mut Stage<'_>) {
        self.will.grace_began(stage.started + GRACE.mul_f32(0.7));
    }

    fn connect(&mut self, stage: &mut Stage<'_>) {
        let Some(mut link) = Link::open(stage.address, self.role.version, stage.registry) else {
            return stage.ledger.fault("the Server takes no connection", None);
        };
        let mut properties = Vec::new();
        if self.role.is_kept {
            properties.push(Property::SessionExpiryInterval(36_000));
        }
        properties.extend(self.role.receive_maximum.map(Property::ReceiveMaximum));
        let (text, delay);
        let will = match self.role.will_delay_s {
            None => None,
            Some(delay_s) => {
                let qos = stage.random.between(1, 2) as u8;
                let number = stage.ledger.enter(self.publisher, &self.will_topic, qos, false);
                self.will_before = self.will.offer(number);
                (text, delay) = (payload(number, 0), [Property::WillDelayInterval(delay_s)]);
                let properties = PropertyList::from_items(if delay_s == 0 { &[] } else { &delay });
                let topic_name = TopicName::parse(&self.will_topic).expect("it is sound");
                let qos = QoS::from_value(qos).expect("1 or 2");
                Some(WillPacket { qos, retain: false, topic_name, payload: &text, properties })
            }
        };
        let has_properties = self.role.version.has_properties();
        link.send(&Packet::Connect(Connect {
            version: self.role.version,
            clean_start: !self.role.is_kept,
            keep_alive_s: 0,
            client_id: self.role.name,
            properties: PropertyList::from_items(if has_properties { &properties } else { &[] }),
            will,
            user_name: None,
            password: None,
            is_bridge: false,
        }));
        self.link = Some(link);
        self.phase = Phase::Connecting;
    }

    fn read(&mut self, stage: &mut Stage<'_>) {
        let Some(link) = &mut self.link else { return };
        for came in link.take() {
            stage.is_busy = true;
            if let Some(text) = self.receive(came, stage) {
                stage.ledger.fault(&format!("{}: {text}", self.role.name), None);
            }
        }
    }

    /// Takes one packet; says what is wrong with it.
    fn receive(&mut self, came: Came, stage: &mut Stage<'_>) -> Option<String> {
        let link = self.link.as_mut()?;
        match came {
            Came::Connack { is_present, code } => self.connected(is_present, code, stage),
            Came::Publish(arrival) => self.incoming.came(self.book, &arrival, stage),
            Came::Ack { packet_type: PacketType::Pubrel, packet_id, .. } => {
                self.incoming.released(self.book, packet_id, link, stage)
            }
            Came::Ack { packet_type, packet_id, code } => {
                self.outgoing.answered(packet_type, packet_id, code, stage)
            }
            Came::Granted { packet_id, code } => self.wishes.granted(self.book, packet_id, code, stage),
            Came::Disconnect(ReasonCode::ServerShuttingDown) => None,
            Came::Disconnect(code) => Some(format!("DISCONNECT came with {code}")),
        }
    }

    fn connected(&mut self, is_present: bool, code: ReasonCode, stage: &mut Stage<'_>) -> Option<String> {
        stage.ledger.tick();
        if code != ReasonCode::Success || self.phase != Phase::Connecting {
            return Some(format!("CONNACK came with {code}, {:?}", self.phase));
        }
        let online_ms = self.role.rhythm.map(|(online_ms, _)| online_ms);
        self.phase = Phase::Online { until: online_ms.map(|mean| stage.later(mean)) };
        let is_expected = self.has_session;
        self.has_session = self.role.is_kept;
        self.incoming.connected(is_present);
        self.will.given(stage);
        if let Some(before) = self.will_before.take() {
            before.replaced(stage);
        }
        let link = self.link.as_mut()?;
        if is_present {
            self.outgoing.resume(link, stage);
        } else {
            self.outgoing.abandon(stage);
            stage.ledger.begin_anew(self.book);
            self.wishes.begin(&self.role);
        }
        (is_present != is_expected)
            .then(|| format!("CONNACK came with Session Present {is_present}, it must be {is_expected}"))
    }
}
