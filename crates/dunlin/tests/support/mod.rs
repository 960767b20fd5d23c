//! Starts the real program and clients that we did not write; every wait has a bound and says what it awaited.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod clients;
pub(crate) mod process_facts;
pub(crate) mod program;
pub(crate) mod raw;
pub(crate) mod server;

use std::time::Duration;

/// How long a test waits for one event before it fails.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// How long a test waits for an event at the end of thousands of others.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(90);

/// The numbers of shards with which behaviour is shown: alone, the smallest crowd, more shards than cores.
pub(crate) const SHARD_COUNTS: [usize; 3] = [1, 2, 5];

/// Makes of each function of a `&Server` three tests: with a fresh Server of 1, 2 and 5 shards.
macro_rules! on_shards {
    ($($(#[$doc:meta])* fn $name:ident($server:ident) $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;

            fn run($server: &Server) $body

            #[test]
            fn with_1_shard() {
                run(&Server::start(1));
            }

            #[test]
            fn with_2_shards() {
                run(&Server::start(2));
            }

            #[test]
            fn with_5_shards() {
                run(&Server::start(5));
            }
        }
    )+};
}
pub(crate) use on_shards;
