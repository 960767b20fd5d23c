//! The topics below `$SYS`, and what the log says of Clients that come and go.

use std::collections::HashMap;

use crate::{
    support::{
        WAIT,
        clients::{is_message, mosquitto_pub, mosquitto_sub},
        program::Program,
        raw::{Came, DISCONNECT, PUBLISH, packet},
        server::{Options, Server, dunlin},
    },
    tool::connect_kept,
};

/// What mosquitto publishes below `$SYS/broker/` beside the loads, with its numbers in the place of values.
const NAMES: [&str; 26] = [
    "bytes/received",
    "bytes/sent",
    "clients/active",
    "clients/connected",
    "clients/disconnected",
    "clients/expired",
    "clients/inactive",
    "clients/maximum",
    "clients/total",
    "connections/socket/count",
    "heap/current",
    "heap/maximum",
    "messages/received",
    "messages/sent",
    "messages/stored",
    "packet/out/bytes",
    "publish/bytes/received",
    "publish/bytes/sent",
    "publish/messages/dropped",
    "publish/messages/received",
    "publish/messages/sent",
    "retained messages/count",
    "shared_subscriptions/count",
    "store/messages/bytes",
    "store/messages/count",
    "subscriptions/count",
];

/// Those of its loads.
const LOADS: [&str; 9] = [
    "bytes/received",
    "bytes/sent",
    "connections",
    "messages/received",
    "messages/sent",
    "publish/dropped",
    "publish/received",
    "publish/sent",
    "sockets",
];

/// How many numbers there are of ours, below `limits/`.
const LIMITS: usize = 13;

fn server(shards: usize) -> Server {
    let config = Some("[server]\nsys_interval_s = 1\n".to_owned());
    Server::with(&Options { shards, config, ..Options::default() })
}

/// Takes messages of `mosquitto_sub -v` until `wanted` holds for the values by topic.
fn await_values(
    sub: &mut Program,
    what: &str,
    wanted: impl Fn(&HashMap<String, String>) -> bool,
) -> HashMap<String, String> {
    let mut values = HashMap::new();
    while !wanted(&values) {
        let line = sub.await_line(what, |line| is_message(line) && line.starts_with("$SYS/broker/"));
        // There are spaces in a name and in values; no value but these two has one.
        let name = line.trim_start_matches("$SYS/broker/");
        let (name, value) = match name.split_once(' ') {
            Some(("retained", rest)) => {
                ("retained messages/count", rest.trim_start_matches("messages/count "))
            }
            Some(split) => split,
            None => panic!("no value in {line:?}"),
        };
        values.insert(name.to_owned(), value.to_owned());
    }
    values
}

#[test]
fn mosquittos_names_are_published() {
    let server = server(2);
    let mut sub = mosquitto_sub(&server, "-v -t $SYS/#");
    let count = NAMES.len() + 3 * LOADS.len() + LIMITS + 2;
    let values = await_values(&mut sub, "all topics", |values| values.len() == count);
    for name in NAMES {
        let value = values.get(name).unwrap_or_else(|| panic!("{name} is missing in {values:?}"));
        assert!(value.parse::<u64>().is_ok(), "{name} {value}");
    }
    let of_limits = values.iter().filter(|(name, _)| name.starts_with("limits/"));
    assert_eq!(of_limits.filter(|(_, value)| value.as_str() == "0").count(), LIMITS, "{values:?}");
    for load in LOADS {
        for minutes in ["1min", "5min", "15min"] {
            let value = &values[&format!("load/{load}/{minutes}")];
            let (_, decimals) = value.split_once('.').expect("there are decimals");
            assert!(value.parse::<f64>().is_ok() && decimals.len() == 2, "{load} {value}");
        }
    }
    assert!(values["uptime"].ends_with(" seconds") && values["version"].starts_with("dunlin version "));
}

