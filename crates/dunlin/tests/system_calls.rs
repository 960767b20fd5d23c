//! What a message costs in system calls: counted by strace, so the same on every machine.

#[allow(unused_macros, unused_imports, reason = "each test file uses a part of it")]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use dunlin_broker::slot::home_of;
use support::{
    WAIT,
    raw::{Came, PUBLISH, Raw, publish_packet},
    server::{Options, Server},
};

/// A Server under strace, and two Clients of it.
struct Traced {
    publisher: Raw,
    subscriber: Raw,
    calls: PathBuf,
    _server: Server,
    _folder: tempfile::TempDir,
}

impl Traced {
    fn start(shards: usize) -> Traced {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let calls = folder.path().join("calls");
        let options = Options { shards, system_calls: Some(calls.clone()), ..Options::default() };
        let server = Server::with(&options);
        let (mut publisher, mut subscriber) = (server.raw(), server.raw());
        publisher.connect(PUBLISHER);
        subscriber.connect(&name_elsewhere(shards));
        subscriber.subscribe("sensor/+");
        Traced { publisher, subscriber, calls, _server: server, _folder: folder }
    }

    /// Sends `rounds` times `batch` messages at once, each time until they are delivered; returns system calls for each
    /// message.
    fn calls_for_each(&mut self, rounds: usize, batch: usize) -> f64 {
        let bytes = publish_packet("sensor/1", b"twenty-one").repeat(batch);
        self.round(&bytes, batch);
        let before = count(&self.calls);
        for _ in 0..rounds {
            self.round(&bytes, batch);
        }
        (count(&self.calls) - before) as f64 / (rounds * batch) as f64
    }

    fn round(&mut self, bytes: &[u8], batch: usize) {
        self.publisher.send(bytes);
        for _ in 0..batch {
            match self.subscriber.next_within(WAIT) {
                Came::Packet(PUBLISH, _) => {}
                other => panic!("awaited PUBLISH, came {other:?}"),
            }
        }
    }
}

const PUBLISHER: &str = "publisher";

/// A Client Identifier that is at home in another shard than [`PUBLISHER`], if there is another one.
fn name_elsewhere(shards: usize) -> String {
    let shards = u8::try_from(shards).expect("few shards");
    let mut names = (0..100).map(|number| format!("subscriber {number}"));
    names
        .find(|name| shards == 1 || home_of(name, shards) != home_of(PUBLISHER, shards))
        .expect("names are spread over all shards")
}

/// System calls so far. Some of the last message's may be missing.
fn count(calls: &Path) -> usize {
    let text = fs::read_to_string(calls).expect("strace is there and may trace");
    // A call that another thread's call interrupts in the file has two lines.
    text.lines().filter(|line| !line.contains(" resumed>")).count()
}

/// One message at a time: one wait, one read, one write. 64 at a time: the same three for all of them.
#[test]
fn a_message_costs_three_system_calls_and_many_cost_no_more() {
    let mut traced = Traced::start(1);
    let (sparse, batched) = (traced.calls_for_each(500, 1), traced.calls_for_each(100, 64));
    println!("system calls a message: {sparse:.2} one at a time, {batched:.3} of 64 at a time");
    assert!((2.9..=3.2).contains(&sparse), "{sparse} system calls for one message");
    assert!((0.04..=0.06).contains(&batched), "{batched} system calls for each of 64 messages");
}

/// A message from shard to shard wakes no other thread.
#[test]
fn a_message_for_an_idle_shard_costs_little_more() {
    let mut traced = Traced::start(2);
    let sparse = traced.calls_for_each(500, 1);
    println!("system calls a message, two shards: {sparse:.2}");
    assert!((2.9..=3.5).contains(&sparse), "{sparse} system calls for one message");
}
