//! A Server for one test: it accepts a connection, expects packets and sends packets, written as short texts.
#![allow(dead_code, reason = "each test file uses a part of it")]

use dunlin_client::options::{Options, ProtocolVersion, QoS};
use dunlin_packet::acks::Ack;
use dunlin_packet::connack::Connack;
use dunlin_packet::disconnect::Disconnect;
use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet::Packet;
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::property::list::PropertyList;
use dunlin_packet::publish::Publish;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::suback::{ReasonCodes, Suback};
use dunlin_packet::topic::name::TopicName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Server {
    listener: TcpListener,
}

/// The Server's end of one connection.
pub(crate) struct Peer {
    stream: TcpStream,
    pub(crate) version: ProtocolVersion,
    unread: Vec<u8>,
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).await.unwrap() }
    }

    pub(crate) fn options(&self) -> Options {
        Options::new("127.0.0.1", self.listener.local_addr().unwrap().port())
    }

    /// A port on which nobody listens.
    pub(crate) async fn free_port(&self) -> u16 {
        TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port()
    }

    /// Accepts a connection with this CONNECT and begins a new Session.
    pub(crate) async fn accept(&self, connect: &str) -> Peer {
        self.answer(connect, false, ReasonCode::Success).await
    }

    /// Accepts a connection with this CONNECT and goes on with the Session.
    pub(crate) async fn accept_resumed(&self, connect: &str) -> Peer {
        self.answer(connect, true, ReasonCode::Success).await
    }

    pub(crate) async fn refuse(&self, reason_code: ReasonCode) -> Peer {
        self.answer("CONNECT ", false, reason_code).await
    }

    /// Accepts a stream and says nothing.
    pub(crate) async fn listen(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        Peer { stream, version: ProtocolVersion::V5_0, unread: Vec::new() }
    }

    async fn answer(&self, connect: &str, session_present: bool, reason_code: ReasonCode) -> Peer {
        let mut peer = self.listen().await;
        peer.expect(connect).await;
        let properties = PropertyList::EMPTY;
        peer.write(&Packet::Connack(Connack { session_present, reason_code, properties })).await;
        peer
    }
}

impl Peer {
    /// The next packet of the Client is this one.
    pub(crate) async fn expect(&mut self, text: &str) {
        self.take(|packet| assert_eq!(describe(packet), text)).await;
    }

    /// What `look` sees in the next packet of the Client.
    pub(crate) async fn take<T>(&mut self, look: impl FnOnce(&Packet<'_>) -> T) -> T {
        loop {
            if let Some(frame) = Frame::split(&self.unread, u32::MAX).unwrap() {
                let packet = Packet::decode(self.version, frame).unwrap();
                if let Packet::Connect(connect) = &packet {
                    self.version = connect.version;
                }
                let seen = look(&packet);
                let len = frame.encoded_len;
                self.unread.drain(..len);
                return seen;
            }
            let read = self.stream.read_buf(&mut self.unread).await.unwrap();
            assert!(read > 0, "the Client closed instead of sending a packet");
        }
    }

    /// Sends a packet: `PUBACK 1`, `PUBLISH 0 topic` and so on; the number is the identifier.
    pub(crate) async fn send(&mut self, text: &str) {
        let mut words = text.split(' ');
        let (name, packet_id) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
        let ack = PacketId::new(packet_id).map(Ack::success);
        let packet = match name {
            "PUBACK" => Packet::Puback(ack.unwrap()),
            "PUBREC" => Packet::Pubrec(ack.unwrap()),
            "PUBCOMP" => Packet::Pubcomp(ack.unwrap()),
            "SUBACK" => Packet::Suback(Suback {
                packet_id: PacketId::new(packet_id).unwrap(),
                properties: PropertyList::EMPTY,
                reason_codes: ReasonCodes::from_slice(&[ReasonCode::GrantedQoS1]),
            }),
            "PUBLISH" => Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: false,
                topic_name: TopicName::parse(words.next().unwrap()).ok(),
                packet_id: None,
                properties: PropertyList::EMPTY,
                payload: b"x",
            }),
            other => panic!("{other}"),
        };
        self.write(&packet).await;
    }

    pub(crate) async fn disconnect(&mut self, reason_code: ReasonCode) {
        self.write(&Packet::Disconnect(Disconnect::with_reason(reason_code))).await;
    }

    /// Sends what is no packet.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Ends the connection.
    pub(crate) async fn close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    pub(crate) async fn write(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }
}

fn describe(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Connect(connect) => format!("CONNECT {}", connect.client_id),
        Packet::Publish(publish) => {
            let packet_id = publish.packet_id.map_or(0, PacketId::value);
            let topic = publish.topic_name.map_or("", TopicName::as_str);
            format!("PUBLISH {packet_id} {topic}{}", if publish.dup { " DUP" } else { "" })
        }
        Packet::Pubrel(ack) => format!("PUBREL {}", ack.packet_id),
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> = subscribe.iter().map(|request| request.topic_filter).collect();
            format!("SUBSCRIBE {} {}", subscribe.packet_id, filters.join(" "))
        }
        packet => packet.packet_type().to_string(),
    }
}
