//! Brings connections up: CONNECT and SUBSCRIBE, a bounded number at a time, at a rate if one is given.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;

use dunlin_packet::connack::Connack;
use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::packet_type::PacketType;
use dunlin_packet::qos::QoS;
use dunlin_packet::suback::Suback;
use hdrhistogram::Histogram;

use crate::clock::{MILLISECOND, SECOND};
use crate::failure::Failure;
use crate::reactor::{Handler, Reactor};
use crate::settings::Settings;
use crate::shared::{Shared, histogram};
use crate::stream::failure_below;
use crate::wire::{self, Greeting};

/// One Client: who it is and what it subscribes to.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) filters: Vec<String>,
    pub(crate) qos: QoS,
    pub(crate) clean_start: bool,
    /// Seconds for which the Server keeps the Session (MQTT 5).
    pub(crate) session_expiry_s: u32,
}

impl Client {
    /// A Client whose Session ends with its connection.
    pub(crate) fn new(id: String) -> Self {
        Self { id, filters: Vec::new(), qos: QoS::AtMostOnce, clean_start: true, session_expiry_s: 0 }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    /// From the beginning to the last CONNACK and to the last SUBACK.
    pub(crate) connect_ns: u64,
    pub(crate) ready_ns: u64,
    /// From the time a connection was due to its CONNACK.
    pub(crate) connack: Histogram<u64>,
    pub(crate) connected: usize,
    /// The smallest that the Server gave.
    pub(crate) receive_maximum: u16,
    /// The smallest that holds.
    pub(crate) keep_alive_s: u16,
    pub(crate) sessions_present: usize,
    /// False if the run was stopped first.
    pub(crate) is_complete: bool,
}

/// Filters in one SUBSCRIBE, and SUBSCRIBEs under way on one connection.
const FILTERS_EACH: usize = 50;
const SUBSCRIBES_MAX: u32 = 4;
/// How long nothing may come before bringing up is given up.
const PATIENCE_NS: u64 = 10 * SECOND;

/// Connects `clients`, into new connections or into the closed ones from `first` on, and waits until all are subscribed.
/// Messages that come meanwhile go to `inner`.
///
/// # Errors
/// Who refused what; why there is no connection; what this machine lacks.
pub(crate) fn bring_up<H: Handler>(
    reactor: &mut Reactor,
    settings: &Settings,
    shared: &Shared,
    clients: &[Client],
    first: usize,
    inner: &mut H,
) -> Result<Up, Failure> {
    let begin = reactor.now();
    let mut bring_up = BringUp::new(settings, shared, clients, first, begin, inner);
    let mut last = ((0, 0, 0), begin);
    while bring_up.ready < clients.len() {
        let next = bring_up.open_more(reactor)?;
        reactor.round(&mut bring_up, next.min(reactor.now() + 50 * MILLISECOND), true);
        if let Some(failure) = bring_up.error.take() {
            return Err(failure);
        }
        if shared.stopped().is_some() {
            bring_up.up.is_complete = false;
            break;
        }
        let now = reactor.now();
        if bring_up.up.connected == clients.len() && bring_up.up.connect_ns == 0 {
            bring_up.up.connect_ns = now - begin;
        }
        let progress = (bring_up.up.connected, bring_up.waiting.len(), bring_up.subacks);
        if progress != last.0 || next <= now {
            last = (progress, now);
        } else if now - last.1 > settings.stall_ns.max(PATIENCE_NS) && next == u64::MAX {
            return Err(bring_up.stalled());
        }
    }
    let mut up = bring_up.up;
    up.ready_ns = reactor.now() - begin;
    if up.connect_ns == 0 {
        up.connect_ns = up.ready_ns;
    }
    Ok(up)
}

struct BringUp<'a, H> {
    settings: &'a Settings,
    shared: &'a Shared,
    clients: &'a [Client],
    first: usize,
    progress: Vec<Progress>,
    waiting: VecDeque<usize>,
    begin: u64,
    ready: usize,
    subacks: u64,
    error: Option<Failure>,
    up: Up,
    inner: &'a mut H,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    due: u64,
    sent: usize,
    unanswered: u32,
    is_ready: bool,
}

