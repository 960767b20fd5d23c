//! `dunlin admin` and the socket of the running program.

#[allow(unused_macros, unused_imports, reason = "one Server is enough for most of this")]
mod support;

#[path = "admin/door.rs"]
mod door;
#[path = "admin/sys.rs"]
mod sys;
#[path = "admin/tool.rs"]
mod tool;

use std::{collections::HashSet, fs};

use serde_json::Value;
use support::{
    LONG_WAIT, WAIT,
    clients::{mosquitto, mosquitto_pub, mosquitto_sub},
    raw::{CONNACK, Came, DISCONNECT, Raw, SUBACK, SUBSCRIBE, connect_packet, packet, text},
    server::{Options, Server},
};
use tool::{admin, admin_at, await_status, connect_kept, json, rows};

/// A Server that keeps nothing on the disk, but has a folder.
fn quick(shards: usize, more: &str) -> Server {
    let config = format!("[server]\nsys_interval_s = 0\n[storage]\nmemory_only = true\n{more}");
    Server::with(&Options { shards, config: Some(config), ..Options::default() })
}

#[test]
fn thousands_of_sessions_come_page_by_page() {
    const SESSIONS: usize = 3_000;
    let server = quick(5, "");
    let mut connected = Vec::new();
    for number in 0..SESSIONS {
        let mut client = server.raw();
        client.send(&connect_kept(&format!("client-{number:04}"), 600));
        client.await_connack("a Client");
        if number % 10 == 0 {
            connected.push(client);
        } else {
            client.send(&packet(DISCONNECT, &[]));
            client.await_close(WAIT, "after DISCONNECT");
        }
    }
    let all = rows(&server, "sessions");
    let ids: HashSet<&str> = all.iter().map(|row| row["client_id"].as_str().expect("a text")).collect();
    assert_eq!((all.len(), ids.len()), (SESSIONS, SESSIONS), "each Session once");
    assert_eq!(rows(&server, "sessions --connected").len(), SESSIONS / 10);
    assert_eq!(rows(&server, "sessions --away").len(), SESSIONS - SESSIONS / 10);
    assert_eq!(rows(&server, "sessions --filter client-00*").len(), 100);
    assert_eq!(rows(&server, "sessions client-0007").len(), 1);
    assert_eq!(rows(&server, "sessions --limit 700").len(), 700);
    let first = rows(&server, "sessions --sort client-id -n 3");
    let first: Vec<&str> = first.iter().filter_map(|row| row["client_id"].as_str()).collect();
    assert_eq!(first, ["client-0000", "client-0001", "client-0002"]);
    let finished = admin(&server, "sessions --sort subscriptions -n 3").await_exit().assert_success();
    assert!(finished.errors().contains("3 of 3000 are shown"), "{}", finished.errors());
    let status = json(&server, "status");
    assert_eq!((&status["sessions"], &status["connections"]), (&SESSIONS.into(), &connected.len().into()));
}

#[test]
fn a_session_is_shown_with_all_that_belongs_to_it() {
    let server = Server::start(2);
    let mut client = server.raw();
    client.send(&connect_kept("device", 3_600));
    client.await_connack("device");
    // Subscription Identifier 7; QoS 2, No Local, Retain As Published, Retain Handling 1.
    let mut body = vec![0, 1, 2, 0x0b, 7];
    text(&mut body, "a/+");
    body.push(0b0001_1110);
    client.send(&packet(SUBSCRIBE, &body));
    assert!(matches!(client.next_within(WAIT), Came::Packet(SUBACK, _)));
    for number in 2..600_u16 {
        let mut body = number.to_be_bytes().to_vec();
        body.push(0);
        let filter = if number % 2 == 0 { format!("$share/g/b/{number}") } else { format!("b/{number}") };
        text(&mut body, &filter);
        body.push(1);
        client.send(&packet(SUBSCRIBE, &body));
        assert!(matches!(client.next_within(WAIT), Came::Packet(SUBACK, _)));
    }
    let session = json(&server, "session device");
    let connection = &session["connection"];
    assert_eq!((&connection["version"], &connection["keep_alive_s"]), (&"5.0".into(), &60.into()));
    assert!(connection["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")));
    assert!(connection["connected_at_ms"].as_u64() > Some(1_600_000_000_000));
    assert_eq!((&session["expiry_s"], &session["is_kept"]), (&3_600.into(), &true.into()));
    let subscriptions = session["subscriptions"].as_array().expect("a list");
    let filters: HashSet<&str> =
        subscriptions.iter().filter_map(|subscription| subscription["topic_filter"].as_str()).collect();
    assert_eq!((subscriptions.len(), filters.len()), (599, 599), "over several pages, each once");
    let first = subscriptions.iter().find(|subscription| subscription["topic_filter"] == "a/+").expect("a/+");
    assert_eq!((&first["qos"], &first["identifier"]), (&2.into(), &7.into()));
    assert_eq!((&first["no_local"], &first["retain_as_published"]), (&true.into(), &true.into()));
    assert_eq!(first["retain_handling"], 1);
    assert_eq!(rows(&server, "subscriptions").len(), 599);
    // Who gets a message: by Subscription, and one member of each group.
    assert_eq!(rows(&server, "subscriptions --topic a/x")[0]["client_id"], "device");
    let group = &rows(&server, "subscriptions -t b/4")[0];
    assert_eq!((&group["topic_filter"], &group["members"]), (&"$share/g/b/4".into(), &1.into()));
    assert_eq!(rows(&server, "subscriptions -t a/x/y"), [] as [Value; 0]);
    let finished = admin(&server, "subscriptions -t a/#").await_exit().assert_code(1);
    assert!(finished.errors().contains("no Topic Name"), "{}", finished.errors());
}

