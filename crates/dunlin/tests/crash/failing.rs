//! A sync that fails is final: nothing is acknowledged after it, and everything that was acknowledged before is there.

use dunlin_sim::random::Random;

use super::power::Disk;
use crate::support::{
    WAIT,
    raw::{
        CONNACK, CONNECT, Came, DISCONNECT, PUBLISH, Raw, SUBACK, SUBSCRIBE, packet, publish_packet, text,
    },
    server::{Options, Server},
};

const PUBACK: u8 = 0x40;

/// Connects as `client_id` with a Session that is kept, and returns Session Present.
fn connect_kept(server: &Server, client_id: &str) -> (Raw, bool) {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 60, 5, 0x11, 0, 0, 0x0E, 0x10];
    text(&mut body, client_id);
    let mut raw = server.raw();
    raw.send(&packet(CONNECT, &body));
    match raw.next_within(WAIT) {
        Came::Packet(CONNACK, body) if body[1] == 0 => (raw, body[0] == 1),
        other => panic!("{client_id}: awaited CONNACK with Success, came {other:?}"),
    }
}

fn qos_1_packet(packet_id: u8, payload: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "durable");
    body.extend([0, packet_id, 0]);
    body.extend(payload.as_bytes());
    packet(PUBLISH | 0b10, &body)
}

/// A Server on a disk of ours, with the Session of `sub`, which is away.
fn server_with_sub_away(config: Option<String>) -> (Server, Disk) {
    let mut server = Server::prepare(&Options { shards: 2, config, ..Options::default() });
    let disk = Disk::new(server.folder());
    server.set_environment(disk.environment());
    server.start_again();
    let (mut sub, _) = connect_kept(&server, "sub");
    let mut body = vec![0, 1, 0];
    text(&mut body, "durable");
    body.push(1);
    sub.send(&packet(SUBSCRIBE, &body));
    assert!(matches!(sub.next_within(WAIT), Came::Packet(SUBACK, _)), "sub is subscribed");
    sub.send(&packet(DISCONNECT, &[]));
    sub.await_close(WAIT, "after DISCONNECT");
    (server, disk)
}

/// The same, and four messages that were acknowledged.
fn server_with_four_messages() -> (Server, Disk, Raw) {
    let (server, disk) = server_with_sub_away(None);
    let (mut publisher, _) = connect_kept(&server, "pub");
    for number in 1..=4 {
        publisher.send(&qos_1_packet(number, &format!("message {number}")));
        assert!(matches!(publisher.next_within(WAIT), Came::Packet(PUBACK, _)), "message {number} is taken");
    }
    (server, disk, publisher)
}

/// What `sub` gets after the power was cut.
fn messages_after_a_power_cut(server: &mut Server, disk: &Disk, random: &mut Random) -> Vec<String> {
    server.kill();
    disk.cut_power(random);
    server.start_again();
    let (mut sub, is_present) = connect_kept(server, "sub");
    if !is_present {
        return vec!["no Session".to_owned()];
    }
    let (mut messages, mut last) = (Vec::new(), server.raw());
    last.connect("last");
    last.send(&{
        let mut body = Vec::new();
        text(&mut body, "durable");
        body.extend([0]);
        body.extend(b"the end");
        packet(PUBLISH, &body)
    });
    loop {
        let Came::Packet(first, body) = sub.next_within(WAIT) else {
            panic!("sub: {messages:?}, then nothing")
        };
        assert_eq!(first & 0xF0, PUBLISH, "only messages come");
        let payload = if first & 0b110 == 0 { &body[10..] } else { &body[12..] };
        let payload = String::from_utf8_lossy(payload).into_owned();
        if payload == "the end" {
            return messages;
        }
        messages.push(payload);
    }
}

