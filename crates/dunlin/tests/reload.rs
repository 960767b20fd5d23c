//! The configuration is read again while the Server runs: all of it counts, or nothing.

#[allow(unused_macros, unused_imports, reason = "one Server is enough here")]
mod support;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use support::{
    WAIT,
    program::Finished,
    raw::{CONNACK, Came, DISCONNECT, PINGREQ, PINGRESP, Raw, connect_packet, packet, text},
    server::{Server, dunlin},
};

/// A Server whose configuration is about to change.
struct Changing {
    server: Server,
}

impl Changing {
    fn new(config: &str) -> Self {
        Self { server: Server::configured(config) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.server.folder().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.file(name), text).expect("a file can be written");
        self.file(name)
    }

    /// A user in the file `users`.
    fn passwd(&self, user: &str, password: &str) -> PathBuf {
        let file = self.file("users");
        let path = file.to_str().expect("a plain name");
        let new = if file.exists() { "-b" } else { "-cb" };
        let words: Vec<&str> = match new {
            "-b" => vec!["passwd", "-b", "-H", "sha512", path, user, password],
            _ => vec!["passwd", "-c", "-b", "-H", "sha512", path, user, password],
        };
        dunlin(&words).await_exit().assert_success();
        file
    }

    /// `dunlin admin reload`.
    fn reload(&self) -> Finished {
        let folder = self.server.data_dir();
        dunlin(&["admin", "--data-dir", folder.to_str().expect("a plain name"), "reload"]).await_exit()
    }

    /// The same with another configuration.
    fn change(&self, config: &str) -> Finished {
        self.write("dunlin.toml", config);
        self.reload()
    }

    /// What CONNACK says to this user: the code of 3.1.1.
    fn login(&self, user: Option<(&str, &str)>) -> u8 {
        connack(self.server.address(), user).0
    }
}

static LOGINS: AtomicU32 = AtomicU32::new(0);

/// The code of CONNACK of 3.1.1, and the connection.
fn connack(address: SocketAddr, user: Option<(&str, &str)>) -> (u8, Raw) {
    let mut client = Raw::open(address);
    let mut body = b"\x00\x04MQTT\x04".to_vec();
    body.extend([if user.is_some() { 0xC2 } else { 0x02 }, 0, 60]);
    // A Client Identifier that is connected is for its user only.
    let number = LOGINS.fetch_add(1, Ordering::Relaxed);
    text(&mut body, &format!("somebody-{number}"));
    for part in user.iter().flat_map(|(name, password)| [name, password]) {
        text(&mut body, part);
    }
    client.send(&packet(0x10, &body));
    match client.next_within(WAIT) {
        Came::Packet(CONNACK, body) => (body[1], client),
        other => panic!("awaited CONNACK, came {other:?}"),
    }
}

/// SUBSCRIBE of 5.0 to one Topic Filter: what SUBACK says.
fn subscribe(client: &mut Raw, topic_filter: &str) -> u8 {
    let mut body = vec![0, 1, 0];
    text(&mut body, topic_filter);
    body.push(0);
    client.send(&packet(0x82, &body));
    match client.next_within(WAIT) {
        // A Reason String may stand before it.
        Came::Packet(0x90, body) => *body.last().expect("a Reason Code"),
        other => panic!("awaited SUBACK, came {other:?}"),
    }
}

#[test]
fn what_can_be_changed_is_changed_and_the_rest_is_named() {
    let changing = Changing::new("[limits]\nsubscriptions_max = 2\n[log]\nlevel = \"warn\"\n");
    let mut client = changing.server.raw();
    client.connect("living");
    assert_eq!([subscribe(&mut client, "a"), subscribe(&mut client, "b")], [0, 0]);
    assert_eq!(subscribe(&mut client, "c"), 0x97, "Quota exceeded");
    let config = "[server]\nsys_interval_s = 7\n[limits]\nsubscriptions_max = 3\n[log]\nlevel = \"info\"\nformat = \"json\"\n";
    let said = changing.change(config).assert_success().text();
    let line = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{said}"));
        line.trim().to_owned()
    };
    assert_eq!(line("changed now"), "[limits] subscriptions_max, [log] level");
    assert_eq!(line("needs a restart"), "[server] sys_interval_s, [log] format");
    // It counts for those who are there.
    assert_eq!([subscribe(&mut client, "c"), subscribe(&mut client, "d")], [0, 0x97]);
    // The log has it, at the new level.
    let mut changing = changing;
    changing.server.await_line("what has changed", |line| {
        line.contains("changed now: [limits] subscriptions_max") && line.contains("needs a restart: [server]")
    });
    let again = changing.reload().assert_success().text();
    assert!(
        again.contains("nothing") && again.contains("[server] sys_interval_s"),
        "it still waits: {again}"
    );
    let folder = changing.server.data_dir();
    let words = ["admin", "--data-dir", folder.to_str().expect("a plain name"), "--json", "reload"];
    let json = dunlin(&words).await_exit().assert_success().text();
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["changed"], serde_json::json!([]));
    assert_eq!(json["restart"], serde_json::json!(["[server] sys_interval_s", "[log] format"]));
    // A signal does the same.
    changing.write("dunlin.toml", "[limits]\nsubscriptions_max = 4\n");
    changing.server.signal("HUP");
    changing.server.await_line("that it is read", |line| line.contains("[limits] subscriptions_max"));
    assert_eq!([subscribe(&mut client, "d"), subscribe(&mut client, "e")], [0, 0x97]);
}

