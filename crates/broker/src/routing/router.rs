//! The way of a message: into the Retained Messages, to the Subscriptions of this shard, to other shards (3.3.4).

use dunlin_protocol::time::Instant;

use crate::{
    fanout::Publication,
    ids::ShardId,
    output::Outbox,
    routing::{mail::Mail, target::Target},
    sessions::table::Sessions,
    slot::home_of,
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
        let is_wanted_elsewhere = self.shards > 1 && self.route_to_peers(publication, out);
        let is_wanted_here = self.publish_here(now, publication, out);
        is_wanted_here || is_wanted_elsewhere
    }

    /// Brings a message with RETAIN to the home of its topic. [MQTT-3.3.1-5] [MQTT3-3.3.1-5]
    fn route_retained(&mut self, now: Instant, publication: &mut Publication<'_>, out: &mut Outbox) {
        let home = home_of(publication.view.topic_name.as_str(), self.shards);
        let message = publication.keep();
        if home == self.id {
            self.keep_retained(now, message);
        } else {
            out.routes[home.index()].push(Mail::Retain(message));
        }
    }

    fn route_to_peers(&mut self, publication: &mut Publication<'_>, out: &mut Outbox) -> bool {
        let mut wanted = self.interest.look_up(publication.view.topic_name) & !self.id.bit();
        let is_wanted = wanted != 0;
        while wanted != 0 {
            let peer = ShardId(wanted.trailing_zeros() as u8);
            wanted &= wanted - 1;
            out.routes[peer.index()].push(Mail::Publish(publication.keep()));
        }
        is_wanted
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

    /// Keeps or removes a Retained Message; this shard is the home of its topic. It belongs to no Session, and its QoS does
    /// not matter. [MQTT3-3.1.2-7] [MQTT3-3.3.1-7]
    pub(crate) fn keep_retained(&mut self, now: Instant, message: crate::message::Message) {
        let topic_name = message.topic_name();
        let is_removal = message.payload().is_empty(); // [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-10] [MQTT3-3.3.1-11]
        let old = if is_removal || message.has_expired(now) {
            self.retained.remove(topic_name)
        } else if self.has_room_for_retained(&message) {
            self.retained_bytes += message.size() as u64;
            self.retained.keep(topic_name, message.clone())
        } else {
            tracing::warn!(topic_name = topic_name.as_str(), "Retained Message not kept: the table is full");
            self.counters.dropped_retained_full += 1;
            self.retained.remove(topic_name)
        };
        self.retained_bytes -= old.map_or(0, |old| old.size() as u64);
    }

    fn has_room_for_retained(&self, message: &crate::message::Message) -> bool {
        let bytes = self.retained_bytes + message.size() as u64;
        if bytes > self.settings.retained_bytes_max {
            return false;
        }
        self.retained.len() < self.settings.retained_messages_max as usize
            || self.retained.get(message.topic_name()).is_some()
    }
}

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
