//! Retained Messages for a new Subscription, from all shards (3.3.1.3).
//!
//! A Retained Message lives in the home of its topic. A message with RETAIN is sent there and, at the same time, to the
//! shards with Subscriptions. A new Subscription must get either the Retained Message or the live one that replaces it:
//!
//! 1. The Subscription is filed in `Interest`, and each other shard is asked for a fence. When all have answered, every
//!    message that was published without knowing of this Subscription is on its way to its home, ahead of what follows.
//! 2. Then the homes are asked. Their answers hold all those messages.
//! 3. A message with RETAIN that comes live in between is not sent twice. If its topic has another Retained Message by
//!    the answer, either may be the older one: the home is asked once more.

use dunlin_packet::{
    qos::QoS,
    topic::{filter::TopicFilter, name::TopicName},
};
use dunlin_protocol::time::Instant;

use crate::{
    ids::ShardId,
    message::Message,
    output::Outbox,
    rights::publishers::Kept,
    routing::{
        asks::{Ask, Closed},
        mail::Mail,
    },
    sessions::queue::{Identifiers, Replay},
    slot::home_of,
    state::State,
    subscriptions::subscription::Subscription,
    topics::ids::SessionIndex,
};

impl State {
    /// Finds the Retained Messages for a new Subscription and queues them; `topic_filter` is not a shared one.
    pub(crate) fn call_retained(
        &mut self,
        now: Instant,
        session: SessionIndex,
        topic_filter: TopicFilter<'_>,
        subscription: Subscription,
        out: &mut Outbox,
    ) {
        if self.shards == 1 {
            let messages = self.retained_matching(topic_filter, now);
            self.queue_replay(session, subscription, messages);
            return;
        }
        let serial = self.sessions[session].serial;
        let ask = Ask::new(session, serial, topic_filter.as_str(), subscription, u32::from(self.shards) - 1);
        let ask = self.asks.open(ask);
        for peer in self.peers() {
            out.routes[peer.index()].push(Mail::Fence { ask });
        }
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.id;
        (0..self.shards).map(ShardId).filter(move |&shard| shard != own)
    }

    /// The Retained Messages of this shard that match, but for those whose publishers may not publish them any more.
    fn retained_matching(&mut self, topic_filter: TopicFilter<'_>, now: Instant) -> Vec<Message> {
        let mut messages = Vec::new();
        let Self { retained, publishers, in_force, counters, .. } = self;
        let is_limited = in_force.limits_anybody();
        retained.matching(topic_filter, &mut |_, kept: &Kept| {
            if kept.message.has_expired(now) {
                return;
            }
            if is_limited && !publishers.may_have_set(kept, in_force) {
                counters.denied_retained += 1;
                return;
            }
            messages.push(kept.message.clone());
        });
        messages
    }

    /// A peer has sent everything from before: ask the homes when all have.
    pub(crate) fn fenced(&mut self, now: Instant, ask: u64, out: &mut Outbox) {
        let (id, shards) = (self.id, self.shards);
        let Some(pending) = self.asks.pending(ask) else { return };
        pending.fences -= 1;
        if pending.fences > 0 {
            return;
        }
        let topic_filter = pending.topic_filter.clone();
        let filter = TopicFilter::parse(&topic_filter).expect("it was parsed before");
        let homes: Vec<ShardId> = if filter.has_wildcard() {
            (0..shards).map(ShardId).collect()
        } else {
            vec![home_of(&topic_filter, shards)]
        };
        pending.answers = homes.len() as u32;
        pending.mark_question();
        for home in homes {
            if home == id {
                let messages = self.retained_matching(filter, now);
                self.answered(now, ask, messages, out);
            } else {
                out.routes[home.index()].push(Mail::AskRetained { ask, topic_filter: topic_filter.clone() });
            }
        }
    }

    /// Another shard asks for Retained Messages.
    pub(crate) fn answer_retained(
        &mut self,
        now: Instant,
        from: ShardId,
        ask: u64,
        topic_filter: &str,
        out: &mut Outbox,
    ) {
        let messages = match TopicFilter::parse(topic_filter) {
            Ok(filter) => self.retained_matching(filter, now),
            Err(_) => Vec::new(),
        };
        out.routes[from.index()].push(Mail::Retained { ask, messages });
    }

    /// Takes the Retained Messages of one home; with the last one they are queued and sent.
    pub(crate) fn answered(&mut self, now: Instant, ask: u64, mut messages: Vec<Message>, out: &mut Outbox) {
        let Some(pending) = self.asks.pending(ask) else { return };
        pending.messages.append(&mut messages);
        pending.answers -= 1;
        if pending.answers > 0 {
            return;
        }
        let Some(Closed { mut ask, doubtful }) = self.asks.close(ask) else { return };
        if self.sessions.of(ask.session, ask.serial).is_none() {
            return;
        }
        for message in doubtful {
            self.ask_again(now, &mut ask, message.topic_name(), out);
        }
        let connection = self.sessions[ask.session].connection;
        self.queue_replay(ask.session, ask.subscription, ask.messages);
        if let Some(connection) = connection {
            self.pump(now, connection, out);
        }
    }

    /// The topic changed while its home was asked: asks once more, which tells the last word.
    fn ask_again(&mut self, now: Instant, ask: &mut Ask, topic_name: TopicName<'_>, out: &mut Outbox) {
        let topic = topic_name.as_str();
        let home = home_of(topic, self.shards);
        if home == self.id {
            let filter = TopicFilter::parse(topic).expect("every Topic Name is a Topic Filter as well");
            let mut kept = self.retained_matching(filter, now);
            kept.retain(|message| !ask.came_live(message));
            return ask.messages.append(&mut kept);
        }
        let again = self.asks.open(ask.again(topic));
        out.routes[home.index()].push(Mail::AskRetained { ask: again, topic_filter: topic.into() });
    }

    /// Queues Retained Messages behind what waits already; nothing is written yet.
    fn queue_replay(
        &mut self,
        session: SessionIndex,
        subscription: Subscription,
        mut messages: Vec<Message>,
    ) {
        let session = &mut self.sessions[session];
        let qos = subscription.options.qos;
        if subscription.options.no_local {
            messages.retain(|message| message.facts().publisher != session.publisher); // [MQTT-3.8.3-3]
        }
        if session.connection.is_none() {
            messages.retain(|message| message.facts().qos.min(qos) != QoS::AtMostOnce);
        }
        if messages.is_empty() {
            return;
        }
        let mut identifiers = Identifiers::None;
        identifiers.add(subscription.identifier);
        session.queue.push_replay(Box::new(Replay { messages: messages.into_iter(), qos, identifiers }));
    }
}
