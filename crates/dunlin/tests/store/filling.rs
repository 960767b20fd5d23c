//! Clients that fill a data folder, and come back to see what is there.

use std::{collections::BTreeSet, net::SocketAddr, ops::ControlFlow, path::Path, time::Duration};

use dunlin_broker::records::batch::Batch;
use dunlin_store::{disk::Disk, store::Store as _};

use super::support::{
    WAIT,
    program::Program,
    raw::{
        CONNACK, CONNECT, Came, DISCONNECT, PINGREQ, PINGRESP, PUBLISH, Raw, SUBACK, SUBSCRIBE, packet, text,
    },
    server::dunlin,
};

/// A Server with a data folder that stays when it ends.
pub(crate) struct Running {
    program: Program,
    address: SocketAddr,
}

impl Running {
    pub(crate) fn start(folder: &Path, shards: u8) -> Self {
        let mut program = Self::program(folder, shards);
        let line = program.await_line_within(Duration::from_secs(30), "mqtt://127.0.0.1:PORT", |line| {
            line.contains("mqtt://127.0.0.1:")
        });
        let (_, address) = line.split_once("mqtt://").expect("the line was awaited for this");
        Self { program, address: address.trim().parse().expect("it is an address") }
    }

    /// What the program says when it does not start.
    pub(crate) fn refused(folder: &Path, shards: u8) -> String {
        Self::program(folder, shards).await_exit().assert_code(1).errors()
    }

    fn program(folder: &Path, shards: u8) -> Program {
        let folder = folder.to_str().expect("it is text");
        dunlin(&["serve", "--port", "0", "--data-dir", folder, "--shards", &shards.to_string()])
    }

    pub(crate) fn stop(self) {
        self.program.signal("TERM");
        self.program.await_exit().assert_success();
    }

    fn connect(&self, client_id: &str) -> Raw {
        self.connect_with(client_id, 0, &[])
    }

    /// Connects and keeps the Session for ever.
    fn connect_with(&self, client_id: &str, flags: u8, will: &[&[u8]]) -> Raw {
        let mut body = b"\x00\x04MQTT\x05\x00\x00\x3c\x05\x11\xff\xff\xff\xff".to_vec();
        body[7] = flags;
        text(&mut body, client_id);
        will.iter().for_each(|part| body.extend_from_slice(part));
        let mut raw = Raw::open(self.address);
        raw.send(&packet(CONNECT, &body));
        match raw.next_within(WAIT) {
            Came::Packet(CONNACK, body) if body.get(1) == Some(&0) => raw,
            other => panic!("{client_id}: awaited CONNACK with Success, came {other:?}"),
        }
    }
}

fn subscribe(raw: &mut Raw, topic_filter: &str, options: u8, properties: &[u8]) {
    let mut body = vec![0, 1, properties.len() as u8];
    body.extend_from_slice(properties);
    text(&mut body, topic_filter);
    body.push(options);
    raw.send(&packet(SUBSCRIBE, &body));
    match raw.next_within(WAIT) {
        Came::Packet(SUBACK, body) if body.last().is_some_and(|&code| code < 3) => {}
        other => panic!("awaited SUBACK for {topic_filter}, came {other:?}"),
    }
}

/// Publishes with QoS 1 or 2 and awaits PUBACK or PUBREC.
fn publish(raw: &mut Raw, flags: u8, topic: &str, packet_id: u8, properties: &[u8], payload: &[u8]) {
    let mut body = Vec::new();
    text(&mut body, topic);
    body.extend([0, packet_id, properties.len() as u8]);
    body.extend_from_slice(properties);
    body.extend_from_slice(payload);
    raw.send(&packet(PUBLISH | flags, &body));
    match raw.next_within(WAIT) {
        Came::Packet(0x40 | 0x50, _) => {}
        other => panic!("awaited PUBACK or PUBREC for {topic}, came {other:?}"),
    }
}

const QOS_1: u8 = 0b0010;
const QOS_2: u8 = 0b0100;
const RETAIN: u8 = 0b0001;

