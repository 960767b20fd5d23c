//! `relay`: the floor to measure brokers against. It passes messages on without a Session, a queue, a Packet Identifier
//! of its own or a check, so that what it costs is what the kernel and one copy cost.

mod outputs;
mod routes;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use dunlin_packet::connect::Connect;
use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet_type::PacketType;
use dunlin_packet::property::list::PropertyList;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::suback::{ReasonCodes, Suback};
use dunlin_packet::subscribe::Subscribe;
use dunlin_packet::version::ProtocolVersion;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::failure::Failure;
use crate::settings::raise_open_files;
use crate::wire::{acknowledged, acknowledgement};
use outputs::{Connection, Outputs};
use routes::Routes;

/// Bytes read at once.
const READ_MAX: usize = 256 << 10;
/// The largest packet; a connection that sends a larger one is closed.
const PACKET_MAX: u32 = 1 << 20;
const LISTENER: Token = Token(usize::MAX);
/// PINGRESP (3.13).
const PINGRESP: [u8; 2] = [0xD0, 0];

/// The relay. Connections have numbers, which are used again.
struct Relay {
    poll: Poll,
    listener: TcpListener,
    outputs: Outputs,
    routes: Routes,
    free: Vec<usize>,
    /// The read buffer of all connections, taken out while packets are cut from it.
    buffer: Vec<u8>,
}

/// Listens on `port` of 127.0.0.1, any free one if it is 0, says so, and relays until the process is ended.
///
/// # Errors
/// The port is taken; the operating system gives no poller, or no more connections.
pub(crate) fn run(port: u16) -> Result<i32, Failure> {
    raise_open_files();
    let wish = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listening =
        |error| Failure::new(format!("cannot listen on {wish}: {error}; choose another port with -p"));
    let listener = TcpListener::bind(wish).map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let mut relay = Relay::new(listener).map_err(Failure::new)?;
    let mut screen = io::stdout();
    writeln!(screen, "relaying at mqtt://{address}")
        .and_then(|()| screen.flush())
        .map_err(|error| Failure::new(format!("cannot print the address: {error}")))?;
    let mut events = Events::with_capacity(1_024);
    loop {
        relay.round(&mut events).map_err(|error| Failure::new(format!("the relay cannot go on: {error}")))?;
    }
}

