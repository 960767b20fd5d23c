//! Bans: by user, Client Identifier and address.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use super::{
    support::{
        WAIT,
        raw::{Came, connect_packet},
        server::{Options, Server},
    },
    tool::{admin, json, rows},
    words::{await_disconnect, connect_3_1_1, enter},
};

fn ban(server: &Server, words: &str) -> String {
    admin(server, &format!("ban {words}")).await_exit().assert_success().text()
}

#[test]
fn a_ban_acts_at_once_and_keeps_out() {
    let server = Server::start(2);
    let (_, _, mut bad) = enter(server.address(), &connect_packet("bad-7", 60));
    let (_, _, mut good) = enter(server.address(), &connect_packet("good", 60));
    let said = ban(&server, "add --client-id bad-* --reason spam");
    assert!(said.contains("ban 1 counts") && said.contains("1 connected Clients"), "{said}");
    let told = await_disconnect(&mut bad, 0x98);
    assert!(String::from_utf8_lossy(&told).contains("banned: spam"), "{told:?}");
    assert_eq!(enter(server.address(), &connect_packet("bad-8", 60)).0, 0x8A);
    // 3.1.1 knows no such code: not authorized.
    assert_eq!(enter(server.address(), &connect_3_1_1("bad-8", 60)).0, 5);
    assert_eq!(good.next_within(Duration::from_millis(300)), Came::Nothing);
    assert_eq!(json(&server, "status")["limits"]["refused_banned"], 2);
    let all = rows(&server, "ban list");
    assert_eq!((all.len(), &all[0]["client_id"], &all[0]["reason"]), (1, &"bad-*".into(), &"spam".into()));
    let said = ban(&server, "remove 1");
    assert!(said.contains("ban 1 is gone"), "{said}");
    assert_eq!(enter(server.address(), &connect_packet("bad-8", 60)).0, 0);
    admin(&server, "ban remove 1").await_exit().assert_code(1);
}

#[test]
fn bans_by_address_end_after_their_time_and_others_outlive_the_program() {
    let mut server = Server::start(1);
    ban(&server, "add --address 127.0.0.0/8 --for 2");
    ban(&server, "add --client-id kept --for 1h");
    let connect = |server: &Server, id| enter(server.address(), &connect_packet(id, 60)).0;
    let began = Instant::now();
    while connect(&server, "a") == 0x8A {
        assert!(began.elapsed() < WAIT, "the ban ends");
    }
    assert!(began.elapsed() > Duration::from_millis(500));
    assert_eq!((connect(&server, "a"), connect(&server, "kept")), (0, 0x8A));
    server.crash_and_restart();
    assert_eq!((connect(&server, "a"), connect(&server, "kept")), (0, 0x8A));
    let file = server.data_dir().join("bans.jsonl");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A damaged file: nobody comes in before it is repaired.
    server.kill();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{{\"id\":")).unwrap();
    let finished = server.launch().await_exit();
    let lines = text.lines().count();
    assert!(
        finished.errors().contains(&format!("bans.jsonl:{}: this is no ban", lines + 1)),
        "{}",
        finished.errors()
    );
    fs::write(&file, text).unwrap();
    server.start_again();
    assert_eq!(connect(&server, "kept"), 0x8A);
}

#[test]
fn a_ban_names_somebody_and_an_address_is_one() {
    let server = Server::start(1);
    admin(&server, "ban add --reason x").await_exit().assert_code(1);
    let finished = admin(&server, "ban add --address 10.0.0.0/33").await_exit().assert_code(1);
    assert!(finished.errors().contains("10.0.0.0/33"), "{}", finished.errors());
    assert!(rows(&server, "ban list").is_empty());
}

#[test]
fn bans_stand_in_the_configuration_too() {
    let server = Server::with(&Options {
        shards: 1,
        config: Some("[[ban]]\nclient_id = \"old-*\"\nreason = \"gone since May\"\n".to_owned()),
        ..Options::default()
    });
    let (code, _, mut raw) = enter(server.address(), &connect_packet("old-1", 60));
    assert_eq!(code, 0x8A);
    raw.await_close(WAIT, "the end");
    assert_eq!(enter(server.address(), &connect_packet("new-1", 60)).0, 0);
    assert_eq!(rows(&server, "ban list")[0]["origin"], "configuration");
}
