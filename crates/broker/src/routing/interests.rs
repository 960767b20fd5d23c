//! What all shards know of each other: which of them may care about a topic, and which may have to keep its messages.

use std::sync::Arc;

use crate::routing::interest::Interest;

/// Two tables that all shards share.
#[derive(Clone, Debug)]
pub struct Interests {
    /// Every Topic Filter.
    pub any: Arc<Interest>,
    /// The Topic Filters by which messages with QoS 1 and 2 get into Sessions that are kept.
    pub kept: Arc<Interest>,
}

impl Interests {
    /// Tables for `shards` shards.
    #[must_use]
    pub fn new(shards: u8) -> Self {
        let table = || Arc::new(Interest::new(Interest::WORDS, shards));
        Self { any: table(), kept: table() }
    }

    /// Tables of `words` words that are the same in every run with this seed: for simulations.
    #[must_use]
    pub fn with_seed(words: usize, shards: u8, seed: u64) -> Self {
        let table = || Arc::new(Interest::with_seed(words, shards, seed));
        Self { any: table(), kept: table() }
    }
}