#[test]
fn who_may_connect_changes_while_clients_are_there() {
    let changing = Changing::new("");
    let mut anonymous = changing.server.raw();
    anonymous.connect("anonymous");
    let users = changing.passwd("ann", "one");
    let config = format!("[[auth]]\nname = \"users\"\nkind = \"password_file\"\nfile = {users:?}\n");
    let said = changing.change(&config).assert_success().text();
    assert!(said.contains("[[auth]] users"), "{said}");
    assert_eq!([changing.login(None), changing.login(Some(("ann", "one")))], [5, 0]);
    assert_ne!(changing.login(Some(("ann", "two"))), 0);
    // Whoever would not get in any more has to go.
    let said = anonymous.await_close(WAIT, "after users are asked for");
    assert!(matches!(&said[..], [(DISCONNECT, body)] if body.first() == Some(&0x87)), "{said:02x?}");
    // The same provider stays, and reads its file again.
    changing.passwd("bob", "three");
    changing.reload().assert_success();
    assert_eq!(changing.login(Some(("bob", "three"))), 0);
    // Rules come, and go.
    let acl = changing.write("acl", "user ann\ntopic read a\n");
    let said = changing.change(&format!("{config}[rights]\nacl_file = {acl:?}\n")).assert_success().text();
    assert!(said.contains("[rights] acl_file"), "{said}");
    let (code, mut ann) = connack(changing.server.address(), Some(("ann", "one")));
    assert_eq!(code, 0);
    let mut may_subscribe = |topic_filter: &str| {
        let mut body = vec![0, 1];
        text(&mut body, topic_filter);
        body.push(0);
        ann.send(&packet(0x82, &body));
        matches!(ann.next_within(WAIT), Came::Packet(0x90, body) if body[2] == 0)
    };
    assert!(may_subscribe("a") && !may_subscribe("b"));
    changing.change(&config).assert_success();
    assert!(may_subscribe("b"), "without rules everything is allowed");
    changing.change("").assert_success();
    assert_eq!(changing.login(None), 0, "nobody is asked again");
}

#[test]
fn one_mistake_and_nothing_changes() {
    let mut changing = Changing::new("[limits]\nsubscriptions_max = 1\n");
    let mut client = changing.server.raw();
    client.connect("living");
    assert_eq!(subscribe(&mut client, "a"), 0);
    let users = changing.passwd("ann", "one");
    let good =
        format!("[limits]\nsubscriptions_max = 9\n[[auth]]\nkind = \"password_file\"\nfile = {users:?}\n");
    let bad_acl = changing.write("acl", "nonsense\n");
    for (mistake, words) in [
        ("[log]\nlevel = \"loud\"\n".to_owned(), "dunlin.toml:7:9: `level` is \"loud\""),
        (format!("[rights]\nacl_file = {bad_acl:?}\n"), "acl:1"),
        ("[rights]\nacl_file = \"/no/acl\"\n".to_owned(), "/no/acl"),
        ("[[auth]]\nkind = \"scram\"\nfile = \"/no/users\"\n".to_owned(), "/no/users"),
        ("[[listener]]\nbind = \"::1\"\nauth = \"nobody\"\n".to_owned(), "there is no provider `nobody`"),
    ] {
        let said = changing.change(&format!("{good}{mistake}")).assert_code(1).errors();
        assert!(said.contains("nothing is changed") && said.contains(words), "{words}\nis not in\n{said}");
        changing.server.await_line("the same in the log", |line| line.contains("nothing is changed"));
        assert_eq!(subscribe(&mut client, "b"), 0x97, "the limit is the old one");
        assert_eq!(changing.login(None), 0, "nobody is asked");
    }
    client.send(&packet(PINGREQ, &[]));
    assert_eq!(client.next_within(WAIT), Came::Packet(PINGRESP, vec![]));
    // Without the mistake all of it counts.
    changing.change(&good).assert_success();
    assert_eq!(changing.login(None), 5);
}

/// As at the start: what everybody reaches is not opened to everybody.
#[test]
fn a_public_listener_does_not_lose_its_providers() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let users = folder.path().join("users");
    let path = users.to_str().expect("a plain name");
    dunlin(&["passwd", "-c", "-b", "-H", "sha512", path, "ann", "one"]).await_exit().assert_success();
    let auth = format!("[[auth]]\nname = \"users\"\nkind = \"password_file\"\nfile = {users:?}\n");
    let open = "[[listener]]\n[[listener]]\nname = \"public\"\nkind = \"ws\"\nport = 0\nbind = \"0.0.0.0\"\n";
    let changing = Changing::new(&format!("{auth}{open}"));
    for config in [open.to_owned(), format!("{auth}{open}auth = []\n")] {
        let said = changing.change(&config).assert_code(1).errors();
        assert!(said.contains("nobody is asked for a password"), "{said}");
        assert_eq!([changing.login(None), changing.login(Some(("ann", "one")))], [5, 0]);
    }
    // A listener that has gone from the file with its providers lets nobody in until the restart.
    let said = changing.change("[[listener]]\nname = \"other\"\n").assert_success().text();
    assert!(said.contains("public lets nobody in any more"), "{said}");
    assert_eq!([changing.login(None), changing.login(Some(("ann", "one")))], [5, 4]);
}

/// What the environment and the command line say stays above the file.
#[test]
fn flags_and_variables_stay_in_force() {
    let changing = Changing::new("[server]\nshards = 4\n");
    // The test starts it with --shards 1.
    let said = changing.change("[server]\nshards = 3\nuser = \"nobody\"\n").assert_success().text();
    assert!(!said.contains("shards") && !said.contains("user"), "{said}");
    let mut late = changing.server.raw();
    late.send(&connect_packet("late", 60));
    assert!(matches!(late.next_within(WAIT), Came::Packet(CONNACK, _)));
}