#[test]
fn the_numbers_follow_what_happens() {
    let server = server(5);
    let mut away = server.raw();
    away.send(&connect_kept("away", 600));
    away.await_connack("away");
    away.send(&packet(DISCONNECT, &[]));
    away.await_close(WAIT, "after DISCONNECT");
    mosquitto_pub(&server, "-t a/b -m hello -r --repeat 3");
    let mut sub = mosquitto_sub(&server, "-v -t $SYS/# -t $share/g/x");
    let is = |values: &HashMap<String, String>, name: &str, wanted: &str| {
        values.get(name).is_some_and(|value| value == wanted)
    };
    let values = await_values(&mut sub, "numbers of what happened", |values| {
        is(values, "publish/messages/received", "3")
            && is(values, "publish/bytes/received", "15")
            && is(values, "clients/connected", "1")
            && is(values, "clients/disconnected", "1")
            && is(values, "subscriptions/count", "2")
            && is(values, "shared_subscriptions/count", "1")
            && values.get("retained messages/count").is_some_and(|count| count.len() > 1)
    });
    let number = |name: &str| values[name].parse::<u64>().expect("a number");
    assert!(number("bytes/received") > 60 && number("messages/sent") > number("clients/total"));
    assert!(number("retained messages/count") >= 50 && number("clients/maximum") == 1);
    // What does not change is not published again; what is `#` does not match it. [MQTT-4.7.2-1]
    let mut all = server.raw();
    all.connect("all");
    all.subscribe("#");
    await_values(&mut sub, "two more publications", |values| {
        values.get("uptime").is_some_and(|uptime| uptime != "0 seconds") && values.len() > 3
    });
    match all.next_within(WAIT) {
        Came::Packet(first, body) if first & 0xf0 == PUBLISH => assert!(body.ends_with(b"hello"), "{body:?}"),
        other => panic!("awaited the Retained Message, came {other:?}"),
    }
    mosquitto_pub(&server, "-t end -m end");
    match all.next_within(WAIT) {
        Came::Packet(first, body) if first & 0xf0 == PUBLISH => assert!(body.ends_with(b"end"), "{body:?}"),
        other => panic!("awaited the next message, came {other:?}"),
    }
}

/// They are said anew after each start, so they wear out no disk.
#[test]
fn the_numbers_are_not_kept_on_the_disk() {
    let mut server = server(2);
    mosquitto_pub(&server, "-t kept -m x -r -q 1");
    let mut sub = mosquitto_sub(&server, "-v -t $SYS/broker/uptime");
    sub.await_line("a second publication", |line| line == "$SYS/broker/uptime 1 seconds");
    server.kill();
    let folder = server.data_dir();
    let export = dunlin(&["store", "export", "--data-dir", folder.to_str().expect("it is text")]);
    let records = export.await_exit().assert_success().text();
    assert!(records.contains("kept") && !records.contains("$SYS"), "{records}");
}

#[test]
fn clients_that_come_and_go_stand_in_the_log() {
    let mut server = Server::start(2);
    mosquitto_pub(&server, "-i device-7 -u tom -P x -V 5 -t a -m x");
    let line = server.await_line("who comes", |line| line.contains(" connected"));
    for word in ["device-7", "user=\"tom\"", "127.0.0.1:", "version=5.0", "INFO"] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    let line = server.await_line("who goes", |line| line.contains("disconnected"));
    assert!(line.contains("device-7") && line.contains("reason=DISCONNECT"), "{line}");
    let mut rude = server.raw();
    rude.connect("rude");
    rude.send(&packet(0xF0, &[0xFF, 0xFF]));
    rude.await_close(WAIT, "a broken packet");
    let line = server.await_line("why it goes", |line| line.contains("disconnected"));
    assert!(line.contains("rude") && line.contains("(0x"), "{line}");
    let mut gone = server.raw();
    gone.connect("gone");
    drop(gone);
    let line = server.await_line("that it has gone", |line| line.contains("disconnected"));
    assert!(line.contains("gone") && line.contains("without DISCONNECT"), "{line}");
}
