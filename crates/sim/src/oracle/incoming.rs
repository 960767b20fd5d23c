//! What Clients send, and what the broker owes for it.

use std::rc::Rc;

use dunlin_packet::{
    acks::Ack,
    disconnect::Disconnect,
    fixed_header::Frame,
    packet::Packet,
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
    subscribe::{RetainHandling, Subscribe, SubscriptionRequest},
    topic::filter::TopicFilter,
    unsubscribe::Unsubscribe,
    version::ProtocolVersion,
};

use crate::{
    network::LinkId,
    oracle::{
        connection::{OwedAck, OwedCodes, OwedRelease, Phase},
        messages::{Accept, Forwarded, MessageKey},
        session::ReplayRequest,
        state::Oracle,
        subscriptions::{Sub, SubState, is_shared},
        words::{Check, broken},
    },
};

impl Oracle {
    /// The broker is about to be given bytes of a Client.
    ///
    /// # Errors
    /// If a Client that should keep the rules breaks one: a fault of the simulation itself.
    pub fn receives(&mut self, link: LinkId, bytes: &[u8]) -> Check {
        let now_ms = self.moment.now_ms;
        let connection = self.connection(link);
        connection.unread.extend_from_slice(bytes);
        connection.last_bytes_ms = now_ms;
        match connection.phase {
            Phase::Connected => self.read_packets(link),
            Phase::Arrived | Phase::Ended => Ok(()),
        }
    }

