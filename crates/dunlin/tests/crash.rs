//! Kills the real program with `kill -9` in the midst of traffic, starts it again on the same data, and counts.
//!
//! An acknowledgement is always true: what was acknowledged arrives, QoS 2 arrives once, the order is kept, what was
//! in flight comes again with its Packet Identifier, Retained Messages, Subscriptions and Sessions are as they were, and
//! Wills are sent once. A ledger of its own decides, with the words of the standard and not of the program.
//!
//! A power cut is the same with a disk that keeps only what was synced (`power.rs`). Two things are not asked for, as
//! nobody is promised them: what came with QoS 1 a moment before the end may come again as if for the first time; and the
//! Will of a Client without a kept Session is safe only a moment later.
//!
//! Each run prints its seed; the traffic comes from it, but not the moment at which a thread of the Server is hit, so a
//! failure may need some runs to come again. Variables for a person at work:
//! - `DUNLIN_CRASH_SEED=7` for other traffic,
//! - `DUNLIN_CRASH_ROUNDS=500` for more than the 20 rounds that are usual.

#[path = "crash/client.rs"]
mod client;
#[path = "crash/failing.rs"]
mod failing;
#[path = "crash/history.rs"]
mod history;
#[path = "crash/incoming.rs"]
mod incoming;
#[path = "crash/ledger.rs"]
mod ledger;
#[path = "crash/outgoing.rs"]
mod outgoing;
#[path = "crash/power.rs"]
mod power;
#[path = "crash/retained.rs"]
mod retained;
#[path = "crash/role.rs"]
mod role;
#[allow(unused_macros, unused_imports, reason = "each test file uses a part of it")]
mod support;
#[path = "crash/wills.rs"]
mod wills;
#[path = "crash/wire.rs"]
mod wire;
#[path = "crash/wishes.rs"]
mod wishes;
#[path = "crash/world.rs"]
mod world;

use std::{env, str::FromStr};

use world::{End, Plan, play};

#[test]
fn acknowledgements_are_true_after_kill_9_with_1_shard() {
    play(plan(&[1], &[End::Kill], 20));
}

#[test]
fn acknowledgements_are_true_after_kill_9_with_3_shards() {
    play(plan(&[3], &[End::Kill], 20));
}

/// The data of a Server with some shards is that of a Server with others.
#[test]
fn acknowledgements_are_true_after_kill_9_with_changing_shards() {
    play(plan(&[2, 1, 3, 5], &[End::Kill], 20));
}

/// What was acknowledged was synced: also after a loss of power it is there.
#[test]
fn acknowledgements_are_true_after_a_power_cut() {
    play(plan(&[2], &[End::PowerCut, End::PowerCut, End::Kill], 12));
}

/// After SIGTERM all goes on as after a crash.
#[test]
fn acknowledgements_are_true_after_a_graceful_stop() {
    play(plan(&[2], &[End::Terminate], 10));
}

fn plan(shards: &[usize], ends: &[End], rounds: u32) -> Plan {
    let seed = variable("DUNLIN_CRASH_SEED", 1);
    let rounds = variable("DUNLIN_CRASH_ROUNDS", rounds);
    Plan { seed, rounds, shards: shards.to_vec(), ends: ends.to_vec() }
}

/// A number for a person at work to choose.
fn variable<T: FromStr>(name: &str, usual: T) -> T {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number is expected")),
        Err(_) => usual,
    }
}
