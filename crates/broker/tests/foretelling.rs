//! What is foretold of a message is what happens to it, and nothing changes by asking.

use std::{collections::BTreeMap, sync::Arc};

use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::{Arrival, ConnectRequest, Input},
    inspect::{
        answer::Answer,
        explanation::{Fate, Intent, Loss, ReceiverReport, Receivers, Stated, Trial, Wait},
        question::{Asked, Question},
        reports::SessionReport,
    },
    limits::{Overflow, OverflowRule, Settings},
    message::publisher_key,
    output::Outbox,
    permissions::{
        Permissions,
        rule_set::{Actions, Kind, Rule, RuleSet},
        subject::Subject,
        topics::TopicPattern,
        who::{NamePattern, Who},
    },
    routing::interests::Interests,
    shard::Shard,
};
use dunlin_packet::{qos::QoS, reason_code::ReasonCode, version::ProtocolVersion};
use dunlin_protocol::time::Instant;

const NOW: Instant = Instant::from_ms(1_700_000_000_000);
const TOPIC: &str = "a/b";

/// One shard, and Clients that read and acknowledge nothing.
struct Bench {
    shard: Shard,
    outbox: Outbox,
    opened: u32,
    rules: Arc<RuleSet>,
}

/// How a Client comes.
#[derive(Clone, Copy)]
struct Way {
    receive_maximum: u16,
    maximum_packet_size: u32,
}

const WAY: Way = Way { receive_maximum: 10, maximum_packet_size: u32::MAX };

impl Bench {
    fn new() -> Self {
        let overflow = |client_id: &str, overflow| OverflowRule {
            client_id: Some(client_id.into()),
            topic_filter: None,
            overflow,
        };
        let settings = Settings {
            queue_messages_max: 2,
            output_bytes_max: 2_000,
            queue_overflow_rules: vec![
                overflow("full-newest", Overflow::DropNewest),
                overflow("full-rejecting", Overflow::Reject),
            ],
            ..Settings::default()
        };
        let rule = |line, who, is_allowing| Rule {
            file: 0,
            line,
            is_allowing,
            who,
            actions: Actions { publish: is_allowing, subscribe: is_allowing, receive: true },
            topics: [TopicPattern::parse("#").expect("a pattern")].into(),
            qos_max: None,
            retain: None,
        };
        let denied = Who { client_ids: [NamePattern::parse("denied")].into(), ..Who::default() };
        let rules = vec![rule(3, denied, false), rule(7, Who::default(), true)];
        let rules = Arc::new(RuleSet::new(Some("main"), Kind::Dunlin, &["rules.toml"], rules));
        let mut bench = Self {
            shard: Shard::new(ShardId(0), 1, Arc::new(settings), &Interests::new(1)),
            outbox: Outbox::new(1),
            opened: 0,
            rules: Arc::clone(&rules),
        };
        bench.input(Input::Rules(rules));
        bench
    }

    fn input(&mut self, input: Input<'_>) {
        self.shard.handle(NOW, input, &mut self.outbox);
    }

    fn connect(&mut self, client_id: &str, way: Way) -> ConnectionId {
        self.opened += 1;
        let connection = ConnectionId(self.opened);
        self.outbox.open(connection);
        let subject = Subject { client_id: client_id.into(), ..Subject::default() };
        let request = ConnectRequest {
            clean_start: false,
            session_expiry_s: 3_600,
            receive_maximum: way.receive_maximum,
            maximum_packet_size: way.maximum_packet_size,
            permissions: Permissions::new(Arc::new(subject), Arc::clone(&self.rules)),
            ..ConnectRequest::new(ProtocolVersion::V5_0, client_id)
        };
        self.input(Input::Arrived(Box::new(Arrival { connection, request, unread: Vec::new() })));
        connection
    }

    /// SUBSCRIBE with these options.
    fn subscribe(&mut self, connection: ConnectionId, filter: &str, options: u8) {
        let mut bytes = vec![0x82, filter.len() as u8 + 6, 0, 1, 0, 0, filter.len() as u8];
        bytes.extend_from_slice(filter.as_bytes());
        bytes.push(options);
        self.input(Input::Received { connection, bytes: &bytes });
    }

