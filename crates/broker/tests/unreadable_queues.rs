//! Queues on a disk that cannot be read, or has not kept what was written.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::{Arrival, ConnectRequest, Input, Page, PageRecord},
    inspect::{
        answer::Answer,
        question::{Asked, Question},
        reports::SessionReport,
    },
    limits::Settings,
    output::{Outbox, PageRequest},
    records::{
        batch::Change,
        key::{Key, kind},
        record::shared_body,
    },
    routing::interests::Interests,
    shard::Shard,
};
use dunlin_packet::version::ProtocolVersion;
use dunlin_protocol::time::Instant;

const SHARD: ShardId = ShardId(0);
/// Bytes of a payload.
const LEN: usize = 1_000;
const PUBLISH: u8 = 0x30;
const DISCONNECT: u8 = 0xE0;

/// A shard with a disk and some Clients, which acknowledge what they get.
struct Bench {
    shard: Shard,
    outbox: Outbox,
    now: Instant,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    is_readable: bool,
    pages: u32,
    opened: u32,
    /// The payloads that came, by connection.
    came: BTreeMap<ConnectionId, Vec<String>>,
    /// The Reason Code of DISCONNECT, and that the connection was closed.
    closed: BTreeMap<ConnectionId, Option<u8>>,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let settings = Settings { is_durable: true, queue_memory_bytes_max: 8 << 10, ..settings };
        Self {
            shard: Shard::new(SHARD, 1, Arc::new(settings), &Interests::new(1)),
            outbox: Outbox::new(1),
            now: Instant::from_ms(1_700_000_000_000),
            disk: BTreeMap::new(),
            is_readable: true,
            pages: 0,
            opened: 0,
            came: BTreeMap::new(),
            closed: BTreeMap::new(),
        }
    }

    /// With the Session of `sub`, which is away, and `count` messages for it.
    fn filled(settings: Settings, count: usize) -> (Self, ConnectionId) {
        let mut bench = Self::new(settings);
        let sub = bench.connect("sub", false);
        bench.send(sub, &[0x82, 7, 0, 1, 0, 0, 1, b't', 1]);
        bench.send(sub, &[DISCONNECT, 0]);
        let publisher = bench.connect("pub", false);
        bench.publish(publisher, 0..count);
        (bench, publisher)
    }

    fn connect(&mut self, client_id: &str, clean_start: bool) -> ConnectionId {
        self.opened += 1;
        let connection = ConnectionId(self.opened);
        self.outbox.open(connection);
        let request = ConnectRequest {
            clean_start,
            session_expiry_s: 3_600,
            receive_maximum: 20,
            ..ConnectRequest::new(ProtocolVersion::V5_0, client_id)
        };
        self.input(Input::Arrived(Box::new(Arrival { connection, request, unread: Vec::new() })));
        connection
    }

    fn send(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.input(Input::Received { connection, bytes });
    }

    fn publish(&mut self, publisher: ConnectionId, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let payload = format!("{number:0LEN$}");
            let len = 6 + payload.len();
            let head = [PUBLISH | 2, len as u8 | 0x80, (len >> 7) as u8, 0, 1, b't', 0, 1, 0];
            self.send(publisher, &[&head, payload.as_bytes()].concat());
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.shard.handle(self.now, input, &mut self.outbox);
        while self.settle() {}
    }

    /// Does once what the outbox says; whether there was anything.
    fn settle(&mut self) -> bool {
        let mut is_any = false;
        let mut dirty = Vec::new();
        self.outbox.take_dirty(&mut dirty);
        for connection in dirty {
            is_any = true;
            self.take_output(connection);
        }
        for connection in std::mem::take(&mut self.outbox.closings) {
            self.take_output(connection);
            self.outbox.close(connection);
            self.closed.entry(connection).or_default();
        }
        if let Some((number, batch)) = self.outbox.take_batch() {
            is_any = true;
            for change in batch.changes() {
                match change {
                    Change::Put { key, value } | Change::PutNew { key, value } => {
                        self.disk.insert(key.to_vec(), value.to_vec());
                    }
                    Change::Delete { key } => drop(self.disk.remove(key)),
                }
            }
            batch.clear();
            self.shard.handle(self.now, Input::Committed { batch: number }, &mut self.outbox);
        }
        for request in std::mem::take(&mut self.outbox.pages) {
            is_any = true;
            self.pages += 1;
            let answer = if self.is_readable {
                Input::Page(self.page(request))
            } else {
                Input::Unreadable { reader: request.reader, what: "a bad sector" }
            };
            self.shard.handle(self.now, answer, &mut self.outbox);
        }
        is_any
    }

    fn page(&self, request: PageRequest) -> Page {
        let PageRequest { reader, from, to, bytes_max } = request;
        let (mut records, mut bytes) = (Vec::new(), 0);
        for (key, value) in self.disk.range(from..to) {
            if bytes >= bytes_max {
                return Page { reader, records, is_last: false };
            }
            bytes += key.len() + value.len();
            let body = shared_body(SHARD, key, value).and_then(|it| self.disk.get(&it.to_bytes()).cloned());
            records.push(PageRecord { key: key.clone(), value: value.clone(), body });
        }
        Page { reader, records, is_last: true }
    }

    /// Reads what was written to a Client, and has each message acknowledged.
    fn take_output(&mut self, connection: ConnectionId) {
        let bytes = self.outbox.pending(connection).to_vec();
        self.outbox.consume(connection, bytes.len());
        let mut rest = &bytes[..];
        while let [first, tail @ ..] = rest {
            let (mut len, mut at) = (0, 0);
            loop {
                len |= usize::from(tail[at] & 0x7F) << (7 * at);
                at += 1;
                if tail[at - 1] < 0x80 {
                    break;
                }
            }
            let body = &tail[at..at + len];
            rest = &tail[at + len..];
            match first & 0xF0 {
                PUBLISH => {
                    let payload = String::from_utf8_lossy(&body[6..]).trim_start_matches('0').to_owned();
                    self.came.entry(connection).or_default().push(payload);
                    let ack = [0x40, 2, body[3], body[4]];
                    self.shard.handle(
                        self.now,
                        Input::Received { connection, bytes: &ack },
                        &mut self.outbox,
                    );
                }
                DISCONNECT => drop(self.closed.insert(connection, body.first().copied())),
                _ => {}
            }
        }
    }

    fn all_that_came(&self) -> Vec<String> {
        self.came.values().flatten().cloned().collect()
    }

    fn messages_on_disk(&self) -> Vec<Vec<u8>> {
        self.disk.keys().filter(|key| key[0] == kind::MESSAGE).cloned().collect()
    }

    fn queued(&mut self) -> u64 {
        let queue = self.session("sub").queue;
        queue.messages_in_memory + queue.messages_on_disk
    }

    fn damaged(&mut self, client_id: &str) -> u64 {
        self.session(client_id).drops.damaged
    }

    /// What an operator would be told.
    fn session(&mut self, client_id: &str) -> SessionReport {
        let question = Question::Session { client_id: client_id.into() };
        let asked = Box::new(Asked { ticket: 1, question });
        self.shard.handle(self.now, Input::Asked(asked), &mut self.outbox);
        match self.outbox.answers.pop().expect("every question is answered").answer {
            Answer::Session(Some(session)) => *session,
            other => panic!("{client_id}: {other:?}"),
        }
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string().trim_start_matches('0').to_owned()).collect()
}

