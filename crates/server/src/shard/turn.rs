//! One turn of a shard: collect what is ready (bounded), tell the broker, flush what it wants done.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant as Monotonic},
};

use dunlin_auth::chain::Exchange;
use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::{Arrival, Cause, Input, Storage},
    output::Outbox,
    pressure::Pressure,
    routing::mail::Mail,
    shard::Shard,
};
use dunlin_net::layer::Scratch;
use dunlin_protocol::time::Instant;
use mio::net::TcpStream;

use crate::{husks::Husk, process::make_room, seats::Place, shard::admission::Admission};

use super::{
    asking::Traffic,
    connection_io::{Connections, Pauses, READ_BYTES},
    mailbox::{Answer, Contents, Shards, StorageInput, StorageNews},
    poller::{Poller, Ready as ReadySocket, Registrar},
    questions::Questions,
    socket_io::Reading,
    storage::Ready,
    surroundings::Surroundings,
};

/// What decides: the broker's shard, or a stand-in of a test.
pub(crate) trait Machine {
    /// Takes one input and adds to `out` what is to be done.
    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Outbox);
    /// When [`Input::Timeout`] is due.
    fn next_timeout(&self) -> Option<Instant>;
    /// The connection that uses a Client Identifier now.
    fn connection_of(&self, client_id: &str) -> Option<ConnectionId>;
    /// All shards are restored; see [`Shard::settle`].
    fn settle(&mut self, now: Instant, last_alive: Instant, out: &mut Outbox);
}

impl Machine for Shard {
    fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Outbox) {
        Shard::handle(self, now, input, out);
    }

    fn next_timeout(&self) -> Option<Instant> {
        Shard::next_timeout(self)
    }

    fn connection_of(&self, client_id: &str) -> Option<ConnectionId> {
        Shard::connection_of(self, client_id)
    }

    fn settle(&mut self, now: Instant, last_alive: Instant, out: &mut Outbox) {
        Shard::settle(self, now, last_alive, out);
    }
}

/// All that one shard's thread owns.
pub(crate) struct Turns<M> {
    pub(super) shard: ShardId,
    pub(super) machine: M,
    pub(super) outbox: Outbox,
    pub(super) around: Surroundings,
    registrar: Registrar,
    pub(super) connections: Connections,
    /// When the turn began.
    pub(super) began: Monotonic,
    /// The same, for the broker.
    pub(super) now: Instant,
    /// Shards that sleep although they have got mail.
    pub(super) asleep: Shards,
    /// When the thread that sleeps is going to wake by itself; nothing if never.
    wakes_at: Option<Instant>,
    inbox: Contents,
    /// Clients that are to be let in.
    admissions: VecDeque<Admission>,
    /// Connections that may have something to read; each stands there once.
    pub(super) ready: VecDeque<ConnectionId>,
    /// Connections to be written to.
    pub(super) dirty: Vec<ConnectionId>,
    /// Connections of which the broker wants to hear that they are written to the end.
    pub(super) drained: Vec<ConnectionId>,
    /// Connections that have been ended, with the time when they are cut at the latest.
    pub(super) lingering: VecDeque<(Instant, ConnectionId, u32)>,
    /// What the providers remember of Clients that may authenticate again.
    pub(super) exchanges: HashMap<ConnectionId, Exchange>,
    /// Where those have their seats who are counted by more than their number.
    places: HashMap<ConnectionId, Place>,
    /// What operators ask.
    pub(super) questions: Questions,
    pub(super) traffic: Traffic,
    /// What is read goes here first, whosever it is.
    pub(super) buffer: Box<[u8]>,
    /// What TLS and WebSocket need while they read and write.
    pub(super) scratch: Scratch,
    /// A peer's mailbox was full: all mail waits, and no socket is read.
    pub(super) is_kept_back: bool,
    /// So much waits to become durable that no socket is read.
    pub(super) is_storage_full: bool,
    /// Nothing becomes durable any more.
    pub(super) has_storage_failed: bool,
    /// How short memory was at the last look.
    pressure: Pressure,
    /// All shards are restored: to be settled when the letters until then are read.
    settle: Option<Instant>,
    /// After a panic over a timeout the broker is left alone for a while.
    no_timeout_before: Instant,
    /// The Server shuts down: the thread ends then at the latest.
    stop_at: Option<Instant>,
}

