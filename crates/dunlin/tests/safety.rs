//! What strangers and broken Clients do to the real program, and that it stays calm and helpful.

mod support;

use std::{
    fs,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use support::{
    LONG_WAIT, WAIT, on_shards,
    process_facts::{open_files, processor_time, raise_open_files_max, resident_kib},
    raw::{
        CONNACK, CONNECT, Came, DISCONNECT, PINGREQ, PINGRESP, PUBLISH, Raw, SUBSCRIBE,
        connect_3_1_1_with_will, connect_5_0_with_will, connect_packet, packet, publish_packet, text,
    },
    server::{Options, Server, dunlin},
};

/// Strangers that have not finished CONNECT in time are closed; who has connected stays.
#[test]
fn half_open_connections_are_closed_in_time() {
    let server = Server::configured("[limits]\nconnect_timeout_s = 2\n");
    let mut friend = server.raw();
    friend.connect("friend");
    let start = Instant::now();
    let complete = connect_packet("never-finished", 60);
    let mut strangers: Vec<Raw> = (0..40).map(|_| server.raw()).collect();
    for (number, stranger) in strangers.iter_mut().enumerate() {
        stranger.send(&complete[..number % complete.len()]);
    }
    for stranger in &mut strangers {
        let said = stranger.await_close(WAIT, "a stranger that never finished CONNECT");
        assert_eq!(said, [], "nothing is said to a stranger");
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1_800) && took <= Duration::from_secs(6), "closed after {took:?}");
    friend.send(&packet(PINGREQ, &[]));
    assert_eq!(friend.next_within(WAIT), Came::Packet(PINGRESP, vec![]), "the friend is still connected");
}

/// Whatever comes instead of CONNECT, the connection ends and the Server goes on. [MQTT-3.1.0-1] [MQTT3-3.1.0-1]
#[test]
fn garbage_before_connect_ends_only_its_own_connection() {
    let server = Server::configured("[limits]\nconnect_timeout_s = 2\n");
    let mut garbage: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0; 4_096],
        vec![0xFF; 4_096],
        packet(PINGREQ, &[]),
        packet(DISCONNECT, &[]),
        publish_packet("a/b", b"first"),
        packet(0x82, &[0, 1, 0, 0, 1, b'a', 0]),
        packet(CONNACK, &[0, 0, 0]),
        packet(CONNECT, b"\x00\x04MQTT\x09\x02\x00\x3c\x00\x00\x00"),
        packet(CONNECT, b"\x00\x04HTTP\x05\x02\x00\x3c\x00\x00\x00"),
        packet(CONNECT, b"\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x00"),
        packet(CONNECT, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02\xc3\x28"),
        vec![CONNECT, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
    ];
    let mut number = 0x2545_F491_4F6C_DD1D_u64; // a fixed start, so that every run sends the same
    for length in 1..200 {
        let mut noise = || {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            (number >> 32) as u8
        };
        garbage.push((0..length).map(|_| noise()).collect());
    }
    let mut connections: Vec<(Raw, Vec<u8>)> = Vec::new();
    for bytes in garbage {
        let mut connection = server.raw();
        connection.send(&bytes);
        connections.push((connection, bytes));
    }
    for (connection, bytes) in &mut connections {
        let said = connection.await_close(WAIT, &format!("after the bytes {bytes:02x?}"));
        let is_refusal = |(first, body): &(u8, Vec<u8>)| *first == CONNACK && body.get(1) != Some(&0);
        assert!(said.iter().all(is_refusal), "{bytes:02x?} was answered with {said:02x?}");
    }
    server.raw().connect("after-the-garbage");
}

