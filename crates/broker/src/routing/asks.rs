//! Questions for Retained Messages that other shards have not answered yet (3.3.1.3).

use std::{collections::BTreeMap, hash::BuildHasher};

use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};
use foldhash::fast::RandomState;

use crate::{
    message::Message, publication::Publication, subscriptions::subscription::Subscription,
    topics::ids::SessionIndex,
};

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
    /// Messages with RETAIN that came live since the Subscription.
    live: Vec<Live>,
    pub(crate) messages: Vec<Message>,
}

/// A message with RETAIN that came live while a question was open.
#[derive(Clone, Debug)]
struct Live {
    topic: u64,
    message: Message,
    /// Whether it came after the homes were asked: then an answer may be older, or newer.
    is_after_question: bool,
}

/// What the answers come to.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) ask: Ask,
    /// Retained Messages of topics that changed meanwhile: their homes are to be asked again.
    pub(crate) doubtful: Vec<Message>,
}

impl Ask {
    pub(crate) fn new(
        session: SessionIndex,
        serial: u32,
        topic_filter: &str,
        subscription: Subscription,
        fences: u32,
    ) -> Self {
        Self {
            session,
            serial,
            topic_filter: topic_filter.into(),
            subscription,
            fences,
            answers: 0,
            live: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// The same question for one topic, whose home is asked right away.
    pub(crate) fn again(&self, topic_name: &str) -> Self {
        let mut ask = Self::new(self.session, self.serial, topic_name, self.subscription, 0);
        ask.answers = 1;
        ask.live.clone_from(&self.live);
        ask.mark_question();
        ask
    }

    /// Whether the Subscription has had this very message already.
    pub(crate) fn came_live(&self, message: &Message) -> bool {
        self.live.iter().any(|live| live.message.is_same(message))
    }

    /// The homes are asked now. What came live until now has reached them before the question: mail is causal.
    pub(crate) fn mark_question(&mut self) {
        for live in &mut self.live {
            live.is_after_question = false;
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

    /// Takes a question that is answered. Messages that came live as well are left out.
    pub(crate) fn close(&mut self, ask: u64) -> Option<Closed> {
        let mut ask = self.pending.remove(&ask)?;
        let mut doubtful = Vec::new();
        let messages = std::mem::take(&mut ask.messages);
        for message in messages {
            let topic = self.hash(message.topic_name());
            if ask.came_live(&message) {
                continue;
            }
            if ask.live.iter().any(|live| live.topic == topic && live.is_after_question) {
                doubtful.push(message);
            } else {
                ask.messages.push(message);
            }
        }
        Some(Closed { ask, doubtful })
    }

    /// Remembers that a message with RETAIN has come live.
    pub(crate) fn note_live(&mut self, publication: &mut Publication<'_>) {
        if self.pending.is_empty() {
            return;
        }
        let topic_name = publication.view.topic_name;
        let topic = self.hash(topic_name);
        for ask in self.pending.values_mut() {
            if TopicFilter::parse(&ask.topic_filter).is_ok_and(|filter| filter.matches(topic_name)) {
                ask.live.push(Live { topic, message: publication.keep(), is_after_question: true });
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