impl<M: Machine> Turns<M> {
    /// A shard without connections.
    pub(crate) fn new(
        shard: ShardId,
        machine: M,
        outbox: Outbox,
        registrar: Registrar,
        around: Surroundings,
    ) -> Self {
        let now = around.clock.now();
        Self {
            shard,
            machine,
            outbox,
            registrar,
            connections: Connections::default(),
            began: Monotonic::now(),
            now,
            asleep: Shards::new(),
            wakes_at: None,
            inbox: Contents::default(),
            admissions: VecDeque::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            drained: Vec::new(),
            lingering: VecDeque::new(),
            exchanges: HashMap::new(),
            places: HashMap::new(),
            questions: Questions::default(),
            traffic: Traffic::default(),
            buffer: vec![0; READ_BYTES].into(),
            scratch: Scratch::default(),
            is_kept_back: false,
            is_storage_full: false,
            has_storage_failed: false,
            pressure: Pressure::default(),
            settle: None,
            no_timeout_before: now,
            stop_at: None,
            around,
        }
    }

    /// How long the thread may wait for something to do before the next turn; `None` is without end.
    pub(crate) fn time_to_wait(&mut self) -> Option<Duration> {
        if self.has_work() || !self.around.post.may_sleep(self.shard) {
            return Some(Duration::ZERO);
        }
        self.wakes_at = self.due();
        self.wakes_at.map(|at| at.saturating_since(self.now))
    }

    /// Does what the thread has waited for; returns whether there will be another turn.
    pub(crate) fn turn(&mut self, poller: &Poller) -> bool {
        self.around.post.awake(self.shard);
        self.look_at_the_clock();
        self.look_at_memory();
        let Self { connections, ready, dirty, .. } = self;
        poller.each_ready(|event| note(event, connections, ready, dirty));
        self.take_mail();
        for connection in std::mem::take(&mut self.drained) {
            if self.connections.open(connection).is_some_and(|slot| !slot.is_ending) {
                self.tell(Some(connection), Input::Drained { connection });
            }
        }
        self.handle_letters();
        let is_settling = self.settle_restored();
        self.read_ready();
        self.handle_timeout();
        // One in each turn, so that questions never take a turn for themselves.
        if let Some(asked) = self.questions.next() {
            self.tell(None, Input::Asked(Box::new(asked)));
        }
        self.flush();
        if is_settling {
            self.around.tell_startup(Ready::Settled);
        }
        self.cut_overdue();
        for shard in std::mem::take(&mut self.asleep) {
            self.around.neighbours.serve(shard, &self.around.post);
        }
        self.stop_at.is_none_or(|stop_at| self.connections.count() > 0 && self.now < stop_at)
    }

    /// Handles the mail of a shard whose thread sleeps; returns whether it may sleep on.
    pub(super) fn turn_for_a_sleeper(&mut self) -> bool {
        self.look_at_the_clock();
        self.take_mail();
        self.handle_letters();
        self.flush();
        // Whoever helps does not help further.
        std::mem::take(&mut self.asleep).into_iter().for_each(|shard| self.around.post.wake(shard));
        let wakes_in_time = match (self.due(), self.wakes_at) {
            (Some(due), Some(wakes_at)) => wakes_at <= due,
            (due, _) => due.is_none(),
        };
        !self.has_work() && wakes_in_time && !self.around.post.has_news(self.shard)
    }

    fn look_at_the_clock(&mut self) {
        self.began = Monotonic::now();
        self.now = self.around.clock.at(self.began);
    }

    fn look_at_memory(&mut self) {
        let pressure = self.around.memory.pressure();
        if pressure != self.pressure {
            self.pressure = pressure;
            self.tell(None, Input::Memory(pressure));
        }
    }

    fn has_work(&self) -> bool {
        let has_sockets = !self.ready.is_empty() || !self.admissions.is_empty();
        (has_sockets && !self.is_waiting())
            || !self.inbox.letters.is_empty()
            || !self.drained.is_empty()
            || self.questions.has_work()
            || self.settle.is_some()
    }

    /// Whether sockets are not to be read for now.
    fn is_waiting(&self) -> bool {
        self.is_kept_back || self.is_storage_full
    }

