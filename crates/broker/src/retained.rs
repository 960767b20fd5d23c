//! Retained Messages of one shard by Topic Name (3.3.1.3).

use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::name::TopicName;

use crate::retained::order::{Order, Position};
use crate::retained::step::{Step, step};
use crate::topics::hashing::TextHash;
use crate::topics::id_table::IdTable;
use crate::topics::ids::TopicId;
use crate::topics::slab::Slab;

mod order;
mod step;

/// Says under which Topic Name a message was published.
pub trait HasTopic {
    /// The text of the Topic Name; the same one as long as the message lives.
    fn topic(&self) -> &str;
}

/// The Retained Messages of one shard, at most one for each Topic Name.
///
/// A name is found by its hash; beside, the names are kept in order, level by level, so that the topics below a level
/// follow each other, and that a place in the order survives any change. The text stays in the message: the table adds
/// some 20 bytes to the handle of each.
#[derive(Debug)]
pub struct Retained<M> {
    messages: Slab<Option<M>>,
    names: IdTable,
    order: Order,
    hash: TextHash,
}

/// A place in the order of Topic Names, from which [`Retained::matching_page`] goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Every topic up to this one is dealt with, whether it is still there or not.
    done: Box<str>,
}

impl<M: HasTopic> Retained<M> {
    /// Makes a table without messages.
    #[must_use]
    pub fn new() -> Self {
        Retained { messages: Slab::new(), names: IdTable::new(), order: Order::new(), hash: TextHash::new() }
    }

    /// Keeps `message`, which was published to `name`, and gives back the one that it replaces [MQTT-3.3.1-5].
    pub fn keep(&mut self, name: TopicName<'_>, message: M) -> Option<M> {
        debug_assert_eq!(name.as_str(), message.topic());
        let hash = self.hash.text(name.as_str().as_bytes());
        if let Some(id) = self.find(name, hash) {
            return self.messages[id].replace(message);
        }
        let id = self.messages.insert(Some(message));
        self.names.insert(hash, id);
        self.order.insert(id, |other| order::compare(topic(&self.messages, other), name.as_str()).is_lt());
        None
    }

    /// Takes the message of `name` out [MQTT-3.3.1-6].
    pub fn remove(&mut self, name: TopicName<'_>) -> Option<M> {
        let hash = self.hash.text(name.as_str().as_bytes());
        let id = self.find(name, hash)?;
        self.order.remove(self.position(|topic| order::compare(topic, name.as_str()).is_lt()));
        self.names.remove(hash, id);
        self.messages.remove(id)
    }

    /// The message of `name`.
    #[must_use]
    pub fn get(&self, name: TopicName<'_>) -> Option<&M> {
        let id = self.find(name, self.hash.text(name.as_str().as_bytes()))?;
        self.messages[id].as_ref()
    }

    /// Calls `each` with every message whose Topic Name `filter` matches (4.7), in the order of the names.
    pub fn matching(&self, filter: TopicFilter<'_>, each: &mut impl FnMut(TopicId, &M)) {
        let rest = self.matching_page(filter, None, usize::MAX, each);
        debug_assert!(rest.is_none(), "a page without a bound is the last");
    }

    /// Calls `each` with at most `max` messages whose Topic Name `filter` matches, in the order of the names.
    ///
    /// Begins after `cursor`, or with the first. Gives the cursor from which to go on, `None` when none is left. A page
    /// may have fewer messages, or none, and not be the last: it looks at no more than 16 topics for each of `max`, at
    /// least 64. The table may change between two pages: a topic that had a message all the time comes exactly once.
    pub fn matching_page(
        &self,
        filter: TopicFilter<'_>,
        cursor: Option<Cursor>,
        max: usize,
        each: &mut impl FnMut(TopicId, &M),
    ) -> Option<Cursor> {
        let filter = filter.without_share();
        let mut at = match &cursor {
            Some(cursor) => self.position(|topic| order::compare(topic, &cursor.done).is_le()),
            None => self.position(|topic| order::compare(topic, filter.literal_head()).is_lt()),
        };
        let mut messages_left = max.max(1);
        let mut topics_left = max.saturating_mul(TOPICS_PER_MESSAGE).max(TOPICS_MIN);
        while let Some(id) = self.order.get(at) {
            let topic = topic(&self.messages, id);
            at = match step(filter.as_str(), topic) {
                Step::Matches => {
                    each(TopicId(id), message(&self.messages, id));
                    messages_left -= 1;
                    self.order.next(at)
                }
                Step::Next => self.order.next(at),
                Step::Seek { above, level } => self.seek(at, |topic| order::is_before(topic, above, level)),
                Step::Leave { above } => self.seek(at, |topic| order::is_up_to_end_of(topic, above)),
                Step::End => return None,
            };
            topics_left -= 1;
            if messages_left == 0 || topics_left == 0 {
                return Some(Cursor { done: topic.into() });
            }
        }
        None
    }

    /// Appends the Topic Name of a kept message to `out`; nothing if the number names none.
    pub fn topic_text(&self, topic_id: TopicId, out: &mut String) {
        if let Some(Some(message)) = self.messages.get(topic_id.0) {
            out.push_str(message.topic());
        }
    }

    /// The number of messages kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no message is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, name: TopicName<'_>, hash: u32) -> Option<u32> {
        self.names.find(hash, |id| topic(&self.messages, id) == name.as_str())
    }

    /// The first place of which `is_before` says no; it says yes of all before and no of all after.
    fn position(&self, is_before: impl Fn(&str) -> bool) -> Position {
        self.order.position(|id| is_before(topic(&self.messages, id)))
    }

    /// Like `position`, from a place `at` on of which `is_before` says yes; quick if the place looked for is near.
    fn seek(&self, at: Position, is_before: impl Fn(&str) -> bool) -> Position {
        let mut near = at;
        for _ in 0..NEAR {
            near = self.order.next(near);
            match self.order.get(near) {
                Some(id) if is_before(topic(&self.messages, id)) => {}
                _ => return near,
            }
        }
        self.position(is_before)
    }
}

impl<M: HasTopic> Default for Retained<M> {
    fn default() -> Self {
        Self::new()
    }
}

fn message<M>(messages: &Slab<Option<M>>, id: u32) -> &M {
    messages[id].as_ref().expect("the order and the names hold only numbers of messages")
}

fn topic<M: HasTopic>(messages: &Slab<Option<M>>, id: u32) -> &str {
    message(messages, id).topic()
}

/// Topics looked at in a page for each message it may have, so that a filter that matches little ends its page too.
const TOPICS_PER_MESSAGE: usize = 16;

/// Topics that every page may look at.
const TOPICS_MIN: usize = 64;

/// Topics that are tried one after the other before the place is searched for in the whole order.
const NEAR: usize = 8;
