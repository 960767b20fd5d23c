//! A Network Connection of bytes, for what no well-behaved Client would do.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::WAIT;

/// First bytes of Control Packets (2.1): packet type and flags.
pub(crate) const CONNECT: u8 = 0x10;
pub(crate) const CONNACK: u8 = 0x20;
pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const SUBSCRIBE: u8 = 0x82;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const PINGREQ: u8 = 0xC0;
pub(crate) const PINGRESP: u8 = 0xD0;
pub(crate) const DISCONNECT: u8 = 0xE0;

/// A Network Connection and the bytes that came and were not yet taken.
pub(crate) struct Raw {
    stream: TcpStream,
    came: Vec<u8>,
    /// How many bytes of `came` were handed out.
    taken: usize,
}

/// What came at the end of a wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A packet: its first byte and what follows the Remaining Length.
    Packet(u8, Vec<u8>),
    /// The Server closed the Network Connection.
    Closed,
    /// Neither, in the time given.
    Nothing,
}

impl Raw {
    /// Opens a TCP connection and sends nothing.
    pub(crate) fn open(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect_timeout(&address, WAIT)
            .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        stream.set_write_timeout(Some(WAIT)).expect("a time limit can be set");
        Raw { stream, came: Vec::new(), taken: 0 }
    }

    /// Connects as `client_id` with version 5.0, Clean Start and no properties; awaits CONNACK with Success.
    pub(crate) fn connect(&mut self, client_id: &str) {
        self.send(&connect_packet(client_id, 60));
        self.await_connack(client_id);
    }

    /// Awaits a CONNACK with Success.
    pub(crate) fn await_connack(&mut self, client_id: &str) {
        match self.next_within(WAIT) {
            Came::Packet(CONNACK, body) if body.get(1) == Some(&0) => {}
            other => panic!("{client_id}: awaited CONNACK with Success, came {other:?}"),
        }
    }

    /// Subscribes to `topic_filter` with QoS 0 and awaits the SUBACK.
    pub(crate) fn subscribe(&mut self, topic_filter: &str) {
        let mut body = vec![0, 1, 0];
        text(&mut body, topic_filter);
        body.push(0);
        self.send(&packet(SUBSCRIBE, &body));
        match self.next_within(WAIT) {
            Came::Packet(SUBACK, body) if body.last() == Some(&0) => {}
            other => panic!("awaited SUBACK with Granted QoS 0 for {topic_filter}, came {other:?}"),
        }
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .unwrap_or_else(|error| panic!("cannot send {} bytes: {error}", bytes.len()));
    }

    /// Sends bytes that the Server may refuse to read because it has closed already.
    pub(crate) fn send_perhaps(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next packet, the end, or nothing within `bound`.
    pub(crate) fn next_within(&mut self, bound: Duration) -> Came {
        let deadline = Instant::now() + bound;
        loop {
            if let Some(packet) = self.take_packet() {
                return packet;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Came::Nothing;
            }
            self.stream.set_read_timeout(Some(left)).expect("a time limit can be set");
            let mut bytes = [0; 65_536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Came::Closed,
                Ok(count) => {
                    self.came.drain(..self.taken);
                    self.taken = 0;
                    self.came.extend_from_slice(&bytes[..count]);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Came::Closed,
                Err(error) => panic!("a connection cannot be read: {error}"),
            }
        }
    }

    /// Waits at most `bound` until the Server has closed, and gives the packets that came before.
    #[track_caller]
    pub(crate) fn await_close(&mut self, bound: Duration, what: &str) -> Vec<(u8, Vec<u8>)> {
        let deadline = Instant::now() + bound;
        let mut packets = Vec::new();
        loop {
            match self.next_within(deadline.saturating_duration_since(Instant::now())) {
                Came::Packet(first, body) => packets.push((first, body)),
                Came::Closed => return packets,
                Came::Nothing => panic!("{what}: awaited the close for {bound:?}; came {packets:?}"),
            }
        }
    }

    /// A second hand on the same Network Connection, so that answers are read while much is sent.
    pub(crate) fn clone_for_reading(&self) -> Raw {
        let stream = self.stream.try_clone().expect("a socket can be shared in this process");
        Raw { stream, came: Vec::new(), taken: 0 }
    }

    /// Reads and forgets what comes until the Server closes, within `bound`; gives the number of packets.
    pub(crate) fn read_to_the_end(mut self, bound: Duration) -> usize {
        let deadline = Instant::now() + bound;
        let mut count = 0;
        loop {
            match self.next_within(deadline.saturating_duration_since(Instant::now())) {
                Came::Packet(..) => count += 1,
                Came::Closed => return count,
                Came::Nothing => panic!("awaited the close for {bound:?}, {count} packets came"),
            }
        }
    }

    fn take_packet(&mut self) -> Option<Came> {
        let unread = &self.came[self.taken..];
        let (mut length, mut shift, mut at) = (0_usize, 0, 1);
        loop {
            let byte = *unread.get(at)?;
            length |= usize::from(byte & 0x7F) << shift;
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            assert!(shift < 28, "the Server sent a Remaining Length of more than four bytes");
        }
        let packet = Came::Packet(unread[0], unread.get(at..at + length)?.to_vec());
        self.taken += at + length;
        Some(packet)
    }
}

/// A packet of the first byte, the Remaining Length and `body`.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    while length >= 0x80 {
        bytes.push((length & 0x7F) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

/// Appends a UTF-8 Encoded String (1.5.4).
pub(crate) fn text(body: &mut Vec<u8>, string: &str) {
    let length = u16::try_from(string.len()).expect("a string has at most 65,535 bytes");
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(string.as_bytes());
}

/// A CONNECT of version 5.0 with Clean Start and no properties.
pub(crate) fn connect_packet(client_id: &str, keep_alive_s: u16) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0b10];
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    body.push(0);
    text(&mut body, client_id);
    packet(CONNECT, &body)
}

/// A CONNECT of version 3.1.1 with Clean Session and a retained Will of QoS 1.
pub(crate) fn connect_3_1_1_with_will(
    client_id: &str,
    keep_alive_s: u16,
    topic: &str,
    payload: &str,
) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0b0010_1110];
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    for string in [client_id, topic, payload] {
        text(&mut body, string);
    }
    packet(CONNECT, &body)
}

/// A CONNECT of version 5.0 that continues a Session, with a Will of QoS 0.
pub(crate) fn connect_5_0_with_will(
    client_id: &str,
    session_expiry_s: u32,
    topic: &str,
    payload: &str,
) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0b100, 0, 60, 5, 0x11];
    body.extend_from_slice(&session_expiry_s.to_be_bytes());
    text(&mut body, client_id);
    body.push(0);
    text(&mut body, topic);
    text(&mut body, payload);
    packet(CONNECT, &body)
}

/// A QoS 0 PUBLISH of version 5.0 without properties.
pub(crate) fn publish_packet(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 3);
    text(&mut body, topic);
    body.push(0);
    body.extend_from_slice(payload);
    packet(PUBLISH, &body)
}
