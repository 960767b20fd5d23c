//! MQTT over WebSocket (6): the request, frames, and the end.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    support::{
        WAIT,
        raw::{DISCONNECT, PINGREQ, connect_packet, packet, publish_packet},
    },
    world::{Doors, open, open_with, shell},
};

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                       Sec-WebSocket-Protocol: mqtt\r\n\r\n";
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const BINARY: u8 = 0x82;

/// Whether it begins with a CONNACK that says Success.
fn is_welcome(bytes: &[u8]) -> bool {
    matches!(bytes, [0x20, _, 0, 0, ..])
}

struct Socket(TcpStream);

impl Socket {
    /// Opens a connection and sends nothing.
    fn open(doors: &Doors) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", doors.ports[0])).expect("the Server listens");
        stream.set_read_timeout(Some(WAIT)).expect("a time limit can be set");
        Self(stream)
    }

    /// Becomes a WebSocket.
    fn upgraded(doors: &Doors) -> Self {
        let mut socket = Self::open(doors);
        socket.send(REQUEST.as_bytes());
        let head = socket.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        socket
    }

    /// Becomes a Client.
    fn connected(doors: &Doors, client_id: &str) -> Self {
        let mut socket = Self::upgraded(doors);
        socket.send(&frame(BINARY, &connect_packet(client_id, 60)));
        assert!(is_welcome(&socket.frame().1), "{client_id}");
        socket
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the Server reads");
    }

    fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).expect("the Server sends");
        bytes
    }

    /// The head of a response.
    fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.read(1));
        }
        String::from_utf8(head).expect("a head is text")
    }

    /// The first byte and the payload of the next frame.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let [first, short] = self.read(2)[..] else { unreachable!("two bytes were read") };
        let len = match short {
            126 => self.read(2).iter().fold(0, |len, &byte| len << 8 | usize::from(byte)),
            127 => self.read(8).iter().fold(0, |len, &byte| len << 8 | usize::from(byte)),
            len => usize::from(len),
        };
        (first, self.read(len))
    }

    /// A Close with `code`, and then the end.
    fn expect_close(mut self, code: u16) {
        assert_eq!(self.frame(), (0x88, code.to_be_bytes().to_vec()));
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("the Server closes in good order");
        assert_eq!(rest, []);
    }
}

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | len as u8),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(len).expect("a short frame").to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn ws() -> Doors {
    open(&["kind = \"ws\"\n"])
}

