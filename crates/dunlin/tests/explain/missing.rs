//! Why did a Client not get it? Each cause, made and then found.

use std::time::Instant;

use serde_json::Value;

use crate::{
    support::{LONG_WAIT, raw::publish_packet, server::Server},
    tool::{SHARDS, away, connect, finding, json, publish, quick, said, subscribe, subscriber},
};

const RULES: &str = "\
[[rule]]
deny = \"receive\"
client_ids = \"denied\"
topics = \"t\"

[[rule]]
deny = \"publish\"
client_ids = \"meter\"
topics = \"t\"

[[rule]]
allow = \"all\"
topics = \"#\"
";

/// Why `client_id` does not get a message with QoS 1 from `from`.
#[track_caller]
fn missing(server: &Server, client_id: &str, from: &str, code: i32) -> Value {
    json(server, &format!("missing --client {client_id} -t t -q 1 --from {from}"), code)
}

#[track_caller]
fn assert_cause(told: &Value, check: &str, words: &str) {
    let (found, text) = finding(told, check);
    assert_eq!(found, "cause", "{told}");
    assert!(text.contains(words), "{text}");
    let conclusion = told["conclusion"].as_str().expect("a sentence");
    assert!(conclusion.contains(words) && conclusion.ends_with('.'), "{conclusion}");
}

#[test]
fn the_cause_is_found() {
    for shards in SHARDS {
        let server = quick(shards, "", RULES);
        let _publisher = connect(&server, "publisher", &[]);
        let _meter = connect(&server, "meter", &[]);
        let _fine = subscriber(&server, "fine", "t", 1);
        let told = missing(&server, "fine", "publisher", 0);
        assert_eq!((&told["verdict"], &told["action"]), (&"delivered".into(), &"missing".into()), "{told}");
        assert!(
            told["conclusion"].as_str().is_some_and(|text| text.contains("would get a message")),
            "{told}"
        );
        for check in
            ["session", "connection", "subscription", "receive-right", "publisher", "drops", "in-flight"]
        {
            assert_eq!(finding(&told, check).0, "fine", "{check}");
        }
        assert_cause(&missing(&server, "nobody", "publisher", 16), "session", "it has never connected");
        away(&server, "away", "t", 1);
        assert_cause(&missing(&server, "away", "publisher", 16), "connection", "waits until it is back");
        let told = json(&server, "missing --client away -t t -q 0", 16);
        assert_cause(&told, "connection", "QoS 0 is dropped");
        let mut near = subscriber(&server, "near", "T", 1);
        subscribe(&mut near, "/t", 1, None);
        subscribe(&mut near, "unlike/this", 1, None);
        let told = missing(&server, "near", "publisher", 16);
        assert_cause(&told, "subscription", "none of its 3 Subscriptions matches");
        let words = finding(&told, "subscription").1;
        assert!(words.contains("\"T\" nearly does: it differs in capital"), "{words}");
        assert!(words.contains("\"/t\"") && !words.contains("unlike"), "{words}");
        let _denied = subscriber(&server, "denied", "t", 1);
        let told = missing(&server, "denied", "publisher", 135);
        assert_cause(&told, "receive-right", "rules.toml:2 denies it");
        assert_eq!(told["verdict"], "denied");
        let told = missing(&server, "fine", "meter", 135);
        assert_cause(&told, "publisher", "rules.toml:7 denies it");
        let mut own = connect(&server, "own", &[]);
        subscribe(&mut own, "t", 0b0000_0101, None);
        assert_cause(&missing(&server, "own", "own", 16), "no-local", "No Local");
        assert_eq!(missing(&server, "own", "publisher", 0)["verdict"], "delivered");
    }
}

