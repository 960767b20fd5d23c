//! Clients of bytes and packets for a Server in this process; every wait has a bound.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use dunlin_packet::{
    auth::Auth,
    connack::Connack,
    connect::Connect,
    fixed_header::Frame,
    packet::Packet,
    packet_identifier::PacketId,
    property::list::PropertyList,
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
    subscribe::{Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    topic::name::TopicName,
    version::ProtocolVersion,
};
use dunlin_server::server::Server;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How long a test waits for one event.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// A Network Connection and what came on it.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    version: ProtocolVersion,
    unread: Vec<u8>,
    /// The last packet handed out.
    packet: Vec<u8>,
}

/// What carries the packets.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Client {
    /// Opens a Network Connection and sends nothing.
    pub(crate) fn open(server: &Server) -> Self {
        Self::open_at(server.addresses()[0])
    }

    /// Opens a Network Connection to `address` and sends nothing.
    pub(crate) fn open_at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, WAIT).expect("the Server listens");
        stream.set_read_timeout(Some(WAIT)).expect("a time limit can be set");
        stream.set_write_timeout(Some(WAIT)).expect("a time limit can be set");
        stream.set_nodelay(true).expect("a socket can be without delay");
        let (stream, version) = (Stream::Tcp(stream), ProtocolVersion::V5_0);
        Self { stream, version, unread: Vec::new(), packet: Vec::new() }
    }

    /// Opens a Network Connection with TLS to `address` and sends no packet.
    pub(crate) fn open_tls_at(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let Self { stream, version, unread, packet } = Self::open_at(address);
        let Stream::Tcp(stream) = stream else { panic!("it was opened without TLS") };
        let name = "localhost".try_into().expect("a name");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("TLS can begin");
        let stream = Stream::Tls(Box::new(StreamOwned::new(tls, stream)));
        Self { stream, version, unread, packet }
    }

    /// Opens a Network Connection for another version.
    pub(crate) fn open_with(server: &Server, version: ProtocolVersion) -> Self {
        Self { version, ..Self::open(server) }
    }

    /// Connects with version 5.0 and Clean Start.
    pub(crate) fn connect(server: &Server, client_id: &str) -> Self {
        let mut client = Self::open(server);
        client.send(&Packet::Connect(connect(client_id)));
        client.expect_connack(ReasonCode::Success);
        client
    }

    /// Connects with version 3.1.1 and Clean Session.
    pub(crate) fn connect_3_1_1(server: &Server, client_id: &str) -> Self {
        let mut client = Self::open(server);
        client.version = ProtocolVersion::V3_1_1;
        client.send(&Packet::Connect(Connect { version: client.version, ..connect(client_id) }));
        client.expect_connack(ReasonCode::Success);
        client
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let bytes = bytes_of(packet, self.version);
        self.send_bytes(&bytes);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the Server reads");
    }

    /// Sends what the Server may not want to read any more.
    pub(crate) fn send_perhaps(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Subscribes and awaits the SUBACK.
    pub(crate) fn subscribe(&mut self, topic_filter: &str, qos: QoS) {
        let requests = [SubscriptionRequest { topic_filter, options: SubscriptionOptions::with_qos(qos) }];
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).expect("not 0"),
            properties: PropertyList::EMPTY,
            filters: SubscriptionFilters::from_slice(&requests),
        }));
        match self.next() {
            Some(Packet::Suback(suback)) => assert!(suback.reason_codes.iter().all(|code| !code.is_error())),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], packet_id: Option<u16>) {
        self.send(&Packet::Publish(publish(topic, payload, packet_id)));
    }

    /// The next packet; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Packet<'_>> {
        let frame = loop {
            let split = Frame::split(&self.unread, u32::MAX).expect("the Server sends packets");
            if let Some(frame) = split {
                break frame.encoded_len;
            }
            let mut bytes = [0; 65_536];
            match self.stream.read(&mut bytes).expect("something comes in time, and no reset") {
                0 => {
                    assert!(self.unread.is_empty(), "the end came in the middle of a packet");
                    return None;
                }
                count => self.unread.extend_from_slice(&bytes[..count]),
            }
        };
        self.packet = self.unread.drain(..frame).collect();
        let frame = Frame::split(&self.packet, u32::MAX).expect("split before").expect("it is whole");
        Some(Packet::decode(self.version, frame).expect("the Server sends sound packets"))
    }

    /// The bytes of the packet that [`next`](Self::next) gave last.
    pub(crate) fn last_bytes(&self) -> &[u8] {
        &self.packet
    }

    pub(crate) fn expect_connack(&mut self, code: ReasonCode) {
        match self.next() {
            Some(Packet::Connack(Connack { reason_code, .. })) => assert_eq!(reason_code, code),
            other => panic!("awaited CONNACK, came {other:?}"),
        }
    }

    /// Awaits a PUBLISH and returns its payload.
    pub(crate) fn expect_publish(&mut self) -> &[u8] {
        match self.next() {
            Some(Packet::Publish(publish)) => publish.payload,
            other => panic!("awaited PUBLISH, came {other:?}"),
        }
    }

    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.next(), None);
    }

    /// Waits for anything; whether it is the end, or a reset instead of one.
    pub(crate) fn is_closed(&mut self) -> bool {
        !matches!(self.stream.read(&mut [0; 1_024]), Ok(1..))
    }

    /// Awaits AUTH and returns its Reason Code and data.
    pub(crate) fn expect_auth(&mut self) -> (ReasonCode, Vec<u8>) {
        match self.next() {
            Some(Packet::Auth(Auth { reason_code, properties })) => {
                (reason_code, properties.authentication_data().unwrap_or_default().to_vec())
            }
            other => panic!("awaited AUTH, came {other:?}"),
        }
    }

    /// Ends the sending direction.
    pub(crate) fn end(&self) {
        self.stream.tcp().shutdown(Shutdown::Write).expect("the connection is open");
    }
}

pub(crate) fn connect(client_id: &str) -> Connect<'_> {
    Connect {
        version: ProtocolVersion::V5_0,
        clean_start: true,
        keep_alive_s: 0,
        client_id,
        properties: PropertyList::EMPTY,
        will: None,
        user_name: None,
        password: None,
        is_bridge: false,
    }
}

/// QoS 1 with a Packet Identifier, QoS 0 without.
pub(crate) fn publish<'a>(topic: &'a str, payload: &'a [u8], packet_id: Option<u16>) -> Publish<'a> {
    Publish {
        dup: false,
        qos: if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
        retain: false,
        topic_name: Some(TopicName::parse(topic).expect("a Topic Name")),
        packet_id: packet_id.and_then(PacketId::new),
        properties: PropertyList::EMPTY,
        payload,
    }
}

pub(crate) fn bytes_of(packet: &Packet<'_>, version: ProtocolVersion) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).expect("a sound packet");
    bytes
}

/// Waits for something that the Server does without telling anybody.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !holds() {
        assert!(Instant::now() < deadline, "awaited in vain: {what}");
        std::thread::yield_now();
    }
}
