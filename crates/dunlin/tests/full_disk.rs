//! A full disk below the real program.
//!
//! What must be kept is refused in the words of each version, everything else goes on, nothing acknowledged is lost, and
//! messages are taken again soon after there is room.

#[path = "../../store/tests/small/disk.rs"]
mod small_disk;
#[allow(unused_macros, unused_imports, reason = "each test file uses a part of it")]
mod support;

use std::time::{Duration, Instant};

use small_disk::SmallDisk;
use support::{
    WAIT,
    raw::{
        CONNACK, CONNECT, Came, DISCONNECT, PUBLISH, Raw, SUBACK, SUBSCRIBE, packet, publish_packet, text,
    },
    server::{Options, Server},
};

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const QUOTA_EXCEEDED: u8 = 0x97;
const MIB: u64 = 1 << 20;
/// The disk, so that 32 MiB are little and 16 MiB are held in reserve.
const TOTAL: u64 = 512 * MIB;
/// How soon messages are taken again.
const SOON: Duration = Duration::from_secs(5);

/// The Server on a small disk, and what its Clients know.
struct World {
    server: Server,
    disk: SmallDisk,
    /// What was published to `kept` and acknowledged.
    acknowledged: Vec<String>,
    published: u32,
}

impl World {
    fn new(shards: usize) -> Self {
        let mut server = Server::prepare(&Options { shards, ..Options::default() });
        let disk = SmallDisk::new(server.folder(), "data", TOTAL);
        server.set_environment(disk.environment());
        server.start_again();
        Self { server, disk, acknowledged: Vec::new(), published: 0 }
    }

    /// Connects with version 5.0 and a Session that is kept for an hour.
    fn connect_kept(&self, client_id: &str) -> Raw {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 60, 5, 0x11, 0, 0, 0x0E, 0x10];
        text(&mut body, client_id);
        let mut raw = self.server.raw();
        raw.send(&packet(CONNECT, &body));
        raw.await_connack(client_id);
        raw
    }

    fn connect_3_1_1(&self, client_id: &str) -> Raw {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 0b10, 0, 60];
        text(&mut body, client_id);
        let mut raw = self.server.raw();
        raw.send(&packet(CONNECT, &body));
        assert!(matches!(raw.next_within(WAIT), Came::Packet(CONNACK, body) if body == [0, 0]));
        raw
    }

    /// A Session that is kept, and away.
    fn leave_subscription(&self, client_id: &str, topic_filter: &str) {
        let mut raw = self.connect_kept(client_id);
        raw.send(&subscribe_packet(topic_filter));
        assert!(matches!(raw.next_within(WAIT), Came::Packet(SUBACK, _)), "{client_id} is subscribed");
        raw.send(&packet(DISCONNECT, &[]));
        raw.await_close(WAIT, "after DISCONNECT");
    }

    /// Publishes another message of 16 KiB to `kept`, and returns the Reason Code of PUBACK.
    fn publish_kept(&mut self, publisher: &mut Raw) -> u8 {
        self.published += 1;
        let name = format!("message {}", self.published);
        publisher.send(&publish_filed("kept", 1, &padded(&name), true));
        let Came::Packet(PUBACK, body) = publisher.next_within(WAIT) else {
            panic!("{name}: awaited PUBACK")
        };
        let code = body.get(2).copied().unwrap_or(0);
        if code < 0x80 {
            self.acknowledged.push(name);
        }
        code
    }

    /// Publishes until that is refused.
    fn fill(&mut self, publisher: &mut Raw) {
        let before = self.acknowledged.len();
        loop {
            match self.publish_kept(publisher) {
                0 => {}
                QUOTA_EXCEEDED => break,
                code => panic!("message {}: Reason Code {code:#04x}", self.published),
            }
            assert!(
                self.acknowledged.len() < before + 5_000,
                "never refused, with {} used",
                self.disk.used()
            );
        }
    }

    /// What must be kept is refused, in the words of each version.
    fn assert_refused(&mut self, publisher: &mut Raw) {
        assert_eq!(self.publish_kept(publisher), QUOTA_EXCEEDED, "QoS 1");
        publisher.send(&publish_filed("kept", 2, "refused", true));
        match publisher.next_within(WAIT) {
            Came::Packet(PUBREC, body) => assert_eq!(body.get(2), Some(&QUOTA_EXCEEDED), "QoS 2"),
            other => panic!("QoS 2: awaited PUBREC, came {other:?}"),
        }
        for qos in [1, 2] {
            let mut old = self.connect_3_1_1("old");
            old.send(&publish_filed("kept", qos, "refused", false));
            let came = old.await_close(WAIT, "a message of 3.1.1 that cannot be kept");
            assert!(came.is_empty(), "nothing is acknowledged: {came:02x?}");
        }
    }

    /// A message with QoS 0 arrives.
    fn assert_at_most_once_flows(&self, friend: &mut Raw) {
        let mut sender = self.server.raw();
        sender.connect("sender");
        sender.send(&publish_packet("now", b"still here"));
        assert!(matches!(friend.next_within(WAIT), Came::Packet(PUBLISH, _)), "QoS 0 goes on");
    }

    /// Publishes until that is taken again, which has to be soon.
    fn await_acceptance(&mut self, publisher: &mut Raw) {
        let since = Instant::now();
        self.server.await_line("the news", |line| line.contains("there is enough space"));
        // The shards are told a moment later than the log.
        while self.publish_kept(publisher) == QUOTA_EXCEEDED {
            assert!(since.elapsed() < SOON, "still refused after {:?}", since.elapsed());
        }
        println!("taken again after {:?}", since.elapsed());
    }

    /// What waits for `client_id`, which acknowledges all of it, until nothing has come for a while.
    fn take_all(&self, client_id: &str, expected: usize) -> Vec<String> {
        let mut raw = self.connect_kept(client_id);
        let mut came = Vec::new();
        loop {
            let patience = if came.len() < expected { WAIT } else { Duration::from_millis(300) };
            match raw.next_within(patience) {
                Came::Packet(first, body) if first & 0xF0 == PUBLISH => {
                    let topic_len = usize::from(body[1]);
                    let packet_id = [body[topic_len + 2], body[topic_len + 3]];
                    let payload = String::from_utf8_lossy(&body[topic_len + 5..]).into_owned();
                    came.push(payload.trim_end_matches('.').to_owned());
                    raw.send(&packet(PUBACK, &packet_id));
                }
                Came::Nothing => return came,
                other => panic!("{client_id}: {} messages, then {other:?}", came.len()),
            }
        }
    }
}

