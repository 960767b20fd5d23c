//! How many connections there may be, and how fast they may come.

use std::time::{Duration, Instant};

use super::{
    support::{
        WAIT,
        raw::{Came, Raw, connect_packet},
        server::Server,
    },
    tool::{await_status, json},
    words::enter,
};

/// A Server whose proxy is this machine, so that Clients come from any address.
fn behind_proxy(limits: &str) -> Server {
    Server::configured(&format!(
        "[[listener]]\nproxy_protocol = true\ntrusted_proxies = \"127.0.0.0/8\"\n[limits]\n{limits}\n"
    ))
}

/// What the proxy says, and CONNECT.
fn connect_from(address: &str, client_id: &str) -> Vec<u8> {
    let mut bytes = format!("PROXY TCP4 {address} 127.0.0.1 4000 1883\r\n").into_bytes();
    bytes.extend(connect_packet(client_id, 60));
    bytes
}

#[test]
fn one_address_has_so_many_connections_and_another_is_not_kept_out() {
    let server = behind_proxy("connections_per_address_max = 2");
    let connect = |address, id| enter(server.address(), &connect_from(address, id));
    let (first, second) = (connect("192.0.2.1", "a"), connect("192.0.2.1", "b"));
    assert_eq!((first.0, second.0), (0, 0));
    assert_eq!(connect("192.0.2.1", "c").0, 0x97);
    assert_eq!(json(&server, "status")["limits"]["refused_connections"], 1);
    assert_eq!(connect("192.0.2.2", "d").0, 0);
    drop(first);
    await_status(&server, "the ends of a and d", |status| status["connections"] == 1);
    assert_eq!(connect("192.0.2.1", "c").0, 0);
}

#[test]
fn a_proxy_is_not_slowed_down_but_who_is_behind_it_is() {
    let server = behind_proxy("connections_per_address_per_s = 3");
    let attempt = |address: &str, id: &str| {
        let mut raw = Raw::open(server.address());
        raw.send_perhaps(&connect_from(address, id)) && matches!(raw.next_within(WAIT), Came::Packet(..))
    };
    assert!((1..=12).all(|host| attempt(&format!("192.0.2.{host}"), &format!("client-{host}"))));
    let admitted = (0..12).filter(|_| attempt("198.51.100.1", "a")).count();
    assert!((3..12).contains(&admitted), "{admitted} of 12");
}

#[test]
fn those_of_an_exception_share_their_connections() {
    let server = Server::configured("[[limit]]\nclient_ids = \"guest-*\"\nconnections_max = 2\n");
    let connect = |id| enter(server.address(), &connect_packet(id, 60));
    let (first, _second, _other) = (connect("guest-1"), connect("guest-2"), connect("other"));
    assert_eq!(connect("guest-3").0, 0x97);
    assert_eq!(connect("other-2").0, 0);
    drop(first);
    await_status(&server, "the end of a guest", |status| status["connections"] == 2);
    assert_eq!(connect("guest-3").0, 0);
}

#[test]
fn an_address_that_connects_too_fast_is_closed_at_once_and_may_come_again() {
    let server = Server::configured("[limits]\nconnections_per_address_per_s = 5\n");
    let attempt = || {
        let mut raw = Raw::open(server.address());
        raw.send_perhaps(&connect_packet("a", 60)) && matches!(raw.next_within(WAIT), Came::Packet(..))
    };
    let began = Instant::now();
    let admitted = (0..15).filter(|_| attempt()).count();
    let more = (began.elapsed().as_millis() / 200) as usize;
    assert!((5..=5 + more + 1).contains(&admitted), "{admitted} of 15 in {:?}", began.elapsed());
    let refused = json(&server, "status")["limits"]["refused_rate"].as_u64().unwrap();
    assert_eq!(refused as usize, 15 - admitted);
    let began = Instant::now();
    while !attempt() {
        assert!(began.elapsed() < WAIT, "it may come again");
    }
}

#[test]
fn a_listener_accepts_so_many_in_a_second_and_the_others_wait() {
    let server = Server::configured(
        "[[listener]]\nname = \"slow\"\n[[limit]]\nlisteners = \"slow\"\nconnections_per_s = 5\n",
    );
    let began = Instant::now();
    for number in 0..15 {
        let (code, _, _raw) = enter(server.address(), &connect_packet(&format!("client-{number}"), 60));
        assert_eq!(code, 0, "nobody is refused");
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(1_800) && took < Duration::from_secs(8),
        "15 at 5 a second: {took:?}"
    );
}