/// [MQTT-6.0.0-2] [MQTT3-6.0.0-2]
#[test]
fn packets_share_frames_and_span_them() {
    let doors = ws();
    let mut socket = Socket::upgraded(&doors);
    let mut stream = connect_packet("cut", 60);
    stream.extend(packet(0x82, b"\x00\x01\x00\x00\x01a\x00"));
    stream.extend(publish_packet("a", b"one"));
    stream.extend(publish_packet("a", b"two"));
    // A message of three frames with a Ping between them, and an empty one.
    let (front, back) = stream.split_at(20);
    let (middle, back) = back.split_at(11);
    let mut wire = frame(0x02, front);
    wire.extend(frame(0x89, b"there?"));
    wire.extend(frame(0x00, middle));
    wire.extend(frame(0x00, b""));
    wire.extend(frame(0x80, back));
    for byte in wire {
        socket.send(&[byte]);
    }
    let (mut came, mut pongs) = (Vec::new(), 0);
    while !came.ends_with(b"two") {
        match socket.frame() {
            (BINARY, payload) => came.extend(payload),
            (0x8A, payload) => {
                assert_eq!(payload, b"there?");
                pongs += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(is_welcome(&came) && came.windows(3).any(|window| window == b"one"), "{came:?}");
    assert_eq!(pongs, 1);
}

/// [MQTT-6.0.0-1] [MQTT3-6.0.0-1]
#[test]
fn what_must_not_come_closes_with_its_code() {
    let doors = ws();
    for (bytes, code) in [
        (frame(0x81, b"text"), 1003),
        (b"\x82\x01a".to_vec(), 1002),
        (frame(0xC2, b"compressed"), 1002),
        (frame(0x80, b"nothing goes on"), 1002),
        (b"\x82\xFF\x00\x00\x00\x00\x7F\xFF\xFF\xFF\0\0\0\0".to_vec(), 1009),
    ] {
        let mut fresh = Socket::upgraded(&doors);
        fresh.send(&bytes);
        fresh.expect_close(code);
        let mut client = Socket::connected(&doors, "client");
        client.send(&bytes);
        client.expect_close(code);
    }
}

#[test]
fn the_end_is_told_in_both_ways() {
    let doors = ws();
    let mut socket = Socket::connected(&doors, "leaves");
    socket.send(&frame(BINARY, &packet(DISCONNECT, b"")));
    socket.expect_close(1000);
    let mut socket = Socket::connected(&doors, "closes");
    socket.send(&frame(0x88, b"\x03\xE9going away"));
    socket.expect_close(1001);
    let mut socket = Socket::upgraded(&doors);
    socket.send(&[frame(BINARY, &connect_packet("at once", 60)), frame(0x88, b"")].concat());
    socket.expect_close(1000);
    // Whoever speaks MQTT wrongly is told so in MQTT, and then closed.
    let mut socket = Socket::connected(&doors, "wrong");
    socket.send(&frame(BINARY, &connect_packet("wrong", 60)));
    assert_eq!(socket.frame().1[0], DISCONNECT);
    socket.expect_close(1000);
    let mut socket = Socket::upgraded(&doors);
    socket.send(&frame(BINARY, &packet(PINGREQ, b"")));
    socket.expect_close(1000);
}

/// Whoever pings and does not read is not read either, before the answers fill the memory.
#[test]
fn pings_without_end_are_not_answered_without_end() {
    let doors = ws();
    let mut socket = Socket::connected(&doors, "pings");
    socket.0.set_nonblocking(true).expect("it can be set");
    let pings: Vec<u8> = (0..200_u8).flat_map(|_| frame(0x89, &[0; 125])).collect();
    let (mut sent, mut quiet) = (0_usize, 0);
    // The Server stops reading when the answers, of a tenth of the size at least, are as much as a Client may leave unread.
    while sent < 100_000_000 && quiet < 20 {
        match socket.0.write(&pings[sent % pings.len()..]) {
            Ok(count) => (sent, quiet) = (sent + count, 0),
            Err(_) => {
                quiet += 1;
                let mut other = doors.server.raw();
                other.connect("other");
            }
        }
    }
    let facts = std::fs::read_to_string(format!("/proc/{}/status", doors.server.pid())).expect("it runs");
    let rss = facts.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    let rss_kb: u64 = rss.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(rss_kb < 150_000, "{sent} bytes of Pings made the Server use {rss_kb} kB");
}

#[test]
fn many_pings_have_few_answers() {
    let doors = ws();
    let mut socket = Socket::connected(&doors, "pings");
    let mut pings: Vec<u8> = (0..2_000_u16).flat_map(|number| frame(0x89, &number.to_be_bytes())).collect();
    pings.extend(frame(BINARY, &packet(PINGREQ, b"")));
    socket.send(&pings);
    let mut pongs = 0;
    while socket.frame() != (BINARY, vec![0xD0, 0]) {
        pongs += 1;
    }
    assert!((1..=300).contains(&pongs), "{pongs} answers to 2,000 Pings that came together");
}

/// [MQTT-6.0.0-4] [MQTT3-6.0.0-4]
#[test]
fn curl_is_upgraded_or_told_why_not() {
    let doors = open(&["kind = \"ws\"\nwebsocket_origins = [\"https://good.example\"]\n"]);
    let ask = |path: &str, more: &str| {
        let fields = "-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
                      -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='";
        let port = doors.ports[0];
        shell(&format!("curl -si --http1.1 -m 2 {fields} {more} http://127.0.0.1:{port}{path}")).text()
    };
    for path in ["/mqtt", "/", "/mqtt?x=1"] {
        let said = ask(path, "-H 'Sec-WebSocket-Protocol: mqttv3.1, mqtt'");
        assert!(said.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{path}: {said}");
        assert!(said.contains("Sec-WebSocket-Protocol: mqttv3.1\r\n"), "{said}");
        assert!(said.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{said}");
    }
    assert!(!ask("/mqtt", "").contains("Sec-WebSocket-Protocol"), "none was offered");
    for (path, more, status) in [
        ("/chat", "", "404 Not Found"),
        ("/mqtt", "-H 'Sec-WebSocket-Protocol: chat'", "400 Bad Request"),
        ("/mqtt", "-H 'Sec-WebSocket-Version: 8'", "400 Bad Request"),
        ("/mqtt", "-H 'Origin: https://bad.example'", "403 Forbidden"),
        ("/mqtt", "-H 'Origin: https://good.example'", "101 Switching Protocols"),
        ("/mqtt", "-X POST", "400 Bad Request"),
    ] {
        let said = ask(path, more);
        // Two values of the version are as bad as a wrong one.
        let is_so = said.starts_with(&format!("HTTP/1.1 {status}\r\n"))
            || said.contains("Sec-WebSocket-Version: 13\r\n");
        assert!(is_so, "{path} {more}: {said}");
    }
}

#[test]
fn a_head_is_limited_in_length_and_time() {
    let mut doors = open_with("[limits]\nconnect_timeout_s = 1\n", &["kind = \"ws\"\n"]);
    let mut long = Socket::open(&doors);
    long.send(format!("GET /mqtt HTTP/1.1\r\nX-Long: {}", "x".repeat(8_192)).as_bytes());
    assert!(long.head().starts_with("HTTP/1.1 400 "));
    doors.await_log(&["an HTTP head of more than 8192 bytes"]);
    let mut slow = Socket::open(&doors);
    slow.send(b"GET /mqtt HTTP/1.1\r\n");
    doors.await_log(&["no end of the HTTP head within 1 s"]);
    assert_eq!(slow.0.read(&mut [0]).expect("it is closed in good order"), 0);
    let mut mqtt = Socket::open(&doors);
    mqtt.send(&connect_packet("plain", 60));
    doors.await_log(&["the Client speaks plain MQTT; listener `ws` speaks MQTT in WebSocket"]);
}