impl Relay {
    fn new(mut listener: TcpListener) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            outputs: Outputs::default(),
            routes: Routes::default(),
            free: Vec::new(),
            buffer: vec![0; PACKET_MAX as usize + READ_MAX],
        })
    }

    /// Waits for whatever comes, handles it, and writes once for each connection that got something.
    fn round(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        for event in &*events {
            if event.token() == LISTENER {
                self.accept()?;
                continue;
            }
            let Token(at) = event.token();
            if event.is_writable() {
                self.outputs.go_on(at);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.read(at);
            }
        }
        for at in self.outputs.flush() {
            self.close(at);
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => return Err(error),
            };
            if stream.set_nodelay(true).is_err() {
                continue; // it is gone already
            }
            let at = self.free.pop().unwrap_or(self.outputs.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(at), interest)?;
            let connection = Some(Connection::new(stream));
            match self.outputs.connections.get_mut(at) {
                Some(place) => *place = connection,
                None => self.outputs.connections.push(connection),
            }
        }
    }

    /// Reads what is there on connection `at` and handles it.
    fn read(&mut self, at: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(connection) = &mut self.outputs.connections[at] {
            let have = connection.rest.len();
            buffer[..have].copy_from_slice(&connection.rest);
            connection.rest.clear();
            match connection.stream.read(&mut buffer[have..have + READ_MAX]) {
                Ok(read) if read > 0 => {
                    if !self.take_packets(at, &buffer[..have + read]) {
                        self.close(at);
                        break;
                    }
                    if read < READ_MAX {
                        break; // a short read: there is no more, and the next byte will be told
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.rest.extend_from_slice(&buffer[..have]);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    connection.rest.extend_from_slice(&buffer[..have]);
                }
                Ok(_) | Err(_) => {
                    self.close(at);
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    /// Handles the packets in `bytes` and keeps what is left over. False if the connection is to be closed.
    fn take_packets(&mut self, at: usize, bytes: &[u8]) -> bool {
        let mut from = 0;
        loop {
            match Frame::split(&bytes[from..], PACKET_MAX) {
                Ok(Some(frame)) => {
                    let until = from + frame.encoded_len;
                    if self.packet(at, frame, &bytes[from..until]).is_none() {
                        return false;
                    }
                    from = until;
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        if let Some(connection) = &mut self.outputs.connections[at] {
            connection.rest.extend_from_slice(&bytes[from..]);
            if from == bytes.len() {
                connection.rest = Vec::new();
            }
        }
        true
    }

    /// Handles one packet, `whole` with its fixed header. Nothing if the connection is to be closed.
    #[inline]
    fn packet(&mut self, at: usize, frame: Frame<'_>, whole: &[u8]) -> Option<()> {
        let answer = match frame.header.packet_type {
            PacketType::Publish => return self.publish(at, frame, whole),
            PacketType::Pubrec => PacketType::Pubrel,
            PacketType::Pubrel => PacketType::Pubcomp,
            PacketType::Puback | PacketType::Pubcomp => return Some(()),
            PacketType::Connect => return self.connect(at, frame),
            PacketType::Subscribe => return self.subscribe(at, frame),
            PacketType::Pingreq => {
                self.outputs.out(at)?.extend_from_slice(&PINGRESP);
                return Some(());
            }
            // Also DISCONNECT, and what a relay knows nothing of.
            _ => return None,
        };
        let (packet_id, _) = acknowledged(frame.body)?;
        self.outputs.out(at)?.extend_from_slice(&acknowledgement(answer, packet_id));
        Some(())
    }

    #[inline]
    fn publish(&mut self, at: usize, frame: Frame<'_>, whole: &[u8]) -> Option<()> {
        let (topic_len, rest) = frame.body.split_first_chunk::<2>()?;
        let (topic_name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*topic_len)))?;
        let answer = match frame.header.flags >> 1 & 0b11 {
            0 => None,
            1 => Some(PacketType::Puback),
            _ => Some(PacketType::Pubrec),
        };
        if let Some(answer) = answer {
            let packet_id = u16::from_be_bytes(*rest.first_chunk::<2>()?);
            self.outputs.out(at)?.extend_from_slice(&acknowledgement(answer, packet_id));
        }
        let outputs = &mut self.outputs;
        self.routes.each_taker(topic_name, |taker| {
            if let Some(out) = outputs.out(taker) {
                out.extend_from_slice(whole);
            }
        });
        Some(())
    }

    fn connect(&mut self, at: usize, frame: Frame<'_>) -> Option<()> {
        let version = Connect::announced_version(frame.body)?;
        self.outputs.connections[at].as_mut()?.version = version;
        let connack: &[u8] = if version.has_properties() { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
        self.outputs.out(at)?.extend_from_slice(connack);
        Some(())
    }

    fn subscribe(&mut self, at: usize, frame: Frame<'_>) -> Option<()> {
        let version: ProtocolVersion = self.outputs.connections[at].as_ref()?.version;
        let subscribe = Subscribe::decode(version, frame.header, frame.body).ok()?;
        let mut reason_codes = Vec::new();
        for request in subscribe.iter() {
            let is_added = self.routes.add(request.topic_filter, at);
            if is_added {
                self.outputs.connections[at].as_mut()?.filters.push(request.topic_filter.into());
            }
            let granted = ReasonCode::from_value(request.options.qos.value())?;
            reason_codes.push(if is_added { granted } else { ReasonCode::QuotaExceeded });
        }
        let packet_id = subscribe.packet_id;
        let reason_codes = ReasonCodes::from_slice(&reason_codes);
        let suback = Suback { packet_id, properties: PropertyList::EMPTY, reason_codes };
        suback.encode(version, self.outputs.out(at)?).ok()
    }

    fn close(&mut self, at: usize) {
        let Some(connection) = self.outputs.connections[at].take() else { return };
        for filter in &connection.filters {
            self.routes.remove(filter, at);
        }
        self.free.push(at);
    }
}

/// Whether `error` is the end of a connection that nobody has accepted yet, and says nothing of the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}
