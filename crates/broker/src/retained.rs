//! Retained Messages of one shard by Topic Name (3.3.1.3).

use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::name::TopicName;

use crate::retained::order::{Order, Position};
use crate::retained::step::{Step, step};
use crate::topics::hashing::TextHash;
use crate::topics::id_table::{IdTable, Slot};
use crate::topics::ids::TopicId;
use crate::topics::slab::Slab;

mod order;
mod step;

/// Says under which Topic Name a message was published.
pub trait HasTopic {
    /// The text of the Topic Name; the same one as long as the message lives.
    fn topic(&self) -> &str;

    /// Its bytes.
    fn topic_bytes(&self) -> &[u8] {
        self.topic().as_bytes()
    }
}

/// The Retained Messages of one shard, at most one for each Topic Name.
///
/// A name is found by its hash; beside, the names are kept in order, level by level, so that the topics below
/// a level follow each other, and that a place in the order survives any change. The text stays in the
/// message: the table adds some 35 bytes to the handle of each.
#[derive(Debug)]
pub struct Retained<M> {
    messages: Slab<Option<M>>,
    names: IdTable,
    order: Order,
    hash: TextHash,
    /// Messages that are neither found by their names nor in the order yet.
    loose: Vec<Slot>,
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
        Retained {
            messages: Slab::new(),
            names: IdTable::new(),
            order: Order::new(),
            hash: TextHash::new(),
            loose: Vec::new(),
        }
    }

    /// Keeps `message`, which was published to `name`, and gives back the one that it replaces
    /// [MQTT-3.3.1-5].
    pub fn keep(&mut self, name: TopicName<'_>, message: M) -> Option<M> {
        debug_assert_eq!(name.as_str(), message.topic());
        let name = message.topic_bytes();
        let hash = self.hash.text(name);
        if let Some(id) = self.find(name, hash) {
            return self.messages[id].replace(message);
        }
        let id = self.messages.insert(Some(message));
        self.names.insert(hash, id);
        self.put_in_order(id);
        None
    }

    /// The same for one of very many of different topics, of which the table has none yet: before anything is asked,
    /// [`arrange`](Self::arrange) has to be called.
    pub fn load(&mut self, message: M) {
        let hash = self.hash.text(message.topic_bytes());
        let id = self.messages.insert(Some(message));
        self.loose.push(Slot { hash, id });
    }

    /// Puts what was [loaded](Self::load) where it is found.
    pub fn arrange(&mut self) {
        let loose = std::mem::take(&mut self.loose);
        if self.order.is_empty() {
            let ids = || loose.iter().map(|slot| slot.id);
            self.order = Order::build(ids, |id| message(&self.messages, id).topic_bytes());
        } else {
            loose.iter().for_each(|slot| self.put_in_order(slot.id));
        }
        self.names.insert_many(loose);
    }

    fn put_in_order(&mut self, id: u32) {
        let text = |id| message(&self.messages, id).topic_bytes();
        self.order.insert(id, text(id), text);
    }

    /// Takes the message of `name` out [MQTT-3.3.1-6].
    pub fn remove(&mut self, name: TopicName<'_>) -> Option<M> {
        let hash = self.hash.text(name.as_str().as_bytes());
        let id = self.find(name.as_str().as_bytes(), hash)?;
        self.order.remove(self.position(name.as_str()), |other| message(&self.messages, other).topic_bytes());
        self.names.remove(hash, id);
        self.messages.remove(id)
    }

    /// The message of `name`.
    #[must_use]
    pub fn get(&self, name: TopicName<'_>) -> Option<&M> {
        let name = name.as_str().as_bytes();
        let id = self.find(name, self.hash.text(name))?;
        self.messages[id].as_ref()
    }

    /// Calls `each` with every message whose Topic Name `filter` matches (4.7), in the order of the names.
    pub fn matching(&self, filter: TopicFilter<'_>, each: &mut impl FnMut(TopicId, &M)) {
        let rest = self.matching_page(filter, None, usize::MAX, each);
        debug_assert!(rest.is_none(), "a page without a bound is the last");
    }

    /// Calls `each` with at most `max` messages whose Topic Name `filter` matches, in the order of the names.
    ///
    /// Begins after `cursor`, or with the first. Gives the cursor from which to go on, `None` when none is
    /// left. A page may have fewer messages, or none, and not be the last: it looks at no more than 16 topics
    /// for each of `max`, at least 64. The table may change between two pages: a topic that had a message all
    /// the time comes exactly once.
    pub fn matching_page(
        &self,
        filter: TopicFilter<'_>,
        cursor: Option<Cursor>,
        max: usize,
        each: &mut impl FnMut(TopicId, &M),
    ) -> Option<Cursor> {
        let filter = filter.without_share();
        let mut key = String::from(filter.literal_head());
        if let Some(cursor) = cursor {
            key = cursor.done.into();
            order::make_next(&mut key);
        }
        let mut at = self.position(&key);
        let mut messages_left = max.max(1);
        let mut topics_left = max.saturating_mul(TOPICS_PER_MESSAGE).max(TOPICS_MIN);
        while let Some(id) = self.order.get(at) {
            let topic = topic(&self.messages, id);
            key.clear();
            match step(filter.as_str(), topic) {
                Step::Matches => {
                    each(TopicId(id), message(&self.messages, id));
                    messages_left -= 1;
                }
                Step::Next => {}
                Step::Seek { above, level } => key.extend([above, level]),
                Step::Leave { above } => {
                    key.push_str(above);
                    order::make_end(&mut key);
                }
                Step::End => return None,
            }
            at = self.seek(at, &key);
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

    fn find(&self, name: &[u8], hash: u32) -> Option<u32> {
        self.names.find(hash, |id| message(&self.messages, id).topic_bytes() == name)
    }

    /// The place of the first topic that is not before `key`.
    fn position(&self, key: &str) -> Position {
        self.order.position(key.as_bytes(), |id| message(&self.messages, id).topic_bytes())
    }

    /// The place of the first topic behind `at` that is not before `key`; quick if it is near.
    fn seek(&self, at: Position, key: &str) -> Position {
        let mut near = at;
        for _ in 0..NEAR {
            near = self.order.next(near);
            match self.order.get(near) {
                Some(id)
                    if order::compare(message(&self.messages, id).topic_bytes(), key.as_bytes()).is_lt() => {}
                _ => return near,
            }
        }
        self.position(key)
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

/// Topics looked at in a page for each message it may have, so that a filter that matches little ends its
/// page too.
const TOPICS_PER_MESSAGE: usize = 16;

/// Topics that every page may look at.
const TOPICS_MIN: usize = 64;

/// Topics that are tried one after the other before the place is searched for in the whole order.
const NEAR: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    impl HasTopic for &str {
        fn topic(&self) -> &str {
            self
        }
    }

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).expect("the test has valid filters")
    }

    fn name(text: &str) -> TopicName<'_> {
        TopicName::parse(text).expect("the test has valid names")
    }

    fn table<'a>(topics: &[&'a str]) -> Retained<&'a str> {
        let mut table = Retained::new();
        topics.iter().for_each(|topic| assert_eq!(table.keep(name(topic), *topic), None));
        table
    }

    fn matching<'a>(table: &Retained<&'a str>, text: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        table.matching(filter(text), &mut |_, topic| found.push(*topic));
        found
    }

    #[test]
    fn wildcards_find_what_chapter_4_7_says() {
        let table = table(&["b", "a/b/c", "a", "/", "a/", "a/b", "$SYS/x", "$SYS", "a!", "/a", "c/b"]);
        // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
        assert_eq!(matching(&table, "#"), ["/", "/a", "a", "a/", "a/b", "a/b/c", "a!", "b", "c/b"]);
        assert_eq!(matching(&table, "a/#"), ["a", "a/", "a/b", "a/b/c"]); // [MQTT-4.7.1-1]
        assert_eq!(matching(&table, "+/b"), ["a/b", "c/b"]);
        assert_eq!(matching(&table, "a/+"), ["a/", "a/b"]); // [MQTT-4.7.1-2]
        assert_eq!(matching(&table, "$SYS/#"), ["$SYS", "$SYS/x"]);
        assert_eq!(matching(&table, "a/b"), ["a/b"]);
        assert_eq!(matching(&table, "x/+"), [""; 0]);
    }

    /// [MQTT-3.3.1-5] [MQTT-3.3.1-6]
    #[test]
    fn one_message_a_topic_is_kept() {
        let mut table = table(&["a", "b"]);
        assert_eq!(table.keep(name("a"), "a"), Some("a"));
        assert_eq!((table.len(), table.remove(name("a")), table.remove(name("a"))), (2, Some("a"), None));
        assert_eq!((table.get(name("a")), table.get(name("b"))), (None, Some(&"b")));
        let mut text = String::new();
        table.topic_text(TopicId(0), &mut text);
        table.topic_text(TopicId(1), &mut text);
        table.topic_text(TopicId(2), &mut text);
        assert_eq!(text, "b");
    }

    #[test]
    fn page_ends_even_if_nothing_matches() {
        let topics: Vec<String> = (0..10_000).map(|number| format!("{number:04}/b")).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let table = table(&topics);
        let mut pages = 1;
        let mut cursor = None;
        loop {
            cursor = table
                .matching_page(filter("+/a"), cursor, 4, &mut |_, topic| panic!("{topic} does not match"));
            if cursor.is_none() {
                break;
            }
            pages += 1;
        }
        assert!(pages > 50, "{pages}");
    }
}
