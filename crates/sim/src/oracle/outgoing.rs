//! What the broker sends: every packet must be allowed there and then, and owed if it is an answer.

use std::rc::Rc;

use dunlin_packet::{
    acks::Ack,
    disconnect::Disconnect,
    fixed_header::Frame,
    packet::Packet,
    packet_identifier::PacketId,
    property::list::PropertyList,
    qos::QoS,
    reason_code::ReasonCode,
    suback::{ReasonCodes, Suback},
    unsuback::Unsuback,
    version::ProtocolVersion,
};

use crate::{
    network::LinkId,
    oracle::{
        connection::{OwedAck, OwedCodes, OwedRelease, Phase},
        messages::Accept,
        session::{Promised, publish_bytes_max},
        state::Oracle,
        subscriptions::matches,
        words::{Check, Tick, broken},
    },
};

impl Oracle {
    /// The broker has written `bytes` to a connection in this call.
    pub(crate) fn writes(&mut self, link: LinkId, bytes: &[u8]) -> Check {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.tick();
            let call = self.call;
            let connection = self.connection(link);
            let (version, name) = (connection.version, connection.name());
            let frame = match Frame::split(rest, connection.asked.maximum_packet_size) {
                Ok(Some(frame)) => frame,
                other => {
                    let promise = format!("{name}: the broker wrote {rest:02x?}: {other:?}");
                    return broken("MQTT-3.1.2-24", promise, &[&name]);
                }
            };
            rest = &rest[frame.encoded_len..];
            if connection.is_silent {
                return broken("MQTT-3.14.4-1", format!("{name}: {frame:?} after DISCONNECT"), &[&name]);
            }
            if connection.phase == Phase::Ended && connection.ended_in != call {
                return broken("none", format!("{name}: {frame:?} after the connection was over"), &[&name]);
            }
            match Packet::decode(version, frame) {
                Ok(packet) => self.writes_packet(link, &packet, frame.encoded_len)?,
                Err(error) => {
                    return broken("MQTT-4.13.1-1", format!("{name}: {frame:02x?}: {error}"), &[&name]);
                }
            }
        }
        Ok(())
    }

    fn writes_packet(&mut self, link: LinkId, packet: &Packet<'_>, encoded_len: usize) -> Check {
        match packet {
            Packet::Connack(_) => return self.writes_connack(link),
            Packet::Publish(publish) => return self.writes_publish(link, publish, encoded_len),
            Packet::Puback(ack) => return self.writes_ack(link, ack, QoS::AtLeastOnce),
            Packet::Pubrec(ack) => return self.writes_ack(link, ack, QoS::ExactlyOnce),
            Packet::Pubrel(ack) => return self.writes_pubrel(link, ack),
            Packet::Pubcomp(ack) => return self.writes_pubcomp(link, ack),
            Packet::Suback(suback) => return self.writes_suback(link, suback),
            Packet::Unsuback(unsuback) => return self.writes_unsuback(link, unsuback),
            Packet::Pingresp => {
                let owed = &mut self.connection(link).owed.pingresps;
                if *owed > 0 {
                    *owed -= 1;
                    return Ok(());
                }
            }
            Packet::Disconnect(disconnect) => return self.writes_disconnect(link, disconnect),
            Packet::Auth(auth) => {
                let connection = self.connection(link);
                let is_asked = connection.is_reauthenticating
                    && connection.asked.method.as_deref() == auth.properties.authentication_method();
                if is_asked {
                    connection.is_reauthenticating = auth.reason_code != ReasonCode::Success;
                    self.tally.count("re-authentications");
                    return Ok(());
                }
            }
            _ => {}
        }
        self.wrong(link, "4.13", format!("{packet:?}, which nobody asked for"))
    }

    /// The broker has sent a packet that it must not send.
    pub(crate) fn wrong(&mut self, link: LinkId, clause: &'static str, what: String) -> Check {
        let connection = self.connection(link);
        let (name, client) = (connection.name(), Rc::clone(&connection.client));
        broken(clause, format!("{name}: the broker sent {what}"), &[&client, &link.to_string()])
    }

    fn writes_connack(&mut self, link: LinkId) -> Check {
        // The first one was looked at when the Client arrived.
        let tick = self.moment.tick;
        let connection = self.connection(link);
        if std::mem::replace(&mut connection.has_connack, true) {
            return self.wrong(link, "MQTT-3.2.0-2", format!("a second CONNACK at {tick}"));
        }
        Ok(())
    }

    /// Reason String and User Properties only if they are welcome. [MQTT-3.1.2-29]
    fn check_problem_information(&mut self, link: LinkId, properties: &PropertyList<'_>) -> Check {
        let is_there = properties.reason_string().is_some() || properties.user_properties().next().is_some();
        if is_there && !self.connection(link).asked.wants_problem_information {
            return self.wrong(link, "MQTT-3.1.2-29", "a Reason String that was not welcome".to_owned());
        }
        Ok(())
    }

    fn writes_ack(&mut self, link: LinkId, ack: &Ack<'_>, qos: QoS) -> Check {
        self.check_problem_information(link, &ack.properties)?;
        let connection = self.connection(link);
        let has_codes = connection.version.has_properties();
        let (owed, clause) = match qos {
            QoS::ExactlyOnce => (&mut connection.owed.pubrecs, "MQTT-4.6.0-3"),
            _ => (&mut connection.owed.pubacks, "MQTT-4.6.0-2"),
        };
        let Some(OwedAck { packet_id, accept, refusal, asked }) = owed.front().copied() else {
            return self.wrong(
                link,
                "4.3",
                format!("an acknowledgement of {} that is not due", ack.packet_id.value()),
            );
        };
        if packet_id != ack.packet_id {
            let what = format!("{} acknowledged before {}", ack.packet_id.value(), packet_id.value());
            return self.wrong(link, clause, what);
        }
        owed.pop_front();
        let is_right = match refusal {
            Some(code) => ack.reason_code == code,
            None => !ack.reason_code.is_error(),
        };
        if !is_right {
            let what = format!("{} for {}, {refusal:?} was expected", ack.reason_code, packet_id.value());
            return self.wrong(link, "3.4.2.1", what);
        }
        let Some(number) = accept else { return Ok(()) };
        self.messages.answer(number, false);
        if qos == QoS::ExactlyOnce {
            self.promises(link, "PUBREC", packet_id, asked);
        }
        if has_codes && ack.reason_code == ReasonCode::NoMatchingSubscribers {
            return self.check_nobody(link, number);
        }
        Ok(())
    }

    /// The broker says that nobody gets a message: nobody may have a Subscription for certain.
    fn check_nobody(&mut self, link: LinkId, number: usize) -> Check {
        let accept = self.messages.get(number);
        let at = accept.at.tick;
        let subscriber =
            self.living.values().map(|&index| &self.sessions[index]).find(|session| {
                session.outcomes(accept, at).iter().all(Option::is_some) && session.opened < at
            });
        match subscriber.map(|session| session.client.to_string()) {
            None => Ok(()),
            Some(client) => {
                let what = format!("No matching subscribers for {}, but {client} subscribes", accept.key);
                self.wrong(link, "3.4.2.1", what)
            }
        }
    }

    fn writes_pubrel(&mut self, link: LinkId, ack: &Ack<'_>) -> Check {
        let packet_id = ack.packet_id;
        let number = self.session_of(link).expect("connected");
        let connection = self.connection(link);
        let place = connection.to_resend.iter().position(|other| *other == packet_id);
        if let Some(owed) = connection.owed.pubrels.pop_front_if(|owed| owed.packet_id == packet_id) {
            // In the order of the PUBRECs. [MQTT-4.6.0-4]
            if let Some(in_flight) = self.sessions[number].find_in_flight(packet_id) {
                in_flight.released_on = Some(link);
            }
            if owed.is_known {
                self.promises(link, "PUBREL", packet_id, owed.asked);
            }
            return self.check_release_code(link, ack, owed.is_known);
        }
        if self.sessions[number].find_in_flight(packet_id).is_none() && self.may_be_unsent(number, packet_id)
        {
            let releases = &mut self.sessions[number].unsent_releases;
            if !releases.contains(&packet_id) {
                releases.push(packet_id);
            }
            self.tally.count("messages released unsent");
            return self.check_release_code(link, ack, true);
        }
        let in_flight = self.sessions[number].find_in_flight(packet_id);
        let connection = self.connections.get_mut(&link).expect("connected");
        let (Some(place), Some(in_flight)) = (place, in_flight) else {
            return self.wrong(link, "4.3.3", format!("PUBREL {} that is not due", packet_id.value()));
        };
        if in_flight.may_be_dropped && !in_flight.is_released {
            // What has become too large counts as sent; PUBREL frees its identifier. [MQTT-3.1.2-25]
            (in_flight.is_released, in_flight.released_on) = (true, Some(link));
            self.tally.count("messages too large released");
            return self.check_release_code(link, ack, true);
        }
        if !in_flight.is_released || in_flight.released_on == Some(link) || place < connection.pubrels_resent
        {
            return self.wrong(link, "MQTT-4.6.0-4", format!("PUBREL {} out of turn", packet_id.value()));
        }
        in_flight.released_on = Some(link);
        connection.pubrels_resent = place + 1;
        self.tally.count("PUBRELs sent again");
        self.check_release_code(link, ack, true)
    }

    /// Whether another message with QoS 2 may have been released that was never sent: it was held back until it was durable,
    /// the Server no longer knows that it was not sent, and it is too large for the Client on this or an earlier
    /// connection. There may be as many of them as there are copies of messages that were too large at some time; each
    /// PUBREL comes again on the next connection until it is answered.
    fn may_be_unsent(&self, number: usize, packet_id: PacketId) -> bool {
        let session = &self.sessions[number];
        let smallest = session.sizes.iter().map(|&(_, maximum)| maximum).min().unwrap_or(u32::MAX);
        if !self.settings.is_durable || !session.is_kept() || smallest == u32::MAX {
            return false;
        }
        if session.unsent_releases.contains(&packet_id) {
            return true;
        }
        let ids = session.timeline.latest().len() + 1;
        let is_too_large = |accept: &&Accept| {
            accept.qos == QoS::ExactlyOnce && publish_bytes_max(accept, ids) > smallest as usize
        };
        // One for the Subscriptions that are not shared, one for each that is, and one for each SUBSCRIBE.
        let copies = |accept: &Accept| {
            let mut outcomes = session.outcomes(accept, Tick::MAX).into_iter().flatten();
            let own = outcomes.any(|outcome| outcome.qos == QoS::ExactlyOnce);
            let shared = session.shares.keys().filter(|filter| matches(filter, &accept.topic));
            let replays = session.replays.iter().filter(|replay| matches(&replay.filter, &accept.topic));
            usize::from(own) + shared.count() + replays.count()
        };
        let accepts = (0..self.messages.len()).map(|number| self.messages.get(number));
        accepts.filter(is_too_large).map(copies).sum::<usize>() > session.unsent_releases.len()
    }

    /// The Session of a Client changes for good: no crash may take that back.
    fn promises(&mut self, link: LinkId, packet: &'static str, packet_id: PacketId, asked: Tick) {
        let Some(number) = self.session_of(link) else { return };
        if self.settings.is_durable && self.sessions[number].is_kept() {
            self.sessions[number].promised = Some(Promised { packet, packet_id, asked, link });
        }
    }

    /// PUBREL and PUBCOMP say 0x92 for an identifier that is not in use (3.6.2.1, 3.7.2.1).
    fn check_release_code(&mut self, link: LinkId, ack: &Ack<'_>, is_known: bool) -> Check {
        self.check_problem_information(link, &ack.properties)?;
        let is_told = self.connection(link).version.has_properties();
        let expected = match is_known || !is_told {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        if ack.reason_code == expected {
            return Ok(());
        }
        let what = format!("{} in place of {expected} for {}", ack.reason_code, ack.packet_id.value());
        self.wrong(link, "3.6.2.1", what)
    }

    fn writes_pubcomp(&mut self, link: LinkId, ack: &Ack<'_>) -> Check {
        match self.connection(link).owed.pubcomps.pop_front() {
            Some(OwedRelease { packet_id, is_known, asked }) if packet_id == ack.packet_id => {
                if is_known {
                    self.promises(link, "PUBCOMP", packet_id, asked);
                }
                self.check_release_code(link, ack, is_known)
            }
            other => self.wrong(link, "MQTT-4.3.3-11", format!("{ack:?}, owed is {other:?}")),
        }
    }

    fn writes_suback(&mut self, link: LinkId, suback: &Suback<'_>) -> Check {
        self.check_problem_information(link, &suback.properties)?;
        let Some(owed) = self.connection(link).owed.subacks.remove(&suback.packet_id) else {
            return self.wrong(link, "MQTT-3.8.4-2", format!("{suback:?}, which is not due"));
        };
        let version = self.connection(link).version;
        let expected = owed.codes.iter().map(|&code| match (version, code.is_error()) {
            (ProtocolVersion::V3_1_1, true) => ReasonCode::UnspecifiedError, // [MQTT3-3.9.3-2]
            (ProtocolVersion::V3_1, true) => ReasonCode::GRANTED_QOS_0,      // 3.1 has no failure.
            (_, _) => code,
        });
        let expected: Vec<_> = expected.collect();
        self.check_codes(link, suback.packet_id, &suback.reason_codes, &expected)?;
        self.answers_changes(link, &owed);
        Ok(())
    }

    /// Subscriptions have changed by now.
    fn answers_changes(&mut self, link: LinkId, owed: &OwedCodes) {
        let tick = self.moment.tick;
        let index = self.session_of(link).expect("connected");
        let session = &mut self.sessions[index];
        session.timeline.answer(owed.change, tick);
        for (filter, change) in &owed.shares {
            if let Some(share) = session.shares.get_mut(filter) {
                share.answer(*change, tick);
            }
        }
    }

    fn writes_unsuback(&mut self, link: LinkId, unsuback: &Unsuback<'_>) -> Check {
        self.check_problem_information(link, &unsuback.properties)?;
        let Some(owed) = self.connection(link).owed.unsubacks.remove(&unsuback.packet_id) else {
            return self.wrong(link, "MQTT-3.10.4-4", format!("{unsuback:?}, which is not due"));
        };
        if self.connection(link).version.has_properties() {
            self.check_codes(link, unsuback.packet_id, &unsuback.reason_codes, &owed.codes)?;
        }
        self.answers_changes(link, &owed);
        Ok(())
    }

    /// One code for each Topic Filter, in order. [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.11.3-1]
    fn check_codes(
        &mut self,
        link: LinkId,
        packet_id: PacketId,
        codes: &ReasonCodes<'_>,
        expected: &[ReasonCode],
    ) -> Check {
        if codes.iter().eq(expected.iter().copied()) {
            return Ok(());
        }
        let what = format!("{codes:?} for {}, expected was {expected:?}", packet_id.value());
        self.wrong(link, "MQTT-3.9.3-1", what)
    }

    fn writes_disconnect(&mut self, link: LinkId, disconnect: &Disconnect<'_>) -> Check {
        let connection = self.connection(link);
        connection.told = Some(disconnect.reason_code);
        connection.is_silent = true;
        if !connection.version.has_properties() || disconnect.properties.session_expiry_interval_s().is_some()
        {
            return self.wrong(link, "MQTT-3.14.2-2", format!("{disconnect:?}"));
        }
        if !connection.is_closing || connection.to_tell.is_none() {
            return self.wrong(link, "MQTT-3.14.4-2", format!("{disconnect:?} and does not close"));
        }
        Ok(())
    }
}