#[test]
fn a_client_whose_queue_cannot_be_read_is_told_and_gets_all_of_it_later() {
    let (mut bench, publisher) = Bench::filled(Settings::default(), 100);
    bench.is_readable = false;
    let sub = bench.connect("sub", false);
    assert_eq!(bench.closed.get(&sub), Some(&Some(0x83)), "Implementation specific error");
    let before = bench.all_that_came();
    assert!(!before.is_empty() && before[..] == numbers(0..before.len()), "{before:?}");
    bench.publish(publisher, 100..110);
    let again = bench.connect("sub", false);
    assert!(bench.closed.contains_key(&again), "still unreadable");
    assert_eq!(
        bench.shard.counters().pages_unreadable,
        3,
        "beside the first messages, after them, and again"
    );
    assert_eq!(bench.damaged("sub"), 0);

    bench.is_readable = true;
    let sub = bench.connect("sub", false);
    assert_eq!(bench.all_that_came(), numbers(0..110));
    bench.publish(publisher, 110..120);
    assert_eq!(bench.all_that_came(), numbers(0..120));
    assert!(!bench.closed.contains_key(&sub) && bench.messages_on_disk().is_empty());
}

#[test]
fn a_damaged_message_is_counted_and_the_others_come() {
    let (mut bench, publisher) = Bench::filled(Settings::default(), 100);
    let messages = bench.messages_on_disk();
    for at in [40, 41, 99] {
        bench.disk.get_mut(&messages[at]).unwrap()[20] ^= 1;
    }
    bench.connect("sub", false);
    bench.publish(publisher, 100..150);
    let mut expected = numbers(0..150);
    expected.retain(|number| !["40", "41", "99"].contains(&&**number));
    assert_eq!(bench.all_that_came(), expected);
    assert_eq!((bench.damaged("sub"), bench.queued()), (3, 0));
    assert_eq!(bench.shard.counters().dropped_damaged, 3);
    assert!(bench.messages_on_disk().is_empty(), "the damaged records are taken away");
}

