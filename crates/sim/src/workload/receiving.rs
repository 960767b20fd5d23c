//! What a Client does with what the Server sends.

use dunlin_packet::{
    acks::Ack,
    auth::Auth,
    connack::Connack,
    fixed_header::Frame,
    packet::Packet,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
};
use dunlin_protocol::{
    inbound::Received,
    limits::Limits,
    outbound::{Pubrec, Resend},
    topic_aliases::OutboundAliases,
};

use crate::{
    network::End,
    oracle::words::{Check, broken},
    workload::client::{Answer, Client, Scene},
};

impl Client {
    /// Reads at most `max` bytes and handles the packets that are whole.
    ///
    /// # Errors
    /// If the Server sends what a Client cannot take.
    pub fn read(&mut self, scene: &mut Scene<'_>, max: usize) -> Check {
        let Some(attached) = &mut self.attached else { return Ok(()) };
        let link = attached.link;
        let (bytes, end) = scene.network.receive(link, max);
        attached.buffer.extend_from_slice(&bytes);
        let buffer = std::mem::take(&mut attached.buffer);
        let mut rest = &buffer[..];
        loop {
            let frame = match Frame::split(rest, u32::MAX) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return self.cannot_take("MQTT-4.13.1-1", &error.to_string()),
            };
            rest = &rest[frame.encoded_len..];
            match Packet::decode(self.version, frame) {
                Ok(packet) => self.takes(scene, &packet)?,
                Err(error) => return self.cannot_take("MQTT-4.13.1-1", &error.to_string()),
            }
            if self.attached.as_ref().is_none_or(|attached| attached.link != link) {
                return Ok(());
            }
        }
        if let Some(attached) = &mut self.attached {
            attached.buffer = rest.to_vec();
        }
        if end.is_some() {
            scene.trace.note(|| format!("{} sees the end of {link}", self.id));
            scene.network.close(link, End::Closed, scene.random);
            self.attached = None;
        }
        Ok(())
    }

    fn cannot_take(&self, clause: &'static str, what: &str) -> Check {
        broken(clause, format!("{} cannot take what the broker sent: {what}", self.id), &[&self.id])
    }

    fn takes(&mut self, scene: &mut Scene<'_>, packet: &Packet<'_>) -> Check {
        match packet {
            Packet::Connack(connack) => self.takes_connack(scene, connack),
            Packet::Publish(publish) => return self.takes_publish(scene, publish),
            Packet::Puback(ack) => {
                if self.outbound.puback(ack.packet_id).is_err() {
                    return self.cannot_take("MQTT-4.3.2-4", &format!("PUBACK {}", ack.packet_id.value()));
                }
                self.send_again(scene);
            }
            Packet::Pubrec(ack) => self.takes_pubrec(scene, ack),
            Packet::Pubrel(ack) => {
                let code = match self.inbound.pubrel(ack.packet_id) {
                    true => ReasonCode::Success,
                    false => ReasonCode::PacketIdentifierNotFound,
                };
                self.answer(&Packet::Pubcomp(Ack::with_reason(ack.packet_id, code)), None);
            }
            // One for an identifier that it never used is the answer to an odd PUBREL.
            Packet::Pubcomp(ack) if self.outbound.pubcomp(ack.packet_id).is_ok() => self.send_again(scene),
            Packet::Suback(suback) => self.takes_answer(suback.packet_id),
            Packet::Unsuback(unsuback) => self.takes_answer(unsuback.packet_id),
            Packet::Disconnect(_) => {
                let Some(attached) = self.attached.take() else { return Ok(()) };
                scene.network.close(attached.link, End::Closed, scene.random);
            }
            Packet::Auth(auth) => self.takes_auth(scene, auth),
            _ => {}
        }
        Ok(())
    }

    fn takes_connack(&mut self, scene: &mut Scene<'_>, connack: &Connack<'_>) {
        let Some(attached) = &mut self.attached else { return };
        if connack.reason_code.is_error() {
            return; // The Server closes the connection. [MQTT-3.2.2-7]
        }
        attached.is_connected = true;
        self.has_forgotten = false;
        attached.is_authenticating = false;
        if self.version.has_properties() {
            attached.limits = Limits::from_connack(connack);
        }
        let aliases = attached.limits.topic_alias_maximum.min(8);
        attached.aliases_out = OutboundAliases::new(aliases);
        if let Some(seconds) = attached.limits.server_keep_alive_s {
            attached.keep_alive_s = seconds; // [MQTT-3.1.2-21]
        }
        if let Some(id) = connack.properties.assigned_client_identifier() {
            id.clone_into(&mut self.id);
        }
        // What CONNACK says can mislead, and 3.1 says nothing: a new Session may have begun with a CONNACK that was lost.
        // The simulation knows better.
        let session = scene.oracle.session_on(attached.link);
        let is_present = session.is_some() && self.session == session;
        self.session = session;
        let receive_maximum = attached.limits.receive_maximum;
        if !is_present {
            self.forget_session(); // [MQTT-3.2.2-5]
        }
        self.outbound.connect(receive_maximum);
        let own_maximum = self.character.receive_maximum.filter(|_| self.version.has_properties());
        self.inbound.connect(own_maximum.unwrap_or(u16::MAX));
        self.send_again(scene);
    }

    /// Sends again what was not acknowledged, as far as the Server's quota allows. [MQTT-4.4.0-1]
    fn send_again(&mut self, scene: &mut Scene<'_>) {
        let mut bytes = Vec::new();
        while let Some(resend) = self.outbound.resend() {
            match resend {
                Resend::Pubrel { packet_id } => {
                    let pubrel = Packet::Pubrel(Ack::success(packet_id));
                    pubrel.encode(self.version, &mut bytes).expect("a short packet");
                }
                Resend::Publish { packet_id, qos, message } => {
                    let publish = message.publish(qos, Some(packet_id), true, &[]);
                    publish.encode(self.version, &mut bytes).expect("it was sent before");
                }
            }
        }
        if !bytes.is_empty() {
            self.send_bytes(scene, &bytes);
        }
    }

    fn takes_publish(&mut self, scene: &mut Scene<'_>, publish: &Publish<'_>) -> Check {
        let Some(attached) = &mut self.attached else { return Ok(()) };
        let name = publish.topic_name.map(|name| name.as_str());
        let link = attached.link;
        if let Err(error) = attached.aliases_in.resolve(name, publish.properties.topic_alias()) {
            return self.cannot_take("MQTT-3.3.2-8", &error.to_string());
        }
        let received = match self.inbound.publish(publish.qos, publish.packet_id) {
            Ok(received) => received,
            Err(error) => return self.cannot_take("MQTT-3.3.4-9", &error.to_string()),
        };
        let may_refuse = self.version.has_properties() && received == Received::New;
        let code = match may_refuse && scene.random.once_in(60) {
            true => scene.random.pick(&[ReasonCode::UnspecifiedError, ReasonCode::QuotaExceeded]),
            false => ReasonCode::Success,
        };
        let Some(packet_id) = publish.packet_id else { return Ok(()) };
        if received == Received::New {
            scene.oracle.takes(link, packet_id, publish.qos, code.is_error())?;
        }
        self.acknowledge(publish.qos, packet_id, code);
        Ok(())
    }

    fn acknowledge(&mut self, qos: QoS, packet_id: PacketId, code: ReasonCode) {
        let ack = Ack::with_reason(packet_id, code);
        if qos == QoS::AtLeastOnce {
            self.answer(&Packet::Puback(ack), Some(packet_id));
            return;
        }
        if code.is_error() {
            self.inbound.refuse(packet_id); // [MQTT-4.3.3-9]
        }
        self.answer(&Packet::Pubrec(ack), None);
    }

    fn takes_pubrec(&mut self, scene: &mut Scene<'_>, ack: &Ack<'_>) {
        let code = match self.outbound.pubrec(ack.packet_id, ack.reason_code.is_error()) {
            Ok(Pubrec::Release(_) | Pubrec::AlreadyReleased) => ReasonCode::Success,
            Ok(Pubrec::Refused(_)) => return self.send_again(scene),
            Err(_) => ReasonCode::PacketIdentifierNotFound,
        };
        self.answer(&Packet::Pubrel(Ack::with_reason(ack.packet_id, code)), None);
    }

    fn takes_answer(&mut self, packet_id: PacketId) {
        if let Some(attached) = &mut self.attached
            && attached.requests.remove(&packet_id)
        {
            self.outbound.release(packet_id);
        }
    }

    fn takes_auth(&mut self, scene: &mut Scene<'_>, auth: &Auth<'_>) {
        if auth.reason_code != ReasonCode::ContinueAuthentication {
            if let Some(attached) = &mut self.attached {
                attached.is_authenticating = false;
            }
            return;
        }
        let items = [Property::AuthenticationMethod("echo"), Property::AuthenticationData(b"ok")];
        let properties = PropertyList::from_items(&items);
        self.send(scene, &Packet::Auth(Auth { reason_code: ReasonCode::ContinueAuthentication, properties }));
    }

    /// Puts an answer behind the others.
    pub(crate) fn answer(&mut self, packet: &Packet<'_>, finishes: Option<PacketId>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("an answer is a right packet");
        if let Some(attached) = &mut self.attached {
            attached.answers.push_back(Answer { bytes, finishes });
        }
    }

    /// Sends at most `max` answers, in order. [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4]
    pub fn send_answers(&mut self, scene: &mut Scene<'_>, max: usize) {
        for _ in 0..max {
            let Some(answer) = self.attached.as_mut().and_then(|attached| attached.answers.pop_front())
            else {
                return;
            };
            self.send_bytes(scene, &answer.bytes);
            if let Some(packet_id) = answer.finishes {
                self.inbound.acknowledged(packet_id);
            }
        }
    }
}