/// What a queue has lost, and what it still holds.
#[test]
fn what_was_dropped_is_told() {
    let more = "[mqtt]\nqueue_messages_max = 2\n";
    for shards in SHARDS {
        let server = quick(shards, more, "");
        let mut publisher = connect(&server, "publisher", &[]);
        away(&server, "late", "t", 1);
        (0..5).for_each(|_| assert_eq!(publish(&mut publisher, "t", false, b"x") & 0x80, 0));
        let told = missing(&server, "late", "publisher", 16);
        let (found, words) = finding(&told, "drops");
        assert!(found == "perhaps" && words.contains("queue-full 3"), "{words}");
        let (found, words) = finding(&told, "queue");
        assert!(found == "cause" && words.contains("2 of 2 messages wait"), "{words}");
        assert!(words.contains("the oldest message is dropped"), "{words}");
        // Maximum Packet Size 40.
        let mut small = connect(&server, "small", &[0x27, 0, 0, 0, 40]);
        subscribe(&mut small, "t", 1, None);
        publish(&mut publisher, "t", false, &[b'x'; 100]);
        let told = missing(&server, "small", "publisher", 0);
        let (found, words) = finding(&told, "packet-size");
        assert!(
            found == "perhaps" && words.contains("at most 40 bytes") && words.contains("1 were larger"),
            "{words}"
        );
        let told = json(&server, "missing --client small -t t --size 100", 16);
        assert_cause(&told, "packet-size", "this one is larger");
        // Receive Maximum 1, and nothing is acknowledged.
        let mut window = connect(&server, "window", &[0x21, 0, 1]);
        subscribe(&mut window, "t", 1, None);
        (0..2).for_each(|_| assert_eq!(publish(&mut publisher, "t", false, b"x") & 0x80, 0));
        let told = missing(&server, "window", "publisher", 16);
        assert_cause(&told, "in-flight", "1 of 1 messages in flight; it acknowledged nothing for ");
        let told = json(&server, "missing --client window -t t -q 0", 0);
        assert_eq!(finding(&told, "in-flight").0, "perhaps", "QoS 0 needs no room in flight: {told}");
    }
}

/// A Client that does not read: what it is sent waits for its socket.
#[test]
fn who_does_not_read_is_found() {
    let server = quick(2, "[limits]\noutput_bytes_max = 65536\n", "");
    let stuck = subscriber(&server, "stuck", "t", 0);
    let mut publisher = connect(&server, "publisher", &[]);
    let payload = vec![b'x'; 200_000];
    let deadline = Instant::now() + LONG_WAIT;
    loop {
        (0..10).for_each(|_| publisher.send(&publish_packet("t", &payload)));
        let told = explained(&server);
        if finding(&told, "output").0 == "cause" {
            assert_cause(&told, "output", "it does not read what it is sent");
            break;
        }
        assert!(Instant::now() < deadline, "{told}");
    }
    drop(stuck);
}

/// Whatever the exit code is.
fn explained(server: &Server) -> Value {
    let words = "missing --client stuck -t t --json";
    let finished = crate::tool::explain(server, words).await_exit();
    serde_json::from_str(&finished.text()).expect("an object")
}

/// Each message of a group goes to one member, in turn: whose turn it is not is told whose it is.
#[test]
fn the_turn_of_a_group_is_told_and_not_moved() {
    for shards in SHARDS {
        let server = quick(shards, "", "");
        let mut publisher = connect(&server, "publisher", &[]);
        let _members = ["m0", "m1"].map(|it| subscriber(&server, it, "$share/g/t", 1));
        let next = || {
            let told = json(&server, "publish --client publisher -t t -q 1", 0);
            told["groups"][0]["next"]["client_id"].as_str().expect("a member").to_owned()
        };
        for _ in 0..3 {
            let turn = next();
            let other = if turn == "m0" { "m1" } else { "m0" };
            for _ in 0..3 {
                assert_eq!(missing(&server, &turn, "publisher", 0)["verdict"], "delivered");
                let told = missing(&server, other, "publisher", 16);
                assert_cause(&told, "shared", &format!("one of 2: the next goes to {turn:?}"));
            }
            assert_eq!(publish(&mut publisher, "t", false, b"x"), 0);
            assert_eq!(next(), other, "only the message moves it, {shards} shards");
        }
    }
}

#[test]
fn the_text_ends_in_a_sentence() {
    let server = quick(2, "", RULES);
    let _sub = subscriber(&server, "sub", "t/+", 1);
    let text = said(&server, "why-not --client sub -t t", 16);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("yes  has a Session?     there is one"), "{text}");
    assert!(lines[1].starts_with("yes  is connected?      connected for "), "{text}");
    assert!(lines[2].starts_with("no   has subscribed?    none of its 1 Subscriptions matches"), "{text}");
    assert!(lines[4].starts_with("-    may be published?"), "{text}");
    let last = lines.last().expect("a line");
    assert!(
        last.starts_with("\"sub\" does not get it now. Subscription: none of its 1") && last.ends_with('.'),
        "{text}"
    );
    assert!(last.contains("the filter asks for more levels than the topic has"), "{text}");
}