#[test]
fn every_dropped_message_is_seen_by_session_and_cause() {
    let server = quick(2, "[mqtt]\nqueue_messages_max = 10\n");
    for client in ["slow", "late"] {
        let mut raw = server.raw();
        raw.send(&connect_kept(client, 600));
        raw.await_connack(client);
        let mut body = vec![0, 1, 0];
        text(&mut body, client);
        body.push(1);
        raw.send(&packet(SUBSCRIBE, &body));
        assert!(matches!(raw.next_within(WAIT), Came::Packet(SUBACK, _)));
        raw.send(&packet(DISCONNECT, &[]));
        raw.await_close(WAIT, "after DISCONNECT");
    }
    mosquitto_pub(&server, "-t slow -q 1 -m x --repeat 25");
    mosquitto_pub(&server, "-t late -q 0 -m x --repeat 4");
    mosquitto_pub(&server, "-t late -q 1 -m x --repeat 12");
    await_status(&server, "the drops", |status| status["drops"]["queue_full"] == 17);
    let drops = json(&server, "drops");
    assert_eq!((&drops["by_cause"]["queue_full"], &drops["by_cause"]["offline"]), (&17.into(), &4.into()));
    let sessions = drops["sessions"].as_array().expect("a list");
    let of = |number: usize, cause: &str| sessions[number]["drops"][cause].as_u64().expect("a number");
    assert_eq!(sessions.len(), 2, "who has lost nothing is not in the list");
    assert_eq!((&sessions[0]["client_id"], of(0, "queue_full"), of(0, "offline")), (&"slow".into(), 15, 0));
    assert_eq!((&sessions[1]["client_id"], of(1, "queue_full"), of(1, "offline")), (&"late".into(), 2, 4));
    assert_eq!(rows(&server, "sessions --sort drops")[0]["client_id"], "slow");
    let status = json(&server, "status");
    assert_eq!((&status["drops"]["queue_full"], &status["queue"]["messages"]), (&17.into(), &20.into()));
    assert_eq!(json(&server, "session slow")["queue"]["messages"], 10);
    let shown = admin(&server, "status").await_exit().assert_success().text();
    assert!(shown.contains("21 (offline 4, queue-full 17)"), "{shown}");
}

#[test]
fn retained_messages_are_listed_by_filter() {
    let server = quick(5, "");
    let mut publisher = server.raw();
    publisher.connect("publisher");
    let mut bytes = Vec::new();
    for number in 0..700 {
        let mut body = Vec::new();
        text(&mut body, &format!("house/{}/{number}", number % 7));
        body.push(0);
        body.extend_from_slice(b"on");
        bytes.extend(packet(0x31, &body));
    }
    publisher.send(&bytes);
    await_status(&server, "the messages", |status| status["retained_messages"] == 700);
    let all = rows(&server, "retained");
    let topics: HashSet<&str> = all.iter().filter_map(|row| row["topic"].as_str()).collect();
    assert_eq!((all.len(), topics.len()), (700, 700));
    assert_eq!((&all[0]["payload_start"], &all[0]["payload_bytes"]), (&"on".into(), &2.into()));
    assert_eq!(rows(&server, "retained house/3/+").len(), 100);
    assert_eq!(rows(&server, "retained house/# --limit 30").len(), 30);
    admin(&server, "retained a/#/b").await_exit().assert_code(1);
}

