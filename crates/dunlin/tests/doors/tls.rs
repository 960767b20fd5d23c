//! MQTT over TLS: versions, names, tickets, and what is said to those who speak something else.

use std::time::{Duration, Instant};

use crate::{
    authority::{Authority, NOW},
    support::{
        WAIT,
        raw::{Came, Raw, connect_packet},
    },
    world::{Doors, expect_delivery, mosquitto, open, open_with, s_client, shell, subscriber},
};

fn tls(authority: &Authority, more: &str) -> Doors {
    open(&[&format!("kind = \"tls\"\n{}{more}", authority.server().settings())])
}

#[test]
fn mosquittos_clients_speak_both_versions() {
    let authority = Authority::new("CA");
    let doors = tls(&authority, "");
    for version in ["tlsv1.2", "tlsv1.3"] {
        let ca = format!("--cafile {} --tls-version {version}", authority.ca_file().display());
        let mut receiver = subscriber(doors.ports[0], &format!("{ca} -q 2 -t {version}/#"));
        for qos in 0..=2 {
            let topic = format!("-q {qos} -t {version}/{qos} -m payload-{qos}");
            mosquitto("mosquitto_pub", doors.ports[0], &format!("{ca} {topic}")).assert_success();
            receiver.await_line("the message", |line| line == format!("payload-{qos}"));
        }
    }
}

#[test]
fn the_versions_and_the_protocol_are_negotiated() {
    let authority = Authority::new("CA");
    let doors = tls(&authority, "");
    let ca = format!("-CAfile {} -verify_return_error -alpn mqtt", authority.ca_file().display());
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = s_client(doors.ports[0], &format!("{ca} {option}"));
        for part in [version, "ALPN protocol: mqtt", "Verify return code: 0 (ok)"] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
    let said = s_client(doors.ports[0], "-tls1_1 -cipher DEFAULT@SECLEVEL=0");
    assert!(said.contains("Cipher is (NONE)"), "{said}");
    let said = s_client(doors.ports[0], "-alpn h2");
    assert!(said.contains("no application protocol"), "{said}");
}

#[test]
fn a_listener_can_do_without_tls_1_2() {
    let authority = Authority::new("CA");
    let mut doors = tls(&authority, "tls_version_min = \"1.3\"\n");
    assert!(s_client(doors.ports[0], "-tls1_3").contains("TLSv1.3, Cipher is TLS_"));
    let said = s_client(doors.ports[0], "-tls1_2");
    assert!(said.contains("protocol version") && said.contains("Cipher is (NONE)"), "{said}");
    doors.await_log(&["an older version of TLS than this listener allows"]);
}

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let authority = Authority::new("CA");
    let issued = [
        authority.issue("first", &["first.example"], 1, NOW),
        authority.issue("second", &["second.example"], 2, NOW),
        authority.issue("wild", &["*.wild.example"], 3, NOW),
    ];
    let certificates: Vec<_> = issued.iter().map(|issued| &issued.certificate).collect();
    let keys: Vec<_> = issued.iter().map(|issued| &issued.key).collect();
    let doors = open(&[&format!("kind = \"tls\"\ncertificate_file = {certificates:?}\nkey_file = {keys:?}")]);
    for (name, subject) in [
        ("-servername first.example", "CN = first"),
        ("-servername SECOND.example", "CN = second"),
        ("-servername a.wild.example", "CN = wild"),
        ("-servername unknown.example", "CN = first"),
        ("-noservername", "CN = first"),
    ] {
        let said = s_client(doors.ports[0], name);
        assert!(said.contains(&format!("subject={subject}")), "{name}: {said}");
    }
}

#[test]
fn a_session_is_resumed_at_its_own_listener_only() {
    let authority = Authority::new("CA");
    let text = format!("kind = \"tls\"\n{}", authority.server().settings());
    let doors = open(&[&text, &text]);
    for version in ["-tls1_2", "-tls1_3"] {
        let ticket = authority.folder().join(format!("ticket{version}"));
        let ticket = ticket.display();
        // A packet that may not be first, so that the Server closes: until then the ticket of TLS 1.3 has come, too.
        let options = format!("-connect 127.0.0.1:{} {version} -ign_eof -sess_out {ticket}", doors.ports[0]);
        shell(&format!("printf '\\300\\000' | openssl s_client {options}"));
        let same = s_client(doors.ports[0], &format!("{version} -sess_in {ticket}"));
        assert!(same.contains("Reused, TLSv1"), "{same}");
        let other = s_client(doors.ports[1], &format!("{version} -sess_in {ticket}"));
        assert!(other.contains("New, TLSv1"), "{other}");
    }
}

#[test]
fn whoever_speaks_something_else_is_closed_and_named_in_the_log() {
    let authority = Authority::new("CA");
    let mut doors = tls(&authority, "");
    let plain = doors.server.address().port();
    let ca = format!("--cafile {}", authority.ca_file().display());

    let refused = mosquitto("mosquitto_pub", doors.ports[0], "-t a -m 1");
    assert!(!refused.status.success(), "{refused:?}");
    doors.await_log(&["the Client speaks plain MQTT; listener `tls` speaks MQTT in TLS"]);
    let refused = mosquitto("mosquitto_pub", plain, &format!("{ca} -t a -m 1"));
    assert!(!refused.status.success(), "{refused:?}");
    doors.await_log(&["the Client speaks TLS; listener `tcp` speaks plain MQTT"]);
    shell(&format!("curl -s http://127.0.0.1:{}/", doors.ports[0]));
    doors.await_log(&["the Client speaks HTTP; listener `tls`"]);
    shell(&format!("curl -s http://127.0.0.1:{plain}/"));
    doors.await_log(&["the Client speaks HTTP; listener `tcp`"]);
    let mut nonsense = Raw::open(([127, 0, 0, 1], doors.ports[0]).into());
    nonsense.send(b"\x16\x03\x01\x00\x05hello");
    doors.await_log(&["does not keep to TLS"]);
}