/// Announced lengths without data cost no memory, before CONNECT and after it.
#[test]
fn announced_lengths_are_not_believed() {
    let server = Server::start(2);
    let before = resident_kib(server.pid());
    let mut strangers: Vec<Raw> = (0..200).map(|_| server.raw()).collect();
    for stranger in &mut strangers {
        stranger.send(&[CONNECT, 0xFF, 0xFF, 0xFF, 0x7F, 0, 4, b'M']);
    }
    for number in 0..200 {
        let mut client = server.raw();
        client.connect(&format!("announcing-{number}"));
        client.send(&[PUBLISH, 0x80, 0x80, 0x80, 0x03, 0, 1, b'a', 0, b'x']); // 6 MiB are said to follow
        strangers.push(client);
    }
    let mut last = server.raw();
    last.connect("last"); // all that was sent before has been read, or will not be
    last.send(&packet(PINGREQ, &[]));
    assert_eq!(last.next_within(WAIT), Came::Packet(PINGRESP, vec![]));
    let grown = resident_kib(server.pid()).saturating_sub(before);
    assert!(grown < 40 * 1024, "memory grew by {grown} KiB for announcements of 200 x 268 MB and 200 x 6 MB");
}

/// More than the Server takes is refused as soon as the length is known: 0x95. [MQTT-3.2.2-15]
#[test]
fn a_packet_beyond_the_maximum_is_refused_at_its_header() {
    let server = Server::start(1);
    let mut client = server.raw();
    client.connect("too-large");
    client.send(&[PUBLISH, 0xFF, 0xFF, 0xFF, 0x7F]);
    let said = client.await_close(WAIT, "after announcing 268,435,455 bytes");
    assert!(
        matches!(&said[..], [(DISCONNECT, body)] if body.first() == Some(&0x95)),
        "awaited DISCONNECT 0x95, Packet too large, came {said:02x?}"
    );
}

/// What has brought down or bloated other Servers costs little time and memory here, and harms nobody else.
#[test]
fn hostile_clients_cost_little() {
    let server = Server::start(2);
    let (memory, time) = (resident_kib(server.pid()), processor_time(server.pid()));
    let slashes = "/".repeat(65_000);
    let mut deep_filter = vec![0, 1, 0];
    text(&mut deep_filter, &slashes);
    deep_filter.push(0);
    let mut deep_share = vec![0, 1, 0];
    text(&mut deep_share, &format!("$share/g{}", &slashes[..60_000]));
    deep_share.push(0);
    let mut many_properties = Vec::new();
    text(&mut many_properties, "a");
    many_properties.extend([0xF0, 0xF6, 0x3C]); // 998,256 bytes of Properties: 142,608 User Properties
    many_properties.extend([0x26, 0, 1, b'k', 0, 1, b'v'].repeat(142_608));
    let churn = [
        packet(SUBSCRIBE, b"\x00\x01\x00\x00\x0a$share/g/a\x00"),
        packet(SUBSCRIBE, b"\x00\x02\x00\x00\x01a\x00"),
        packet(0xA2, b"\x00\x03\x00\x00\x01a"),
        packet(0xA2, b"\x00\x04\x00\x00\x0a$share/g/a"),
    ]
    .concat();
    let deeds = [
        ("a Topic Filter of 65,000 levels", packet(SUBSCRIBE, &deep_filter)),
        ("a shared Topic Filter of 60,000 levels", packet(SUBSCRIBE, &deep_share)),
        ("a Topic Name of 65,000 levels", publish_packet(&slashes, b"x")),
        ("142,608 User Properties", packet(PUBLISH, &many_properties)),
        (
            "one QoS 2 message, never released, 20,000 times",
            packet(0x34, b"\x00\x01a\x00\x07\x00x").repeat(20_000),
        ),
        ("QoS 2 messages, never released", (1..=60_000_u16).flat_map(qos_2_publish).collect()),
        ("shared and plain Subscriptions come and go 5,000 times", churn.repeat(5_000)),
        ("PUBREL for what never was, 50,000 times", packet(0x62, &[0, 9]).repeat(50_000)),
    ];
    for (number, (deed, bytes)) in deeds.into_iter().enumerate() {
        let mut client = server.raw();
        client.connect(&format!("hostile-{number}"));
        let answers = client.clone_for_reading();
        let reader = thread::spawn(move || answers.read_to_the_end(LONG_WAIT));
        let was_read = client.send_perhaps(&bytes) && client.send_perhaps(&packet(DISCONNECT, &[]));
        let answers = reader.join().expect("what the Server answers can be read");
        assert!(was_read || answers > 0, "{deed}: closed without a word");
    }
    let spent = processor_time(server.pid()) - time;
    assert!(spent < Duration::from_secs(10), "{spent:?} of processor time");
    let grown = resident_kib(server.pid()).saturating_sub(memory);
    assert!(grown < 64 * 1024, "memory grew by {grown} KiB");
    assert_eq!(ping_pong(&server, 10).len(), 10);
}

