//! Shared Subscriptions (4.8.2): each message goes to one member of each group.
//!
//! A group is at home in the shard of its whole Topic Filter. Its members live in the shards of their Sessions, and keep
//! their Subscription options there; the home only chooses among them. A member that cannot have a message sends it back.

use dunlin_packet::{qos::QoS, subscribe::SubscriptionOptions, topic::filter::TopicFilter};
use dunlin_protocol::time::Instant;
use foldhash::HashMap;

use crate::{
    fanout::Publication,
    ids::ShardId,
    message::Message,
    output::Outbox,
    routing::{
        group_mail::{GroupMail, GroupName, Member},
        mail::Mail,
        router::Target,
    },
    slot::home_of,
    state::State,
    subscriptions::{Subscription, Subscriptions},
    topics::ids::SessionIndex,
};

/// The groups that are at home in this shard.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Which groups match a topic: here a group's number stands for a Session's.
    filters: Subscriptions,
    by_name: HashMap<Box<str>, u32>,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    found: Vec<u32>,
}

#[derive(Debug)]
struct Group {
    name: GroupName,
    members: Vec<(Member, bool)>,
    /// The member whose turn it is.
    next: usize,
}

impl Groups {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    fn of(&mut self, name: &GroupName) -> Option<&mut Group> {
        let index = *self.by_name.get(name.as_str())?;
        self.groups[index as usize].as_mut()
    }
}

impl Group {
    /// Chooses who gets the next message: in turn among the connected members; without any, in turn among all.
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

impl State {
    /// Sends a letter to the home of its group, or handles it here.
    pub(crate) fn send_to_group(&mut self, now: Instant, mail: GroupMail, out: &mut Outbox) {
        let home = home_of(mail.group().as_str(), self.shards);
        self.send_group_mail(now, home, mail, out);
    }

    fn send_group_mail(&mut self, now: Instant, to: ShardId, mail: GroupMail, out: &mut Outbox) {
        if to == self.id {
            self.take_group_mail(now, self.id, mail, out);
        } else {
            out.routes[to.index()].push(Mail::Group(Box::new(mail)));
        }
    }

    pub(crate) fn take_group_mail(&mut self, now: Instant, from: ShardId, mail: GroupMail, out: &mut Outbox) {
        match mail {
            GroupMail::Join { group, member, ticket } => {
                self.join(group, member);
                if ticket != 0 {
                    out.routes[from.index()].push(Mail::Joined { ticket });
                }
            }
            GroupMail::Leave { group, member } => self.leave(&group, member),
            GroupMail::Presence { group, member, is_online } => {
                if let Some(group) = self.groups.of(&group)
                    && let Some(entry) = group.members.iter_mut().find(|entry| entry.0 == member)
                {
                    entry.1 = is_online;
                }
            }
            GroupMail::Deliver { group, member, message } => {
                self.receive_share(now, group, member, message, out)
            }
            GroupMail::Return { group, member, message } => {
                let chosen = self.groups.of(&group).and_then(|group| group.choose(Some(member)));
                let Some(chosen) = chosen else {
                    self.counters.dropped_no_member += 1;
                    return;
                };
                self.send_group_mail(
                    now,
                    chosen.shard,
                    GroupMail::Deliver { group, member: chosen, message },
                    out,
                );
            }
        }
    }

    fn join(&mut self, name: GroupName, member: Member) {
        let groups = &mut self.groups;
        let index = match groups.by_name.get(name.as_str()) {
            Some(&index) => index,
            None => {
                let index = groups.free.pop().unwrap_or_else(|| {
                    groups.groups.push(None);
                    groups.groups.len() as u32 - 1
                });
                groups.by_name.insert(name.as_str().into(), index);
                let filter = TopicFilter::parse(name.as_str()).expect("it was parsed before").without_share();
                let options = SubscriptionOptions::with_qos(QoS::ExactlyOnce);
                let subscription = Subscription { options, identifier: None };
                if groups.filters.insert(filter, SessionIndex(index), subscription).is_first {
                    self.own_interest.add(filter);
                }
                groups.groups[index as usize] = Some(Group { name, members: Vec::new(), next: 0 });
                index
            }
        };
        let group = groups.groups[index as usize].as_mut().expect("a named group exists");
        match group.members.iter_mut().find(|entry| entry.0 == member) {
            Some(entry) => entry.1 = true,
            None => group.members.push((member, true)),
        }
    }

    fn leave(&mut self, name: &GroupName, member: Member) {
        let groups = &mut self.groups;
        let Some(&index) = groups.by_name.get(name.as_str()) else { return };
        let Some(group) = groups.groups[index as usize].as_mut() else { return };
        group.members.retain(|entry| entry.0 != member);
        if !group.members.is_empty() {
            return;
        }
        groups.by_name.remove(name.as_str());
        groups.groups[index as usize] = None;
        groups.free.push(index);
        let filter = TopicFilter::parse(name.as_str()).expect("it was parsed before").without_share();
        let Some(filter_id) = groups.filters.find(filter) else { return };
        if groups.filters.remove(filter_id, SessionIndex(index)).is_some_and(|removed| removed.was_last) {
            self.own_interest.remove(filter);
        }
    }

    /// Gives a message to one member of each group at home here that matches.
    pub(crate) fn publish_to_groups(
        &mut self,
        now: Instant,
        publication: &mut Publication<'_>,
        out: &mut Outbox,
    ) -> bool {
        let mut found = std::mem::take(&mut self.groups.found);
        self.groups.filters.matches(publication.view.topic_name, &mut |_, index, _| found.push(index.0));
        for &index in &found {
            let Some(group) = self.groups.groups[index as usize].as_mut() else { continue };
            let Some(member) = group.choose(None) else { continue };
            let name = group.name.clone();
            if member.shard != self.id {
                let mail = GroupMail::Deliver { group: name, member, message: publication.keep() };
                out.routes[member.shard.index()].push(Mail::Group(Box::new(mail)));
            } else if !self.offer_share(now, &name, member, publication, out) {
                let mail = GroupMail::Return { group: name, member, message: publication.keep() };
                self.take_group_mail(now, self.id, mail, out);
            }
        }
        let is_wanted = !found.is_empty();
        found.clear();
        self.groups.found = found;
        is_wanted
    }

    /// A message of a group for a member that lives here; sent back if it cannot have it.
    fn receive_share(
        &mut self,
        now: Instant,
        group: GroupName,
        member: Member,
        message: Message,
        out: &mut Outbox,
    ) {
        let mut publication = Publication::of_message(&message);
        if self.offer_share(now, &group, member, &mut publication, out) {
            return;
        }
        drop(publication);
        self.send_to_group(now, GroupMail::Return { group, member, message }, out);
    }

    /// Gives a message to a member here; `false` if its Session or its Subscription is gone.
    fn offer_share(
        &mut self,
        now: Instant,
        name: &GroupName,
        member: Member,
        publication: &mut Publication<'_>,
        out: &mut Outbox,
    ) -> bool {
        let Some(session) = self.sessions.of(member.session, member.serial) else { return false };
        let Some(share) = session.share(name.as_str()) else { return false };
        // The QoS granted to this member counts. [MQTT-4.8.2-3]
        let mut target = Target::new(member.session, share.subscription);
        target.group = Some(share.group.clone());
        self.offer(now, publication, &target, false, out);
        true
    }
}

impl GroupMail {
    fn group(&self) -> &GroupName {
        match self {
            Self::Join { group, .. }
            | Self::Leave { group, .. }
            | Self::Presence { group, .. }
            | Self::Deliver { group, .. }
            | Self::Return { group, .. } => group,
        }
    }
}
