//! Questions for Retained Messages that other shards have not answered yet (3.3.1.3).

use std::{
    collections::{BTreeMap, HashSet},
    hash::BuildHasher,
};

use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};
use foldhash::fast::RandomState;

use crate::{message::Message, subscriptions::subscription::Subscription, topics::ids::SessionIndex};

/// One Subscription that waits for Retained Messages of other shards.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) session: SessionIndex,
    /// The Session's serial.
    pub(crate) serial: u32,
    pub(crate) topic_filter: Box<str>,
    pub(crate) subscription: Subscription,
    /// Fences still to come.
    pub(crate) fences: u32,
    /// Answers still to come, once the fences are there.
    pub(crate) answers: u32,
    /// Hashes of the topics with RETAIN that came live.
    live: HashSet<u64>,
    pub(crate) messages: Vec<Message>,
}

impl Ask {
    pub(crate) fn new(
        session: SessionIndex,
        serial: u32,
        topic_filter: TopicFilter<'_>,
        subscription: Subscription,
        fences: u32,
    ) -> Self {
        Self {
            session,
            serial,
            topic_filter: topic_filter.as_str().into(),
            subscription,
            fences,
            answers: 0,
            live: HashSet::new(),
            messages: Vec::new(),
        }
    }
}

/// All questions of one shard under way.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    pending: BTreeMap<u64, Ask>,
    last: u64,
    hasher: RandomState,
}

impl Asks {
    pub(crate) fn open(&mut self, ask: Ask) -> u64 {
        self.last += 1;
        self.pending.insert(self.last, ask);
        self.last
    }

    pub(crate) fn pending(&mut self, ask: u64) -> Option<&mut Ask> {
        self.pending.get_mut(&ask)
    }

    /// Takes a question that is answered, without the messages that have become stale.
    pub(crate) fn close(&mut self, ask: u64) -> Option<Ask> {
        let mut ask = self.pending.remove(&ask)?;
        let live = std::mem::take(&mut ask.live);
        ask.messages.retain(|message| !live.contains(&self.hash(message.topic_name())));
        Some(ask)
    }

    /// Remembers that a message with RETAIN has come live.
    pub(crate) fn note_live(&mut self, topic_name: TopicName<'_>) {
        if self.pending.is_empty() {
            return;
        }
        let hash = self.hash(topic_name);
        for ask in self.pending.values_mut() {
            if TopicFilter::parse(&ask.topic_filter).is_ok_and(|filter| filter.matches(topic_name)) {
                ask.live.insert(hash);
            }
        }
    }

    fn hash(&self, topic_name: TopicName<'_>) -> u64 {
        self.hasher.hash_one(topic_name.as_str())
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }
}
