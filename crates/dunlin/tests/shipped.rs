//! What the program does for safety without being asked: who it is, who reaches it, what it keeps to itself.

#[allow(unused_macros, unused_imports, reason = "one Server is enough here")]
mod support;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    time::Duration,
};

use support::{
    WAIT,
    program::Program,
    raw::{CONNACK, Came, Raw, connect_packet, packet, text},
    server::{Options, Server, dunlin},
};
use tempfile::TempDir;

/// `dunlin serve` as it is, without the test's own wishes about the user.
fn serve(arguments: &[&str]) -> Program {
    Program::start(Command::new(env!("CARGO_BIN_EXE_dunlin")).arg("serve").args(arguments))
}

/// A folder that everybody may pass, with a configuration that nobody else may read.
fn open_folder(config: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    set_mode(folder.path(), 0o755);
    let file = folder.path().join("dunlin.toml");
    let data = folder.path().join("a/data");
    fs::write(&file, format!("[server]\ndata_dir = {data:?}\n{config}")).expect("a file can be written");
    set_mode(&file, 0o600);
    (folder, file.to_str().expect("temporary folders have plain names").to_owned())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("there is /proc").uid() == 0
}

/// What `/proc` says of a process behind `name:`.
fn status(pid: u32, name: &str) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect("the kernel tells it").split_whitespace().map(str::to_owned).collect()
}

/// User and group by name.
fn account(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").expect("there are users");
    let mut fields = users.lines().find(|line| line.starts_with(&format!("{name}:")))?.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Everything below `folder`, itself included.
fn all_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() { all.extend(all_below(&path)) } else { all.push(path) }
    }
    all
}

/// A port below 1024, which only root may bind, that is free now.
fn low_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (600..1_024).rev().find(is_free).expect("a port below 1024 is free")
}

#[test]
fn a_server_that_root_starts_gives_its_rights_up() {
    if !is_root() {
        // Whoever it is, it stays so.
        let (_folder, file) = open_folder("");
        let mut server = serve(&["--port", "0", "--config", &file]);
        server.await_line("where it listens", |line| line.contains("mqtt://127.0.0.1:"));
        return assert_eq!(status(server.pid(), "Uid"), status(std::process::id(), "Uid"));
    }
    let (folder, file) = open_folder("");
    let port = low_port();
    let mut server = serve(&["--port", &port.to_string(), "--config", &file]);
    server.await_line("a file that cannot be read again", |line| {
        line.contains("this file was read as root") && line.contains("dunlin.toml")
    });
    server.await_line("where it listens", |line| line.contains(&format!("mqtt://127.0.0.1:{port}")));
    let (uid, gid) = account("dunlin").or(account("nobody")).expect("there is nobody");
    assert_eq!(status(server.pid(), "Uid"), vec![uid.to_string(); 4], "real, effective, saved, of files");
    assert_eq!(status(server.pid(), "Gid"), vec![gid.to_string(); 4]);
    assert!(!status(server.pid(), "Groups").contains(&"0".to_owned()), "root's groups are gone");
    for capabilities in ["CapEff", "CapPrm", "CapAmb"] {
        assert_eq!(status(server.pid(), capabilities), ["0000000000000000"], "{capabilities}");
    }
    // All its threads, not only the first.
    for thread in fs::read_dir(format!("/proc/{}/task", server.pid())).expect("the process runs") {
        let status = fs::read_to_string(thread.expect("there are threads").path().join("status"));
        assert!(status.expect("it runs").contains(&format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n")));
    }
    // It works, and keeps what it keeps.
    let mut client = Raw::open(([127, 0, 0, 1], port).into());
    client.connect("somebody");
    client.send(&packet(0x33, b"\x00\x01a\x00\x01\x00kept"));
    assert_eq!(client.next_within(WAIT), Came::Packet(0x40, vec![0, 1, 0x10]));
    let data = folder.path().join("a/data");
    for path in all_below(&data) {
        let facts = fs::symlink_metadata(&path).expect("it is there");
        assert_eq!((facts.uid(), facts.mode() & 0o077), (uid, 0), "{}: {:o}", path.display(), facts.mode());
    }
    server.signal("TERM");
    server.await_exit().assert_success();
    // The second start finds its own folder.
    let mut server = serve(&["--port", "0", "--config", &file]);
    server.await_line("where it listens", |line| line.contains("mqtt://127.0.0.1:"));
}

#[test]
fn new_files_are_for_the_user_of_the_server_only() {
    let server = Server::start(1);
    let mut client = server.raw();
    client.connect("somebody");
    client.send(&packet(0x33, b"\x00\x01a\x00\x01\x00kept"));
    assert_eq!(client.next_within(WAIT), Came::Packet(0x40, vec![0, 1, 0x10]));
    let all = all_below(&server.data_dir());
    assert!(all.iter().any(|path| path.is_file()), "{all:?}");
    for path in all {
        let mode = fs::symlink_metadata(&path).expect("it is there").mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
}

#[test]
fn nobody_gets_what_root_had_without_being_asked() {
    let refused = |config: &str, words: &[&str], prepare: fn(&Path)| {
        let (folder, file) = open_folder(config);
        prepare(folder.path());
        let said = serve(&["--port", "0", "--config", &file]).await_exit().assert_code(1).errors();
        words.iter().for_each(|word| assert!(said.contains(word), "{word}\nis not in\n{said}"));
        folder
    };
    let user = if account("dunlin").is_some() { "dunlin" } else { "nobody" };
    if is_root() {
        // A data folder with something in it stays root's.
        let folder = refused("", &["may not write to the data folder", user, "chown"], |folder| {
            fs::create_dir_all(folder.join("a/data")).expect("a folder can be made");
            fs::write(folder.join("a/data/precious"), "").expect("a file can be written");
            set_mode(&folder.join("a/data"), 0o700);
        });
        assert_eq!(fs::metadata(folder.path().join("a/data")).expect("it is there").uid(), 0);
        refused("user = \"no-such-user\"\n", &["there is no user `no-such-user`"], |_| {});
        // The way to the folder is closed.
        refused("", &["may not write to the data folder", user], |folder| set_mode(folder, 0o700));
    }
    let (_folder, file) = open_folder("user = \"root\"\n");
    let mut server = serve(&["--port", "0", "--config", &file]);
    server.await_line("where it listens", |line| line.contains("mqtt://127.0.0.1:"));
    assert_eq!(status(server.pid(), "Uid"), status(std::process::id(), "Uid"), "root stays root, if told so");
}

#[test]
fn without_configuration_only_this_machine_reaches_it() {
    let server = Server::start(1);
    let port = format!(":{:04X}", server.address().port());
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6"] {
        let sockets = fs::read_to_string(format!("/proc/{}/net/{table}", server.pid())).unwrap_or_default();
        for socket in sockets.lines() {
            let fields: Vec<&str> = socket.split_whitespace().collect();
            if let [_, local, _, "0A", ..] = fields[..]
                && local.ends_with(&port)
            {
                listening.push(local.trim_end_matches(&port).to_owned());
            }
        }
    }
    let loopback = ["0100007F", "00000000000000000000000001000000"];
    assert!(!listening.is_empty() && listening.iter().all(|it| loopback.contains(&&**it)), "{listening:?}");
}

#[test]
fn a_public_listener_without_authentication_is_refused_unless_it_is_meant() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().to_str().expect("temporary folders have plain names");
    for address in ["0.0.0.0", "::"] {
        let open = ["serve", "--port", "0", "--data-dir", data, "--bind", address];
        let said = dunlin(&open).await_exit().assert_code(1).errors();
        for words in ["nobody is asked for a password", "--allow-anonymous", "allow_anonymous_public"] {
            assert!(said.contains(words), "{words}\nis not in\n{said}");
        }
    }
    let meant = ["serve", "--port", "0", "--data-dir", data, "--bind", "0.0.0.0", "--allow-anonymous"];
    dunlin(&meant).await_line("who may connect", |line| line.contains("ANYBODY who can reach it"));
}

/// CONNECT of 3.1.1 with a user name and a password.
fn login(client_id: &str, user: &str, password: &str) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04\xC2\x00\x3c".to_vec();
    [client_id, user, password].iter().for_each(|part| text(&mut body, part));
    packet(0x10, &body)
}

