//! Sums over all shards.

use dunlin_broker::{
    inspect::{
        answer::{Answer, Sums, Totals},
        question::Question,
    },
    metrics::Counters,
};

use super::shards::{NoAnswer, Shards};

/// What all shards have together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) counters: Counters,
    pub(crate) connections: u64,
    pub(crate) sessions: u64,
    pub(crate) subscriptions: u64,
    pub(crate) retained_messages: u64,
    pub(crate) retained_bytes: u64,
    pub(crate) is_storage_low: bool,
    pub(crate) has_storage_failed: bool,
}

impl Whole {
    /// Asks all shards for what they count anyway.
    ///
    /// # Errors
    /// If a shard does not answer.
    pub(crate) async fn ask(shards: &Shards) -> Result<Self, NoAnswer> {
        let mut whole = Self::default();
        for shard in shards.all() {
            if let Answer::Totals(totals) = shards.ask(shard, Question::Totals).await? {
                whole.add(&totals);
            }
        }
        Ok(whole)
    }

    fn add(&mut self, totals: &Totals) {
        self.counters.add(&totals.counters);
        self.connections += totals.connections as u64;
        self.sessions += totals.sessions as u64;
        self.subscriptions += totals.subscriptions as u64;
        self.retained_messages += totals.retained_messages as u64;
        self.retained_bytes += totals.retained_bytes;
        self.is_storage_low |= totals.is_storage_low;
        self.has_storage_failed |= totals.has_storage_failed;
    }
}

/// Looks at all Sessions, page by page.
///
/// # Errors
/// If a shard does not answer.
pub(crate) async fn count_sessions(shards: &Shards) -> Result<Sums, NoAnswer> {
    let mut all = Sums::default();
    for shard in shards.all() {
        let mut place = Some(0);
        while let Some(from) = place.take() {
            if let Answer::Count { sums, next } = shards.ask(shard, Question::Count { from }).await? {
                all.add(&sums);
                place = next;
            }
        }
    }
    Ok(all)
}
