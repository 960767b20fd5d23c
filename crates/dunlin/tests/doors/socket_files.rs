//! MQTT over a socket file.

use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixStream},
};

use crate::{
    support::{WAIT, program::Program},
    world::{open, shell},
};

#[test]
fn mosquittos_clients_come_by_a_socket_file() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("mqtt");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket can be made"));
    assert!(path.exists(), "an earlier Server has left its file");
    let mut doors = open(&[&format!("kind = \"unix\"\npath = {path:?}\nmode = \"600\"\n")]);
    assert_eq!(fs::metadata(&path).expect("the file is there").mode() & 0o777, 0o600);

    let command = format!("exec stdbuf -oL mosquitto_sub -d --unix {} -t a/#", path.display());
    let mut receiver = Program::start(std::process::Command::new("sh").args(["-c", &command]));
    receiver.await_line("the SUBACK", |line| line.starts_with("Subscribed "));
    shell(&format!("mosquitto_pub --unix {} -q 2 -t a/b -m came", path.display())).assert_success();
    receiver.await_line("the message", |line| line == "came");

    // Who breaks a rule is named by user and process.
    let mut wrong = UnixStream::connect(&path).expect("the Server listens");
    std::io::Write::write_all(&mut wrong, b"\xC0\x00").expect("the Server reads");
    let line = doors.await_log(&["the first packet is not CONNECT", "unix:uid="]);
    assert!(line.contains(&format!("pid={}", std::process::id())), "{line}");

    doors.server.signal("TERM");
    doors.server.await_end(WAIT).assert_code(0);
    assert!(!path.exists(), "the file goes with the Server");
}

#[test]
fn a_socket_file_that_is_used_or_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("mqtt");
    let config = folder.path().join("dunlin.toml");
    fs::write(&config, format!("[[listener]]\nkind = \"unix\"\npath = {path:?}\n"))
        .expect("a file can be written");
    let dunlin = env!("CARGO_BIN_EXE_dunlin");
    let command =
        format!("{dunlin} serve -c {} --data-dir {}", config.display(), folder.path().join("data").display());

    let living = std::os::unix::net::UnixListener::bind(&path).expect("a socket can be made");
    let refused = shell(&command).assert_code(1);
    assert!(refused.errors().contains("another program listens there"), "{refused:?}");
    drop(living);
    fs::remove_file(&path).expect("it is left");
    fs::write(&path, "precious").expect("a file can be written");
    let refused = shell(&command).assert_code(1);
    assert!(refused.errors().contains("a file is there that is no socket"), "{refused:?}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
}