/// Leaves something of everything: Sessions, Subscriptions, a Will, a Retained Message, queues, and messages at each
/// stage of delivery. Returns the Clients that are connected until the Server ends.
pub(crate) fn fill(server: &Running) -> [Raw; 2] {
    for (client_id, filter, options) in
        [("sleeper", "plants/#", 2), ("reader", "plants/+", 2), ("worker", "$share/crew/tasks", 1)]
    {
        let mut raw = server.connect(client_id);
        subscribe(&mut raw, filter, options, &[0x0B, 7]);
        raw.send(&packet(DISCONNECT, &[]));
        raw.await_close(WAIT, "after DISCONNECT");
    }
    let will = [&b"\x05\x18\x00\x00\x0e\x10"[..], b"\x00\x04gone", b"\x00\x03bye"];
    let mut writer = server.connect_with("writer", 0b0010_1100, &will);
    let properties = b"\x01\x01\x03\x00\x06text/x\x09\x00\x02\xff\x00\x26\x00\x01k\x00\x01v";
    publish(&mut writer, QOS_1, "plants/1", 1, properties, "größer ".repeat(200).as_bytes());
    publish(&mut writer, QOS_2, "plants/2", 2, &[], b"\xff\x00\xfe");
    publish(&mut writer, QOS_1 | RETAIN, "plants/state", 3, &[], b"wet");
    publish(&mut writer, QOS_1, "tasks", 4, &[0x02, 0x7f, 0xff, 0xff, 0xff], b"water them");
    let mut reader = server.connect("reader");
    let mut came = 0;
    while came < 3 {
        match reader.next_within(WAIT) {
            // QoS 2: taken over, and not completed.
            Came::Packet(first, body) if first & 0xF6 == PUBLISH | QOS_2 => {
                let at = 2 + usize::from(body[1]);
                reader.send(&packet(0x50, &body[at..at + 2]));
                came += 1;
            }
            Came::Packet(first, _) if first & 0xF0 == PUBLISH => came += 1,
            other => panic!("awaited messages, came {other:?}"),
        }
    }
    match reader.next_within(WAIT) {
        Came::Packet(0x62, _) => {}
        other => panic!("awaited PUBREL, came {other:?}"),
    }
    // The writer never releases its QoS 2 message, and the Server ends before it.
    writer.send(&packet(PINGREQ, &[]));
    assert_eq!(writer.next_within(WAIT), Came::Packet(PINGRESP, vec![]));
    [writer, reader]
}

/// The Clients come back and find what they have left, and so many Retained Messages are there.
pub(crate) fn take_all(server: &Running, retained: usize) {
    let topics = |client_id: &str, count: usize| {
        let mut raw = server.connect(client_id);
        let mut topics = BTreeSet::new();
        while topics.len() < count {
            match raw.next_within(WAIT) {
                Came::Packet(first, body) if first & 0xF0 == PUBLISH => {
                    let topic = &body[2..2 + usize::from(body[1])];
                    topics.insert(String::from_utf8_lossy(topic).into_owned());
                }
                Came::Packet(0x62, _) => {}
                other => panic!("{client_id}: {count} messages are awaited, {topics:?} came, then {other:?}"),
            }
        }
        topics.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(topics("sleeper", 3), ["plants/1", "plants/2", "plants/state"]);
    assert_eq!(topics("reader", 2), ["plants/1", "plants/state"]);
    assert_eq!(topics("worker", 1), ["tasks"]);
    let mut watcher = server.connect("watcher");
    // Retained Messages may come before the SUBACK, and after it.
    watcher.send(&packet(SUBSCRIBE, b"\x00\x01\x00\x00\x08plants/#\x00"));
    let (mut came, mut is_subscribed) = (0, false);
    while came < retained || !is_subscribed {
        match watcher.next_within(WAIT) {
            Came::Packet(first, _) if first & 0xF1 == PUBLISH | RETAIN => came += 1,
            Came::Packet(SUBACK, _) => is_subscribed = true,
            other => panic!("awaited {retained} Retained Messages, {came} came, then {other:?}"),
        }
    }
    assert_eq!(came, retained, "Retained Messages");
}

/// Changes a bit of the record of this kind that has `text` in key or value. Returns its key.
pub(crate) fn flip_bit(disk: &Disk, kind: u8, text: &str) -> Vec<u8> {
    let mut found = None;
    let scanned = disk.scan(&[kind], &[kind + 1], &mut |key, value| {
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        if has(key) || has(value) {
            found = Some((key.to_vec(), value.to_vec()));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    scanned.expect("it can be read");
    let (key, mut value) = found.expect("there is such a record");
    value[7] ^= 0x10;
    let mut batch = Batch::new();
    batch.put(&key, &value);
    disk.commit(&mut batch.changes(), true).expect("it can be written");
    key
}
