//! Two Clients with one Client Identifier, and one that connects again and again.

use std::time::{Duration, Instant};

use super::{
    support::{
        WAIT,
        raw::{Came, Raw, connect_packet},
        server::Server,
    },
    tool::{json, rows},
    words::enter,
};

#[test]
fn a_fight_for_a_client_identifier_is_told_with_both_addresses_and_slowed_down() {
    let mut server = Server::configured("[limits]\ntakeover_delay_max_s = 2\n");
    let mut took = Vec::new();
    let mut last: Option<Raw> = None;
    for _ in 0..7 {
        let began = Instant::now();
        let (code, _, raw) = enter(server.address(), &connect_packet("both", 60));
        assert_eq!(code, 0);
        took.push(began.elapsed());
        if let Some(mut old) = last.replace(raw) {
            let packets = old.await_close(WAIT, "the end of the old connection");
            assert_eq!(packets.last().map(|(first, body)| (*first, body[0])), Some((0xE0, 0x8E)));
        }
    }
    assert!(took[..3].iter().all(|it| *it < Duration::from_millis(400)), "{took:?}");
    // After the third takeover: 0.5 s, 1 s, 2 s.
    for (took, least) in took[4..].iter().zip([500, 1_000, 2_000]) {
        assert!(*took >= Duration::from_millis(least - 20), "{took:?} for {least} ms");
    }
    let line = server.await_line("the fight", |line| line.contains("fight for one Client Identifier"));
    assert!(line.contains("both") && line.matches("127.0.0.1:").count() == 2, "{line}");
    let limits = &json(&server, "status")["limits"];
    assert_eq!((limits["fights"].as_u64(), limits["takeovers"].as_u64()), (Some(1), Some(6)));
    // Others do not wait.
    let began = Instant::now();
    assert_eq!(enter(server.address(), &connect_packet("other", 60)).0, 0);
    assert!(began.elapsed() < Duration::from_millis(400));
}

#[test]
fn who_gives_up_while_it_waits_takes_nothing_over() {
    let server = Server::configured("[limits]\ntakeover_delay_max_s = 5\n");
    let mut last = None;
    for _ in 0..6 {
        last = Some(enter(server.address(), &connect_packet("both", 60)).2);
    }
    let mut last = last.expect("six have come");
    let mut other = Raw::open(server.address());
    other.send(&connect_packet("both", 60));
    assert_eq!(other.next_within(Duration::from_millis(200)), Came::Nothing);
    drop(other);
    // It would have waited for four seconds.
    assert_eq!(last.next_within(Duration::from_secs(6)), Came::Nothing);
}

#[test]
fn a_client_that_connects_again_and_again_is_banned_for_a_time() {
    let mut server = Server::configured(
        "[limits]\nflapping_connects_max = 5\nflapping_window_s = 60\nflapping_ban_s = 3\ntakeover_delay_max_s = 0\n",
    );
    let connect = |server: &Server, id| enter(server.address(), &connect_packet(id, 60)).0;
    for _ in 0..5 {
        assert_eq!(connect(&server, "flapping"), 0);
    }
    assert_eq!(connect(&server, "flapping"), 0x8A);
    assert_eq!(connect(&server, "other"), 0);
    let bans = rows(&server, "ban list");
    assert_eq!(bans.len(), 1, "{bans:?}");
    assert_eq!((&bans[0]["client_id"], &bans[0]["origin"]), (&"flapping".into(), &"flapping".into()));
    assert_eq!(bans[0]["address"], "127.0.0.1");
    server.await_line("the ban", |line| line.contains("again and again") && line.contains("flapping"));
    let began = Instant::now();
    while connect(&server, "flapping") == 0x8A {
        assert!(began.elapsed() < WAIT, "the ban ends");
    }
    assert!(began.elapsed() > Duration::from_secs(1));
    assert!(rows(&server, "ban list").is_empty());
}