#[test]
fn a_failed_sync_is_final_and_loses_nothing_acknowledged() {
    for seed in 1..=3 {
        let (mut server, disk, mut publisher) = server_with_four_messages();
        let mut friend = server.raw();
        friend.connect("friend");
        friend.subscribe("at/most/once");

        disk.fail_once();
        publisher.send(&qos_1_packet(5, "message 5"));
        let said = publisher.await_close(WAIT, "a publisher whose message cannot be kept");
        assert!(said.iter().all(|(first, _)| *first == DISCONNECT), "nothing is acknowledged: {said:02x?}");
        server.await_line("an ERROR about the storage", |line| {
            line.contains("ERROR") && line.contains("storage")
        });

        let mut later = server.raw();
        later.connect("later");
        later.send(&qos_1_packet(6, "message 6"));
        let answer = later.next_within(WAIT);
        let is_refused = match &answer {
            Came::Packet(PUBACK, body) => body.get(2).is_some_and(|code| *code >= 0x80),
            Came::Packet(first, _) => *first == DISCONNECT,
            Came::Closed => true,
            Came::Nothing => false,
        };
        assert!(is_refused, "a message that cannot be kept is refused; came {answer:02x?}");

        let mut sender = server.raw();
        sender.connect("sender");
        sender.send(&publish_packet("at/most/once", b"still here"));
        assert!(matches!(friend.next_within(WAIT), Came::Packet(PUBLISH, _)), "QoS 0 still flows");

        let messages = messages_after_a_power_cut(&mut server, &disk, &mut Random::new(seed));
        let expected: Vec<String> = (1..=4).map(|number| format!("message {number}")).collect();
        assert_eq!(messages[..4], expected, "what was acknowledged before is there");
    }
}

/// Connects `sub` again and acknowledges what comes, until there is `end` or the Server closes: then the Reason Code of
/// DISCONNECT.
fn take_numbers(server: &Server, end: u32) -> (Vec<u32>, Option<u8>) {
    let (mut sub, is_present) = connect_kept(server, "sub");
    assert!(is_present, "the Session is kept");
    let (mut numbers, mut code) = (Vec::new(), None);
    while numbers.last() != Some(&end) {
        match sub.next_within(WAIT) {
            Came::Packet(DISCONNECT, body) => code = body.first().copied(),
            Came::Packet(first, body) if first & 0xF0 == PUBLISH => {
                sub.send(&packet(PUBACK, &body[9..11]));
                let text = String::from_utf8_lossy(&body[12..]).into_owned();
                numbers.push(text.trim_end_matches('.').parse().expect("a number"));
            }
            Came::Closed => break,
            other => panic!("after {} messages came {other:?}", numbers.len()),
        }
    }
    (numbers, code)
}

/// The Client gets what is in memory, then it learns that there is more; when the disk can be read again, that comes.
#[test]
fn a_queue_that_cannot_be_read_comes_later() {
    let config =
        "mqtt.queue_memory_bytes_max = 65536\n[storage]\nmemtable_bytes = 1048576\ncache_bytes = 1048576\n";
    let (mut server, disk) = server_with_sub_away(Some(config.to_owned()));
    let (mut publisher, _) = connect_kept(&server, "pub");
    for number in 1..=2_000 {
        publisher.send(&qos_1_packet(1, &format!("{number:.<4096}")));
        assert!(matches!(publisher.next_within(WAIT), Came::Packet(PUBACK, _)), "message {number} is taken");
    }
    // What was written last may still be in memory; after a start it is where it is read from.
    server.crash_and_restart();

    disk.set_unreadable(true);
    let (mut numbers, code) = take_numbers(&server, 2_000);
    assert!(!numbers.is_empty() && numbers.len() < 2_000, "{} messages came", numbers.len());
    assert_eq!(code, Some(0x83), "Implementation specific error");
    server.await_line("an ERROR about the queue", |line| {
        line.contains("ERROR") && line.contains("client_id=\"sub\"") && line.contains("cannot be read")
    });
    let (mut publisher, _) = connect_kept(&server, "pub");
    publisher.send(&qos_1_packet(1, "2001"));
    assert!(matches!(publisher.next_within(WAIT), Came::Packet(PUBACK, _)), "messages are taken");

    disk.set_unreadable(false);
    let (rest, code) = take_numbers(&server, 2_001);
    assert_eq!(code, None);
    numbers.extend(rest);
    numbers.dedup();
    assert!(numbers.iter().copied().eq(1..=2_001), "all come, in order");
}

/// The proof that the disk of these tests forgets what was not synced.
#[test]
fn a_disk_that_lies_is_found_out() {
    let lost = (1..=20).any(|seed| {
        let (mut server, disk, mut publisher) = server_with_four_messages();
        disk.lie();
        publisher.send(&qos_1_packet(5, "message 5"));
        assert!(matches!(publisher.next_within(WAIT), Came::Packet(PUBACK, _)), "the Server is deceived");
        let messages = messages_after_a_power_cut(&mut server, &disk, &mut Random::new(seed));
        assert!(messages.len() >= 4, "what was synced before is there: {messages:?}");
        messages.len() == 4
    });
    assert!(lost, "a message that was never synced has survived 20 cuts");
}