/// A payload of 16 KiB.
fn padded(name: &str) -> String {
    format!("{name:.<16384}")
}

fn publish_filed(topic: &str, qos: u8, payload: &str, has_properties: bool) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    body.extend([0, 7]);
    if has_properties {
        body.push(0);
    }
    body.extend(payload.as_bytes());
    packet(PUBLISH | qos << 1, &body)
}

fn subscribe_packet(topic_filter: &str) -> Vec<u8> {
    let mut body = vec![0, 1, 0];
    text(&mut body, topic_filter);
    body.push(1);
    packet(SUBSCRIBE, &body)
}

/// Filled by messages until it refuses; then others take the very last bytes; then there is room again.
fn a_full_disk_is_told_survived_and_left_behind(shards: usize) {
    let mut world = World::new(shards);
    world.leave_subscription("keeper", "kept");
    world.leave_subscription("reader", "read");
    let mut friend = world.server.raw();
    friend.connect("friend");
    friend.subscribe("now");
    let mut publisher = world.connect_kept("publisher");
    for number in 1..=50 {
        publisher.send(&publish_filed("read", 1, &format!("mail {number}"), true));
        assert!(matches!(publisher.next_within(WAIT), Came::Packet(PUBACK, body) if body.len() == 2));
    }

    // A little more than is little.
    world.disk.leave_free(40 * MIB);
    world.fill(&mut publisher);
    println!("refused after {} messages", world.acknowledged.len());
    world.server.await_line("a warning", |line| line.contains("WARN") && line.contains("little space"));
    world.assert_refused(&mut publisher);
    world.assert_at_most_once_flows(&mut friend);
    let mail: Vec<String> = (1..=50).map(|number| format!("mail {number}")).collect();
    assert_eq!(world.take_all("reader", 50), mail, "deliveries go on");

    // The very last bytes: what has to be kept now waits, and is not lost.
    world.disk.leave_free(0);
    let mut waiting = world.connect_kept("publisher-2");
    world.server.await_line("a warning", |line| line.contains("gave up the space in reserve"));
    world.disk.leave_free(0);
    waiting.send(&subscribe_packet("later"));
    assert_eq!(waiting.next_within(Duration::from_secs(2)), Came::Nothing, "SUBACK would not be true");
    world.assert_refused(&mut publisher);
    world.assert_at_most_once_flows(&mut friend);

    world.disk.make_room();
    let since = Instant::now();
    assert!(matches!(waiting.next_within(SOON), Came::Packet(SUBACK, _)), "what waited is done");
    world.await_acceptance(&mut publisher);
    assert!(since.elapsed() < SOON, "all within {:?}", since.elapsed());
    let mut old = world.connect_3_1_1("old");
    old.send(&publish_filed("later", 1, "from 3.1.1", false));
    assert!(matches!(old.next_within(WAIT), Came::Packet(PUBACK, _)), "3.1.1 is heard again");
    assert!(matches!(waiting.next_within(WAIT), Came::Packet(first, _) if first & 0xF0 == PUBLISH));

    world.server.crash_and_restart();
    let expected = world.acknowledged.clone();
    assert_eq!(world.take_all("keeper", expected.len()), expected, "what was acknowledged, and no more");
}

#[test]
fn a_full_disk_is_told_survived_and_left_behind_with_1_shard() {
    a_full_disk_is_told_survived_and_left_behind(1);
}

#[test]
fn a_full_disk_is_told_survived_and_left_behind_with_3_shards() {
    a_full_disk_is_told_survived_and_left_behind(3);
}

/// Killed on a full disk, it starts again there, also without anything in reserve: it delivers, and refuses as before.
#[test]
fn a_server_starts_on_a_full_disk() {
    let mut world = World::new(2);
    world.leave_subscription("keeper", "kept");
    let mut publisher = world.connect_kept("publisher");
    world.disk.leave_free(36 * MIB);
    world.fill(&mut publisher);
    for _ in 0..2 {
        world.server.kill();
        world.disk.leave_free(0);
        world.server.start_again();
    }
    let mut publisher = world.server.raw();
    publisher.connect("publisher-2");
    let mut friend = world.server.raw();
    friend.connect("friend");
    friend.subscribe("now");
    world.assert_refused(&mut publisher);
    world.assert_at_most_once_flows(&mut friend);
    world.disk.make_room();
    world.await_acceptance(&mut publisher);
    let expected = world.acknowledged.clone();
    assert_eq!(world.take_all("keeper", expected.len()), expected, "what was acknowledged, and no more");
}