impl<'a, H: Handler> BringUp<'a, H> {
    fn new(
        settings: &'a Settings,
        shared: &'a Shared,
        clients: &'a [Client],
        first: usize,
        begin: u64,
        inner: &'a mut H,
    ) -> Self {
        let up = Up {
            connect_ns: 0,
            ready_ns: 0,
            connack: histogram(),
            connected: 0,
            receive_maximum: u16::MAX,
            keep_alive_s: settings.keep_alive_s,
            sessions_present: 0,
            is_complete: true,
        };
        Self {
            settings,
            shared,
            clients,
            first,
            progress: vec![Progress::default(); clients.len()],
            waiting: (0..clients.len()).collect(),
            begin,
            ready: 0,
            subacks: 0,
            error: None,
            up,
            inner,
        }
    }

    /// Opens what may be opened now, and gives the time when the next one is due.
    fn open_more(&mut self, reactor: &mut Reactor) -> Result<u64, Failure> {
        let parallel = self.settings.parallel.div_ceil(self.settings.threads);
        while let Some(&next) = self.waiting.front() {
            let now = reactor.now();
            let due = self.due(next, now);
            if due > now {
                return Ok(due);
            }
            let under_way = self.clients.len() - self.waiting.len() - self.up.connected;
            if under_way >= parallel {
                break;
            }
            self.waiting.pop_front();
            self.open(reactor, next, due)?;
        }
        Ok(u64::MAX)
    }

    fn due(&self, number: usize, now: u64) -> u64 {
        if self.settings.connect_rate == 0.0 {
            return now;
        }
        let gap = SECOND as f64 * self.settings.threads as f64 / self.settings.connect_rate;
        self.begin + (number as f64 * gap) as u64
    }

    fn open(&mut self, reactor: &mut Reactor, number: usize, due: u64) -> Result<(), Failure> {
        self.progress[number].due = due;
        let at = self.first + number;
        let opened = if at < reactor.count() { reactor.reopen(at) } else { reactor.open().map(drop) };
        opened.map_err(|error| cannot_connect(self.settings, &error))?;
        let client = &self.clients[number];
        let greeting = Greeting {
            version: self.settings.version,
            client_id: &client.id,
            clean_start: client.clean_start,
            keep_alive_s: self.settings.keep_alive_s,
            session_expiry_s: client.session_expiry_s,
            user_name: self.settings.user_name.as_deref(),
            password: self.settings.password.as_deref(),
        };
        greeting
            .put(reactor.out(at))
            .map_err(|error| Failure::new(format!("cannot say CONNECT as {:?}: {error}", client.id)))
    }

    fn connack(
        &mut self,
        reactor: &mut Reactor,
        number: usize,
        frame: Frame<'_>,
        now: u64,
    ) -> Result<(), Failure> {
        let version = self.settings.version;
        let client = &self.clients[number];
        let connack = Connack::decode(version, frame.header, frame.body).map_err(not_mqtt)?;
        if connack.reason_code.is_error() {
            let what = format!("the connection of {:?}", client.id);
            return Err(Failure::refused(what, connack.reason_code, version));
        }
        let properties = connack.properties;
        let qos_max = properties.maximum_qos().unwrap_or(QoS::ExactlyOnce);
        if client.qos.value() > qos_max.value() {
            return Err(Failure::new(format!(
                "the Server allows QoS {} at most (Maximum QoS); give that with -q",
                qos_max.value()
            )));
        }
        let up = &mut self.up;
        up.receive_maximum = up.receive_maximum.min(properties.receive_maximum().unwrap_or(u16::MAX));
        if let Some(keep_alive_s) = properties.server_keep_alive_s().filter(|seconds| *seconds > 0) {
            up.keep_alive_s =
                if up.keep_alive_s == 0 { keep_alive_s } else { up.keep_alive_s.min(keep_alive_s) };
        }
        up.sessions_present += usize::from(connack.session_present);
        up.connected += 1;
        up.connack.saturating_record(now.saturating_sub(self.progress[number].due));
        self.subscribe(reactor, number)
    }

    fn suback(&mut self, reactor: &mut Reactor, number: usize, frame: Frame<'_>) -> Result<(), Failure> {
        let version = self.settings.version;
        let suback = Suback::decode(version, frame.header, frame.body).map_err(not_mqtt)?;
        let client = &self.clients[number];
        let filters = client.filters.iter().skip(usize::from(suback.packet_id.value() - 1) * FILTERS_EACH);
        for (code, filter) in suback.reason_codes.iter().zip(filters) {
            if code.is_error() {
                return Err(Failure::refused(format!("the Topic Filter {filter:?}"), code, version));
            }
            if code.value() < client.qos.value() {
                return Err(Failure::new(format!(
                    "the Server grants QoS {} for {filter:?}, {} was asked for; give what it grants with -q",
                    code.value(),
                    client.qos.value()
                )));
            }
        }
        self.subacks += 1;
        let progress = &mut self.progress[number];
        progress.unanswered = progress.unanswered.saturating_sub(1);
        self.subscribe(reactor, number)
    }

