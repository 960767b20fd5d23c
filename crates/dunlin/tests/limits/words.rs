//! Packets that these tests have in common.

use std::net::SocketAddr;

use crate::support::{
    LONG_WAIT, WAIT,
    raw::{CONNACK, CONNECT, Came, DISCONNECT, PUBLISH, Raw, packet, text},
};

/// A CONNECT of version 5.0 with a user name and a password.
pub(crate) fn connect_as(client_id: &str, user: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0b1100_0010, 0, 60, 0];
    for string in [client_id, user, "secret"] {
        text(&mut body, string);
    }
    packet(CONNECT, &body)
}

/// A CONNECT of version 3.1.1 with Clean Session.
pub(crate) fn connect_3_1_1(client_id: &str, keep_alive_s: u16) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0b10];
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    text(&mut body, client_id);
    packet(CONNECT, &body)
}

/// A PUBLISH of version 5.0 with QoS 0.
pub(crate) fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    body.push(0);
    body.extend_from_slice(payload);
    packet(PUBLISH, &body)
}

/// A PUBLISH of version 5.0 with QoS 1.
pub(crate) fn publish_qos1(topic: &str, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    body.extend_from_slice(&packet_id.to_be_bytes());
    body.push(0);
    body.extend_from_slice(payload);
    packet(PUBLISH | 0b10, &body)
}

/// Sends `connect` and gives the Reason Code of CONNACK with the connection.
#[track_caller]
pub(crate) fn enter(address: SocketAddr, connect: &[u8]) -> (u8, Vec<u8>, Raw) {
    let mut raw = Raw::open(address);
    raw.send(connect);
    match raw.next_within(LONG_WAIT) {
        Came::Packet(CONNACK, body) => (body[1], body, raw),
        other => panic!("awaited CONNACK, came {other:?}"),
    }
}

/// Awaits DISCONNECT with this Reason Code, and the end; returns the packet.
#[track_caller]
pub(crate) fn await_disconnect(raw: &mut Raw, code: u8) -> Vec<u8> {
    let packets = raw.await_close(WAIT, "DISCONNECT");
    match packets.last() {
        Some((DISCONNECT, body)) if body.first() == Some(&code) => body.clone(),
        other => panic!("awaited DISCONNECT {code:#x}, came {other:?}"),
    }
}