    fn leave(&mut self, connection: ConnectionId) {
        self.input(Input::Received { connection, bytes: &[0xE0, 0] });
    }

    fn publish(&mut self, connection: ConnectionId, topic: &str, qos: u8, payload_bytes: usize) {
        let id: &[u8] = if qos == 0 { &[] } else { &[0, 9] };
        let mut body = vec![0, topic.len() as u8];
        body.extend_from_slice(topic.as_bytes());
        body.extend_from_slice(id);
        body.push(0);
        body.resize(body.len() + payload_bytes, b'x');
        let length = body.len();
        let mut bytes = vec![0x30 | qos << 1];
        if length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            bytes.push((length >> 7) as u8);
        } else {
            bytes.push(length as u8);
        }
        bytes.extend(body);
        self.input(Input::Received { connection, bytes: &bytes });
    }

    /// Asks, and shows that nothing changes.
    fn ask(&mut self, question: Question) -> Answer {
        self.outbox.closings.clear();
        let before = format!("{:?}", self.shard);
        self.input(Input::Asked(Box::new(Asked { ticket: 1, question })));
        let answer = self.outbox.answers.pop().expect("an answer").answer;
        assert!(self.outbox.take_batch().is_none() && self.outbox.closings.is_empty());
        assert!(self.outbox.routes.iter().all(Vec::is_empty) && self.outbox.answers.is_empty());
        assert!(format!("{:?}", self.shard) == before, "something changes by asking {answer:?}");
        answer
    }

    fn receivers(&mut self, trial: &Trial) -> BTreeMap<String, ReceiverReport> {
        let Answer::Receivers(Receivers { rows, next, .. }) =
            self.ask(Question::Receivers { trial: trial.clone(), from: 0 })
        else {
            panic!("another answer");
        };
        assert_eq!(next, None);
        rows.into_iter().map(|row| (row.client_id.to_string(), row)).collect()
    }

    fn session(&mut self, client_id: &str) -> (SessionReport, usize) {
        let Answer::Session(Some(session)) = self.ask(Question::Session { client_id: client_id.into() })
        else {
            panic!("there is no Session of {client_id}");
        };
        let connection = self.shard.connection_of(client_id);
        (*session, connection.map_or(0, |connection| self.outbox.backlog(connection)))
    }
}

fn trial(publisher: &str, qos: QoS, payload_bytes: usize) -> Trial {
    let publisher = publisher_key(publisher);
    Trial { topic_name: TOPIC.into(), qos, retain: false, payload_bytes, publisher }
}

/// All kinds of receivers, and who publishes.
fn crowd(bench: &mut Bench) -> ConnectionId {
    let publisher = bench.connect("publisher", WAY);
    for (client_id, options) in [("at-once", 2), ("at-most-once", 0), ("denied", 1)] {
        let connection = bench.connect(client_id, WAY);
        bench.subscribe(connection, "a/#", options);
    }
    let both = bench.connect("both", WAY);
    bench.subscribe(both, "a/b", 0);
    bench.subscribe(both, "a/+", 1);
    bench.subscribe(publisher, "a/b", 0b0000_0101); // No Local
    let small = bench.connect("small", Way { maximum_packet_size: 40, ..WAY });
    bench.subscribe(small, "a/b", 1);
    for client_id in ["away", "full-oldest", "full-newest"] {
        let connection = bench.connect(client_id, WAY);
        bench.subscribe(connection, "a/b", 1);
        bench.subscribe(connection, client_id, 1);
        bench.leave(connection);
        if client_id != "away" {
            (0..2).for_each(|_| bench.publish(publisher, client_id, 1, 10));
        }
    }
    let window = bench.connect("window", Way { receive_maximum: 1, ..WAY });
    bench.subscribe(window, "a/b", 1);
    bench.subscribe(window, "window", 1);
    bench.publish(publisher, "window", 1, 10);
    let slow = bench.connect("slow", WAY);
    bench.subscribe(slow, "a/b", 1);
    bench.subscribe(slow, "slow", 0);
    bench.publish(publisher, "slow", 0, 3_000);
    publisher
}