#[test]
fn no_secret_is_in_the_log_however_much_is_logged() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (users, file) = (folder.path().join("users"), folder.path().join("header"));
    let write = ["passwd", "-c", "-b", users.to_str().expect("a plain name"), "ann", "right-hush"];
    dunlin(&write).await_exit().assert_success();
    fs::write(&file, "Bearer header-hush\n").expect("a file can be written");
    let config = format!(
        "[[auth]]\nkind = \"password_file\"\nfile = {users:?}\n[[auth]]\nkind = \"jwt\"\nsecret = \"signing-hush-hush\"\n\
         [[auth]]\nkind = \"http\"\nurl = \"http://127.0.0.1:9/\"\nauthorization_file = {file:?}\non_failure = \"ignore\"\n\
         [[auth]]\nname = \"second\"\nkind = \"http\"\nurl = \"http://127.0.0.1:9/\"\non_failure = \"ignore\"\n\
         [log]\nlevel = \"trace\"\n"
    );
    let variable = ("DUNLIN__AUTH__3__AUTHORIZATION".to_owned(), "Bearer variable-hush".to_owned());
    let options =
        Options { shards: 1, config: Some(config), environment: vec![variable], ..Options::default() };
    let mut server = Server::with(&options);
    let answer = |client_id: &str, user: &str, password: &str| {
        let mut client = server.raw();
        client.send(&login(client_id, user, password));
        match client.next_within(WAIT) {
            Came::Packet(CONNACK, body) => body[1],
            other => panic!("awaited CONNACK, came {other:?}"),
        }
    };
    assert_eq!(answer("a", "ann", "right-hush"), 0);
    assert_ne!(answer("b", "ann", "wrong-hush"), 0);
    assert_ne!(answer("c", "bob", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodXNoIn0.hush-hush-hush"), 0);
    let mut anonymous = server.raw();
    anonymous.send(&connect_packet("d", 60));
    assert!(matches!(anonymous.next_within(WAIT), Came::Packet(CONNACK, _)));
    server.signal("HUP");
    server.await_line("that files are read again", |line| line.contains("SIGHUP"));
    server.signal("TERM");
    let finished = server.await_end(Duration::from_secs(10)).assert_success();
    let said = finished.text() + &finished.errors();
    assert!(said.contains("ann") && said.contains("TRACE"), "much is logged:\n{said}");
    // What was hashed or encoded is as good.
    for secret in ["hush", "aHVzaA", "$argon2", "$7$"] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}