    /// Looks at all whole packets that have come.
    pub(crate) fn read_packets(&mut self, link: LinkId) -> Check {
        let bytes = std::mem::take(&mut self.connection(link).unread);
        let mut rest = &bytes[..];
        while !rest.is_empty() && self.connection(link).phase == Phase::Connected {
            if self.connection(link).is_next_a_misdeed() {
                self.connection(link).has_offended = true;
                break;
            }
            let version = self.connection(link).version;
            let frame = match Frame::split(rest, u32::MAX) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return own_fault(link, &error.to_string()),
            };
            rest = &rest[frame.encoded_len..];
            let now_ms = self.moment.now_ms;
            let connection = self.connection(link);
            connection.read += frame.encoded_len;
            connection.last_packet_ms = now_ms;
            self.tick();
            match Packet::decode(version, frame) {
                Ok(packet) => self.reads(link, &packet)?,
                Err(error) => return own_fault(link, &error.to_string()),
            }
        }
        self.connection(link).unread = rest.to_vec();
        Ok(())
    }

    fn reads(&mut self, link: LinkId, packet: &Packet<'_>) -> Check {
        match packet {
            Packet::Publish(publish) => return self.reads_publish(link, publish),
            Packet::Puback(ack) => self.reads_puback(link, ack),
            Packet::Pubrec(ack) => self.reads_pubrec(link, ack),
            Packet::Pubrel(ack) => {
                let session = self.number(link);
                let session = &mut self.sessions[session];
                session.refused.remove(&ack.packet_id);
                let is_known = session.inbound.remove(&ack.packet_id);
                let owed = OwedRelease { packet_id: ack.packet_id, is_known, asked: self.moment.tick };
                self.connection(link).owed.pubcomps.push_back(owed);
            }
            Packet::Pubcomp(ack) => {
                let session = &mut self.sessions[self.connections[&link].session.expect("connected")];
                if session.find_in_flight(ack.packet_id).is_some_and(|in_flight| in_flight.is_released) {
                    session.remove_in_flight(ack.packet_id);
                    self.connection(link).uncount(ack.packet_id);
                }
            }
            Packet::Subscribe(subscribe) => self.reads_subscribe(link, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.reads_unsubscribe(link, unsubscribe),
            Packet::Pingreq => self.connection(link).owed.pingresps += 1,
            Packet::Disconnect(disconnect) => self.reads_disconnect(link, disconnect),
            Packet::Auth(_) => self.connection(link).is_reauthenticating = true,
            _ => return own_fault(link, &format!("{packet:?}")),
        }
        Ok(())
    }

    fn number(&self, link: LinkId) -> usize {
        self.session_of(link).expect("a connected Client has a Session")
    }

    fn reads_publish(&mut self, link: LinkId, publish: &Publish<'_>) -> Check {
        let number = self.number(link);
        let topic = self.resolve_incoming(link, publish);
        if let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id)
            && self.sessions[number].inbound.contains(&packet_id)
        {
            // [MQTT-4.3.3-10]
            self.tally.count("QoS 2 duplicates received");
            // The promise is as old as that of the first one.
            self.owe_ack(link, publish.qos, OwedAck { packet_id, accept: None, refusal: None, asked: 0 });
            return Ok(());
        }
        let has_properties = self.connection(link).version.has_properties();
        // `$SYS` is the Server's alone (4.7.2).
        let mut refusal = topic.starts_with("$SYS").then_some(ReasonCode::NotAuthorized);
        let mut accept = None;
        if refusal.is_none() {
            let message = self.accept_of(link, publish, topic)?;
            match self.is_short_for(&message)? {
                true => refusal = Some(ReasonCode::QuotaExceeded),
                false => accept = Some(self.accept_sent(message)),
            }
        }
        if refusal == Some(ReasonCode::QuotaExceeded) {
            self.connection(link).is_spared();
        }
        if refusal == Some(ReasonCode::QuotaExceeded) && !has_properties && self.settings.close_refused_3x {
            self.connection(link).is_refused = true; // [MQTT3-3.3.5-2]
            return Ok(());
        }
        if let Some(packet_id) = publish.packet_id {
            let is_refused = refusal.is_some();
            let refusal = refusal.filter(|_| has_properties);
            if publish.qos == QoS::ExactlyOnce && refusal.is_none() {
                self.sessions[number].inbound.insert(packet_id);
                if is_refused {
                    self.sessions[number].refused.insert(packet_id);
                }
            }
            let asked = self.moment.tick;
            self.owe_ack(link, publish.qos, OwedAck { packet_id, accept, refusal, asked });
        }
        Ok(())
    }

    fn owe_ack(&mut self, link: LinkId, qos: QoS, ack: OwedAck) {
        let owed = &mut self.connection(link).owed;
        match qos {
            QoS::ExactlyOnce => owed.pubrecs.push_back(ack),
            _ => owed.pubacks.push_back(ack),
        }
    }

    fn resolve_incoming(&mut self, link: LinkId, publish: &Publish<'_>) -> Rc<str> {
        let aliases = &mut self.connection(link).aliases_in;
        let topic: Option<Rc<str>> = publish.topic_name.map(|topic| topic.as_str().into());
        match (publish.properties.topic_alias(), topic) {
            (Some(alias), Some(topic)) => {
                aliases.insert(alias, Rc::clone(&topic));
                topic
            }
            (Some(alias), None) => {
                let topic = Rc::clone(&aliases[&alias]);
                self.tally.count("aliases used by clients");
                topic
            }
            (None, topic) => topic.expect("a PUBLISH without alias has a Topic Name"),
        }
    }

    fn accept_of(&mut self, link: LinkId, publish: &Publish<'_>, topic: Rc<str>) -> Check<Accept> {
        let Some(key) = MessageKey::of(&topic, publish.payload) else {
            return own_fault(link, "a message without number");
        };
        let at = self.moment;
        let connection = self.connection(link);
        let expiry_s = publish.properties.message_expiry_interval_s();
        Ok(Accept {
            key,
            publisher: Rc::clone(&connection.client),
            shard: connection.shard,
            at,
            topic,
            qos: publish.qos,
            retain: publish.retain,
            expires_at_ms: expiry_s.map(|seconds| at.now_ms + u64::from(seconds) * 1_000),
            expiry_s,
            payload: publish.payload.into(),
            properties: Forwarded::of(&publish.properties),
            is_sure: !connection.is_rogue(),
            is_acknowledged: false,
            is_refused: false,
            settled: Vec::new(),
            will_call: None,
            quiet_before: 0,
            quiet: None,
        })
    }

    fn accept_sent(&mut self, accept: Accept) -> usize {
        self.tally.count("messages accepted");
        if accept.qos == QoS::ExactlyOnce {
            self.tally.count("QoS 2 messages accepted");
        }
        self.accept(accept)
    }

    /// The broker has taken over a message, or published a Will. Returns its number.
    pub(crate) fn accept(&mut self, accept: Accept) -> usize {
        if accept.retain {
            let what =
                if accept.payload.is_empty() { "retained messages deleted" } else { "retained messages set" };
            self.tally.count(what);
        }
        let (shard, topic, retain) = (accept.shard, Rc::clone(&accept.topic), accept.retain);
        let number = self.messages.accept(accept);
        if retain {
            self.retained.note(&topic, number);
        }
        self.groups.note(&topic, number);
        self.settle(number, shard);
        number
    }

    /// The receivers of a message in one shard are chosen: notes who must get it. [MQTT-4.5.0-1]
    pub(crate) fn settle(&mut self, number: usize, shard: usize) {
        let accept = self.messages.get(number);
        if !accept.is_sure {
            return;
        }
        let last = accept.settled_in(shard);
        for &index in self.living.values() {
            let session = &mut self.sessions[index];
            if session.shard == shard && session.outcomes(accept, last).iter().all(Option::is_some) {
                session.owed.insert(number);
                session.unchecked.push(number);
            }
        }
    }

    fn reads_puback(&mut self, link: LinkId, ack: &Ack<'_>) {
        let number = self.number(link);
        let session = &mut self.sessions[number];
        let is_awaited =
            session.find_in_flight(ack.packet_id).is_some_and(|in_flight| in_flight.qos == QoS::AtLeastOnce);
        if is_awaited && let Some(in_flight) = session.remove_in_flight(ack.packet_id) {
            session.deliveries[in_flight.delivery].is_acknowledged = true;
            self.connection(link).uncount(ack.packet_id);
        }
    }

    fn reads_pubrec(&mut self, link: LinkId, ack: &Ack<'_>) {
        let number = self.number(link);
        let packet_id = ack.packet_id;
        let session = &mut self.sessions[number];
        let Some(in_flight) = session.find_in_flight(packet_id) else {
            let owed = OwedRelease { packet_id, is_known: false, asked: self.moment.tick }; // 3.6.2.1
            self.connection(link).owed.pubrels.push_back(owed);
            return;
        };
        let delivery = in_flight.delivery;
        if ack.reason_code.is_error() {
            // [MQTT-4.3.3-4]
            session.deliveries[delivery].is_acknowledged = true;
            session.remove_in_flight(packet_id);
            self.connection(link).uncount(packet_id);
            return;
        }
        in_flight.is_released = true;
        session.deliveries[delivery].is_acknowledged = true;
        let owed = OwedRelease { packet_id, is_known: true, asked: self.moment.tick };
        self.connection(link).owed.pubrels.push_back(owed);
    }

    fn reads_subscribe(&mut self, link: LinkId, packet: &Subscribe<'_>) {
        let number = self.number(link);
        let version = self.connection(link).version;
        let id = packet.properties.subscription_identifiers().next();
        let asked = self.moment.tick;
        let mut state: SubState = SubState::clone(self.sessions[number].timeline.latest());
        let mut owed = OwedCodes::default();
        let mut replays = Vec::new();
        for request in packet.iter() {
            let filter: Rc<str> = request.topic_filter.into();
            let shares = &self.sessions[number].shares;
            let is_known = state.contains_key(&filter)
                || shares.get(&filter).is_some_and(|share| share.latest().is_some());
            let count = state.len() + shares.values().filter(|share| share.latest().is_some()).count();
            let has_room = is_known || count < self.settings.subscriptions_max as usize;
            if let Err(code) = self.judge(&request, id, has_room) {
                owed.codes.push(code);
                continue;
            }
            let sub = self.granted(&request, version, id);
            owed.codes
                .push(ReasonCode::from_value(sub.options.qos.value()).expect("a granted QoS is a code"));
            if is_shared(&filter) {
                let change = self.sessions[number].share(&filter, asked, Some(sub));
                self.groups.join(&filter, number);
                owed.shares.push((filter, change));
                continue;
            }
            let old = state.insert(Rc::clone(&filter), sub);
            if is_replay_wanted(sub, old.is_some()) {
                replays.push(ReplayRequest { filter, asked, sub, link, is_checked: false });
            }
        }
        self.tally.count("subscriptions made");
        let session = &mut self.sessions[number];
        owed.change = session.timeline.ask(asked, Rc::new(state));
        session.replays.extend(replays);
        self.connection(link).owed.subacks.insert(packet.packet_id, owed);
    }

    /// Whether the broker takes a Subscription.
    fn judge(
        &self,
        request: &SubscriptionRequest<'_>,
        id: Option<u32>,
        has_room: bool,
    ) -> Result<(), ReasonCode> {
        let settings = &self.settings;
        let filter = TopicFilter::parse(request.topic_filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
        if filter.share().is_some() && !settings.shared_subscription_available {
            return Err(ReasonCode::SharedSubscriptionsNotSupported);
        }
        if filter.has_wildcard() && !settings.wildcard_subscription_available {
            return Err(ReasonCode::WildcardSubscriptionsNotSupported);
        }
        if id.is_some() && !settings.subscription_identifier_available {
            return Err(ReasonCode::SubscriptionIdentifiersNotSupported);
        }
        if !has_room {
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }

    fn granted(&self, request: &SubscriptionRequest<'_>, version: ProtocolVersion, id: Option<u32>) -> Sub {
        let mut options = request.options;
        options.qos = options.qos.min(self.settings.maximum_qos); // [MQTT-3.2.2-10]
        if !version.has_properties() {
            options.no_local = false;
            options.retain_as_published = false;
            options.retain_handling = RetainHandling::SendAtSubscribe;
        }
        Sub { options, id }
    }

    fn reads_unsubscribe(&mut self, link: LinkId, packet: &Unsubscribe<'_>) {
        let number = self.number(link);
        let asked = self.moment.tick;
        let session = &mut self.sessions[number];
        let mut state: SubState = SubState::clone(session.timeline.latest());
        let mut owed = OwedCodes::default();
        for filter in packet.iter() {
            let is_there = match is_shared(filter) {
                false => state.remove(filter).is_some(),
                true => session.shares.get(filter).is_some_and(|share| share.latest().is_some()),
            };
            if is_there && is_shared(filter) {
                let change = session.share(&filter.into(), asked, None);
                owed.shares.push((filter.into(), change));
            }
            owed.codes.push(match TopicFilter::parse(filter) {
                Err(_) => ReasonCode::TopicFilterInvalid,
                Ok(_) if is_there => ReasonCode::Success,
                Ok(_) => ReasonCode::NoSubscriptionExisted,
            });
        }
        owed.change = session.timeline.ask(asked, Rc::new(state));
        self.tally.count("unsubscriptions");
        self.connection(link).owed.unsubacks.insert(packet.packet_id, owed);
    }

    fn reads_disconnect(&mut self, link: LinkId, packet: &Disconnect<'_>) {
        let number = self.number(link);
        if let Some(expiry_s) = packet.properties.session_expiry_interval_s() {
            self.tally.count("expiries changed at DISCONNECT");
            self.sessions[number].expiry_s = expiry_s.min(self.settings.session_expiry_max_s);
        }
        // [MQTT-3.14.4-3]
        let is_will_sent = packet.reason_code != ReasonCode::NORMAL_DISCONNECTION;
        self.tally.count("disconnections");
        self.ends_connection(link, is_will_sent);
    }
}

fn is_replay_wanted(sub: Sub, is_known: bool) -> bool {
    match sub.options.retain_handling {
        RetainHandling::SendAtSubscribe => true, // [MQTT-3.3.1-9]
        RetainHandling::SendIfNew => !is_known,  // [MQTT-3.3.1-10]
        RetainHandling::DoNotSend => false,      // [MQTT-3.3.1-11]
    }
}

/// The simulation itself is wrong.
fn own_fault<T>(link: LinkId, what: &str) -> Check<T> {
    broken("none", format!("the simulated Client itself is wrong: {what}"), &[&link.to_string()])
}
