//! Shared Subscriptions (4.8.2): each message goes to one member of each group.
//!
//! A group is at home in the shard of its whole Topic Filter. Its members live in the shards of their Sessions, and keep
//! their Subscription options there; the home only chooses among them. A member that cannot have a message sends it back.

use dunlin_protocol::time::Instant;

use crate::{
    fanout::Publication,
    ids::ShardId,
    message::Message,
    output::Outbox,
    routing::{
        group_mail::{GroupMail, GroupName, Member},
        mail::Mail,
        target::Target,
    },
    slot::home_of,
    state::State,
};

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
                if let Some(filter) = self.groups.join(&group, member) {
                    self.add_interest(filter);
                }
                if ticket != 0 {
                    out.routes[from.index()].push(Mail::Joined { ticket });
                }
            }
            GroupMail::Leave { group, member } => {
                if let Some(filter) = self.groups.leave(&group, member) {
                    self.remove_interest(filter);
                }
            }
            GroupMail::Presence { group, member, is_online } => {
                self.groups.set_presence(&group, member, is_online)
            }
            GroupMail::Deliver { group, member, message } => {
                self.receive_share(now, group, member, message, out)
            }
            GroupMail::Return { group, member, message } => {
                let chosen = self.groups.choose_other(&group, member);
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

    /// Gives a message to one member of each group at home here that matches.
    pub(crate) fn publish_to_groups(
        &mut self,
        now: Instant,
        publication: &mut Publication<'_>,
        out: &mut Outbox,
    ) -> bool {
        let found = self.groups.matching(publication.view.topic_name);
        for &index in &found {
            let Some((name, member)) = self.groups.choose(index) else { continue };
            if member.shard != self.id {
                let mail = GroupMail::Deliver { group: name, member, message: publication.keep() };
                out.routes[member.shard.index()].push(Mail::Group(Box::new(mail)));
            } else if !self.offer_share(now, &name, member, publication, out) {
                let mail = GroupMail::Return { group: name, member, message: publication.keep() };
                self.take_group_mail(now, self.id, mail, out);
            }
        }
        let is_wanted = !found.is_empty();
        self.groups.give_back(found);
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
        if publication.has_expired(now) {
            self.counters.dropped_expired += 1; // [MQTT-3.3.2-5]
            return true;
        }
        let Some(session) = self.sessions.of(member.session, member.serial) else { return false };
        let Some(share) = session.share(name.as_str()) else { return false };
        // The QoS granted to this member counts. [MQTT-4.8.2-3]
        let mut target = Target::new(member.session, share.subscription);
        target.group = Some(share.group.clone());
        self.offer(now, publication, &target, false, out);
        true
    }
}
