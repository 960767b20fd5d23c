//! Limits for listeners, groups, users and single Clients.

use super::{
    support::{
        WAIT,
        raw::{Came, PUBLISH, Raw, SUBACK, SUBSCRIBE, connect_packet, packet, text},
        server::{Options, Server},
    },
    words::{await_disconnect, connect_3_1_1, connect_as, enter, publish, publish_qos1},
};

/// The Reason Code of the SUBACK.
fn subscribe(raw: &mut Raw, topic_filter: &str) -> u8 {
    let mut body = vec![0, 1, 0];
    text(&mut body, topic_filter);
    body.push(0);
    raw.send(&packet(SUBSCRIBE, &body));
    match raw.next_within(WAIT) {
        Came::Packet(SUBACK, body) => *body.last().expect("a Reason Code"),
        other => panic!("awaited SUBACK, came {other:?}"),
    }
}

/// The value of a four-byte Property of CONNACK.
fn four_bytes(connack: &[u8], property: u8) -> Option<u32> {
    // None of the others that this Server sends has a length of its own.
    let mut rest = &connack[3..];
    while let [identifier, tail @ ..] = rest {
        let len = match identifier {
            0x11 | 0x27 => 4,
            0x13 | 0x21 | 0x22 => 2,
            0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
            other => panic!("Property {other:#x} in {connack:?}"),
        };
        if *identifier == property {
            return Some(tail[..len].iter().fold(0, |value, &byte| value << 8 | u32::from(byte)));
        }
        rest = &tail[len..];
    }
    None
}

#[test]
fn the_most_particular_exception_lays_down_each_limit() {
    let server = Server::configured(
        "[mqtt]\nmaximum_packet_size = 100000\nkeep_alive_max_s = 300\n[limits]\nsubscriptions_max = 3\ntopic_levels_max = 4\n\
         [[limit]]\nlisteners = \"tcp\"\nsubscriptions_max = 2\nmaximum_packet_size = 2000\n\
         [[limit]]\nclient_ids = \"meter-*\"\nsubscriptions_max = 1\ntopic_levels_max = 2\nkeep_alive_max_s = 30\nreceive_maximum = 7\n",
    );
    let (code, connack, mut other) = enter(server.address(), &connect_packet("other", 0));
    assert_eq!(code, 0);
    let told = [0x27, 0x13, 0x21].map(|property| four_bytes(&connack, property));
    assert_eq!(told, [Some(2_000), Some(300), Some(256)]);
    assert_eq!(["a", "b", "c"].map(|filter| subscribe(&mut other, filter)), [0, 0, 0x97]);
    let (_, connack, mut meter) = enter(server.address(), &connect_packet("meter-1", 100));
    let told = [0x27, 0x13, 0x21].map(|property| four_bytes(&connack, property));
    assert_eq!(told, [Some(2_000), Some(30), Some(7)]);
    assert_eq!(["a/b/c", "a/b", "c"].map(|filter| subscribe(&mut meter, filter)), [0x8F, 0, 0x97]);
    meter.send(&publish_qos1("a/b/c", 1, b"x"));
    assert!(matches!(meter.next_within(WAIT), Came::Packet(0x40, body) if body[2] == 0x90));
    // The packet that is too large for all at this listener.
    other.send(&publish("a", &[7; 2_000]));
    await_disconnect(&mut other, 0x95);
}

#[test]
fn a_group_has_other_limits() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let users = folder.path().join("users");
    for (user, flags) in [("ann", "-cb"), ("bob", "-b")] {
        let file = users.to_str().expect("it is text");
        crate::support::server::dunlin(&["passwd", "-H", "sha512", flags, file, user, "secret"])
            .await_exit()
            .assert_success();
    }
    let server = Server::configured(&format!(
        "[[auth]]\nkind = \"password_file\"\nfile = {users:?}\n\
         [[limit]]\nusers = \"ann\"\nmaximum_packet_size = 5000\n",
    ));
    for (user, size) in [("ann", 5_000), ("bob", 8 << 20)] {
        let (code, connack, _) = enter(server.address(), &connect_as(&format!("client-{user}"), user));
        assert_eq!((code, four_bytes(&connack, 0x27)), (0, Some(size)), "{user}");
    }
}

#[test]
fn a_client_of_3_1_1_is_not_silent_for_longer_than_it_may() {
    let server = Server::configured("[mqtt]\nkeep_alive_max_s = 1\n");
    let (code, _, mut raw) = enter(server.address(), &connect_3_1_1("silent", 0));
    assert_eq!(code, 0);
    let packets = raw.await_close(WAIT, "the end of a silent Client");
    assert!(packets.is_empty(), "{packets:?}");
}

#[test]
fn a_queue_has_its_bound_by_client_also_after_a_restart() {
    let options = Options {
        shards: 1,
        config: Some(
            "[mqtt]\nqueue_messages_max = 5\n[[limit]]\nlisteners = \"tcp\"\nclient_ids = \"big\"\nqueue_messages_max = 50\n"
                .to_owned(),
        ),
        ..Options::default()
    };
    let mut server = Server::with(&options);
    for id in ["big", "small"] {
        let mut raw = Raw::open(server.address());
        raw.send(&crate::tool::connect_kept(id, 3_600));
        raw.await_connack(id);
        let mut body = vec![0, 1, 0];
        text(&mut body, "t");
        body.push(1);
        raw.send(&packet(SUBSCRIBE, &body));
        assert!(matches!(raw.next_within(WAIT), Came::Packet(SUBACK, _)));
    }
    let fill = |server: &Server, from: u16, to: u16| {
        let mut sender = server.raw();
        sender.connect("sender");
        for number in from..to {
            sender.send(&publish_qos1("t", number, &[number as u8]));
            assert!(matches!(sender.next_within(WAIT), Came::Packet(0x40, _)));
        }
    };
    fill(&server, 1, 31);
    server.crash_and_restart();
    fill(&server, 31, 61);
    for (id, first, count) in [("big", 11, 50), ("small", 56, 5)] {
        let mut raw = Raw::open(server.address());
        raw.send(&crate::tool::connect_kept(id, 3_600));
        raw.await_connack(id);
        for number in first..first + count {
            match raw.next_within(WAIT) {
                Came::Packet(head, body) => {
                    assert_eq!((head & 0xF0, *body.last().unwrap()), (PUBLISH, number), "{id}");
                    let packet_id = &body[3..5];
                    raw.send(&packet(0x40, packet_id));
                }
                other => panic!("{id}: {other:?} instead of {number}"),
            }
        }
    }
}
