//! Messages to Clients: each must be due, unaltered, in order, within the quota (3.3, 4.3, 4.6, 4.9).

use std::rc::Rc;

use dunlin_packet::{packet_identifier::PacketId, publish::Publish, qos::QoS};

use crate::{
    network::LinkId,
    oracle::{
        messages::{Forwarded, MessageKey},
        session::{Content, Delivery, Due, Ghost, InFlight, publish_bytes_max},
        state::Oracle,
        subscriptions::{matches, outcome_of_one},
        words::{Check, broken},
    },
};

/// A PUBLISH from the broker, with the topic that its alias stands for.
struct Sent {
    link: LinkId,
    session: usize,
    key: MessageKey,
    qos: QoS,
    content: Content,
    /// Before 5.0 there are no Properties to compare.
    has_properties: bool,
    /// It says that it may have been sent before.
    dup: bool,
}

impl Oracle {
    /// The broker has sent a message.
    pub(crate) fn writes_publish(
        &mut self,
        link: LinkId,
        publish: &Publish<'_>,
        _encoded_len: usize,
    ) -> Check {
        let topic = self.resolve_outgoing(link, publish)?;
        let Some(session) = self.session_of(link) else {
            return self.wrong(link, "MQTT-3.2.0-1", "PUBLISH before CONNACK".to_owned());
        };
        let Some(key) = MessageKey::of(&topic, publish.payload) else {
            return self.wrong(link, "MQTT-3.3.1-5", format!("{publish:?}, which nobody has published"));
        };
        let mut ids: Vec<u32> = publish.properties.subscription_identifiers().collect();
        ids.sort_unstable();
        let content = Content {
            topic,
            payload: publish.payload.into(),
            retain: publish.retain,
            ids,
            properties: Forwarded::of(&publish.properties),
            expiry_s: publish.properties.message_expiry_interval_s(),
        };
        let has_properties = self.connection(link).version.has_properties();
        let (qos, dup) = (publish.qos, publish.dup);
        let sent = Sent { link, session, key, qos, content, has_properties, dup };
        match (publish.packet_id, publish.dup) {
            (Some(packet_id), true) if !self.may_be_first(&sent, packet_id) => {
                let place = self.sent_again(&sent, packet_id)?;
                self.count_quota(&sent, packet_id)?;
                self.connection(link).resent = place + 1;
                self.tally.count("messages sent again");
                Ok(())
            }
            (Some(packet_id), _) => {
                let delivery = self.sent_first(&sent)?;
                self.count_quota(&sent, packet_id)?;
                if publish.dup {
                    self.recalls(&sent, packet_id, delivery);
                } else {
                    self.sessions[sent.session].forget_ghosts(packet_id);
                }
                self.goes_in_flight(sent, packet_id, delivery)
            }
            (None, _) => self.sent_first(&sent).map(|_| ()),
        }
    }

    /// What is held back until it is durable may be sent on a later connection for the first time, and the Server no longer
    /// knows that: DUP says that it may be a second attempt (3.3.1.1).
    fn may_be_first(&self, sent: &Sent, packet_id: PacketId) -> bool {
        let session = &self.sessions[sent.session];
        let is_in_flight = session.in_flight.iter().any(|in_flight| {
            let is_another = session.deliveries[in_flight.delivery].key != sent.key;
            in_flight.packet_id == packet_id && !(in_flight.may_be_dropped && is_another)
        });
        self.settings.is_durable && session.expiry_s > 0 && !is_in_flight
    }

    /// What the Client has got before a crash it has got.
    fn recalls(&mut self, sent: &Sent, packet_id: PacketId, delivery: usize) {
        let session = &mut self.sessions[sent.session];
        let is_same = |ghost: &&Ghost| ghost.packet_id == packet_id && ghost.key == sent.key;
        if let Some(ghost) = session.ghosts.iter().rfind(is_same) {
            session.deliveries[delivery].is_met |= ghost.is_met;
            session.deliveries[delivery].is_taken |= ghost.is_taken;
        }
    }

