//! Plays every conversation of `spec/conversations` against the real program, over TCP, with 1, 2 and 5 shards.
//!
//! Each conversation has a Server of its own, so that nothing but its own words decides. Variables for a person at work:
//! - `DUNLIN_CONVERSATIONS_ONLY=will` plays those with `will` in their path;
//! - `DUNLIN_CONVERSATIONS_ADDRESS=127.0.0.1:1883` plays against the Server that listens there, freshly started, one after
//!   the other; name one test (`with_1_shard`) and few conversations, for what they leave there may disturb the next.
//!   Conversations that ask for settings are left out.

#[allow(unused_macros, unused_imports, reason = "each test file uses a part of it")]
mod support;
#[path = "conversations/tcp.rs"]
mod tcp;

use std::{
    env,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Mutex,
    thread,
};

use dunlin_sim::script::{language::Script, library, play::play, rights};

use support::{
    SHARD_COUNTS,
    server::{Options, Server},
};
use tcp::{Host, TcpPlayer};

/// Conversations played at the same time by one test: most of them wait for the clock most of the time.
const PLAYED_TOGETHER: usize = 8;

#[test]
fn every_conversation_holds_with_1_shard() {
    play_all(SHARD_COUNTS[0]);
}

#[test]
fn every_conversation_holds_with_2_shards() {
    play_all(SHARD_COUNTS[1]);
}

#[test]
fn every_conversation_holds_with_5_shards() {
    play_all(SHARD_COUNTS[2]);
}

fn play_all(shards: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/conversations");
    let mut scripts = library::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let only = env::var("DUNLIN_CONVERSATIONS_ONLY").unwrap_or_default();
    scripts.retain(|script| !script.is_for_memory_only && script.file.contains(&only));
    let elsewhere: Option<SocketAddr> = env::var("DUNLIN_CONVERSATIONS_ADDRESS").ok().map(|text| {
        text.parse().unwrap_or_else(|error| panic!("DUNLIN_CONVERSATIONS_ADDRESS={text}: {error}"))
    });
    if elsewhere.is_some() {
        scripts.retain(|script| script.settings.is_empty());
    }
    assert!(!scripts.is_empty(), "no conversation has {only:?} in its path");

    let count = scripts.len();
    let scripts = Mutex::new(scripts);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..if elsewhere.is_some() { 1 } else { PLAYED_TOGETHER } {
            scope.spawn(|| {
                while let Some(script) = take(&scripts) {
                    if let Err(failure) = play_one(&script, shards, elsewhere) {
                        failures.lock().expect("no player panics here").push(failure);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no player panics here");
    failures.sort();
    let failed = failures.len();
    assert!(failed == 0, "{failed} of {count} do not hold with {shards} shards:\n\n{}", failures.join("\n"));
}

fn take(scripts: &Mutex<Vec<Script>>) -> Option<Script> {
    scripts.lock().expect("no player panics here").pop()
}

/// Plays `script`; what went wrong is told in words, also if the Server did not start.
fn play_one(script: &Script, shards: usize, elsewhere: Option<SocketAddr>) -> Result<(), String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut started;
        let mut foreign;
        let host: &mut dyn Host = match elsewhere {
            Some(address) => {
                foreign = Foreign(address);
                &mut foreign
            }
            None => {
                started = start(script, shards);
                &mut started
            }
        };
        play(script, &mut TcpPlayer::new(host))
    }));
    match played {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(failure.to_string()),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map_or("the player panicked", String::as_str);
            Err(format!("{}: {what}\n", script.file))
        }
    }
}

fn start(script: &Script, shards: usize) -> Server {
    let (mut config, mut of_rights) = (String::from("[mqtt]\n"), String::from("[rights]\n"));
    for (key, value) in script.settings.iter().filter(|(key, _)| key != "rule") {
        let is_of_rights = rights::KEYS.contains(&key.as_str());
        let table = if is_of_rights { &mut of_rights } else { &mut config };
        table.push_str(&format!("{key} = {value}\n"));
    }
    let config = (!script.settings.is_empty()).then_some(config + &of_rights);
    let rules = rights::file(&script.settings).unwrap_or_else(|error| panic!("{error}"));
    Server::with(&Options { shards, config, rules, ..Options::default() })
}

impl Host for Server {
    fn address(&self) -> SocketAddr {
        Server::address(self)
    }

    fn crash_and_restart(&mut self) -> Result<(), String> {
        Server::crash_and_restart(self);
        Ok(())
    }
}

/// A Server that somebody else has started.
struct Foreign(SocketAddr);

impl Host for Foreign {
    fn address(&self) -> SocketAddr {
        self.0
    }

    fn crash_and_restart(&mut self) -> Result<(), String> {
        Err("a Server that somebody else has started cannot be restarted".into())
    }
}