    /// Settles once everything is read that the peers wrote while they were restored; returns whether it did.
    fn settle_restored(&mut self) -> bool {
        if !self.inbox.letters.is_empty() {
            return false;
        }
        let Some(last_alive) = self.settle.take() else { return false };
        self.machine.settle(self.now, last_alive, &mut self.outbox);
        true
    }

    /// When something is due; `None` if nothing ever is.
    fn due(&self) -> Option<Instant> {
        let timeout = self.machine.next_timeout().map(|timeout| timeout.max(self.no_timeout_before));
        let cut = self.lingering.front().map(|&(cut_at, ..)| cut_at);
        [timeout, cut, self.stop_at].into_iter().flatten().min()
    }

    fn take_mail(&mut self) {
        if self.inbox.letters.is_empty() {
            self.around.post.take(self.shard, &mut self.inbox);
        }
        self.settle = self.settle.or(self.inbox.settle.take());
        self.hear_storage();
        if let Some(settings) = self.inbox.settings.take() {
            self.tell(None, Input::Settings(settings));
        }
        for rules in std::mem::take(&mut self.inbox.rules) {
            self.tell(None, Input::Rules(rules));
        }
        self.admissions.extend(self.inbox.admissions.drain(..));
        self.admit_all();
        self.questions.add(self.inbox.questions.drain(..));
        for answer in std::mem::take(&mut self.inbox.answers) {
            self.answered(answer);
        }
        if std::mem::take(&mut self.inbox.is_stopping) && self.stop_at.is_none() {
            self.stop_at = Some(self.now + STOP_TIME);
            self.tell(None, Input::Stop);
        }
    }

    fn hear_storage(&mut self) {
        for news in std::mem::take(&mut self.inbox.storage) {
            let input = match news {
                StorageNews::HasRoom => {
                    self.is_storage_full = false;
                    continue;
                }
                StorageNews::Input(StorageInput::Committed(batch)) => Input::Committed { batch },
                StorageNews::Input(StorageInput::Page(page)) => Input::Page(page),
                StorageNews::Input(StorageInput::Unreadable(reader, error)) => {
                    let what = &error.to_string();
                    self.tell(None, Input::Unreadable { reader, what });
                    continue;
                }
                StorageNews::Input(StorageInput::State(storage)) => {
                    if storage == Storage::Failed {
                        // Whatever needs no storage goes on.
                        (self.has_storage_failed, self.is_storage_full) = (true, false);
                    }
                    Input::Storage(storage)
                }
            };
            self.tell(None, input);
        }
    }

    fn admit_all(&mut self) {
        while !self.is_waiting()
            && let Some(admission) = self.admissions.pop_front()
        {
            if let Some(old) = self.machine.connection_of(&admission.request.client_id) {
                self.read_out(old);
                // If that was its end, the number of the old connection may become that of the new one.
                self.flush();
            }
            if self.is_waiting() {
                return self.admissions.push_front(admission);
            }
            self.admit(admission);
        }
    }

    fn admit(&mut self, admission: Admission) {
        let Admission { stream, door, passage, request, unread, seat, permit: _left, exchange } = admission;
        if self.stop_at.is_some() {
            return;
        }
        if self.connections.count().is_multiple_of(CONNECTIONS_IN_A_ROOM) {
            make_room();
        }
        let connection = self.connections.insert(TcpStream::from_std(stream), passage, door);
        let slot = self.connections.open(connection).expect("it was just put in");
        if let Err(error) = self.registrar.register(slot.stream(), connection) {
            tracing::error!(%error, peer = %request.peer, "a connection cannot be watched and is closed");
            return self.connections.remove(connection);
        }
        if slot.is_layered() {
            // Its end may have come with CONNECT, of which the socket says nothing.
            slot.is_listed = true;
            self.ready.push_back(connection);
        }
        if let Some(place) = seat.keep() {
            self.places.insert(connection, place);
        }
        if let Some(exchange) = exchange {
            self.exchanges.insert(connection, exchange);
        }
        self.traffic.bytes_received += unread.len() as u64;
        self.outbox.open(connection);
        let mut husk = Husk { request, unread };
        let (request, unread) = (husk.take_out(), husk.unread.clone());
        self.around.husks.add(husk);
        let arrival = Box::new(Arrival { connection, request, unread });
        self.tell(Some(connection), Input::Arrived(arrival));
    }