on_shards! {
    /// What a Client sent before it came back, even a moment later, counts: its message is delivered, its
    /// DISCONNECT discards the Will and ends the Session. [MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT-3.1.2-23]
    fn what_was_sent_before_a_quick_return_counts(server) {
        let rounds = 1_000_usize;
        let mut watcher = server.raw();
        watcher.connect("watcher");
        watcher.subscribe("quick/#");
        let mut kept = 0;
        for round in 0..rounds {
            let mut client = server.raw();
            client.send(&connect_5_0_with_will("quick", 600, "quick/will", "unwanted"));
            let Came::Packet(CONNACK, body) = client.next_within(WAIT) else {
                panic!("awaited CONNACK in round {round}");
            };
            kept += usize::from(body[0]); // Session Present
            let mut last = publish_packet("quick/x", round.to_string().as_bytes());
            last.extend(packet(DISCONNECT, &[0, 5, 0x11, 0, 0, 0, 0])); // Session Expiry Interval 0
            client.send(&last);
        }
        let mut last = server.raw();
        last.connect("quick");
        last.send(&publish_packet("quick/end", b"end"));
        let (mut came, mut wills) = (0, 0);
        loop {
            match watcher.next_within(WAIT) {
                Came::Packet(PUBLISH, body) if body.ends_with(b"end") => break,
                Came::Packet(PUBLISH, body) if body.ends_with(b"unwanted") => wills += 1,
                Came::Packet(PUBLISH, _) => came += 1,
                other => panic!("awaited the last message, came {other:?}"),
            }
        }
        assert_eq!((came, wills, kept), (rounds, 0, 0), "messages, Wills, Sessions kept after {rounds} rounds");
    }

    /// A subscriber that stops reading loses messages; the pair beside it loses none and stays quick.
    /// When it reads again it gets what was kept, and an answer. [MQTT-3.12.4-1]
    fn a_slow_reader_harms_nobody_else(server) {
        let mut slow = server.raw();
        slow.connect("never-reading");
        slow.subscribe("flood/#");
        let before = resident_kib(server.pid());
        let address = server.address();
        let flood = thread::spawn(move || {
            let mut publisher = Raw::open(address);
            publisher.connect("flooding");
            let message = publish_packet("flood/x", &[b'x'; 4_096]);
            for _ in 0..20_000 {
                publisher.send(&message);
            }
            publisher.send(&packet(PINGREQ, &[]));
            assert_eq!(publisher.next_within(LONG_WAIT), Came::Packet(PINGRESP, vec![]), "the publisher was stopped");
        });
        let delays = ping_pong(server, 1_000);
        flood.join().expect("the publisher of the flood is never blocked");
        let p99 = delays[delays.len() * 99 / 100];
        assert!(p99 < Duration::from_millis(100), "p99 of the pair beside it is {p99:?}");
        let grown = resident_kib(server.pid()).saturating_sub(before);
        assert!(grown < 64 * 1024, "memory grew by {grown} KiB for one slow reader");
        slow.send(&packet(PINGREQ, &[]));
        let mut read = 0;
        loop {
            match slow.next_within(WAIT) {
                Came::Packet(PUBLISH, _) => read += 1,
                Came::Packet(PINGRESP, _) => break,
                other => panic!("after {read} messages PINGRESP was awaited, {other:?} came"),
            }
        }
        assert!(read < 10_000, "{read} messages, more than 40 MB, were kept for one slow reader");
        assert!(read > 100, "the slow reader gets what was kept for it: {read} messages");
    }
}

