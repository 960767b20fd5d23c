//! Who set the Retained Messages of a shard: each publisher once, whatever it has set.

use dunlin_packet::topic::name::TopicName;
use foldhash::HashMap;

use crate::{
    message::{Message, MessageFacts},
    permissions::{Permissions, identity::Identity},
    retained::HasTopic,
    rights::in_force::InForce,
};

/// A Retained Message and who set it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) message: Message,
    pub(crate) publisher: PublisherId,
}

impl HasTopic for Kept {
    fn topic(&self) -> &str {
        self.message.topic()
    }

    fn topic_bytes(&self) -> &[u8] {
        self.message.topic_bytes()
    }
}

/// Names a publisher as long as it has set a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PublisherId(u32);

impl PublisherId {
    /// One that is not known.
    const UNKNOWN: Self = Self(u32::MAX);
}

/// All publishers of the Retained Messages of a shard.
#[derive(Debug, Default)]
pub(crate) struct Publishers {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_identity: HashMap<Identity, u32>,
}

#[derive(Debug)]
struct Entry {
    identity: Identity,
    /// How many messages it has set.
    messages: u32,
    /// What it may do, once that was asked.
    rights: Option<Permissions>,
}

impl Publishers {
    /// Counts one more message of this publisher.
    pub(crate) fn add(&mut self, identity: Option<Identity>) -> PublisherId {
        let Some(identity) = identity else { return PublisherId::UNKNOWN };
        if let Some(&index) = self.by_identity.get(&identity) {
            self.entry(index).messages += 1;
            return PublisherId(index);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        self.by_identity.insert(identity.clone(), index);
        self.entries[index as usize] = Some(Entry { identity, messages: 1, rights: None });
        PublisherId(index)
    }

    /// Counts one more message of one that has set others.
    pub(crate) fn add_again(&mut self, publisher: PublisherId) {
        self.entry(publisher.0).messages += 1;
    }

    /// One message less.
    pub(crate) fn remove(&mut self, publisher: PublisherId) {
        if publisher == PublisherId::UNKNOWN {
            return;
        }
        let entry = self.entry(publisher.0);
        entry.messages -= 1;
        if entry.messages > 0 {
            return;
        }
        if let Some(entry) = self.entries[publisher.0 as usize].take() {
            self.by_identity.remove(&entry.identity);
            self.free.push(publisher.0);
        }
    }

    /// Who has set a Retained Message, if that is known.
    pub(crate) fn of(&self, kept: &Kept) -> Option<&Identity> {
        let entry = self.entries.get(kept.publisher.0 as usize)?.as_ref()?;
        Some(&entry.identity)
    }

    fn entry(&mut self, index: u32) -> &mut Entry {
        self.entries[index as usize].as_mut().expect("a publisher that has set a message")
    }

    /// The rules have changed.
    pub(crate) fn forget_rights(&mut self) {
        self.entries.iter_mut().flatten().for_each(|entry| entry.rights = None);
    }

    /// Whether the publisher of a Retained Message may still publish it. Who is not known could have been anybody.
    pub(crate) fn may_have_set(&mut self, kept: &Kept, in_force: &InForce) -> bool {
        if kept.publisher == PublisherId::UNKNOWN {
            return true;
        }
        let entry = self.entry(kept.publisher.0);
        let rights = entry.rights.get_or_insert_with(|| in_force.permissions(&entry.identity));
        let MessageFacts { qos, .. } = kept.message.facts();
        let topic_name: TopicName<'_> = kept.message.topic_name();
        rights.withdrawal().is_none() && rights.may_publish(topic_name, qos, true).is_allowed()
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_identity.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::permissions::subject::Subject;

    fn identity(client_id: &str) -> Option<Identity> {
        let subject = Subject { client_id: client_id.into(), ..Subject::default() };
        Some(Identity { subject: Arc::new(subject), rules: None })
    }

    #[test]
    fn a_publisher_is_kept_once_and_as_long_as_it_has_a_message() {
        let mut publishers = Publishers::default();
        let first = publishers.add(identity("a"));
        let many: Vec<_> = (0..100).map(|_| publishers.add(identity("a"))).collect();
        assert!(many.iter().all(|&id| id == first));
        let other = publishers.add(identity("b"));
        assert_ne!(first, other);
        assert_eq!(publishers.len(), 2);
        many.into_iter().for_each(|id| publishers.remove(id));
        assert_eq!(publishers.len(), 2);
        publishers.remove(first);
        assert_eq!(publishers.len(), 1);
        assert_eq!(publishers.add(identity("c")), first, "the place is used again");
        let nobody = publishers.add(None);
        publishers.remove(nobody);
        assert_eq!(publishers.len(), 2);
    }

    #[test]
    fn the_publisher_costs_a_retained_message_eight_bytes() {
        assert_eq!(size_of::<Option<Kept>>(), size_of::<Option<Message>>() + 8);
    }
}