#[test]
fn what_is_foretold_happens() {
    for (qos, payload_bytes) in [(QoS::AtMostOnce, 5), (QoS::AtLeastOnce, 5), (QoS::AtLeastOnce, 100)] {
        let mut bench = Bench::new();
        let publisher = crowd(&mut bench);
        let foretold = bench.receivers(&trial("publisher", qos, payload_bytes));
        assert_eq!(foretold.len(), 11, "{:?}", foretold.keys());
        let before: BTreeMap<String, _> =
            foretold.keys().map(|client_id| (client_id.clone(), bench.session(client_id))).collect();
        bench.publish(publisher, TOPIC, qos.value(), payload_bytes);
        for (client_id, report) in &foretold {
            let (old, old_backlog) = &before[client_id];
            let (new, backlog) = bench.session(client_id);
            let queued = new.queue.messages() as i64 - old.queue.messages() as i64;
            let (drops, old_drops) = (new.drops, old.drops);
            let happened = (
                backlog > *old_backlog && client_id != "publisher",
                queued,
                drops.slow - old_drops.slow,
                drops.offline - old_drops.offline,
                drops.queue_full - old_drops.queue_full,
                drops.too_large - old_drops.too_large,
                new.denials.receive - old.denials.receive,
            );
            let expected = match (report.fate, report.overflow) {
                (Fate::Sent, _) => (true, 0, 0, 0, 0, 0, 0),
                (Fate::Queued(_), None) => (false, 1, 0, 0, 0, 0, 0),
                (Fate::Queued(_), Some(_)) => (false, 0, 0, 0, 1, 0, 0),
                (Fate::Dropped(Loss::NotReading), _) => (false, 0, 1, 0, 0, 0, 0),
                (Fate::Dropped(Loss::Away), _) => (false, 0, 0, 1, 0, 0, 0),
                (Fate::Dropped(Loss::QueueFull), _) => (false, 0, 0, 0, 1, 0, 0),
                (Fate::Dropped(Loss::TooLarge), _) => (false, 0, 0, 0, 0, 1, 0),
                (Fate::Denied, _) => (false, 0, 0, 0, 0, 0, 1),
                (Fate::NoLocal, _) => (false, 0, 0, 0, 0, 0, 0),
            };
            assert_eq!(happened, expected, "{client_id} with {qos:?}: {:?}", report.fate);
        }
        let fate = |client_id: &str| foretold[client_id].fate;
        assert_eq!(fate("publisher"), Fate::NoLocal);
        assert_eq!(fate("denied"), Fate::Denied);
        assert_eq!(foretold["denied"].ruling.rule, Some(("rules.toml".into(), 3)));
        assert_eq!(
            foretold["at-once"].ruling.rule,
            Some(("rules.toml".into(), 7)),
            "also a rule that allows"
        );
        assert_eq!((foretold["both"].matched, foretold["both"].qos), (2, qos), "one copy, the higher QoS");
        if qos == QoS::AtMostOnce {
            assert_eq!(fate("away"), Fate::Dropped(Loss::Away));
            assert_eq!(fate("slow"), Fate::Dropped(Loss::NotReading));
            continue;
        }
        assert_eq!(fate("away"), Fate::Queued(Wait::Away));
        assert_eq!(fate("slow"), Fate::Queued(Wait::NotReading));
        assert_eq!(fate("window"), Fate::Queued(Wait::InFlightFull));
        assert_eq!(fate("full-newest"), Fate::Dropped(Loss::QueueFull));
        assert_eq!(foretold["full-oldest"].overflow, Some(Overflow::DropOldest));
        let small = if payload_bytes == 5 { Fate::Sent } else { Fate::Dropped(Loss::TooLarge) };
        assert_eq!(fate("small"), small);
    }
}