/// With all file descriptors in use nothing spins; when some are free again, service goes on.
#[test]
fn running_out_of_file_descriptors_is_survived() {
    let options = Options { shards: 2, open_files_max: Some(96), ..Options::default() };
    let server = Server::with(&options);
    let mut friend = server.raw();
    friend.connect("friend");
    let mut crowd: Vec<Raw> = (0..160).map(|_| server.raw()).collect();
    for (number, client) in crowd.iter_mut().enumerate() {
        client.send_perhaps(&connect_packet(&format!("crowd-{number}"), 60));
    }
    let served = crowd.iter_mut().filter_map(|client| is_served(client, 100).then_some(())).count();
    assert!((20..=95).contains(&served), "{served} of 160 were served with 96 file descriptors");
    let before = processor_time(server.pid());
    let mut silent: Vec<Raw> = (0..160).map(|_| server.raw()).collect();
    let mut waiting = server.raw();
    assert!(!waiting.send_perhaps(&connect_packet("waiting", 60)) || !is_served(&mut waiting, 2_000));
    let closed = |client: &mut Raw| client.next_within(Duration::from_millis(5)) == Came::Closed;
    let kept = silent.iter_mut().filter_map(|client| (!closed(client)).then_some(())).count();
    let spent = processor_time(server.pid()) - before;
    assert!(
        spent < Duration::from_millis(700),
        "{spent:?} of processor time while {kept} strangers wait: it spins"
    );
    friend.send(&packet(PINGREQ, &[]));
    assert_eq!(friend.next_within(WAIT), Came::Packet(PINGRESP, vec![]), "who was there is still served");
    drop((crowd, silent, waiting));
    let deadline = Instant::now() + WAIT;
    loop {
        let mut late = server.raw();
        if late.send_perhaps(&connect_packet("late", 60)) && is_served(&mut late, 1_000) {
            break;
        }
        let open = open_files(server.pid());
        assert!(
            Instant::now() < deadline,
            "no service {WAIT:?} after all others were closed; {open} are open"
        );
    }
}

/// SIGTERM and SIGINT: everyone is told or closed, exit code 0 within five seconds. [MQTT-4.13.2-1]
#[test]
fn a_stop_is_graceful_with_a_thousand_connections() {
    raise_open_files_max(4_000);
    for signal in ["TERM", "INT"] {
        let server = Server::start(5);
        let mut clients: Vec<Raw> = (0..1_000).map(|_| server.raw()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            let id = format!("client-{number}");
            match number % 2 {
                0 => client.send(&connect_packet(&id, 60)),
                _ => client.send(&connect_3_1_1_with_will(&id, 60, "wills/here", &id)),
            }
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.await_connack(&format!("client-{number}"));
        }
        let address = server.address();
        server.stop(signal, Duration::from_secs(5)).assert_success();
        for (number, client) in clients.iter_mut().enumerate() {
            let said = client.await_close(WAIT, "after the stop");
            match (number % 2, &said[..]) {
                (0, [(DISCONNECT, body)]) if body.first() == Some(&0x8B) => {}
                (1, []) => {}
                _ => panic!("SIG{signal}: client {number} was told {said:02x?}"),
            }
        }
        TcpListener::bind(address).expect("the port is free again");
    }
}

/// A wrong flag is named, with what was expected.
#[test]
fn wrong_flags_are_explained() {
    let rows: [(&[&str], &[&str]); 8] = [
        (&["serve", "--port", "70000"], &["--port", "70000"]),
        (&["serve", "--port", "many"], &["--port", "many"]),
        (&["serve", "--bind", "nowhere at all"], &["--bind", "nowhere at all"]),
        (&["serve", "--shards", "65"], &["--shards", "65"]),
        (&["serve", "--shards", "-1"], &["-1"]),
        (&["serve", "--no-such-flag"], &["--no-such-flag"]),
        (&["serve", "--config", "/no/such/file.toml"], &["/no/such/file.toml"]),
        (&["no-such-command"], &["no-such-command"]),
    ];
    for (arguments, words) in rows {
        let finished = dunlin(arguments).await_exit();
        let said = finished.errors();
        assert!(!finished.status.success(), "{arguments:?}: exit code {}", finished.status);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {word:?} is not in the message:\n{said}");
        }
    }
}