    /// The Topic Name, which a Topic Alias may stand for. [MQTT-3.1.2-26] [MQTT-3.1.2-27]
    fn resolve_outgoing(&mut self, link: LinkId, publish: &Publish<'_>) -> Check<Rc<str>> {
        let connection = self.connection(link);
        let maximum = connection.asked.topic_alias_maximum;
        let topic: Option<Rc<str>> = publish.topic_name.map(|topic| topic.as_str().into());
        let alias = publish.properties.topic_alias();
        let found = match (alias, &topic) {
            (Some(alias), _) if alias > maximum => None,
            (Some(alias), Some(topic)) => {
                connection.aliases_out.insert(alias, Rc::clone(topic));
                Some(Rc::clone(topic))
            }
            (Some(alias), None) => connection.aliases_out.get(&alias).cloned(),
            (None, topic) => topic.clone(),
        };
        match found {
            Some(found) => {
                if topic.is_none() {
                    self.tally.count("aliases used by the broker");
                }
                Ok(found)
            }
            None => {
                let what = format!("Topic Alias {alias:?} with {topic:?}, the maximum is {maximum}");
                self.wrong(link, "MQTT-3.1.2-26", what)?;
                Ok("".into())
            }
        }
    }

    /// A message that may count against the Receive Maximum. [MQTT-3.3.4-9] [MQTT-4.9.0-2]
    fn count_quota(&mut self, sent: &Sent, packet_id: PacketId) -> Check {
        let maximum = self.connection(sent.link).asked.receive_maximum.min(self.settings.in_flight_max);
        let counted = &mut self.connection(sent.link).counted;
        counted.push(packet_id);
        if counted.len() <= usize::from(maximum) {
            return Ok(());
        }
        let what = format!("{} with {} messages in flight of {maximum}", sent.key, counted.len());
        self.wrong(sent.link, "MQTT-3.3.4-9", what)
    }

    /// A second attempt: the same packet, in the order of the first attempts. Returns its place among those in flight.
    fn sent_again(&mut self, sent: &Sent, packet_id: PacketId) -> Check<usize> {
        let connection = &self.connections[&sent.link];
        let place = connection.to_resend.iter().position(|other| *other == packet_id);
        let session = &mut self.sessions[sent.session];
        let in_flight = session.find_in_flight(packet_id);
        let fault = match (place, in_flight) {
            (Some(place), Some(in_flight)) => {
                let fault = resend_fault(in_flight, sent, place < connection.resent);
                if fault.is_none() {
                    in_flight.published_on = sent.link;
                    return Ok(place);
                }
                fault
            }
            _ => Some(("MQTT-3.3.1-1", "that was never sent before")),
        };
        let (clause, fault) = fault.expect("the other case has returned");
        let what = format!("{} under {} with DUP, {fault}", sent.key, packet_id.value());
        self.wrong(sent.link, clause, what)?;
        Ok(0)
    }

    /// A first attempt: it must answer something that is due. Returns its number among the deliveries.
    fn sent_first(&mut self, sent: &Sent) -> Check<usize> {
        self.check_content(sent)?;
        let shared = self.shared_filter(sent);
        let session = &mut self.sessions[sent.session];
        let number = session.deliveries.len();
        session.deliveries.push(Delivery {
            key: sent.key.clone(),
            at: self.moment,
            qos: sent.qos,
            topic: Rc::clone(&sent.content.topic),
            shared: shared.clone(),
            is_acknowledged: sent.qos == QoS::AtMostOnce,
            is_met: false,
            is_taken: false,
            may_be_dropped: false,
        });
        self.tally.count("messages delivered");
        let choices = match shared {
            Some(filter) => {
                self.shared_delivery(sent.session, number, &filter, &sent.content, sent.has_properties)?;
                Vec::new()
            }
            None => self.dues(sent),
        };
        let is_shared = self.sessions[sent.session].deliveries[number].shared.is_some();
        if !is_shared {
            self.check_due(sent, &choices)?;
        }
        let is_within_dues = self.sessions[sent.session].matching.add(choices.clone());
        if is_shared {
            return Ok(number);
        }
        if !is_within_dues {
            self.wrong(sent.link, "MQTT-4.3.3-10", format!("{} more often than it was due", sent.key))?;
        }
        if let [Due::Live(accepted)] = choices[..]
            && self.messages.get(accepted).retain
        {
            self.sessions[sent.session].came_live.insert(accepted);
        }
        self.check_order(sent, &choices)?;
        Ok(number)
    }