/// DISCONNECT with Administrative action and the operator's words; the log says who it was.
#[test]
fn a_client_is_disconnected_and_told_why() {
    let mut server = Server::start(2);
    let mut client: Raw = server.raw();
    client.connect("device");
    let said = admin(&server, "disconnect device --reason maintenance").await_exit().assert_success();
    assert_eq!(said.text(), "\"device\" is disconnected\n");
    let packets = client.await_close(WAIT, "disconnected by an operator");
    let [(DISCONNECT, body)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(body[0], 0x98);
    assert!(body.ends_with(b"\x1f\x00\x0bmaintenance"), "{body:?}");
    let line = server.await_line("the operator in the log", |line| line.contains("an operator acts"));
    assert!(line.contains("disconnect") && line.contains("device") && line.contains("uid="), "{line}");
    let again = admin(&server, "disconnect device").await_exit().assert_code(1);
    assert!(again.errors().contains("\"device\" is not connected"), "{}", again.errors());
}

/// What is deleted stays deleted, whatever happens next.
#[test]
fn a_deleted_session_does_not_survive_a_crash() {
    let mut server = Server::start(2);
    for client in ["away", "stays"] {
        mosquitto("mosquitto_sub", &server, &format!("-i {client} -c -q 1 -t {client} -t $share/g/both -E"))
            .await_exit()
            .assert_success();
        mosquitto_pub(&server, &format!("-t {client} -q 1 -m waits"));
    }
    let mut present = server.raw();
    present.send(&connect_kept("present", 600));
    present.await_connack("present");
    let asked = admin(&server, "session away --delete").await_exit().assert_code(1);
    assert!(asked.errors().contains("--yes"), "there is no terminal: {}", asked.errors());
    for client in ["away", "present"] {
        admin(&server, &format!("session {client} --delete --yes")).await_exit().assert_success();
        server.crash_and_restart();
        let left = admin(&server, &format!("session {client}")).await_exit().assert_code(1);
        assert!(left.errors().contains("there is no Session"), "{}", left.errors());
    }
    present.await_close(WAIT, "the Session was deleted");
    assert_eq!(json(&server, "session stays")["queue"]["messages"], 1);
    let absent = admin(&server, "session away --delete --yes").await_exit().assert_code(1);
    assert!(absent.errors().contains("there is no Session"), "{}", absent.errors());
    let mut again = server.raw();
    again.send(&connect_kept("away", 600));
    let Came::Packet(CONNACK, body) = again.next_within(WAIT) else { panic!("no CONNACK") };
    assert_eq!(body[0], 0, "no Session present");
}

/// Texts of strangers do not reach the terminal as they are.
#[test]
fn control_characters_are_not_printed() {
    let server = quick(1, "");
    let mut client = server.raw();
    client.send(&connect_packet("evil\u{1b}[2J", 60));
    client.await_connack("evil");
    let shown = admin(&server, "sessions").await_exit().assert_success().text();
    assert!(shown.contains("evil\\u{1b}[2J") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn the_status_calls_unsafe_what_is_unsafe() {
    for (config, durability, is_unsafe) in [
        ("[storage]\ndurability = \"none\"\n", "none", true),
        ("[storage]\ndurability = \"interval\"\n", "interval", true),
        ("", "sync", false),
        ("[storage]\nmemory_only = true\n", "memory-only", false),
    ] {
        let server = Server::configured(config);
        let status = json(&server, "status");
        assert_eq!((&status["durability"], &status["is_unsafe"]), (&durability.into(), &is_unsafe.into()));
        let shown = admin(&server, "status").await_exit().assert_success().text();
        assert_eq!(shown.contains("UNSAFE"), is_unsafe, "{shown}");
    }
}

#[test]
fn the_tool_says_where_it_has_looked() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let at = folder.path().to_str().expect("it is text");
    let finished = admin_at(&["--data-dir", at, "status"]).await_exit().assert_code(1);
    assert!(
        finished.errors().contains(&format!("there is no socket {at}/admin.sock")),
        "{}",
        finished.errors()
    );
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file can be written");
    admin_at(&["--socket", file.to_str().expect("it is text"), "status"]).await_exit().assert_code(1);
    let mut server = quick(1, "");
    server.kill();
    let finished = admin(&server, "status").await_exit().assert_code(1);
    assert!(finished.errors().contains("is gone"), "{}", finished.errors());
}

/// A reader that has seen enough is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let server = quick(1, "");
    let _sub = mosquitto_sub(&server, "-i a -t x");
    let line =
        format!("{} | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}", tool::shell_line(&server, "sessions"));
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &line]);
    support::program::Program::start(&mut command).await_exit_within(LONG_WAIT).assert_success();
}