/// A publisher is told whose full queue keeps its message out, and the refusal is the one it gets.
#[test]
fn a_full_queue_that_refuses_is_named() {
    let mut bench = Bench::new();
    let publisher = bench.connect("publisher", WAY);
    let full = bench.connect("full-rejecting", WAY);
    bench.subscribe(full, "a/b", 1);
    bench.leave(full);
    let right = |bench: &mut Bench| {
        let intent = Intent::Publish(trial("publisher", QoS::AtLeastOnce, 5));
        let question =
            Question::Right { client_id: "publisher".into(), stated: Box::new(Stated::default()), intent };
        let Answer::Right(report) = bench.ask(question) else { panic!("another answer") };
        report.refusal
    };
    assert_eq!(right(&mut bench), None);
    (0..2).for_each(|_| bench.publish(publisher, TOPIC, 1, 5));
    let (code, reason) = right(&mut bench).expect("it is refused");
    assert!(code == ReasonCode::QuotaExceeded && reason.contains("full-rejecting"), "{reason}");
}

#[test]
fn the_turn_of_a_group_does_not_move_by_asking() {
    let mut bench = Bench::new();
    let publisher = bench.connect("publisher", WAY);
    for client_id in ["m0", "m1", "m2"] {
        let connection = bench.connect(client_id, WAY);
        bench.subscribe(connection, "$share/g/a/#", 1);
    }
    let mut served = Vec::new();
    for _ in 0..6 {
        let next = |bench: &mut Bench| {
            let question = Question::Groups { topic_name: TOPIC.into(), rows_max: 10 };
            let Answer::Groups { mut rows, total: 1 } = bench.ask(question) else { panic!("one group") };
            let outlook = rows.pop().expect("one group");
            let member = outlook.next.expect("a member");
            let trial = trial("publisher", QoS::AtLeastOnce, 5);
            let question = Question::Member { group: outlook.name, member, trial };
            let Answer::Member(Some(report)) = bench.ask(question) else { panic!("a member") };
            assert_eq!((report.fate, report.qos), (Fate::Sent, QoS::AtLeastOnce));
            report.client_id.to_string()
        };
        let next: Vec<String> = (0..3).map(|_| next(&mut bench)).collect();
        assert!(next.iter().all(|it| *it == next[0]), "asked three times: {next:?}");
        let before = bench.session(&next[0]).1;
        bench.publish(publisher, TOPIC, 1, 5);
        assert!(bench.session(&next[0]).1 > before, "{} gets it", next[0]);
        served.push(next[0].clone());
    }
    served.sort();
    assert_eq!(served, ["m0", "m0", "m1", "m1", "m2", "m2"]);
}

#[test]
fn very_many_receivers_come_page_by_page() {
    const CLIENTS: u64 = 1_000;
    let mut bench = Bench::new();
    for number in 0..CLIENTS {
        let connection = bench.connect(&format!("c{number}"), WAY);
        bench.subscribe(connection, "a/b", 0);
        if number % 2 == 0 {
            bench.subscribe(connection, "a/#", 0);
        }
        if number % 3 == 0 {
            bench.leave(connection);
        }
    }
    let (mut from, mut seen, mut pages) = (Some(0), BTreeMap::new(), 0);
    while let Some(place) = from {
        let question = Question::Receivers { trial: trial("", QoS::AtMostOnce, 1), from: place };
        let Answer::Receivers(Receivers { rows, next, total }) = bench.ask(question) else {
            panic!("another answer");
        };
        assert!(rows.len() <= 256 && next.is_none_or(|next| next > place));
        assert_eq!(total, (place == 0).then_some((CLIENTS, CLIENTS + CLIENTS / 2)));
        for row in rows {
            let is_away = matches!(row.fate, Fate::Dropped(Loss::Away));
            assert_eq!(is_away, !row.is_connected);
            assert!(seen.insert(row.client_id.clone(), row.matched).is_none(), "{} once", row.client_id);
        }
        (from, pages) = (next, pages + 1);
    }
    assert_eq!((seen.len() as u64, pages), (CLIENTS, 4));
    assert_eq!(seen.values().sum::<usize>() as u64, CLIENTS + CLIENTS / 2);
}