    fn goes_in_flight(&mut self, sent: Sent, packet_id: PacketId, delivery: usize) -> Check {
        let connection = &self.connections[&sent.link];
        let session = &mut self.sessions[sent.session];
        if session.find_in_flight(packet_id).is_some_and(|old| old.may_be_dropped) {
            session.remove_in_flight(packet_id);
        }
        if session.find_in_flight(packet_id).is_some() {
            let what = format!("{} under {}, which is in use", sent.key, packet_id.value());
            return self.wrong(sent.link, "MQTT-2.2.1-4", what);
        }
        let mut old = session.in_flight.iter().filter(|old| !old.is_released && !old.may_be_dropped);
        if let Some(old) = old.find(|old| old.published_on != sent.link) {
            let what = format!("{} before {} was sent again", sent.key, old.packet_id.value());
            return self.wrong(connection.link, "MQTT-4.6.0-1", what);
        }
        // A Client before 5.0 was not sent the Properties and identifiers that it may be sent later.
        let accepts = self.messages.with_key(&sent.key).map(|number| self.messages.get(number));
        let ids = session.timeline.latest().len() + 1;
        let bytes_max = accepts.map(|accept| publish_bytes_max(accept, ids)).max().unwrap_or(0);
        session.in_flight.push(InFlight {
            packet_id,
            qos: sent.qos,
            is_released: false,
            published_on: sent.link,
            released_on: None,
            delivery,
            content: sent.content,
            bytes_max,
            may_be_dropped: false,
        });
        Ok(())
    }

    /// Topic, payload, Properties as published, not expired, with what is left of the interval.
    fn check_content(&mut self, sent: &Sent) -> Check {
        let Content { topic, payload, properties, expiry_s, .. } = &sent.content;
        let properties = sent.has_properties.then_some(properties);
        let now_ms = self.moment.now_ms;
        let candidates: Vec<usize> = self.messages.with_key(&sent.key).collect();
        if candidates.is_empty() {
            let what = format!("{} on {topic}, which nobody has published", sent.key);
            return self.wrong(sent.link, "MQTT-3.3.4-1", what);
        }
        let accepts = candidates.iter().map(|&number| self.messages.get(number));
        let unaltered: Vec<_> =
            accepts.filter(|accept| accept.has_content(topic, payload, properties)).collect();
        if unaltered.is_empty() {
            let first = self.messages.get(candidates[0]);
            let what = format!("{} altered: {:?}, published was {first:?}", sent.key, sent.content);
            return self.wrong(sent.link, "MQTT-3.3.2-18", what);
        }
        let is_in_time = unaltered.iter().any(|accept| {
            let left_ms = accept.expires_at_ms.map(|at| at.saturating_sub(now_ms));
            match (left_ms, expiry_s) {
                (None, expiry_s) => expiry_s.is_none(),
                // What may have been sent before goes on. [MQTT-3.3.2-5]
                (Some(0), expiry_s) => sent.dup && (*expiry_s == Some(0) || !sent.has_properties),
                (Some(_), None) => !sent.has_properties,
                (Some(left_ms), Some(s)) => left_ms.abs_diff(u64::from(*s) * 1_000) < 1_000,
            }
        });
        if is_in_time {
            return Ok(());
        }
        let what = format!("{} with Message Expiry Interval {expiry_s:?}: {:?}", sent.key, unaltered[0]);
        self.wrong(sent.link, "MQTT-3.3.2-5", what)
    }

