//! The socket itself: whose it is, what it replaces, and what strange tools do to it.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::UnixStream,
        },
    },
    path::PathBuf,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use serde_json::Value;

use crate::{
    quick,
    support::{
        WAIT,
        server::{Options, Server, dunlin},
    },
    tool::{admin, admin_at, await_status, json},
};

/// A tool of bytes.
struct Tool {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Tool {
    fn open(server: &Server) -> Self {
        let stream = UnixStream::connect(socket(server)).expect("the Server listens");
        stream.set_read_timeout(Some(WAIT)).expect("a time limit can be set");
        stream.set_write_timeout(Some(WAIT)).expect("a time limit can be set");
        Self { lines: BufReader::new(stream.try_clone().expect("a socket can be shared")), stream }
    }

    /// Sends bytes; whether the Server has taken them does not matter.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next line; nothing at the end.
    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("each line is JSON")),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line: {error}"),
        }
    }

    #[track_caller]
    fn refused(&mut self, why: &str) -> String {
        let line = self.line().expect("a line");
        assert_eq!((&line["why"], &line["last"]), (&why.into(), &true.into()), "{line}");
        line["message"].as_str().expect("a text").to_owned()
    }

    /// Waits until the Server has closed, and reads nothing.
    fn await_close(&self, bound: Duration) {
        let mut poll = Poll::new().expect("there is a poller");
        poll.registry()
            .register(&mut SourceFd(&self.stream.as_raw_fd()), Token(0), Interest::READABLE)
            .expect("a socket can be watched");
        let (deadline, mut events) = (Instant::now() + bound, Events::with_capacity(8));
        while !events.iter().any(mio::event::Event::is_read_closed) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the Server has not closed within {bound:?}");
            poll.poll(&mut events, Some(left)).expect("a poller waits");
        }
    }

    fn is_answered(&mut self) -> bool {
        self.send(b"{\"ask\":\"status\"}\n");
        self.line().is_some_and(|line| line["answer"] == "status" && line["last"] == true)
    }
}

fn socket(server: &Server) -> PathBuf {
    server.data_dir().join("admin.sock")
}

#[test]
fn only_the_owner_may_open_it() {
    let server = Server::start(1);
    let metadata = fs::symlink_metadata(socket(&server)).expect("there is a socket");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o777, 0o600);
    let folder = fs::metadata(server.data_dir()).expect("there is a folder");
    assert_eq!(folder.mode() & 0o777, 0o700);
}

#[test]
fn what_a_dead_server_has_left_is_replaced_and_what_a_live_one_has_is_not() {
    let mut server = quick(1, "");
    server.kill();
    assert!(socket(&server).exists(), "after kill -9 it is still there");
    server.start_again();
    assert_eq!(json(&server, "status")["shards"], 1);
    // Another Server that is given the same socket does not start.
    let config = format!("[admin]\nsocket = \"{}\"\n", socket(&server).display());
    let other = Server::prepare(&Options { shards: 1, config: Some(config), ..Options::default() });
    let finished = other.launch().await_exit().assert_code(1);
    assert!(finished.errors().contains("another Server answers at"), "{}", finished.errors());
    assert_eq!(json(&server, "status")["shards"], 1, "the first one still answers");
    // After a graceful end nothing is left.
    let path = socket(&server);
    server.signal("TERM");
    server.await_end(WAIT).assert_success();
    assert!(!path.exists());
    // What is no socket is left alone.
    fs::write(&path, "mine").expect("a file can be written");
    let finished = server.launch().await_exit().assert_code(1);
    assert!(finished.errors().contains("is no socket"), "{}", finished.errors());
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
}

/// A socket is no data.
#[test]
fn a_folder_with_nothing_but_a_socket_is_empty() {
    let mut server = quick(1, "");
    server.kill();
    let folder = server.data_dir();
    let folder = folder.to_str().expect("it is text");
    let finished = dunlin(&["store", "stat", "--data-dir", folder]).await_exit().assert_code(1);
    assert!(finished.errors().contains("there is no data"), "{}", finished.errors());
    let mut durable = dunlin(&["serve", "-p", "0", "--data-dir", folder]);
    durable.await_line("that it keeps data", |line| line.contains("Sessions and messages in"));
    admin(&server, "status").await_exit().assert_success();
}

#[test]
fn it_is_where_the_configuration_or_the_service_says() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("here.sock");
    let path = path.to_str().expect("it is text");
    let server = Server::configured(&format!("[admin]\nsocket = \"{path}\"\n"));
    assert!(!socket(&server).exists());
    admin_at(&["--socket", path, "status"]).await_exit().assert_success();
    let server = Server::configured("[admin]\nsocket = \"\"\n");
    assert!(!socket(&server).exists());
    admin(&server, "status").await_exit().assert_code(1);
    let runtime = folder.path().to_str().expect("it is text").to_owned();
    let environment = vec![("RUNTIME_DIRECTORY".to_owned(), runtime)];
    let server = Server::with(&Options { shards: 1, environment, ..Options::default() });
    assert!(!socket(&server).exists());
    let path = folder.path().join("admin.sock");
    admin_at(&["--socket", path.to_str().expect("it is text"), "status"]).await_exit().assert_success();
    // Too long for a socket: told with the line.
    let long = Server::prepare(&Options {
        config: Some(format!("[admin]\nsocket = \"/{}\"\n", "x".repeat(107))),
        ..Options::default()
    });
    let finished = long.launch().await_exit().assert_code(1);
    assert!(finished.errors().contains("dunlin.toml:2:10"), "{}", finished.errors());
}