    /// Reads what a Client has sent on its old connection: it was sent before it came again.
    fn read_out(&mut self, connection: ConnectionId) {
        for _ in 0..READ_OUT_TIMES_MAX {
            self.heed_rates();
            let Some(slot) = self.connections.open(connection).filter(|slot| !slot.is_ending) else { return };
            if slot.is_paused_for(Pauses::RATE) {
                return;
            }
            let reading = slot.read(&mut self.buffer, READ_BYTES, &mut self.scratch);
            let Reading::Bytes { count, is_drained } = reading else {
                return self.read_nothing(connection, reading);
            };
            let is_all = is_drained && !slot.is_read_closed;
            if count > 0 {
                self.received(connection, count, !is_drained);
            }
            if is_all {
                return;
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        let Answer { connection, serial, decision, exchange } = answer;
        if self.connections.open_as(connection, serial).is_none_or(|slot| slot.is_ending) {
            return;
        }
        self.exchanges.insert(connection, exchange);
        self.tell(Some(connection), Input::Authenticated { connection, decision });
    }

    /// Hands letters to the broker, for a limited time; the others wait for the next turn.
    fn handle_letters(&mut self) {
        for number in 1.. {
            let Some(mail) = self.inbox.letters.pop_front() else { return };
            let (from, count) = self.inbox.senders.front_mut().expect("every letter has a sender");
            let from = *from;
            *count -= 1;
            if *count == 0 {
                self.inbox.senders.pop_front();
            }
            let looks =
                number % LETTERS_BETWEEN_LOOKS == 0 || matches!(mail, Mail::Bundle(_) | Mail::Shares(_));
            self.tell(None, Input::Routed { from, mail });
            if looks && self.began.elapsed() > TURN_TIME / 2 {
                return;
            }
        }
    }

    /// Reads each ready connection at most once, until the turn is full.
    fn read_ready(&mut self) {
        if self.is_waiting() {
            return;
        }
        let mut bytes = 0;
        for number in 1..=self.ready.len() {
            let Some(connection) = self.ready.pop_front() else { return };
            bytes += self.read(connection);
            let looks = number % READS_BETWEEN_LOOKS == 0 || bytes >= LOOK_BYTES;
            if bytes >= READ_BYTES || (looks && self.began.elapsed() > TURN_TIME) {
                return;
            }
        }
    }

    /// Reads once and returns how many bytes came.
    fn read(&mut self, connection: ConnectionId) -> usize {
        let Some(slot) = self.connections.open(connection) else { return 0 };
        slot.is_listed = false;
        if slot.is_paused() {
            return 0;
        }
        let most = slot.read_max();
        let reading = slot.read(&mut self.buffer, most, &mut self.scratch);
        if slot.has_unsent() && !slot.is_write_blocked {
            self.dirty.push(connection);
        }
        let Reading::Bytes { count, is_drained } = reading else {
            self.read_nothing(connection, reading);
            return 0;
        };
        if !is_drained || slot.is_read_closed {
            slot.is_listed = true;
            self.ready.push_back(connection);
        }
        if count == 0 {
            // Part of a TLS record, perhaps of a long one, or something of the layers that had an answer.
            slot.pace(!is_drained, Duration::ZERO);
            slot.pause(Pauses::BACKLOG, slot.unsent_len() > self.around.backlog_max);
        } else if !slot.is_ending {
            self.received(connection, count, !is_drained);
        }
        count
    }

    fn read_nothing(&mut self, connection: ConnectionId, reading: Reading) {
        match reading {
            Reading::Bytes { .. } | Reading::Nothing => {}
            Reading::End => self.lost(connection, Cause::Closed),
            Reading::Failed(error) => {
                tracing::debug!(%error, "a connection failed");
                self.lost(connection, Cause::Failed);
            }
        }
    }

    /// Hands what was read to the broker; `was_full` if it was all that may be read at once.
    fn received(&mut self, connection: ConnectionId, count: usize, was_full: bool) {
        self.traffic.bytes_received += count as u64;
        let began = (count >= LOOK_BYTES).then(Monotonic::now);
        let input = Input::Received { connection, bytes: &self.buffer[..count] };
        if !handle(&mut self.machine, self.now, input, &mut self.outbox) {
            return self.panicked(Some(connection));
        }
        let Some(slot) = self.connections.open(connection) else { return };
        if let Some(began) = began {
            slot.pace(was_full, began.elapsed());
        }
        let backlog = self.outbox.backlog(connection) + slot.unsent_len();
        slot.pause(Pauses::BACKLOG, backlog > self.around.backlog_max);
    }

    fn handle_timeout(&mut self) {
        let is_due = |timeout: Instant| timeout.max(self.no_timeout_before) <= self.now;
        if self.machine.next_timeout().is_some_and(is_due) {
            self.tell(None, Input::Timeout);
        }
    }

    /// Tells the broker what happened; of a panic only `connection` dies, if it is about one.
    pub(super) fn tell(&mut self, connection: Option<ConnectionId>, input: Input<'_>) {
        if !handle(&mut self.machine, self.now, input, &mut self.outbox) {
            self.panicked(connection);
        }
    }

    fn panicked(&mut self, connection: Option<ConnectionId>) {
        self.around.counts.panicked();
        tracing::error!(
            shard = self.shard.0,
            ?connection,
            "the broker panicked: this is a fault of the program"
        );
        self.no_timeout_before = self.now + TIMEOUT_PAUSE;
        if let Some(connection) = connection {
            let input = Input::Left { connection, cause: Cause::Panicked };
            if !handle(&mut self.machine, self.now, input, &mut self.outbox) {
                self.around.counts.panicked();
                tracing::error!(shard = self.shard.0, ?connection, "the broker panicked again");
            }
            self.remove(connection);
        }
    }

    /// The connection is gone without the broker's doing.
    pub(super) fn lost(&mut self, connection: ConnectionId, cause: Cause) {
        let Some(slot) = self.connections.open(connection) else { return };
        if !slot.is_ending {
            // The broker may not hear of the connection again, so it is removed although this may remove it,
            // too.
            self.tell(Some(connection), Input::Left { connection, cause });
        }
        self.remove(connection);
    }

    /// Closes the socket and forgets the connection.
    pub(super) fn remove(&mut self, connection: ConnectionId) {
        if self.connections.open(connection).is_some() {
            self.connections.remove(connection);
            self.outbox.close(connection);
            self.exchanges.remove(&connection);
            let place = if self.places.is_empty() { None } else { self.places.remove(&connection) };
            self.around.seats.release(place);
        }
    }
}

/// Returns whether the broker took the input without a panic.
fn handle<M: Machine>(machine: &mut M, now: Instant, input: Input<'_>, out: &mut Outbox) -> bool {
    catch_unwind(AssertUnwindSafe(|| machine.handle(now, input, out))).is_ok()
}

fn note(
    event: ReadySocket,
    connections: &mut Connections,
    ready: &mut VecDeque<ConnectionId>,
    dirty: &mut Vec<ConnectionId>,
) {
    let connection = event.connection;
    let Some(slot) = connections.open(connection) else { return };
    slot.is_read_closed |= event.is_read_closed;
    if event.is_writable && slot.is_write_blocked {
        slot.is_write_blocked = false;
        dirty.push(connection);
    }
    if event.is_readable && !slot.is_listed {
        slot.is_listed = true;
        ready.push_back(connection);
    }
}

/// So many connections with their Sessions find place in what the heap grows by at a time.
const CONNECTIONS_IN_A_ROOM: usize = 256;

/// How long the thread goes on after it was told to stop.
const STOP_TIME: Duration = Duration::from_secs(3);

/// How often a whole buffer is read from a connection whose Client has come again; the rest is lost with it.
const READ_OUT_TIMES_MAX: u32 = 16;

/// How long a turn may take before what is left waits for the next one.
const TURN_TIME: Duration = Duration::from_millis(10);

/// How long the broker is left alone with its timeouts after a panic.
const TIMEOUT_PAUSE: Duration = Duration::from_secs(1);

/// Looking at the clock costs little, but not nothing: once for so many letters,
const LETTERS_BETWEEN_LOOKS: u32 = 64;
/// for so many readings,
const READS_BETWEEN_LOOKS: usize = 32;
/// or for so many bytes.
const LOOK_BYTES: usize = 1_024;
