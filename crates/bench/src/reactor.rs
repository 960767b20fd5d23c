//! One thread's loop over many connections: edge-triggered readiness, one read buffer for all, and one write for all
//! that a connection has to say after a round.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dunlin_net::layer::Scratch;
use dunlin_packet::fixed_header::{FixedHeader, Frame};
use mio::{Events, Poll, Token, Waker};

use crate::alarm::Alarm;
use crate::clock::{Clock, MILLISECOND, SECOND};
use crate::stream::{ByteStream, Came, Transport};
use crate::wire;

/// Where the connections go, and where they come from.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) server: SocketAddr,
    /// What lies between TCP and MQTT, if anything does.
    pub(crate) transport: Option<Arc<Transport>>,
    /// Local addresses, taken in turn; empty for any.
    pub(crate) sources: Vec<IpAddr>,
    /// The first of this thread's connections, and from each to the next: so that threads take turns as well.
    pub(crate) first: usize,
    pub(crate) step: usize,
}

/// What is done with what comes.
pub(crate) trait Handler {
    /// A whole packet came on connection `at`, read at `now`.
    fn packet(&mut self, reactor: &mut Reactor, at: usize, frame: Frame<'_>, now: u64);
    /// All that was held up on connection `at` is written.
    fn drained(&mut self, _reactor: &mut Reactor, _at: usize) {}
    /// Connection `at` is closed, by the Server unless there is an error.
    fn closed(&mut self, reactor: &mut Reactor, at: usize, cause: Option<io::Error>);
}

/// What a thread has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

/// The loop.
pub(crate) struct Reactor {
    poll: Poll,
    /// Taken out while a round goes through them.
    events: Option<Events>,
    connections: Vec<Connection>,
    /// The read buffer of the thread, taken out while packets are cut from it.
    buffer: Vec<u8>,
    /// For what goes through TLS and WebSocket.
    scratch: Scratch,
    /// Connections with something to write.
    dirty: Vec<usize>,
    route: Route,
    clock: Clock,
    alarm: Alarm,
    pings: Pings,
    pub(crate) calls: Calls,
}

/// One connection. An idle one owns no buffer.
#[derive(Debug, Default)]
struct Connection {
    stream: Option<ByteStream>,
    out: Vec<u8>,
    written: usize,
    is_dirty: bool,
    /// Why the last write failed. The system tells it once, and the read that follows finds only the end.
    failure: Option<io::Error>,
    /// The start of a packet that is not whole yet.
    rest: Vec<u8>,
    /// How much of `rest` is there, if the packet is so large that it is read straight into it; else 0.
    large_read: usize,
}

/// When which connection is to ping, so that the Server does not close it (3.1.2.10).
#[derive(Debug, Default)]
struct Pings {
    next: usize,
    next_at: u64,
    /// In this time all connections ping once; 0 for no pings.
    all_ns: u64,
}

/// Bytes read at once.
const READ_MAX: usize = 256 << 10;
/// A packet from this size on gets a buffer of its own until it is whole.
const LARGE: usize = 128 << 10;
/// Buffers above this are given back when they are empty.
const KEPT_MAX: usize = 1 << 20;
/// Connections from one address of the loopback before the next one is taken: the system has about 28,000 ports.
const PER_LOOPBACK_ADDRESS: usize = 20_000;
const WAKE: Token = Token(usize::MAX - 1);
const ALARM: Token = Token(usize::MAX - 2);

impl Reactor {
    /// A loop without connections.
    ///
    /// # Errors
    /// The operating system gives no poller or timer.
    pub(crate) fn new(route: Route, clock: Clock) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        Ok(Self {
            poll,
            events: Some(Events::with_capacity(1_024)),
            connections: Vec::new(),
            buffer: vec![0; READ_MAX + LARGE],
            scratch: Scratch::default(),
            dirty: Vec::new(),
            route,
            clock,
            alarm,
            pings: Pings::default(),
            calls: Calls::default(),
        })
    }