#[test]
fn strange_lines_are_answered_and_harm_nobody() {
    let server = quick(2, "");
    let mut tool = Tool::open(&server);
    for line in [
        "hello\n",
        "{}\n",
        "[1, 2]\n",
        "{\"ask\":\"status\"\n",
        "{\"ask\":\"everything\"}\n",
        "{\"ask\":\"status\",\"extra\":1}\n",
        "\u{0}\n",
        "{\"ask\":\"session\"}\n",
        "{\"ask\":\"sessions\",\"limit\":-1}\n",
    ] {
        tool.send(line.as_bytes());
        let message = tool.refused("not-a-question");
        assert!(message.contains("{\"ask\":\"status\"}"), "{message}");
    }
    tool.send(&[0xff, 0xfe, b'\n']);
    tool.refused("not-a-question");
    tool.send(&[vec![b'['; 100_000], vec![b'\n']].concat());
    tool.refused("not-a-question");
    tool.send(b"\n\r\n");
    assert!(tool.is_answered(), "empty lines ask nothing");
    tool.send(b"{\"ask\":\"status\"}\n{\"ask\":\"session\",\"client_id\":\"\"}\n");
    assert_eq!(tool.line().expect("a line")["answer"], "status");
    tool.refused("not-found");
    // The end of the stream ends the line.
    tool.send(b"{\"ask\":\"status\"}");
    tool.stream.shutdown(std::net::Shutdown::Write).expect("a socket can be shut");
    assert_eq!(tool.line().expect("a line")["answer"], "status");
    assert_eq!(tool.line(), None);
}

#[test]
fn a_line_without_end_is_cut_off() {
    let server = quick(2, "");
    let mut tool = Tool::open(&server);
    let mut sent = 0;
    while sent < 4 << 20 && tool.send(&[b'x'; 4_096]) {
        sent += 4_096;
    }
    assert!(sent < 4 << 20, "the Server has not read megabytes");
    assert!(tool.refused("not-a-question").contains("524288 bytes"));
    assert_eq!(tool.line(), None);
    assert!(Tool::open(&server).is_answered());
}

#[test]
fn half_a_line_is_waited_for_but_not_long() {
    let server = quick(1, "");
    let mut tool = Tool::open(&server);
    let start = Instant::now();
    tool.send(b"{\"ask\":");
    assert!(Tool::open(&server).is_answered(), "others are answered meanwhile");
    tool.refused("too-slow");
    assert_eq!(tool.line(), None, "and closed");
    let took = start.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(9), "{took:?}");
}

#[test]
fn there_are_not_too_many_at_a_time() {
    let server = quick(1, "");
    let mut tools: Vec<Tool> = (0..16).map(|_| Tool::open(&server)).collect();
    assert!(tools.iter_mut().all(Tool::is_answered));
    Tool::open(&server).refused("busy");
    let finished = admin(&server, "status").await_exit().assert_code(1);
    assert!(finished.errors().contains("16 tools ask already"), "{}", finished.errors());
    tools.pop();
    let deadline = Instant::now() + WAIT;
    while !Tool::open(&server).is_answered() {
        assert!(Instant::now() < deadline, "a place is free again");
    }
}

/// A tool that asks for much and reads nothing holds up nobody, and goes.
#[test]
fn a_tool_that_does_not_read_is_left() {
    let server = quick(2, "");
    let mut publisher = server.raw();
    publisher.connect("publisher");
    for number in 0..4_000 {
        let mut body = Vec::new();
        crate::support::raw::text(&mut body, &format!("a/{number}/{}", "x".repeat(300)));
        body.push(0);
        body.push(b'x');
        publisher.send(&crate::support::raw::packet(0x31, &body));
    }
    await_status(&server, "the messages", |status| status["retained_messages"] == 4_000);
    let mut tool = Tool::open(&server);
    tool.send(b"{\"ask\":\"retained\"}\n{\"ask\":\"retained\"}\n");
    assert!(Tool::open(&server).is_answered());
    // Within its time for a line the Server gives up; what had been written can still be read.
    tool.await_close(Duration::from_secs(30));
    let mut rest = Vec::new();
    tool.lines.read_to_end(&mut rest).expect("what was written can be read");
    assert!(!rest.is_empty() && !rest.ends_with(b"\"last\":true}\n"));
}
