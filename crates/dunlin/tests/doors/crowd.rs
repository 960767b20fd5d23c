//! Many who do not get on, and one who does.

use std::time::{Duration, Instant};

use crate::{
    authority::Authority,
    support::{
        WAIT,
        raw::{Came, Raw, connect_packet},
    },
    world::{expect_delivery, mosquitto, open, subscriber},
};

/// The promise: whoever connects in earnest is in within so long, whatever others do.
const SOON: Duration = Duration::from_secs(1);

#[test]
fn half_open_connections_and_stalled_handshakes_disturb_nobody() {
    let authority = Authority::new("CA");
    let text = format!("kind = \"tls\"\n{}", authority.server().settings());
    let doors = open(&[&text, "kind = \"ws\"\n"]);
    let ca = format!("--cafile {}", authority.ca_file().display());
    let mut receiver = subscriber(doors.ports[0], &format!("{ca} -t calm/#"));

    let knock = |port: u16, bytes: &[u8]| {
        let mut raw = Raw::open(([127, 0, 0, 1], port).into());
        raw.send(bytes);
        raw
    };
    let plain = doors.server.address().port();
    let mut crowd: Vec<Raw> = (0..1_000).map(|_| knock(plain, b"\x10\x7F\x00\x04MQ")).collect();
    crowd.extend((0..1_000).map(|_| knock(doors.ports[1], b"GET /mqtt HTTP/1.1\r\nHost: a\r\n")));
    crowd.extend((0..400).map(|_| knock(doors.ports[0], &CLIENT_HELLO[..40])));

    for number in 0..5 {
        let began = Instant::now();
        let mut fresh = doors.server.raw();
        fresh.send(&connect_packet("fresh", 60));
        fresh.await_connack("fresh");
        assert!(began.elapsed() < SOON, "a new Client waited {:?}", began.elapsed());
        let began = Instant::now();
        let topic = format!("calm/{number}");
        mosquitto("mosquitto_pub", doors.ports[0], &format!("{ca} -q 1 -t {topic} -m tls-{number}"))
            .assert_success();
        receiver.await_line("the message", |line| line == format!("tls-{number}"));
        assert!(began.elapsed() < 2 * SOON, "a program with TLS took {:?}", began.elapsed());
        expect_delivery(&doors, &mut receiver, &topic, &format!("plain-{number}"));
    }
    assert_eq!(crowd.last_mut().map(|raw| raw.next_within(Duration::from_millis(1))), Some(Came::Nothing));
    for mut raw in crowd {
        assert_eq!(raw.next_within(2 * WAIT), Came::Closed, "after connect_timeout_s");
    }
}

/// A record that says it is 512 bytes long.
const CLIENT_HELLO: [u8; 45] = {
    let mut bytes = [0; 45];
    let begin = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3];
    let mut index = 0;
    while index < begin.len() {
        bytes[index] = begin[index];
        index += 1;
    }
    bytes
};
