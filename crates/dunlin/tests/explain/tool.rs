//! `dunlin explain` at a Server of a test, and Clients to ask about.

use serde_json::Value;

use crate::support::{
    LONG_WAIT, WAIT,
    program::{Finished, Program},
    raw::{CONNECT, Came, DISCONNECT, Raw, SUBACK, SUBSCRIBE, packet, text},
    server::{Options, Server, dunlin},
};

/// The numbers of shards with which answers are shown.
pub(crate) const SHARDS: [usize; 3] = [1, 2, 3];

/// A Server that keeps nothing on the disk, with these rules, if there are to be some.
pub(crate) fn quick(shards: usize, more: &str, rules: &str) -> Server {
    let rights = if rules.is_empty() { "" } else { "[rights]\n" };
    let config = format!("[server]\nsys_interval_s = 0\n[storage]\nmemory_only = true\n{more}{rights}");
    let rules = (!rules.is_empty()).then(|| rules.to_owned());
    Server::with(&Options { shards, config: Some(config), rules, ..Options::default() })
}

/// `dunlin explain` with these words.
pub(crate) fn explain(server: &Server, words: &str) -> Program {
    let folder = server.data_dir();
    let mut all: Vec<&str> = ["explain"].into_iter().chain(words.split_whitespace()).collect();
    all.extend(["--data-dir", folder.to_str().expect("it is text")]);
    dunlin(&all)
}

/// What it prints for people, and its exit code is this one.
#[track_caller]
pub(crate) fn said(server: &Server, words: &str, code: i32) -> String {
    finished(server, words, code).text()
}

#[track_caller]
fn finished(server: &Server, words: &str, code: i32) -> Finished {
    explain(server, words).await_exit_within(LONG_WAIT).assert_code(code)
}

/// The JSON object that it prints, and its exit code is this one.
#[track_caller]
pub(crate) fn json(server: &Server, words: &str, code: i32) -> Value {
    let text = said(server, &format!("{words} --json"), code);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words}: {error}: {text}"))
}

/// The row of a list about one Client.
#[track_caller]
pub(crate) fn row<'a>(list: &'a Value, client_id: &str) -> &'a Value {
    let rows = list.as_array().expect("a list");
    let found = rows.iter().find(|row| row["client_id"] == client_id);
    found.unwrap_or_else(|| panic!("{client_id} is not in {list}"))
}

/// What became of one possible cause.
#[track_caller]
pub(crate) fn finding(missing: &Value, check: &str) -> (String, String) {
    let steps = missing["steps"].as_array().expect("a list");
    let step = steps.iter().find(|step| step["check"] == check);
    let step = step.unwrap_or_else(|| panic!("{check} is not in {missing}"));
    let of = |field: &str| step[field].as_str().expect("a text").to_owned();
    (of("finding"), of("words"))
}

/// A Client of version 5.0 whose Session is kept for ten minutes, with Properties of CONNECT.
pub(crate) fn connect(server: &Server, client_id: &str, properties: &[u8]) -> Raw {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 60];
    body.push(5 + properties.len() as u8);
    body.extend_from_slice(&[0x11, 0, 0, 2, 88]);
    body.extend_from_slice(properties);
    text(&mut body, client_id);
    let mut raw = server.raw();
    raw.send(&packet(CONNECT, &body));
    raw.await_connack(client_id);
    raw
}

/// Subscribes with these options; nothing is acknowledged that comes.
#[track_caller]
pub(crate) fn subscribe(raw: &mut Raw, filter: &str, options: u8, identifier: Option<u8>) {
    let mut body = vec![0, 1];
    match identifier {
        Some(identifier) => body.extend_from_slice(&[2, 0x0b, identifier]),
        None => body.push(0),
    }
    text(&mut body, filter);
    body.push(options);
    raw.send(&packet(SUBSCRIBE, &body));
    loop {
        match raw.next_within(WAIT) {
            Came::Packet(SUBACK, body) => {
                assert!(body.last().is_some_and(|&code| code <= 2), "{filter}: {body:?}");
                return;
            }
            Came::Packet(..) => {}
            other => panic!("awaited SUBACK for {filter}, came {other:?}"),
        }
    }
}

/// A Client with one Subscription.
pub(crate) fn subscriber(server: &Server, client_id: &str, filter: &str, options: u8) -> Raw {
    let mut raw = connect(server, client_id, &[]);
    subscribe(&mut raw, filter, options, None);
    raw
}

/// A Session whose Client is away.
pub(crate) fn away(server: &Server, client_id: &str, filter: &str, options: u8) {
    let mut raw = subscriber(server, client_id, filter, options);
    raw.send(&packet(DISCONNECT, &[]));
    raw.await_close(WAIT, "after DISCONNECT");
}

/// Publishes with QoS 1 and returns the Reason Code of PUBACK.
#[track_caller]
pub(crate) fn publish(raw: &mut Raw, topic: &str, is_retained: bool, payload: &[u8]) -> u8 {
    const PUBACK: u8 = 0x40;
    let mut body = Vec::new();
    text(&mut body, topic);
    body.extend_from_slice(&[0, 1, 0]);
    body.extend_from_slice(payload);
    raw.send(&packet(0x32 | u8::from(is_retained), &body));
    loop {
        match raw.next_within(WAIT) {
            Came::Packet(PUBACK, body) => return body.get(2).copied().unwrap_or(0),
            Came::Packet(..) => {}
            other => panic!("awaited PUBACK for {topic}, came {other:?}"),
        }
    }
}

/// The next PUBLISH with QoS 0 or 1 that comes: its topic.
#[track_caller]
pub(crate) fn next_topic(raw: &mut Raw) -> String {
    match raw.next_within(WAIT) {
        Came::Packet(first, body) if first & 0xF0 == 0x30 => {
            let length = usize::from(body[0]) << 8 | usize::from(body[1]);
            String::from_utf8(body[2..2 + length].to_vec()).expect("a Topic Name")
        }
        other => panic!("awaited PUBLISH, came {other:?}"),
    }
}
