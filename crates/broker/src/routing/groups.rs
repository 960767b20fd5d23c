//! The groups of Shared Subscriptions that are at home in a shard (4.8.2).

use dunlin_packet::{
    qos::QoS,
    subscribe::SubscriptionOptions,
    topic::{filter::TopicFilter, name::TopicName},
};
use foldhash::HashMap;

use crate::{
    inspect::{explanation::GroupOutlook, reports::GroupReport},
    permissions::Permissions,
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
    members: Vec<Entry>,
    /// The member whose turn it is.
    next: usize,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    is_online: bool,
    is_kept: bool,
    /// What it may receive, if that is limited.
    rights: Option<Box<Permissions>>,
}

/// A member that was chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen {
    pub(crate) member: Member,
    /// Whether its Session is kept.
    pub(crate) is_kept: bool,
}

/// What a change of the members means for the group's filter.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) filter: TopicFilter<'a>,
    /// The filter is the first of its kind in this shard, or was the last.
    pub(crate) is_only: bool,
    /// The first member that is kept has come, or the last one has gone.
    pub(crate) is_only_kept: bool,
}

impl Groups {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Adds a member, or changes what is known of it.
    pub(crate) fn join<'a>(
        &mut self,
        name: &'a GroupName,
        member: Member,
        is_kept: bool,
        is_online: bool,
    ) -> Change<'a> {
        let filter = matched_filter(name);
        let known = self.by_name.get(name.as_str()).copied();
        let index = known.unwrap_or_else(|| self.create(name));
        let group = self.groups[index as usize].as_mut().expect("a named group exists");
        let had_kept = group.has_kept();
        group.members.retain(|entry| entry.member != member || entry.is_kept == is_kept);
        match group.members.iter_mut().find(|entry| entry.member == member) {
            Some(entry) => entry.is_online = is_online,
            None => group.members.push(Entry { member, is_online, is_kept, rights: None }),
        }
        let is_only_kept = !had_kept && group.has_kept();
        if known.is_some() {
            return Change { filter, is_only: false, is_only_kept };
        }
        let options = SubscriptionOptions::with_qos(QoS::ExactlyOnce);
        let subscription = Subscription { options, identifier: None };
        let is_only = self.filters.insert(filter, SessionIndex(index), subscription).is_first;
        Change { filter, is_only, is_only_kept }
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

    /// Removes a member, and the group with its last one.
    pub(crate) fn leave<'a>(&mut self, name: &'a GroupName, member: Member) -> Option<Change<'a>> {
        let filter = matched_filter(name);
        let index = *self.by_name.get(name.as_str())?;
        let group = self.groups[index as usize].as_mut()?;
        let had_kept = group.has_kept();
        group.members.retain(|entry| entry.member != member);
        let is_only_kept = had_kept && !group.has_kept();
        if !group.members.is_empty() {
            return Some(Change { filter, is_only: false, is_only_kept });
        }
        self.by_name.remove(name.as_str());
        self.groups[index as usize] = None;
        self.free.push(index);
        let filter_id = self.filters.find(filter)?;
        let is_only = self.filters.remove(filter_id, SessionIndex(index))?.was_last;
        Some(Change { filter, is_only, is_only_kept })
    }

    pub(crate) fn set_presence(&mut self, name: &GroupName, member: Member, is_online: bool) {
        let entry =
            self.of(name).and_then(|group| group.members.iter_mut().find(|entry| entry.member == member));
        if let Some(entry) = entry {
            entry.is_online = is_online;
        }
    }

    /// What a member may receive; nothing if that is not limited.
    pub(crate) fn set_rights(&mut self, name: &GroupName, member: Member, rights: Option<Box<Permissions>>) {
        let entry =
            self.of(name).and_then(|group| group.members.iter_mut().find(|entry| entry.member == member));
        if let Some(entry) = entry {
            entry.rights = rights;
        }
    }

    /// The numbers of the groups that get a message; the memory comes back by [`Groups::give_back`].
    pub(crate) fn matching(&mut self, topic_name: TopicName<'_>) -> Vec<u32> {
        let mut found = std::mem::take(&mut self.found);
        self.filters.matches(topic_name, &mut |_, index, _| found.push(index.0));
        found
    }

    /// The groups that get a message, with the number of their members.
    pub(crate) fn reports(&self, topic_name: TopicName<'_>) -> Vec<GroupReport> {
        let mut reports = Vec::new();
        self.filters.matches(topic_name, &mut |_, index, _| {
            let Some(Some(group)) = self.groups.get(index.0 as usize) else { return };
            reports.push(group.report());
        });
        reports
    }

    /// The same for at most `rows_max` groups, with the member whose turn it is, and how many groups there are. Nobody's
    /// turn changes by asking.
    pub(crate) fn outlooks(&self, topic_name: TopicName<'_>, rows_max: usize) -> (Vec<GroupOutlook>, usize) {
        let (mut outlooks, mut total) = (Vec::new(), 0);
        self.filters.matches(topic_name, &mut |_, index, _| {
            let Some(Some(group)) = self.groups.get(index.0 as usize) else { return };
            total += 1;
            if outlooks.len() < rows_max {
                let next = group.turn(None, topic_name).map(|index| group.members[index].member);
                outlooks.push(GroupOutlook { report: group.report(), name: group.name.clone(), next });
            }
        });
        (outlooks, total)
    }

    pub(crate) fn give_back(&mut self, mut found: Vec<u32>) {
        found.clear();
        self.found = found;
    }

    /// Chooses who gets the next message of a group.
    pub(crate) fn choose(&mut self, index: u32, topic_name: TopicName<'_>) -> Option<(GroupName, Chosen)> {
        let group = self.groups.get_mut(index as usize)?.as_mut()?;
        let chosen = group.choose(None, topic_name)?;
        Some((group.name.clone(), chosen))
    }

    /// Chooses who gets a message that `member` has sent back: it keeps it only if it is the only one left.
    pub(crate) fn choose_other(
        &mut self,
        name: &GroupName,
        member: Member,
        topic_name: TopicName<'_>,
    ) -> Option<Chosen> {
        let group = self.of(name)?;
        let left = group.members.iter().find(|entry| entry.member == member && entry.may_receive(topic_name));
        let left = left.map(|entry| Chosen { member, is_kept: entry.is_kept });
        group.choose(Some(member), topic_name).or(left)
    }

    fn of(&mut self, name: &GroupName) -> Option<&mut Group> {
        let index = *self.by_name.get(name.as_str())?;
        self.groups[index as usize].as_mut()
    }
}