    /// Lets other threads end a wait.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKE)
    }

    /// The time.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// How many connections were ever opened; their numbers are below this.
    pub(crate) fn count(&self) -> usize {
        self.connections.len()
    }

    /// Begins to open a connection and gives its number.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn open(&mut self) -> io::Result<usize> {
        let at = self.connections.len();
        self.connections.push(Connection::default());
        self.reopen(at)?;
        Ok(at)
    }

    /// Begins to open connection `at` again, from the same local address as before.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn reopen(&mut self, at: usize) -> io::Result<()> {
        let transport = self.route.transport.as_deref();
        let mut stream = ByteStream::open(self.route.server, self.source(at), transport)?;
        stream.register(self.poll.registry(), Token(at))?;
        let is_dirty = self.connections[at].is_dirty;
        self.connections[at] = Connection { stream: Some(stream), is_dirty, ..Connection::default() };
        Ok(())
    }

    fn source(&self, at: usize) -> Option<IpAddr> {
        let number = self.route.first + at * self.route.step;
        if !self.route.sources.is_empty() {
            return Some(self.route.sources[number % self.route.sources.len()]);
        }
        let address = number / PER_LOOPBACK_ADDRESS;
        let is_loopback = matches!(self.route.server.ip(), IpAddr::V4(ip) if ip.is_loopback());
        let last = u8::try_from(address + 1).unwrap_or(u8::MAX);
        (is_loopback && address > 0).then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
    }

    /// The output buffer of connection `at`, written at the end of the round or by [`flush`](Self::flush).
    #[inline]
    pub(crate) fn out(&mut self, at: usize) -> &mut Vec<u8> {
        let connection = &mut self.connections[at];
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(at);
        }
        &mut connection.out
    }

    /// How many bytes connection `at` has not written.
    #[inline]
    pub(crate) fn pending(&self, at: usize) -> usize {
        let connection = &self.connections[at];
        connection.out.len() - connection.written
    }

    /// Whether connection `at` is open, or on the way there.
    pub(crate) fn is_open(&self, at: usize) -> bool {
        self.connections[at].stream.is_some()
    }

    /// Writes what there is to write.
    pub(crate) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for at in dirty.drain(..) {
            self.connections[at].is_dirty = false;
            self.calls.writes += self.connections[at].write(&mut self.scratch);
        }
        self.dirty = dirty;
    }

    /// Closes connection `at` as if the cable was cut: without DISCONNECT, and without what was not written.
    pub(crate) fn cut(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        *connection = Connection { is_dirty: connection.is_dirty, ..Connection::default() };
    }

    /// Says DISCONNECT on connection `at` and closes it.
    pub(crate) fn leave(&mut self, at: usize) {
        if self.is_open(at) {
            self.out(at).extend_from_slice(&wire::DISCONNECT);
            let connection = &mut self.connections[at];
            connection.write(&mut self.scratch);
            if let Some(stream) = &mut connection.stream {
                stream.finish();
            }
            self.cut(at);
        }
    }

    /// Says DISCONNECT on all connections and closes them.
    pub(crate) fn leave_all(&mut self) {
        for at in 0..self.connections.len() {
            self.leave(at);
        }
    }

    /// Has every connection ping within `keep_alive_s` from now on, and those that are yet to be opened; 0 for no pings.
    pub(crate) fn keep_alive(&mut self, keep_alive_s: u16) {
        let all_ns = u64::from(keep_alive_s) * SECOND / 2;
        self.pings = Pings { next: 0, next_at: self.now() + all_ns, all_ns };
    }

    fn ping(&mut self, now: u64) {
        let count = self.connections.len().max(1);
        while self.pings.all_ns > 0 && self.pings.next_at <= now {
            let at = self.pings.next % count;
            if self.connections.get(at).is_some_and(|connection| connection.stream.is_some()) {
                self.out(at).extend_from_slice(&wire::PINGREQ);
            }
            self.pings.next = at + 1;
            self.pings.next_at += (self.pings.all_ns / count as u64).max(1);
        }
    }

    /// One round: waits until something happens, at the latest until `until`; handles it; writes what came of it.
    /// `is_exact` asks for better than a millisecond.
    pub(crate) fn round<H: Handler>(&mut self, handler: &mut H, until: u64, is_exact: bool) {
        let mut events = self.events.take().expect("a round does not begin inside another");
        let wait = until.saturating_sub(self.now());
        let is_set = is_exact && wait > 0 && self.alarm.set(until, wait);
        let limit = if is_set { wait + MILLISECOND } else { wait };
        match self.poll.poll(&mut events, Some(Duration::from_nanos(limit))) {
            Ok(()) => {}
            // A signal: whoever called looks at why.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => panic!("the poller of the operating system failed: {error}"),
        }
        for event in &events {
            let Token(at) = event.token();
            if self.connections.get(at).is_none_or(|connection| connection.stream.is_none()) {
                continue;
            }
            let was_pending = self.pending(at) > 0;
            if event.is_writable() && (was_pending || self.connections[at].has_unsent()) {
                self.calls.writes += self.connections[at].write(&mut self.scratch);
                if was_pending && self.pending(at) == 0 {
                    handler.drained(self, at);
                }
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.read(handler, at);
            }
        }
        self.events = Some(events);
        if self.pings.all_ns > 0 {
            let now = self.now();
            self.ping(now);
        }
        self.flush();
    }

    fn read<H: Handler>(&mut self, handler: &mut H, at: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            self.calls.reads += 1;
            let connection = &mut self.connections[at];
            let Some(stream) = &mut connection.stream else { break };
            let is_large = connection.large_read > 0;
            // What goes through layers needs room for itself, which the buffer of the thread has.
            let is_direct = is_large && !stream.is_layered();
            let (have, room) = if is_direct {
                (connection.large_read, &mut connection.rest[connection.large_read..])
            } else if is_large {
                (0, &mut buffer[..])
            } else {
                let have = connection.rest.len();
                buffer[..have].copy_from_slice(&connection.rest);
                (have, &mut buffer[have..have + READ_MAX])
            };
            let Came { len, is_drained, is_closed } = match stream.read(room, &mut self.scratch) {
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.close(handler, at, Some(error));
                    break;
                }
            };
            if is_closed {
                let cause = connection.failure.take();
                self.close(handler, at, cause);
                break;
            }
            if is_direct {
                self.take_large(handler, at, len);
            } else if is_large {
                self.take_large_from(handler, at, &buffer[..len]);
            } else if len > 0 {
                self.take_packets(handler, at, &buffer[..have + len]);
            }
            if is_drained {
                break; // a short read: there is no more, and the next byte will be told
            }
        }
        self.buffer = buffer;
        if self.connections[at].wants_write() {
            self.out(at);
        }
    }

    /// Cuts packets out of `bytes` and keeps what is left over.
    fn take_packets<H: Handler>(&mut self, handler: &mut H, at: usize, bytes: &[u8]) {
        self.connections[at].rest.clear();
        let now = self.now();
        let mut from = 0;
        loop {
            match Frame::split(&bytes[from..], u32::MAX) {
                Ok(Some(frame)) => {
                    from += frame.encoded_len;
                    handler.packet(self, at, frame, now);
                }
                Ok(None) => break,
                Err(error) => {
                    return self.close(handler, at, Some(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            }
        }
        let left = &bytes[from..];
        let connection = &mut self.connections[at];
        if connection.stream.is_none() {
            return;
        }
        if left.is_empty() {
            if connection.rest.capacity() > LARGE {
                connection.rest = Vec::new();
            }
            return;
        }
        connection.rest.extend_from_slice(left);
        if let Ok(Some((header, header_len))) = FixedHeader::decode(left) {
            let packet_len = header_len + header.remaining_length as usize;
            if packet_len > LARGE {
                connection.large_read = left.len();
                connection.rest.resize(packet_len, 0);
            }
        }
    }

    /// Goes on with a large packet, of which `bytes` are more, and perhaps with what follows it.
    fn take_large_from<H: Handler>(&mut self, handler: &mut H, at: usize, bytes: &[u8]) {
        let connection = &mut self.connections[at];
        let missing = &mut connection.rest[connection.large_read..];
        let count = missing.len().min(bytes.len());
        missing[..count].copy_from_slice(&bytes[..count]);
        self.take_large(handler, at, count);
        if count < bytes.len() && self.is_open(at) {
            self.take_packets(handler, at, &bytes[count..]);
        }
    }

    /// Goes on with a large packet, of which `read` more bytes are there.
    fn take_large<H: Handler>(&mut self, handler: &mut H, at: usize, read: usize) {
        let connection = &mut self.connections[at];
        connection.large_read += read;
        if connection.large_read < connection.rest.len() {
            return;
        }
        connection.large_read = 0;
        let packet = std::mem::take(&mut connection.rest);
        self.take_packets(handler, at, &packet);
        // The next one is likely to be as large.
        let connection = &mut self.connections[at];
        if connection.rest.capacity() == 0 && packet.capacity() <= KEPT_MAX {
            connection.rest = packet;
            connection.rest.clear();
        }
    }

    fn close<H: Handler>(&mut self, handler: &mut H, at: usize, cause: Option<io::Error>) {
        self.cut(at);
        handler.closed(self, at, cause);
    }
}

impl Connection {
    /// Whether something other than MQTT waits to be written.
    #[inline]
    fn has_unsent(&self) -> bool {
        self.stream.as_ref().is_some_and(ByteStream::has_unsent)
    }

    /// Whether what came through layers makes it possible to write, or necessary.
    #[inline]
    fn wants_write(&self) -> bool {
        let is_layered = self.stream.as_ref().is_some_and(ByteStream::is_layered);
        is_layered && (self.has_unsent() || self.written < self.out.len())
    }

    /// Writes as much as there is room for and gives the number of writes. Why it fails is told with the next read.
    fn write(&mut self, scratch: &mut Scratch) -> u64 {
        let mut writes = 0;
        let Some(stream) = &mut self.stream else {
            self.out.clear();
            self.written = 0;
            return writes;
        };
        if let Err(error) = stream.flush() {
            if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::BrokenPipe) {
                self.failure = Some(error);
            }
            return writes;
        }
        while self.written < self.out.len() {
            writes += 1;
            match stream.write(&self.out[self.written..], scratch) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // A pipe is broken because the other side has closed, which is what the read will say.
                    if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::BrokenPipe) {
                        self.failure = Some(error);
                    }
                    return writes;
                }
            }
        }
        self.out.clear();
        self.written = 0;
        if self.out.capacity() > KEPT_MAX {
            self.out = Vec::new();
        }
        writes
    }
}
