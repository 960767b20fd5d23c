//! A Network Connection that never waits, and the packets that come on it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
};

use dunlin_packet::{
    fixed_header::Frame,
    packet::{Packet, PacketType},
    publish::Publish,
    reason_code::ReasonCode,
    version::ProtocolVersion,
};
use mio::{Interest, Registry, Token, net::TcpStream};

/// A packet from the Server, or what it means.
#[derive(Debug)]
pub(crate) enum Came {
    Connack {
        is_present: bool,
        code: ReasonCode,
    },
    Publish(Arrival),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack {
        packet_type: PacketType,
        packet_id: u16,
        code: ReasonCode,
    },
    /// SUBACK or UNSUBACK; the code is that of its only Topic Filter, and Success if it carries none.
    Granted {
        packet_id: u16,
        code: ReasonCode,
    },
    Disconnect(ReasonCode),
}

/// A PUBLISH that has come.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) is_dup: bool,
    pub(crate) is_retain: bool,
    pub(crate) qos: u8,
    /// 0 with QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// The Subscription Identifiers.
    pub(crate) ids: Vec<u32>,
}

/// A Network Connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    version: ProtocolVersion,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    is_closed: bool,
}

impl Link {
    /// Opens one, and has `registry` tell when something comes; nothing if nobody listens.
    pub(crate) fn open(address: SocketAddr, version: ProtocolVersion, registry: &Registry) -> Option<Link> {
        let stream = std::net::TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_nonblocking(true).ok()?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, Token(0), Interest::READABLE).expect("a socket can be registered");
        Some(Link { stream, version, incoming: Vec::new(), outgoing: Vec::new(), is_closed: false })
    }

    /// Sends a packet, or as much of it as there is room for; [`Link::flush`] sends the rest.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        packet.encode(self.version, &mut self.outgoing).expect("the test sends sound packets");
        self.flush();
    }

    /// Sends what could not be sent before.
    pub(crate) fn flush(&mut self) {
        while !self.outgoing.is_empty() && !self.is_closed {
            match self.stream.write(&self.outgoing) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // What the Server has sent before it ended is still to be read.
                Err(_) => self.outgoing.clear(),
            }
        }
    }

    /// Bytes that wait to be sent.
    pub(crate) fn backlog(&self) -> usize {
        self.outgoing.len()
    }

    /// Everything that has come so far.
    pub(crate) fn take(&mut self) -> Vec<Came> {
        self.flush();
        let mut bytes = [0; 65_536];
        while !self.is_closed {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.is_closed = true,
                Ok(length) => self.incoming.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.is_closed = true,
            }
        }
        if self.is_closed {
            // The Server need not wait for it; that it is gone already is no fault.
            self.stream.shutdown(Shutdown::Both).unwrap_or(());
        }
        let (mut came, mut used) = (Vec::new(), 0);
        loop {
            let frame = Frame::split(&self.incoming[used..], u32::MAX);
            let frame = frame.unwrap_or_else(|error| panic!("the Server sent a bad header: {error}"));
            let Some(frame) = frame else { break };
            used += frame.encoded_len;
            let packet = Packet::decode(self.version, frame);
            came.push(meaning(
                packet.unwrap_or_else(|error| panic!("the Server sent a bad packet: {error}")),
            ));
        }
        self.incoming.drain(..used);
        came
    }

    /// Whether the Server has closed; what came before is taken all the same.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

fn meaning(packet: Packet<'_>) -> Came {
    let packet_type = packet.packet_type();
    match packet {
        Packet::Connack(connack) => {
            Came::Connack { is_present: connack.session_present, code: connack.reason_code }
        }
        Packet::Publish(publish) => Came::Publish(arrival(&publish)),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            Came::Ack { packet_type, packet_id: ack.packet_id.value(), code: ack.reason_code }
        }
        Packet::Suback(suback) => {
            let code = suback.reason_codes.iter().next().unwrap_or(ReasonCode::Success);
            Came::Granted { packet_id: suback.packet_id.value(), code }
        }
        Packet::Unsuback(unsuback) => {
            let code = unsuback.reason_codes.iter().next().unwrap_or(ReasonCode::Success);
            Came::Granted { packet_id: unsuback.packet_id.value(), code }
        }
        Packet::Disconnect(disconnect) => Came::Disconnect(disconnect.reason_code),
        other => panic!("the Server sent {other:?}"),
    }
}

fn arrival(publish: &Publish<'_>) -> Arrival {
    Arrival {
        is_dup: publish.dup,
        is_retain: publish.retain,
        qos: publish.qos.value(),
        packet_id: publish.packet_id.map_or(0, |id| id.value()),
        topic: publish.topic_name.map_or("", |name| name.as_str()).to_owned(),
        payload: publish.payload.to_vec(),
        ids: publish.properties.subscription_identifiers().collect(),
    }
}