    /// The Shared Subscription that a message is sent for, told by its identifier; without one, if no other fits.
    fn shared_filter(&self, sent: &Sent) -> Option<Rc<str>> {
        let session = &self.sessions[sent.session];
        if let Some(filter) = sent.content.ids.iter().find_map(|id| session.shared_ids.get(id)) {
            return Some(Rc::clone(filter));
        }
        let mut filters = session.shares.keys().filter(|filter| matches(filter, &sent.content.topic));
        let filter = filters.next()?;
        // A Client either gives identifiers or keeps its Shared Subscriptions apart from the others.
        let has_id = session.shared_ids.values().any(|other| other == filter);
        (!has_id || !sent.has_properties).then(|| Rc::clone(filter))
    }

    /// What the message may be an answer to.
    fn dues(&self, sent: &Sent) -> Vec<Due> {
        let session = &self.sessions[sent.session];
        let tick = self.moment.tick;
        let ids = sent.has_properties.then_some(&sent.content.ids[..]);
        let mut dues = Vec::new();
        for number in self.messages.with_key(&sent.key) {
            let accept = self.messages.get(number);
            if accept.qos < sent.qos || sent.content.retain && !accept.retain {
                continue; // No Subscription gives more than was published.
            }
            if session.has_outcome(accept, tick, |outcome| outcome.is(sent.qos, sent.content.retain, ids)) {
                dues.push(Due::Live(number));
            }
        }
        for (request, replay) in session.replays.iter().enumerate() {
            // What a SUBSCRIBE calls for has RETAIN 1 (3.3.1.3).
            if !sent.content.retain || !matches(&replay.filter, &sent.content.topic) {
                continue;
            }
            let is_due = self.messages.with_key(&sent.key).any(|number| {
                let accept = self.messages.get(number);
                let outcome = outcome_of_one(&replay.sub, accept);
                let is_like = outcome.is_some_and(|outcome| {
                    outcome.qos == sent.qos && ids.is_none_or(|ids| ids == outcome.ids) // [MQTT-3.3.4-3]
                });
                // What has come live since the SUBSCRIBE does not come as a Retained Message as well.
                let is_had = accept.at.tick > replay.asked && session.came_live.contains(&number);
                is_like
                    && accept.retain
                    && !is_had
                    && self.retained.may_be(&self.messages, number, replay.asked)
            });
            if is_due {
                dues.push(Due::Replay(request, Rc::clone(&sent.content.topic)));
            }
        }
        dues
    }

    fn check_due(&mut self, sent: &Sent, dues: &[Due]) -> Check {
        if !dues.is_empty() {
            if matches!(dues[0], Due::Replay(..)) {
                self.tally.count("retained messages sent");
            }
            return Ok(());
        }
        let session = &self.sessions[sent.session];
        let accepts: Vec<_> = self.messages.with_key(&sent.key).collect();
        let outcomes: Vec<_> = accepts
            .iter()
            .map(|&number| session.outcomes(self.messages.get(number), self.moment.tick))
            .collect();
        let what = format!(
            "{} on {} with QoS {}, retain {}, ids {:?}, which no Subscription asks for; due is {outcomes:?}",
            sent.key,
            sent.content.topic,
            sent.qos.value(),
            sent.content.retain,
            sent.content.ids
        );
        self.wrong(sent.link, "MQTT-3.3.4-2", what)
    }