impl Entry {
    fn may_receive(&self, topic_name: TopicName<'_>) -> bool {
        self.rights.as_ref().is_none_or(|rights| rights.may_receive(topic_name).is_allowed())
    }
}

impl Group {
    fn report(&self) -> GroupReport {
        GroupReport {
            topic_filter: self.name.as_str().into(),
            members: self.members.len(),
            connected: self.members.iter().filter(|entry| entry.is_online).count(),
        }
    }

    fn has_kept(&self) -> bool {
        self.members.iter().any(|entry| entry.is_kept)
    }

    /// In turn among the connected members; without any, in turn among all. Who may not receive the message is passed over.
    fn choose(&mut self, except: Option<Member>, topic_name: TopicName<'_>) -> Option<Chosen> {
        let index = self.turn(except, topic_name)?;
        self.next = (index + 1) % self.members.len();
        let Entry { member, is_kept, .. } = self.members[index];
        Some(Chosen { member, is_kept })
    }

    /// Whose turn it is; nothing changes by asking.
    fn turn(&self, except: Option<Member>, topic_name: TopicName<'_>) -> Option<usize> {
        let count = self.members.len();
        let may_have = |index: usize, only_online: bool| {
            let entry = &self.members[index];
            Some(entry.member) != except && (entry.is_online || !only_online) && entry.may_receive(topic_name)
        };
        [true, false].into_iter().find_map(|only_online| {
            let mut indexes = (0..count).map(|step| (self.next + step) % count);
            indexes.find(|&index| may_have(index, only_online))
        })
    }
}

/// The filter without `$share/name/`.
fn matched_filter(name: &GroupName) -> TopicFilter<'_> {
    TopicFilter::parse(name.as_str()).expect("it was parsed before").without_share()
}