#[test]
fn a_wrong_name_and_an_unknown_ca_are_told_on_both_sides() {
    let (authority, other) = (Authority::new("CA"), Authority::new("other CA"));
    let elsewhere = authority.issue("elsewhere", &["elsewhere.example"], 2, NOW).settings();
    let mut doors = open(&[
        &format!("kind = \"tls\"\n{}", authority.server().settings()),
        &format!("kind = \"tls\"\n{elsewhere}"),
    ]);
    let publish = |port: u16, ca: &Authority| {
        mosquitto("mosquitto_pub", port, &format!("-d --cafile {} -t a -m 1", ca.ca_file().display()))
    };
    let refused = publish(doors.ports[0], &other);
    assert!(refused.errors().contains("TLS error"), "{refused:?}");
    doors.await_log(&["the Client ended TLS: it does not know the CA of this listener's certificate"]);
    let refused = publish(doors.ports[1], &authority);
    assert!(refused.errors().contains("TLS error"), "{refused:?}");
    doors.await_log(&["the Client ended TLS"]);
}

#[test]
fn big_messages_and_slow_readers_go_through_tls() {
    let authority = Authority::new("CA");
    let doors = tls(&authority, "");
    let ca = format!("--cafile {}", authority.ca_file().display());
    let file = authority.folder().join("big");
    let big: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.to_le_bytes()).take(7_000_000).collect();
    std::fs::write(&file, &big).expect("a file can be written");
    let out = authority.folder().join("came");
    let command = format!("mosquitto_sub -h 127.0.0.1 -p {} {ca} -q 1 -t big -C 1 -N", doors.ports[0]);
    let keep = format!("-q 1 -r -t big -f {}", file.display());
    mosquitto("mosquitto_pub", doors.ports[0], &format!("{ca} {keep}")).assert_success();
    shell(&format!("{command} > {}", out.display())).assert_success();
    assert!(std::fs::read(&out).expect("it was written") == big, "it came as it was sent");
}

#[test]
fn a_listener_others_can_reach_still_needs_authentication() {
    let authority = Authority::new("CA");
    let config = authority.write(
        "dunlin.toml",
        &format!(
            "[[listener]]\nkind = \"tls\"\nport = 0\nbind = \"0.0.0.0\"\n{}",
            authority.server().settings()
        ),
    );
    let data = authority.folder().join("data");
    let dunlin = env!("CARGO_BIN_EXE_dunlin");
    let refused = shell(&format!("{dunlin} serve -c {} --data-dir {}", config.display(), data.display()))
        .assert_code(1);
    assert!(refused.errors().contains("nobody is asked for a password"), "{refused:?}");
}

/// A handshake that takes long does not go on for ever, and its Client is told nothing more.
#[test]
fn a_handshake_that_stalls_is_ended() {
    let authority = Authority::new("CA");
    let text = format!("kind = \"tls\"\n{}", authority.server().settings());
    let mut doors = open_with("[limits]\nconnect_timeout_s = 1\n", &[&text]);
    let mut stalled = Raw::open(([127, 0, 0, 1], doors.ports[0]).into());
    stalled.send(b"\x16\x03\x01");
    doors.await_log(&["no end of the TLS handshake within 1 s"]);
    assert_eq!(stalled.next_within(WAIT), Came::Closed);
    let ca = format!("--cafile {} -t after/#", authority.ca_file().display());
    let mut receiver = subscriber(doors.ports[0], &ca);
    expect_delivery(&doors, &mut receiver, "after/stall", "here");
    let mut plain = doors.server.raw();
    plain.send(&connect_packet("plain", 60));
    plain.await_connack("plain");
}

#[test]
fn beyond_the_most_handshakes_the_oldest_is_ended() {
    let authority = Authority::new("CA");
    let text = format!("kind = \"tls\"\n{}", authority.server().settings());
    let doors = open_with("[tls]\nhandshakes_max = 2\n", &[&text]);
    let stall = || {
        let mut raw = Raw::open(([127, 0, 0, 1], doors.ports[0]).into());
        raw.send(b"\x16\x03\x01");
        raw
    };
    let mut stalled: Vec<Raw> = (0..5).map(|_| stall()).collect();
    let deadline = Instant::now() + WAIT / 2;
    // Which of those that came together are the oldest, the order of their first bytes says.
    while stalled.len() > 2 {
        assert!(Instant::now() < deadline, "{} handshakes are under way", stalled.len());
        stalled.retain_mut(|raw| raw.next_within(Duration::from_millis(10)) == Came::Nothing);
    }
    assert_eq!(stalled.len(), 2);
    let ca = format!("--cafile {} -t a", authority.ca_file().display());
    mosquitto("mosquitto_pub", doors.ports[0], &format!("{ca} -m 1")).assert_success();
}
