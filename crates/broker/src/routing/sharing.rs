//! Shared Subscriptions (4.8.2): each message goes to one member of each group.
//!
//! A group is at home in the shard of its whole Topic Filter. Its members live in the shards of their Sessions, and keep
//! their Subscription options there; the home only chooses among them. A member that cannot have a message sends it back.

use dunlin_packet::qos::QoS;
use dunlin_protocol::time::Instant;

use crate::{
    ids::{Receipt, ShardId},
    message::Message,
    output::Outbox,
    publication::Publication,
    records::content::TransitParts,
    routing::{
        bundle::Bundle,
        group_mail::{GroupMail, GroupName, Member, Shares},
        groups::Chosen,
        mail::Mail,
        target::Target,
    },
    slot::home_of,
    state::State,
    topics::ids::SessionIndex,
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
            GroupMail::Join { group, member, is_kept, is_online, ticket } => {
                let change = self.groups.join(&group, member, is_kept, is_online);
                if change.is_only {
                    self.add_interest(change.filter);
                }
                if change.is_only_kept {
                    self.own_kept.add(change.filter);
                }
                if ticket != 0 {
                    out.routes[from.index()].push(Mail::Joined { ticket });
                }
            }
            GroupMail::Leave { group, member } => {
                let Some(change) = self.groups.leave(&group, member) else { return };
                if change.is_only {
                    self.remove_interest(change.filter);
                }
                if change.is_only_kept {
                    self.own_kept.remove(change.filter);
                }
            }
            GroupMail::Presence { group, member, is_online } => {
                self.groups.set_presence(&group, member, is_online)
            }
            GroupMail::Rights { group, member, rights } => self.groups.set_rights(&group, member, rights),
            GroupMail::Deliver { group, member, message, receipt } => {
                self.take_receipt(from, receipt, out);
                self.receive_share(now, group, member, message, out)
            }
            GroupMail::Return { group, member, message, receipt } => {
                self.take_receipt(from, receipt, out);
                match self.groups.choose_other(&group, member, message.topic_name()) {
                    Some(chosen) => {
                        self.send_share(now, group, chosen, &mut Publication::of_message(&message), out)
                    }
                    None => self.counters.dropped_no_member += 1,
                }
            }
        }
    }

    /// Gives a message to the member that was chosen for it.
    pub(crate) fn send_share(
        &mut self,
        now: Instant,
        group: GroupName,
        chosen: Chosen,
        publication: &mut Publication<'_>,
        out: &mut Outbox,
    ) {
        let Chosen { member, is_kept } = chosen;
        let facts = publication.view.facts;
        let is_promised = is_kept && facts.qos > QoS::AtMostOnce && member.shard != self.id;
        let transit = TransitParts::Share(group.as_str());
        let receipt = self.file_transit(now, member.shard, is_promised, transit, &publication.view, out);
        let is_elsewhere = member.shard != self.id;
        if is_elsewhere && receipt == Receipt::NONE && pack(&group, member, publication, out) {
            return;
        }
        let mail = GroupMail::Deliver { group, member, message: publication.keep(), receipt };
        self.send_group_mail(now, member.shard, mail, out);
    }

    /// Messages for members that live here.
    pub(crate) fn receive_shares(&mut self, now: Instant, shares: Shares, out: &mut Outbox) {
        let Shares { group, members, bundle } = shares;
        for (&member, mut publication) in members.iter().zip(bundle.publications()) {
            if !self.offer_share(now, &group, member, &mut publication, out) {
                self.return_share(
                    now,
                    group.clone(),
                    member,
                    publication.keep(),
                    self.settings.is_durable,
                    out,
                );
            }
        }
        bundle.retire(&mut out.spare_bundles);
    }

    /// A member that is none: what comes from it may go to all others.
    pub(crate) const fn nobody(&self) -> Member {
        Member { shard: self.id, session: SessionIndex(u32::MAX), serial: 0 }
    }

    /// Gives a message back to its group; `is_kept` says that it was filed for the member.
    pub(crate) fn return_share(
        &mut self,
        now: Instant,
        group: GroupName,
        member: Member,
        message: Message,
        is_kept: bool,
        out: &mut Outbox,
    ) {
        let home = home_of(group.as_str(), self.shards);
        let is_promised = is_kept && message.facts().qos > QoS::AtMostOnce && home != self.id;
        let transit = TransitParts::Share(group.as_str());
        let receipt = self.file_transit(now, home, is_promised, transit, &message.view(), out);
        self.send_group_mail(now, home, GroupMail::Return { group, member, message, receipt }, out);
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
            let Some((name, chosen)) = self.groups.choose(index, publication.view.topic_name) else {
                self.counters.dropped_no_member += 1;
                continue;
            };
            if chosen.member.shard != self.id {
                self.send_share(now, name, chosen, publication, out);
            } else if !self.offer_share(now, &name, chosen.member, publication, out) {
                self.return_share(now, name, chosen.member, publication.keep(), chosen.is_kept, out);
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
        self.return_share(now, group, member, message, self.settings.is_durable, out);
    }

    /// Gives a message to a member here; `false` if its Session or its Subscription is gone, or it may not receive it.
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
        let (subscription, group) = (share.subscription, share.group.clone());
        if !self.may_deliver(now, member.session, publication.view.topic_name) {
            return false;
        }
        // The QoS granted to this member counts. [MQTT-4.8.2-3]
        let mut target = Target::new(member.session, subscription);
        target.group = Some(group);
        self.offer(now, publication, &target, false, out);
        true
    }
}

/// Puts a small message for a member in another shard behind the one before; `false` if it is not small.
fn pack(group: &GroupName, member: Member, publication: &Publication<'_>, out: &mut Outbox) -> bool {
    let route = &mut out.routes[member.shard.index()];
    let mut bundle = Bundle::default();
    if let Some(Mail::Shares(last)) = route.last_mut()
        && last.group == *group
    {
        if last.add(member, &publication.view) {
            return true;
        }
        // There is much to send.
        bundle = Bundle::large(out.spare_bundles.pop());
    }
    let mut shares = Shares::new(group.clone(), bundle);
    let is_packed = shares.add(member, &publication.view);
    if is_packed {
        route.push(Mail::Shares(Box::new(shares)));
    }
    is_packed
}
