//! `dunlin admin` at a Server of a test.

use std::time::Instant;

use serde_json::Value;

use crate::support::{
    LONG_WAIT,
    program::Program,
    raw::{CONNECT, packet, text},
    server::{Server, dunlin},
};

/// `dunlin admin` with these words.
pub(crate) fn admin(server: &Server, words: &str) -> Program {
    let folder = server.data_dir();
    let folder = folder.to_str().expect("it is text");
    let words: Vec<&str> = ["--data-dir", folder].into_iter().chain(words.split_whitespace()).collect();
    admin_at(&words)
}

/// `dunlin admin` with all its arguments.
pub(crate) fn admin_at(arguments: &[&str]) -> Program {
    let arguments: Vec<&str> = ["admin"].into_iter().chain(arguments.iter().copied()).collect();
    dunlin(&arguments)
}

/// The same as a line for a shell.
pub(crate) fn shell_line(server: &Server, words: &str) -> String {
    let folder = server.data_dir();
    format!("{} admin --data-dir {} {words}", env!("CARGO_BIN_EXE_dunlin"), folder.display())
}

/// The JSON object that it prints.
pub(crate) fn json(server: &Server, words: &str) -> Value {
    let mut rows = rows(server, words);
    assert_eq!(rows.len(), 1, "{words}: one object");
    rows.remove(0)
}

/// Asks for the status until `wanted` holds: what a Client has sent is in all shards some time later.
pub(crate) fn await_status(server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LONG_WAIT;
    loop {
        let status = json(server, "status");
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "awaited {what}, came {status}");
    }
}

/// The JSON objects that it prints, one a line.
pub(crate) fn rows(server: &Server, words: &str) -> Vec<Value> {
    let finished = admin(server, &format!("{words} --json")).await_exit_within(LONG_WAIT).assert_success();
    let lines = finished.lines();
    lines.iter().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// A CONNECT of version 5.0 with Clean Start 0 and a Session Expiry Interval.
pub(crate) fn connect_kept(client_id: &str, session_expiry_s: u32) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0, 0, 60, 5, 0x11];
    body.extend_from_slice(&session_expiry_s.to_be_bytes());
    text(&mut body, client_id);
    packet(CONNECT, &body)
}
