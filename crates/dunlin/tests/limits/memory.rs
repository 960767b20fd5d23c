//! The memory of the process has a bound, and what goes first has an order.

use std::time::{Duration, Instant};

use super::{
    support::{
        LONG_WAIT, WAIT,
        process_facts::own_kib,
        raw::{Came, DISCONNECT, PINGREQ, PINGRESP, Raw, connect_packet, packet},
        server::Server,
    },
    tool::{await_status, json},
    words::{enter, publish_qos1},
};

/// A PUBLISH with QoS 1 and RETAIN.
fn retained(topic: &str, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = publish_qos1(topic, packet_id, payload);
    bytes[0] |= 1;
    bytes
}

/// Sends and gives the Reason Code of PUBACK; that there are no subscribers is no refusal.
fn published(raw: &mut Raw, bytes: &[u8]) -> u8 {
    raw.send(bytes);
    match raw.next_within(WAIT) {
        Came::Packet(0x40, body) => body.get(2).copied().filter(|code| *code >= 0x80).unwrap_or(0),
        other => panic!("awaited PUBACK, came {other:?}"),
    }
}

/// The packet that said that memory is used up, if that came.
fn shed_with(raw: &mut Raw) -> Option<Vec<u8>> {
    match raw.next_within(Duration::from_millis(20)) {
        Came::Packet(DISCONNECT, body) if body.first() == Some(&0x97) => {
            assert!(String::from_utf8_lossy(&body).contains("no memory left"), "{body:?}");
            Some(body)
        }
        _ => None,
    }
}

/// A Server that may use so much more than it uses at rest.
fn with_room(more_mib: u64) -> (Server, u64) {
    let probe = Server::configured("[limits]\nmemory_max_mib = 0\n");
    probe.raw().connect("probe");
    let max_mib = (own_kib(probe.pid()) >> 10) + more_mib;
    drop(probe);
    (Server::configured(&format!("[limits]\nmemory_max_mib = {max_mib}\n")), max_mib)
}

#[test]
fn new_clients_go_first_then_messages_and_all_comes_back() {
    let (mut server, max_mib) = with_room(256);
    let mut publisher = server.raw();
    publisher.connect("publisher");
    let mut quiet = server.raw();
    quiet.connect("quiet");
    let payload = vec![7; 200_000];
    // Retained Messages stay in memory: until one is refused.
    let mut kept = 0;
    while published(&mut publisher, &retained(&format!("r/{kept}"), 1, &payload)) == 0 {
        kept += 1;
        assert!(kept < 4_000, "nothing was refused");
    }
    server.await_line("step 2", |line| line.contains("memory is short"));
    assert!(kept > 500, "only {kept} messages of 200 KB in 256 MiB");
    assert!(own_kib(server.pid()) >> 10 <= max_mib, "the bound holds");
    assert_eq!(enter(server.address(), &connect_packet("new", 60)).0, 0x89);
    // Those who are in stay, and delete what they like.
    quiet.send(&packet(PINGREQ, &[]));
    assert_eq!(quiet.next_within(WAIT), Came::Packet(PINGRESP, Vec::new()));
    let limits = &json(&server, "status")["limits"];
    assert_eq!(limits["memory_disconnects"], 0, "{limits}");
    assert!(
        limits["refused_memory"] == 1 && limits["memory_refused_messages"].as_u64() > Some(0),
        "{limits}"
    );
    for number in 0..kept {
        assert_eq!(
            published(&mut publisher, &retained(&format!("r/{number}"), 1, b"")),
            0,
            "{number} of {kept}"
        );
    }
    server.await_line("the end", |line| line.contains("there is enough again"));
    assert_eq!(enter(server.address(), &connect_packet("new", 60)).0, 0);
    assert_eq!(published(&mut publisher, &retained("r/x", 1, &payload)), 0);
}

#[test]
fn who_uses_most_is_disconnected_when_all_is_used_up() {
    let (server, max_mib) = with_room(64);
    let mut quiet = server.raw();
    quiet.connect("quiet");
    // Each begins a packet of 8 MB and does not end it: nothing there can be refused.
    let mut heavy: Vec<Raw> = (0..24)
        .map(|number| {
            let mut raw = server.raw();
            raw.connect(&format!("heavy-{number}"));
            raw
        })
        .collect();
    let mut beginning = publish_qos1("t", 1, &vec![7; 8_000_000]);
    beginning.pop();
    let writers: Vec<_> = heavy
        .iter()
        .map(|raw| {
            let mut raw = raw.clone_for_reading();
            let beginning = beginning.clone();
            std::thread::spawn(move || raw.send_perhaps(&beginning))
        })
        .collect();
    let status = await_status(&server, "Clients that are disconnected", |status| {
        status["limits"]["memory_disconnects"].as_u64() >= Some(8)
    });
    assert!(status["connections"].as_u64() >= Some(2), "{status}");
    for writer in writers {
        // Those that are disconnected cannot write to the end.
        let _is_all = writer.join().expect("a writer does not panic");
    }
    let began = Instant::now();
    while own_kib(server.pid()) >> 10 > max_mib {
        assert!(began.elapsed() < LONG_WAIT, "memory is given back");
    }
    let told = heavy.iter_mut().filter_map(shed_with).count();
    assert!(told >= 8, "{told} were told why they are disconnected");
    quiet.send(&packet(PINGREQ, &[]));
    assert_eq!(quiet.next_within(WAIT), Came::Packet(PINGRESP, Vec::new()), "who uses little stays");
    drop(heavy);
    await_status(&server, "quiet alone", |status| status["connections"] == 1);
    let began = Instant::now();
    while enter(server.address(), &connect_packet("new", 60)).0 != 0 {
        assert!(began.elapsed() < LONG_WAIT, "new Clients come in again");
    }
}
