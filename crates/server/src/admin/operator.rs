//! Whoever has opened the socket: every question finds its answer here.

use std::{fs, sync::Arc, time::Instant};

use dunlin_admin_api::{
    answer::{Answer, Refusal},
    question::{Question, SORTED_MAX},
    status::{self, Durability, Status, Storage},
};
use dunlin_broker::metrics::Counters;

use crate::{
    config::{durability, model::StorageConfig},
    counts::Counts,
    reload::Reloader,
};

use super::{
    explain_words::Asked,
    lines::{Hung, Lines},
    shards::{NoAnswer, Shards},
    sums::{Whole, count_sessions},
    words,
};

/// What operators may ask about.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) shards: Shards,
    pub(crate) counts: Arc<Counts>,
    pub(crate) storage: StorageConfig,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) started: Instant,
}

/// Somebody at the socket.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) facts: Arc<Facts>,
    /// The user that runs the tool,
    pub(crate) uid: u32,
    /// and the process, if it is in the same namespace.
    pub(crate) pid: Option<i32>,
}

/// Why an answer has ended early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The tool has gone.
    Hung,
    /// A shard has not answered.
    NoAnswer(NoAnswer),
}

impl From<Hung> for Stopped {
    fn from(Hung: Hung) -> Self {
        Self::Hung
    }
}

impl From<NoAnswer> for Stopped {
    fn from(no_answer: NoAnswer) -> Self {
        Self::NoAnswer(no_answer)
    }
}

impl Operator {
    /// Answers one question to the last line.
    ///
    /// # Errors
    /// If the tool has gone.
    pub(crate) async fn answer(&self, question: Question, lines: &mut Lines) -> Result<(), Hung> {
        match self.say(question, lines).await {
            Ok(()) => Ok(()),
            Err(Stopped::Hung) => Err(Hung),
            Err(Stopped::NoAnswer(NoAnswer::Gone)) => {
                lines.refuse(Refusal::Unavailable, "the Server shuts down, or a part of it has failed").await
            }
            Err(Stopped::NoAnswer(NoAnswer::Late)) => {
                lines.refuse(Refusal::TooSlow, "a shard has too much to do to answer; try again").await
            }
        }
    }

    async fn say(&self, question: Question, lines: &mut Lines) -> Result<(), Stopped> {
        match question {
            Question::Status {} => {
                let status = self.status().await?;
                Ok(lines.say_last(Answer::Status(Box::new(status))).await?)
            }
            Question::Sessions { filter, connected, sort: None, limit } => {
                self.list_sessions(filter, connected, limit, lines).await
            }
            Question::Sessions { filter, connected, sort: Some(key), limit } => {
                let choice = words::choice(filter, connected, false);
                self.sort_sessions(choice, key, sorted_limit(limit), lines).await
            }
            Question::Session { client_id } => self.show_session(client_id, lines).await,
            Question::Subscriptions { topic: None, limit } => self.list_subscriptions(limit, lines).await,
            Question::Subscriptions { topic: Some(topic), limit } => {
                self.list_subscribers(topic, sorted_limit(limit), lines).await
            }
            Question::Retained { filter, limit } => self.list_retained(filter, limit, lines).await,
            Question::Drops { limit } => self.show_drops(sorted_limit(limit), lines).await,
            Question::ExplainPublish { client_id, topic, qos, retain, payload_bytes, stated, limit } => {
                let asked = Asked { client_id, topic, qos, retain, payload_bytes };
                self.explain_publish(asked, stated, limit, lines).await
            }
            Question::ExplainSubscribe { client_id, topic_filter, qos, stated, limit } => {
                self.explain_subscribe(client_id, (topic_filter, qos), stated, limit, lines).await
            }
            Question::ExplainReceive { client_id, topic, stated } => {
                self.explain_receive(client_id, topic, stated, lines).await
            }
            Question::ExplainMissing { client_id, topic, qos, payload_bytes, from } => {
                let asked = Asked { client_id, topic, qos, retain: false, payload_bytes };
                self.explain_missing(asked, from, lines).await
            }
            Question::Disconnect { client_id, reason } => self.disconnect(client_id, reason, lines).await,
            Question::Reload {} => self.reload(lines).await,
            Question::DeleteSession { client_id } => self.delete(client_id, lines).await,
        }
    }

    async fn status(&self) -> Result<Status, NoAnswer> {
        let facts = &*self.facts;
        let whole = Whole::ask(&facts.shards).await?;
        let sums = count_sessions(&facts.shards).await?;
        let durability = match (facts.storage.is_memory_only, facts.storage.durability) {
            (true, _) => Durability::MemoryOnly,
            (false, durability::Durability::Sync) => Durability::Sync,
            (false, durability::Durability::Interval) => Durability::Interval,
            (false, durability::Durability::None) => Durability::None,
        };
        let storage = match durability {
            Durability::MemoryOnly => Storage::Off,
            _ if whole.has_storage_failed => Storage::Failed,
            _ if whole.is_storage_low => Storage::Low,
            _ => Storage::Ready,
        };
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: facts.started.elapsed().as_secs(),
            shards: facts.shards.count(),
            connections: whole.connections,
            sessions: whole.sessions,
            subscriptions: whole.subscriptions,
            shared_subscriptions: sums.shared_subscriptions,
            retained_messages: whole.retained_messages,
            retained_bytes: whole.retained_bytes,
            queue: words::queue(&sums.queue),
            in_flight_messages: sums.in_flight,
            output_bytes: sums.output_bytes,
            traffic: traffic(&whole.counters),
            drops: drops(&whole.counters),
            durability,
            is_unsafe: matches!(durability, Durability::Interval | Durability::None),
            storage,
            resident_bytes: resident_bytes(),
            panics: facts.counts.panics(),
        })
    }
}

fn sorted_limit(limit: Option<u64>) -> usize {
    limit.unwrap_or(SORTED_MAX).min(SORTED_MAX) as usize
}

fn traffic(counters: &Counters) -> status::Traffic {
    status::Traffic {
        connects: counters.connects,
        packets_received: counters.packets_received,
        publishes_received: counters.publishes_received,
        publishes_sent: counters.publishes_sent,
        protocol_errors: counters.protocol_errors,
    }
}

/// The drops among the counters.
pub(super) fn drops(counters: &Counters) -> status::Drops {
    status::Drops {
        slow: counters.dropped_slow,
        offline: counters.dropped_offline,
        queue_full: counters.dropped_queue_full,
        expired: counters.dropped_expired,
        too_large: counters.dropped_too_large,
        damaged: counters.dropped_damaged,
        no_member: counters.dropped_no_member,
        retained_full: counters.dropped_retained_full,
    }
}

/// Resident memory of this process, where the kernel says it.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn a_list_with_an_order_has_a_bound() {
        assert_eq!([None, Some(5), Some(u64::MAX)].map(sorted_limit), [10_000, 5, 10_000]);
    }
}
