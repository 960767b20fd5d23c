//! Shards that sleep: whoever has a little mail for one handles it there and then, instead of waking its thread.
//!
//! A shard has one owner at a time: its own thread, or while that sleeps, for a moment, a neighbour's. With little to do
//! a Server is thus as frugal with many shards as with one.

use std::{
    fmt,
    sync::{OnceLock, Weak},
};

use dunlin_broker::ids::ShardId;

use super::mailbox::Post;

/// All shards, for each other.
#[derive(Default)]
pub(crate) struct Neighbours {
    shards: Box<[OnceLock<Weak<dyn Sleeper>>]>,
}

/// A shard that can be helped while its thread sleeps.
pub(crate) trait Sleeper: Send + Sync {
    /// Handles its mail, if nobody else is about to; returns whether its thread may sleep on.
    fn help(&self) -> bool;
}

impl Neighbours {
    /// For so many shards.
    pub(crate) fn new(shards: u8) -> Self {
        Self { shards: (0..shards).map(|_| OnceLock::new()).collect() }
    }

    /// From now on `shard` can be helped.
    pub(crate) fn introduce(&self, shard: ShardId, sleeper: Weak<dyn Sleeper>) {
        // A shard has one thread, which says this once.
        drop(self.shards[shard.index()].set(sleeper));
    }

    /// Handles the mail of `shard`, or wakes its thread to do it.
    pub(super) fn serve(&self, shard: ShardId, post: &Post) {
        let neighbour = self.shards.get(shard.index()).and_then(OnceLock::get).and_then(Weak::upgrade);
        if !neighbour.is_some_and(|neighbour| neighbour.help()) {
            post.wake(shard);
        }
    }
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbours").field("shards", &self.shards.len()).finish()
    }
}
