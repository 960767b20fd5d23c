//! The groups of Shared Subscriptions that are at home in a shard (4.8.2).

use dunlin_packet::{
    qos::QoS,
    subscribe::SubscriptionOptions,
    topic::{filter::TopicFilter, name::TopicName},
};
use foldhash::HashMap;

use crate::{
    routing::group_mail::{GroupName, Member},
    subscriptions::{Subscriptions, subscription::Subscription},
    topics::ids::SessionIndex,
};

/// Groups by name and by the topics they match.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Which groups match a topic: here a group's number stands for a Session's.
    filters: Subscriptions,
    by_name: HashMap<Box<str>, u32>,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    /// Memory for the answer of [`Groups::matching`].
    found: Vec<u32>,
}

#[derive(Debug)]
struct Group {
    name: GroupName,
    members: Vec<(Member, IsOnline)>,
    /// The member whose turn it is.
    next: usize,
}

type IsOnline = bool;

impl Groups {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Adds a connected member. Returns the filter that is matched if it is new to this shard.
    pub(crate) fn join<'a>(&mut self, name: &'a GroupName, member: Member) -> Option<TopicFilter<'a>> {
        let known = self.by_name.get(name.as_str()).copied();
        let index = known.unwrap_or_else(|| self.create(name));
        let group = self.groups[index as usize].as_mut().expect("a named group exists");
        match group.members.iter_mut().find(|entry| entry.0 == member) {
            Some(entry) => entry.1 = true,
            None => group.members.push((member, true)),
        }
        if known.is_some() {
            return None;
        }
        let filter = matched_filter(name);
        let options = SubscriptionOptions::with_qos(QoS::ExactlyOnce);
        let subscription = Subscription { options, identifier: None };
        self.filters.insert(filter, SessionIndex(index), subscription).is_first.then_some(filter)
    }

    fn create(&mut self, name: &GroupName) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            self.groups.len() as u32 - 1
        });
        self.by_name.insert(name.as_str().into(), index);
        self.groups[index as usize] = Some(Group { name: name.clone(), members: Vec::new(), next: 0 });
        index
    }

    /// Removes a member, and the group with its last one. Returns the filter if nobody has it any more.
    pub(crate) fn leave<'a>(&mut self, name: &'a GroupName, member: Member) -> Option<TopicFilter<'a>> {
        let index = *self.by_name.get(name.as_str())?;
        let group = self.groups[index as usize].as_mut()?;
        group.members.retain(|entry| entry.0 != member);
        if !group.members.is_empty() {
            return None;
        }
        self.by_name.remove(name.as_str());
        self.groups[index as usize] = None;
        self.free.push(index);
        let filter = matched_filter(name);
        let filter_id = self.filters.find(filter)?;
        self.filters.remove(filter_id, SessionIndex(index))?.was_last.then_some(filter)
    }

    pub(crate) fn set_presence(&mut self, name: &GroupName, member: Member, is_online: bool) {
        let entry = self.of(name).and_then(|group| group.members.iter_mut().find(|entry| entry.0 == member));
        if let Some(entry) = entry {
            entry.1 = is_online;
        }
    }

    /// The numbers of the groups that get a message; the memory comes back by [`Groups::give_back`].
    pub(crate) fn matching(&mut self, topic_name: TopicName<'_>) -> Vec<u32> {
        let mut found = std::mem::take(&mut self.found);
        self.filters.matches(topic_name, &mut |_, index, _| found.push(index.0));
        found
    }

    pub(crate) fn give_back(&mut self, mut found: Vec<u32>) {
        found.clear();
        self.found = found;
    }

    /// Chooses who gets the next message of a group.
    pub(crate) fn choose(&mut self, index: u32) -> Option<(GroupName, Member)> {
        let group = self.groups.get_mut(index as usize)?.as_mut()?;
        let member = group.choose(None)?;
        Some((group.name.clone(), member))
    }

    /// Chooses who gets a message that `member` has sent back: it keeps it only if it is the only one left.
    pub(crate) fn choose_other(&mut self, name: &GroupName, member: Member) -> Option<Member> {
        let group = self.of(name)?;
        let is_left = group.members.iter().any(|entry| entry.0 == member);
        group.choose(Some(member)).or(is_left.then_some(member))
    }

    fn of(&mut self, name: &GroupName) -> Option<&mut Group> {
        let index = *self.by_name.get(name.as_str())?;
        self.groups[index as usize].as_mut()
    }
}

impl Group {
    /// In turn among the connected members; without any, in turn among all.
    fn choose(&mut self, except: Option<Member>) -> Option<Member> {
        let count = self.members.len();
        for only_online in [true, false] {
            for step in 0..count {
                let index = (self.next + step) % count;
                let (member, is_online) = self.members[index];
                if Some(member) != except && (is_online || !only_online) {
                    self.next = (index + 1) % count;
                    return Some(member);
                }
            }
        }
        None
    }
}

/// The filter without `$share/name/`.
fn matched_filter(name: &GroupName) -> TopicFilter<'_> {
    TopicFilter::parse(name.as_str()).expect("it was parsed before").without_share()
}
