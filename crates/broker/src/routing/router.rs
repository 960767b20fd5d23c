//! The way of a message: into the Retained Messages, to the Subscriptions of this shard, to other shards (3.3.4).

use dunlin_packet::{qos::QoS, topic::name::TopicName};
use dunlin_protocol::time::Instant;

use crate::{
    ids::{Receipt, ShardId},
    message::{Message, View},
    output::Outbox,
    pace::FOR_A_CLIENT,
    permissions::identity::Identity,
    pressure::Pressure,
    publication::Publication,
    records::{content::TransitParts, key::Key},
    rights::publishers::Kept,
    routing::{bundle::Bundle, mail::Mail, target::Target},
    sessions::{keeping::is_worth_sharing, table::Sessions},
    slot::{home_of, slot_of},
    state::{Scratch, State},
    subscriptions::Subscriptions,
    topics::ids::FilterId,
};

impl State {
    /// Publishes a message: for everybody, everywhere. Returns whether anybody may get it.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        publication: &mut Publication<'_>,
        out: &mut Outbox,
    ) -> bool {
        // [MQTT-3.3.1-8] [MQTT3-3.3.1-12]
        if publication.view.facts.retain {
            self.route_retained(now, publication, out);
        }
        let is_wanted_elsewhere = self.shards > 1 && self.route_to_peers(now, publication, out);
        let is_wanted_here = self.publish_here(now, publication, out);
        is_wanted_here || is_wanted_elsewhere
    }

    /// Brings a message with RETAIN to the home of its topic. [MQTT-3.3.1-5] [MQTT3-3.3.1-5]
    fn route_retained(&mut self, now: Instant, publication: &mut Publication<'_>, out: &mut Outbox) {
        let home = home_of(publication.view.topic_name.as_str(), self.shards);
        let message = publication.keep();
        let publisher = publication.publisher.take();
        if home == self.id {
            return self.keep_retained(now, message, publisher, out);
        }
        let is_promised = message.facts().qos > QoS::AtMostOnce;
        let transit = TransitParts::Retain(publisher.as_ref());
        let receipt = self.file_transit(now, home, is_promised, transit, &message.view(), out);
        out.routes[home.index()].push(Mail::Retain(message, publisher, receipt));
    }

    fn route_to_peers(&mut self, now: Instant, publication: &mut Publication<'_>, out: &mut Outbox) -> bool {
        let View { topic_name, facts, .. } = publication.view;
        let mut wanted = self.interests.any.look_up(topic_name) & !self.id.bit();
        if wanted == 0 {
            return false;
        }
        let has_to_keep = self.settings.is_durable && facts.qos > QoS::AtMostOnce;
        let keeping = if has_to_keep { self.interests.kept.look_up(topic_name) } else { 0 };
        while wanted != 0 {
            let peer = ShardId(wanted.trailing_zeros() as u8);
            wanted &= wanted - 1;
            let is_promised = keeping & peer.bit() != 0;
            let receipt =
                self.file_transit(now, peer, is_promised, TransitParts::Publish, &publication.view, out);
            send_to(peer, publication, receipt, out);
        }
        true
    }

    /// Files mail that must not be lost between two shards: the receiver takes the record away when it has filed what
    /// comes of it. So the message is safe as soon as the sender's own batch is.
    pub(crate) fn file_transit(
        &mut self,
        now: Instant,
        to: ShardId,
        is_promised: bool,
        transit: TransitParts<'_>,
        message: &View<'_>,
        out: &mut Outbox,
    ) -> Receipt {
        if !is_promised || !self.settings.is_durable {
            return Receipt::NONE;
        }
        let number = self.filing.next_number(now);
        out.batch.put_transit(Key::Transit { from: self.id, to, number }, transit, message);
        Receipt(number)
    }

    /// Takes away the record of mail that has come from another shard.
    pub(crate) fn take_receipt(&mut self, from: ShardId, receipt: Receipt, out: &mut Outbox) {
        if receipt != Receipt::NONE {
            out.batch.delete_record(Key::Transit { from, to: self.id, number: receipt.0 });
        }
    }

    /// Gives a message to the Subscriptions of this shard and to the groups that are at home here.
    pub(crate) fn publish_here(
        &mut self,
        now: Instant,
        publication: &mut Publication<'_>,
        out: &mut Outbox,
    ) -> bool {
        if publication.has_expired(now) {
            self.counters.dropped_expired += 1; // [MQTT-3.3.2-5]
            return true;
        }
        if publication.view.facts.retain {
            self.asks.note_live(publication);
        }
        let mut targets = std::mem::take(&mut self.scratch.targets);
        collect(&self.subscriptions, &self.sessions, &mut self.scratch, publication, &mut targets);
        let is_one_of_many = targets.len() > 1;
        if is_one_of_many {
            self.scratch.frames.start();
            publication.is_body_shared = self.has_several_to_keep(&targets, publication);
        }
        for target in &targets {
            self.offer(now, publication, target, is_one_of_many, out);
        }
        let mut is_wanted = !targets.is_empty();
        targets.clear();
        self.scratch.targets = targets;
        if !self.groups.is_empty() {
            is_wanted |= self.publish_to_groups(now, publication, out);
        }
        is_wanted
    }

    /// Whether the message is filed for more than one Session, and large enough to be filed once for all.
    fn has_several_to_keep(&self, targets: &[Target], publication: &Publication<'_>) -> bool {
        self.settings.is_durable
            && publication.view.facts.qos > QoS::AtMostOnce
            && is_worth_sharing(&publication.view)
            && targets
                .iter()
                .filter(|target| target.qos > QoS::AtMostOnce && self.sessions[target.session].is_kept())
                .nth(1)
                .is_some()
    }

    /// Keeps or removes a Retained Message; this shard is the home of its topic. It belongs to no Session, and its QoS does
    /// not matter. [MQTT3-3.1.2-7] [MQTT3-3.3.1-7]
    pub(crate) fn keep_retained(
        &mut self,
        now: Instant,
        message: Message,
        publisher: Option<Identity>,
        out: &mut Outbox,
    ) {
        let topic_name = message.topic_name();
        let is_removal = message.payload().is_empty(); // [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-10] [MQTT3-3.3.1-11]
        let slot = slot_of(topic_name.as_str());
        let old = if is_removal || message.has_expired(now) {
            self.unfile_retained(slot, topic_name, out);
            self.retained.remove(topic_name)
        } else if self.has_room_to_retain(topic_name, message.size()) && !self.is_too_short_for(&message) {
            self.retained_bytes += message.size() as u64;
            if self.is_filed(topic_name) {
                out.batch.put_retained(slot, &message, publisher.as_ref());
            }
            let publisher = self.publishers.add(publisher);
            self.retained.keep(topic_name, Kept { message: message.clone(), publisher })
        } else {
            self.tell_unkept(now, topic_name);
            self.counters.dropped_retained_full += 1;
            self.unfile_retained(slot, topic_name, out);
            self.retained.remove(topic_name)
        };
        self.forget_retained(old);
    }

    /// Tells the log of a Retained Message without room, but not of each.
    fn tell_unkept(&mut self, now: Instant, topic_name: TopicName<'_>) {
        let Some(untold) = self.unkept.may_tell(now, FOR_A_CLIENT) else { return };
        tracing::warn!(
            topic_name = topic_name.as_str(),
            others_without_a_line = (untold > 0).then_some(untold),
            "Retained Message not kept: the table is full"
        );
    }

    /// What was kept of a topic is not any more.
    pub(crate) fn forget_retained(&mut self, old: Option<Kept>) {
        if let Some(Kept { message, publisher }) = old {
            self.retained_bytes -= message.size() as u64;
            self.publishers.remove(publisher);
        }
    }

    fn unfile_retained(&mut self, slot: u16, topic_name: TopicName<'_>, out: &mut Outbox) {
        if self.is_filed(topic_name) {
            out.batch.delete_record(Key::Retained(slot, topic_name.as_str()));
        }
    }

    /// Whether the Retained Message of a topic survives the program. What the Server says of itself is said anew.
    fn is_filed(&self, topic_name: TopicName<'_>) -> bool {
        self.settings.is_durable && !topic_name.as_str().starts_with("$SYS/")
    }

    /// When memory is short, what was not acknowledged is only kept in the place of something that is not smaller.
    fn is_too_short_for(&self, message: &Message) -> bool {
        self.pressure >= Pressure::Short
            && message.facts().qos == QoS::AtMostOnce
            && !message.topic_name().as_str().starts_with("$SYS/")
            && self.retained.get(message.topic_name()).is_none_or(|old| old.message.size() < message.size())
    }

    /// Whether a message of `size` bytes can be kept for this topic.
    pub(crate) fn has_room_to_retain(&self, topic_name: TopicName<'_>, size: usize) -> bool {
        let bytes = self.retained_bytes + size as u64;
        if bytes > self.settings.retained_bytes_max {
            return false;
        }
        self.retained.len() < self.settings.retained_messages_max as usize
            || self.retained.get(topic_name).is_some()
    }
}