    /// In the order of each publisher, topic and QoS. [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    fn check_order(&mut self, sent: &Sent, dues: &[Due]) -> Check {
        let MessageKey::Numbered(_) = sent.key else { return Ok(()) };
        let publisher = match self.messages.with_key(&sent.key).next() {
            Some(number) => Rc::clone(&self.messages.get(number).publisher),
            None => return Ok(()),
        };
        let session = &mut self.sessions[sent.session];
        let key = (publisher, Rc::clone(&sent.content.topic), sent.qos);
        let last = session.last_sent.get(&key).copied();
        let lives: Vec<usize> = dues
            .iter()
            .filter_map(|due| match due {
                Due::Live(number) => Some(*number),
                Due::Replay(..) => None,
            })
            .collect();
        let is_replay = lives.len() < dues.len();
        let next = lives.iter().copied().find(|number| last.is_none_or(|last| *number > last));
        if let Some(next) = next {
            if !is_replay {
                session.last_sent.insert(key, next);
            }
            return Ok(());
        }
        if is_replay {
            return self.check_replay_order(sent, last);
        }
        let last = last.map(|last| self.messages.get(last).key.to_string()).unwrap_or_default();
        let what = format!("{} after {last}, which was published later", sent.key);
        self.wrong(sent.link, "MQTT-4.6.0-5", what)
    }

    /// An older Retained Message must not come behind a newer one that came live.
    fn check_replay_order(&mut self, sent: &Sent, last: Option<usize>) -> Check {
        let Some(last) = last else { return Ok(()) };
        let newest = self.messages.with_key(&sent.key).last();
        if newest.is_none_or(|newest| newest >= last) || !self.messages.get(last).retain {
            return Ok(());
        }
        let since = self.sessions[sent.session]
            .replays
            .iter()
            .rev()
            .find(|replay| matches(&replay.filter, &sent.content.topic));
        let is_since = since.is_some_and(|replay| replay.asked < self.messages.get(last).at.tick);
        if !is_since {
            return Ok(());
        }
        let last = self.messages.get(last).key.to_string();
        let what = format!("the Retained Message {} after {last}, which has replaced it", sent.key);
        self.wrong(sent.link, "MQTT-3.3.1-5", what)
    }

    /// The application of the Client on `link` gets the message that was sent under `packet_id`, or refuses it.
    ///
    /// # Errors
    /// If it gets a QoS 2 message twice.
    pub fn takes(&mut self, link: LinkId, packet_id: PacketId, qos: QoS, is_refused: bool) -> Check {
        let Some(index) = self.session_of(link) else { return Ok(()) };
        let session = &mut self.sessions[index];
        let Some(number) = session.find_in_flight(packet_id).map(|in_flight| in_flight.delivery) else {
            for ghost in session.ghosts.iter_mut().filter(|ghost| ghost.packet_id == packet_id) {
                ghost.is_met = true;
                ghost.is_taken |= !is_refused && qos == QoS::ExactlyOnce;
            }
            return Ok(());
        };
        let delivery = &mut session.deliveries[number];
        delivery.is_met = true;
        if is_refused || qos != QoS::ExactlyOnce {
            return Ok(());
        }
        if !std::mem::replace(&mut delivery.is_taken, true) {
            return Ok(());
        }
        let (client, key) = (Rc::clone(&session.client), delivery.key.to_string());
        let promise = format!("{client} got {key} with QoS 2 twice");
        broken("MQTT-4.3.3-10", promise, &[&client, &key])
    }
}

/// What is wrong with a second attempt, if anything.
fn resend_fault(in_flight: &InFlight, sent: &Sent, is_late: bool) -> Option<(&'static str, &'static str)> {
    if in_flight.is_released {
        return Some(("MQTT-4.3.3-6", "after PUBREC"));
    }
    if in_flight.published_on == sent.link {
        return Some(("MQTT-4.4.0-1", "twice on one connection"));
    }
    if is_late {
        return Some(("MQTT-4.6.0-1", "not in the order of the first attempts"));
    }
    let first = &in_flight.content;
    let has_properties_alike =
        !sent.has_properties || first.properties == sent.content.properties && first.ids == sent.content.ids;
    let is_alike = first.topic == sent.content.topic
        && first.payload == sent.content.payload
        && first.retain == sent.content.retain
        && in_flight.qos == sent.qos;
    if !is_alike || !has_properties_alike && !first.is_bare() {
        return Some(("MQTT-3.3.1-1", "with another content"));
    }
    None
}

impl Content {
    /// Whether it was first sent to a Client before 5.0, perhaps without the Properties it has.
    fn is_bare(&self) -> bool {
        self.properties.is_empty() && self.ids.is_empty()
    }
}
