//! Sums over all shards.

use dunlin_broker::{
    inspect::{
        answer::{Answer, Sums, Totals},
        question::Question,
    },
    metrics::Counters,
};

use crate::shard::asking::{Reply, Traffic};

use super::shards::{NoAnswer, Shards};

/// What all shards have together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whole {
    pub(crate) counters: Counters,
    pub(crate) traffic: Traffic,
    pub(crate) packets_sent: u64,
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
            let Reply { answer, traffic } = shards.inquire(shard, Question::Totals).await?;
            whole.traffic.bytes_received += traffic.bytes_received;
            whole.traffic.bytes_sent += traffic.bytes_sent;
            if let Answer::Totals(totals) = answer {
                whole.add(&totals);
            }
        }
        Ok(whole)
    }

    fn add(&mut self, totals: &Totals) {
        self.counters.add(&totals.counters);
        self.packets_sent += totals.packets_sent;
        self.connections += totals.connections as u64;
        self.sessions += totals.sessions as u64;
        self.subscriptions += totals.subscriptions as u64;
        self.retained_messages += totals.retained_messages as u64;
        self.retained_bytes += totals.retained_bytes;
        self.is_storage_low |= totals.is_storage_low;
        self.has_storage_failed |= totals.has_storage_failed;
    }
}

/// Looks at all Sessions, some pages at a time: a round.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// The shard and the place in it to go on from.
    at: (u8, u32),
    sums: Sums,
}

impl Round {
    /// Looks at `pages_max` more pages; gives the sums when the round is over, and then begins the next one.
    ///
    /// # Errors
    /// If a shard does not answer.
    pub(crate) async fn go_on(
        &mut self,
        shards: &Shards,
        pages_max: usize,
    ) -> Result<Option<Sums>, NoAnswer> {
        for _ in 0..pages_max {
            let (number, from) = self.at;
            let Some(shard) = shards.all().nth(usize::from(number)) else {
                return Ok(Some(std::mem::take(self).sums));
            };
            if let Answer::Count { sums, next } = shards.ask(shard, Question::Count { from }).await? {
                self.sums.add(&sums);
                self.at = next.map_or((number + 1, 0), |next| (number, next));
            }
        }
        Ok(None)
    }
}

/// Looks at all Sessions.
///
/// # Errors
/// If a shard does not answer.
pub(crate) async fn count_sessions(shards: &Shards) -> Result<Sums, NoAnswer> {
    Ok(Round::default().go_on(shards, usize::MAX).await?.unwrap_or_default())
}