/// A message that has a record of its own, or is large, is a letter of its own. So is one with RETAIN: it is known again
/// as the one that its home keeps.
fn send_to(peer: ShardId, publication: &mut Publication<'_>, receipt: Receipt, out: &mut Outbox) {
    let route = &mut out.routes[peer.index()];
    let is_packed =
        receipt == Receipt::NONE && !publication.view.facts.retain && Bundle::takes(&publication.view);
    if !is_packed {
        return route.push(Mail::Publish(publication.keep(), receipt));
    }
    let mut is_much = publication.view.size() > SMALL_BYTES_MAX;
    if let Some(Mail::Bundle(last)) = route.last_mut() {
        if last.add(&publication.view) {
            return;
        }
        is_much = true;
    }
    let mut bundle = if is_much { Bundle::large(out.spare_bundles.pop()) } else { Bundle::default() };
    let is_added = bundle.add(&publication.view);
    debug_assert!(is_added, "an empty bundle takes what bundles take");
    route.push(Mail::Bundle(bundle));
}

/// Bytes of the largest message for which memory of its own is got if it comes alone.
const SMALL_BYTES_MAX: usize = 1 << 10;

/// Finds the Sessions of this shard that get the message, each once.
fn collect(
    subscriptions: &Subscriptions,
    sessions: &Sessions,
    scratch: &mut Scratch,
    publication: &Publication<'_>,
    targets: &mut Vec<Target>,
) {
    let publisher = publication.view.facts.publisher;
    let mut first_filter: Option<FilterId> = None;
    let mut is_merging = false;
    let Scratch { marks, stamp, .. } = scratch;
    subscriptions.matches(publication.view.topic_name, &mut |filter, session, subscription| {
        if subscription.options.no_local && sessions[session].publisher == publisher {
            return; // [MQTT-3.8.3-3]
        }
        if !is_merging && first_filter.is_some_and(|first| first != filter) {
            // A second filter matches: from now on a Session may come up again.
            is_merging = true;
            *stamp = stamp.wrapping_add(1);
            if *stamp == 0 {
                marks.clear();
                *stamp = 1;
            }
            marks.resize(marks.len().max(sessions.slots()), (0, 0));
            for (index, target) in targets.iter().enumerate() {
                marks[target.session.0 as usize] = (*stamp, index as u32);
            }
        }
        first_filter.get_or_insert(filter);
        if is_merging {
            let mark = &mut marks[session.0 as usize];
            if mark.0 == *stamp {
                targets[mark.1 as usize].merge(subscription);
                return;
            }
            *mark = (*stamp, targets.len() as u32);
        }
        targets.push(Target::new(session, subscription));
    });
}