    fn subscribe(&mut self, reactor: &mut Reactor, number: usize) -> Result<(), Failure> {
        let client = &self.clients[number];
        let progress = &mut self.progress[number];
        while progress.unanswered < SUBSCRIBES_MAX && progress.sent < client.filters.len() {
            let end = (progress.sent + FILTERS_EACH).min(client.filters.len());
            let packet_id = u16::try_from(progress.sent / FILTERS_EACH + 1).ok().and_then(PacketId::new);
            let packet_id = packet_id.ok_or_else(|| Failure::new("too many filters for one connection"))?;
            let filters = &client.filters[progress.sent..end];
            let out = reactor.out(self.first + number);
            wire::put_subscribe(out, self.settings.version, packet_id, filters, client.qos)
                .map_err(|error| Failure::new(format!("cannot subscribe to {filters:?}: {error}")))?;
            progress.sent = end;
            progress.unanswered += 1;
        }
        if progress.unanswered == 0 && !progress.is_ready {
            progress.is_ready = true;
            self.ready += 1;
            self.shared.connected.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn stalled(&self) -> Failure {
        Failure::new(format!(
            "{} does not answer: {} of {} connections have a CONNACK, {} have all SUBACKs; is an MQTT Server there?",
            self.settings.server_name,
            self.up.connected,
            self.clients.len(),
            self.ready
        ))
    }
}

impl<H: Handler> Handler for BringUp<'_, H> {
    fn packet(&mut self, reactor: &mut Reactor, at: usize, frame: Frame<'_>, now: u64) {
        let number = at.wrapping_sub(self.first);
        if number >= self.clients.len() {
            return self.inner.packet(reactor, at, frame, now);
        }
        let done = match frame.header.packet_type {
            PacketType::Connack => self.connack(reactor, number, frame, now),
            PacketType::Suback => self.suback(reactor, number, frame),
            _ => {
                self.inner.packet(reactor, at, frame, now);
                Ok(())
            }
        };
        if let Err(failure) = done {
            self.error.get_or_insert(failure);
        }
    }

    fn drained(&mut self, reactor: &mut Reactor, at: usize) {
        self.inner.drained(reactor, at);
    }

    fn closed(&mut self, _reactor: &mut Reactor, _at: usize, cause: Option<io::Error>) {
        let settings = self.settings;
        let (connected, all) = (self.up.connected, self.clients.len());
        self.error.get_or_insert_with(|| match cause {
            Some(error) => cannot_connect(settings, &error),
            None => Failure::new(format!(
                "{} closes a connection while they are brought up ({connected} of {all} had a CONNACK); the log of the \
                 Server may say why",
                settings.server_name
            )),
        });
    }
}

fn not_mqtt(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("what the Server sends is not MQTT as it should be: {error}"))
}

/// Says in words why there is no connection.
pub(crate) fn cannot_connect(settings: &Settings, error: &io::Error) -> Failure {
    use rustix::io::Errno;
    let server = &settings.server_name;
    if let Some(failure) = failure_below(error) {
        return Failure::new(format!("{server}: {failure}"));
    }
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    Failure::new(match (errno, error.kind()) {
        (_, io::ErrorKind::ConnectionRefused) => {
            format!(
                "{server} refuses the connection; check that the Server runs and that host and port are right"
            )
        }
        (Some(Errno::MFILE | Errno::NFILE), _) => {
            format!(
                "too many open files ({error}); raise the limit with ulimit -n, or open fewer connections"
            )
        }
        (Some(Errno::ADDRNOTAVAIL), _) => format!(
            "no free local port or no such local address ({error}): each address has about 28,000 ports; name more of \
             this machine's addresses with --bind A,B,C"
        ),
        (_, io::ErrorKind::TimedOut) => format!("{server} does not answer; check host, port and firewalls"),
        (_, io::ErrorKind::InvalidData) => not_mqtt(error).message,
        _ => format!("no connection to {server}: {error}; check host, port and network"),
    })
}