#[test]
fn a_message_whose_body_is_damaged_is_counted_and_the_others_come() {
    let mut bench = Bench::new(Settings::default());
    for name in ["sub", "other"] {
        let client = bench.connect(name, false);
        bench.send(client, &[0x82, 7, 0, 1, 0, 0, 1, b't', 1]);
        bench.send(client, &[DISCONNECT, 0]);
    }
    let publisher = bench.connect("pub", false);
    bench.publish(publisher, 0..100);
    let bodies: Vec<Vec<u8>> = bench.disk.keys().filter(|key| key[0] == kind::BODY).cloned().collect();
    assert_eq!(bodies.len(), 100);
    bench.disk.get_mut(&bodies[50]).unwrap()[20] ^= 1;
    bench.disk.remove(&bodies[60]);
    let mut expected = numbers(0..100);
    expected.retain(|number| !["50", "60"].contains(&&**number));
    for name in ["sub", "other"] {
        bench.came.clear();
        bench.connect(name, false);
        assert_eq!(bench.all_that_came(), expected);
        assert_eq!(bench.damaged(name), 2);
    }
    let is_left = |key: &&Vec<u8>| matches!(Key::decode(key), Some(Key::Message(..) | Key::Body(..)));
    assert_eq!(bench.disk.keys().filter(is_left).count(), 0);
}

#[test]
fn a_full_queue_that_cannot_be_read_stays_within_its_bounds() {
    let (mut bench, publisher) =
        Bench::filled(Settings { queue_messages_max: 50, ..Settings::default() }, 50);
    bench.is_readable = false;
    let before = bench.pages;
    bench.publish(publisher, 50..100);
    // What is in memory gives way, then the new ones do, but for the one with which that was found out.
    assert_eq!(bench.queued(), 51);
    assert_eq!(bench.pages, before + 1, "it is not tried again with every message");
    bench.now = bench.now + Duration::from_secs(31);
    bench.publish(publisher, 100..110);
    assert_eq!((bench.queued(), bench.pages), (51, before + 2));
    bench.is_readable = true;
    bench.now = bench.now + Duration::from_secs(31);
    bench.publish(publisher, 110..120);
    assert!(bench.pages > before + 2 && bench.queued() <= 51, "{}", bench.queued());
    bench.connect("sub", false);
    assert_eq!(bench.queued(), 0);
    assert_eq!(bench.all_that_came().last().map(String::as_str), Some("119"));
}

#[test]
fn what_is_left_of_a_session_is_deleted_when_it_can_be_read() {
    let (mut bench, _) = Bench::filled(Settings::default(), 100);
    bench.is_readable = false;
    bench.connect("sub", true);
    assert!(bench.messages_on_disk().len() > 80, "they could not be read");
    let due = bench.shard.next_timeout().expect("it is tried again");
    bench.now = due;
    bench.input(Input::Timeout);
    assert!(bench.messages_on_disk().len() > 80);
    bench.is_readable = true;
    bench.now = bench.shard.next_timeout().expect("it is tried again");
    bench.input(Input::Timeout);
    assert!(bench.messages_on_disk().is_empty());
}
