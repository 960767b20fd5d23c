//! How much one Client may send in a second.

use std::time::{Duration, Instant};

use super::{
    support::{
        LONG_WAIT, WAIT,
        raw::{Came, PINGREQ, PINGRESP, PUBLISH, packet},
        server::Server,
    },
    tool::json,
    words::{await_disconnect, enter, publish},
};
use crate::support::{process_facts::processor_time, raw::connect_packet};

/// Messages that come within `time`.
fn come_within(raw: &mut crate::support::raw::Raw, time: Duration) -> usize {
    let deadline = Instant::now() + time;
    let mut count = 0;
    while let Came::Packet(first, _) = raw.next_within(deadline.saturating_duration_since(Instant::now())) {
        assert_eq!(first & 0xF0, PUBLISH);
        count += 1;
    }
    count
}

#[test]
fn a_client_that_sends_more_messages_is_read_more_slowly_and_loses_nothing() {
    let server = Server::configured("[limits]\nmessages_per_s = 50\nmessages_burst = 20\n");
    let mut watcher = server.raw();
    watcher.connect("watcher");
    watcher.subscribe("t");
    let mut sender = server.raw();
    sender.connect("sender");
    // 120 messages: 20 at once, the others in two seconds.
    let began = Instant::now();
    let messages: Vec<u8> = (0..120_u8).flat_map(|number| publish("t", &[number])).collect();
    sender.send(&messages);
    let at_once = come_within(&mut watcher, Duration::from_millis(500));
    assert!((20..=60).contains(&at_once), "{at_once} messages in half a second");
    // Those beside it do not notice.
    let mut other = server.raw();
    other.connect("other");
    other.send(&publish("u", b"x"));
    other.send(&packet(PINGREQ, &[]));
    assert_eq!(other.next_within(Duration::from_millis(500)), Came::Packet(PINGRESP, Vec::new()));
    let before = processor_time(server.pid());
    let mut count = at_once;
    while count < 120 {
        match watcher.next_within(WAIT) {
            Came::Packet(..) => count += 1,
            other => panic!("{count} of 120 messages came, then {other:?}"),
        }
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_800), "2 s are needed, it took {took:?}");
    assert!(took < Duration::from_secs(6), "2 s are needed, it took {took:?}");
    let used = processor_time(server.pid()).saturating_sub(before);
    assert!(used < took / 4, "the Server waits without turning: {used:?} in {took:?}");
    // What it answers comes behind what it sent, and it is alive.
    sender.send(&packet(PINGREQ, &[]));
    assert_eq!(sender.next_within(WAIT), Came::Packet(PINGRESP, Vec::new()));
    let status = json(&server, "status");
    assert!(status["limits"]["rate_delays"].as_u64().unwrap() >= 5, "{status}");
}

#[test]
fn a_client_that_is_kept_waiting_longer_than_its_keep_alive_stays() {
    let server = Server::configured("[limits]\nmessages_per_s = 1\nmessages_burst = 1\n");
    let (code, _, mut sender) = enter(server.address(), &connect_packet("sender", 1));
    assert_eq!(code, 0);
    let messages: Vec<u8> = (0..5).flat_map(|_| publish("t", b"x")).collect();
    sender.send(&messages);
    sender.send(&packet(PINGREQ, &[]));
    // Four seconds of waiting, with a Keep Alive of one.
    assert_eq!(sender.next_within(LONG_WAIT), Came::Packet(PINGRESP, Vec::new()));
}

#[test]
fn bytes_have_a_rate_too_and_memory_does_not_grow_with_what_waits() {
    let server = Server::configured("[limits]\nbytes_per_s = 100000\nbytes_burst = 50000\n");
    let mut sender = server.raw();
    sender.connect("sender");
    let began = Instant::now();
    let mut reader = sender.clone_for_reading();
    let writing = std::thread::spawn(move || {
        let message = publish("t", &[7; 1_000]);
        for _ in 0..300 {
            sender.send(&message);
        }
        sender.send(&packet(PINGREQ, &[]));
        sender
    });
    assert_eq!(reader.next_within(LONG_WAIT), Came::Packet(PINGRESP, Vec::new()));
    let took = began.elapsed();
    // 302 KB: 50 KB at once.
    assert!(took >= Duration::from_millis(2_300) && took < Duration::from_secs(8), "{took:?}");
    drop(writing.join().expect("all is sent"));
}

#[test]
fn a_client_that_sends_too_much_is_disconnected_if_that_is_wanted() {
    let server = Server::configured("[limits]\nmessages_per_s = 10\non_excess = \"disconnect\"\n");
    let mut sender = server.raw();
    sender.connect("sender");
    let messages: Vec<u8> = (0..11).flat_map(|_| publish("t", b"x")).collect();
    sender.send(&messages);
    let body = await_disconnect(&mut sender, 0x96);
    let told = String::from_utf8_lossy(&body).into_owned();
    assert!(told.contains("in a second"), "{told}");
    assert_eq!(json(&server, "status")["limits"]["rate_disconnects"], 1);
    // One that sends as much as it may stays.
    let mut other = server.raw();
    other.connect("other");
    let messages: Vec<u8> = (0..10).flat_map(|_| publish("t", b"x")).collect();
    other.send(&messages);
    other.send(&packet(PINGREQ, &[]));
    assert_eq!(other.next_within(WAIT), Came::Packet(PINGRESP, Vec::new()));
}