/// A wrong configuration is refused with file, line, what stands there and what was expected.
#[test]
fn wrong_configurations_are_explained() {
    let rows: [(&str, usize, &[&str]); 7] = [
        ("[limits]\nconnect_timeout_s = \"soon\"\n", 2, &["connect_timeout_s", "whole number"]),
        ("[limits]\n\n# a comment\nconnect_timout_s = 5\n", 4, &["connect_timout_s", "connect_timeout_s"]),
        ("[limits]\nconnect_timeout_s = -3\n", 2, &["connect_timeout_s", "-3", "3600"]),
        ("[limitss]\nconnect_timeout_s = 3\n", 1, &["limitss", "limits"]),
        ("[limits\nconnect_timeout_s = 3\n", 1, &["]"]),
        ("[limits]\nconnect_timeout_s = 3\nconnect_timeout_s = 4\n", 3, &["connect_timeout_s", "duplicate"]),
        ("[limits]\nconnect_timeout_s =\n", 2, &["expected"]),
    ];
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (number, (text, line, words)) in rows.into_iter().enumerate() {
        let file = folder.path().join(format!("wrong-{number}.toml"));
        fs::write(&file, text).expect("a file can be written");
        let file = file.to_str().expect("temporary folders have plain names");
        let finished = dunlin(&["serve", "--port", "0", "--config", file]).await_exit();
        let said = finished.errors();
        assert!(!finished.status.success(), "{text:?} was accepted");
        assert!(said.contains(file), "the file is not named:\n{said}");
        let place = [format!(":{line}:"), format!("line {line}"), format!(":{line}\n")];
        assert!(
            place.iter().any(|place| said.contains(place)),
            "line {line} is not named for {text:?}:\n{said}"
        );
        for word in words.iter().chain(&["expected"]) {
            assert!(said.contains(word), "{text:?}: {word:?} is not in the message:\n{said}");
        }
    }
}

/// A port that another program has is named.
#[test]
fn a_port_in_use_is_explained() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = other.local_addr().expect("it is bound").port().to_string();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().to_str().expect("temporary folders have plain names");
    let finished = dunlin(&["serve", "--port", &port, "--data-dir", data]).await_exit();
    let said = finished.errors();
    assert!(!finished.status.success(), "exit code {}", finished.status);
    assert!(said.contains(&port) && said.contains("in use"), "the message is not clear:\n{said}");
}

/// A data folder that cannot be one is named.
#[test]
fn an_impossible_data_folder_is_explained() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("a-file");
    fs::write(&file, "not a folder").expect("a file can be written");
    let file = file.to_str().expect("temporary folders have plain names");
    let finished = dunlin(&["serve", "--port", "0", "--data-dir", file]).await_exit();
    let said = finished.errors();
    assert!(!finished.status.success(), "exit code {}", finished.status);
    assert!(said.contains(file), "the folder is not named:\n{said}");
}

/// `count` messages there, each after the one before has come; how long each took, sorted.
fn ping_pong(server: &Server, count: usize) -> Vec<Duration> {
    let mut subscriber = server.raw();
    subscriber.connect("quick-subscriber");
    subscriber.subscribe("quick/#");
    let mut publisher = server.raw();
    publisher.connect("quick-publisher");
    let mut delays = Vec::with_capacity(count);
    for number in 0..count {
        let start = Instant::now();
        let message = publish_packet("quick/x", number.to_string().as_bytes());
        publisher.send(&message);
        let Came::Packet(PUBLISH, body) = subscriber.next_within(WAIT) else {
            panic!("message {number} of the quick pair is lost");
        };
        assert!(body.ends_with(format!("\0{number}").as_bytes()), "{number} was expected, {body:02x?} came");
        delays.push(start.elapsed());
    }
    delays.sort();
    delays
}

fn qos_2_publish(packet_id: u16) -> Vec<u8> {
    let [high, low] = packet_id.to_be_bytes();
    packet(0x34, &[0, 1, b'a', high, low, 0, b'x'])
}

/// Whether CONNACK with Success comes in time.
fn is_served(client: &mut Raw, milliseconds: u64) -> bool {
    let came = client.next_within(Duration::from_millis(milliseconds));
    matches!(came, Came::Packet(CONNACK, body) if body.get(1) == Some(&0))
}
