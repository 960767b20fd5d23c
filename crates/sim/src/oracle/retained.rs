//! Which message is the Retained Message of a topic, as far as that can be told (3.3.1.3).

use std::{collections::BTreeMap, rc::Rc};

use dunlin_broker::slot::home_of;

use crate::oracle::{messages::Messages, words::Tick};

/// All messages with RETAIN by topic, in the order of acceptance.
///
/// The home of the topic puts them in an order. Of two from one shard the later one comes later; of two from different
/// shards only if the first had reached the home before the second was accepted.
#[derive(Clone, Debug)]
pub struct RetainedTopics {
    shards: usize,
    topics: BTreeMap<Rc<str>, Vec<usize>>,
}

impl RetainedTopics {
    /// No topics yet; there are `shards` shards.
    #[must_use]
    pub const fn new(shards: usize) -> Self {
        Self { shards, topics: BTreeMap::new() }
    }

    /// How many shards there are.
    #[must_use]
    pub const fn shards(&self) -> usize {
        self.shards
    }

    /// From now on there are so many shards.
    pub const fn reshard(&mut self, shards: usize) {
        self.shards = shards;
    }

    /// A message with RETAIN has been accepted.
    pub fn note(&mut self, topic: &Rc<str>, number: usize) {
        self.topics.entry(Rc::clone(topic)).or_default().push(number);
    }

    /// All topics that have ever had one.
    pub fn topics(&self) -> impl Iterator<Item = &Rc<str>> {
        self.topics.keys()
    }

    /// Whether a message may have been the retained one at any time from `since` on.
    #[must_use]
    pub fn may_be(&self, messages: &Messages, number: usize, since: Tick) -> bool {
        let accept = messages.get(number);
        if accept.payload.is_empty() {
            return false; // [MQTT-3.3.1-7]
        }
        let home = self.home(&accept.topic);
        let all = self.topics.get(&accept.topic).map_or(&[][..], Vec::as_slice);
        let later = all.iter().copied().filter(|&other| other > number);
        !later.into_iter().any(|other| {
            messages.get(other).settled_in(home) < since && self.is_after(messages, home, other, number)
        })
    }

    /// The messages one of which is the retained one now, if no mail is under way; an empty payload means none.
    #[must_use]
    pub fn current(&self, messages: &Messages, topic: &str) -> Vec<usize> {
        let home = self.home(topic);
        let all = self.topics.get(topic).map_or(&[][..], Vec::as_slice);
        let all: Vec<usize> =
            all.iter().copied().filter(|&number| !messages.get(number).is_refused).collect();
        let is_last = |&number: &usize| {
            let mut later = all.iter().rev().take_while(|&&other| other > number);
            !later.any(|&other| self.is_after(messages, home, other, number))
        };
        all.iter().copied().filter(|number| is_last(number)).collect()
    }

    /// Whether `later` replaces `earlier` for certain. [MQTT-3.3.1-5]
    fn is_after(&self, messages: &Messages, home: usize, later: usize, earlier: usize) -> bool {
        let (later, earlier) = (messages.get(later), messages.get(earlier));
        let is_of_one_call = later.will_call.is_some() && later.will_call == earlier.will_call;
        let is_same_way = later.shard == earlier.shard && later.at > earlier.at;
        later.is_sure
            && !later.is_refused
            && !is_of_one_call
            && (is_same_way || later.at.tick > earlier.settled_in(home))
    }

    fn home(&self, topic: &str) -> usize {
        home_of(topic, self.shards as u8).index()
    }
}
