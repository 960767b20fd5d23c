//! What a Client does with each packet of the Server (3.2 to 3.7, 3.9, 3.11, 3.13 to 3.15).

use alloc::string::String;
use alloc::vec::Vec;

use dunlin_packet::acks::Ack;
use dunlin_packet::auth::Auth;
use dunlin_packet::connack::Connack;
use dunlin_packet::disconnect::Disconnect;
use dunlin_packet::packet::{Packet, PacketType};
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::property::list::PropertyList;
use dunlin_packet::publish::Publish;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::suback::ReasonCodes;
use dunlin_packet::topic::name::TopicName;
use dunlin_packet::version::ProtocolVersion;

use crate::client::Client;
use crate::client::connection::{Connection, State};
use crate::client::event::{
    CloseCause, Connected, Event, Message, NotPublished, ReceivedMessage, RequestAnswer,
};
use crate::client::properties::Properties;
use crate::error::ServerError;
use crate::inbound::Received;
use crate::keep_alive::KeepAlive;
use crate::limits::Limits;
use crate::outbound::{AckError, Pubrec};
use crate::topic_aliases::OutboundAliases;

impl Client {
    /// Handles one packet; the connection is open.
    pub(super) fn receive(&mut self, packet: &Packet<'_>) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if connection.state == State::AwaitingConnack {
            return match packet {
                Packet::Connack(connack) => self.receive_connack(connack),
                Packet::Auth(auth) => self.receive_auth(auth),
                packet => Err(ServerError::BeforeConnack(packet.packet_type())), // [MQTT-3.2.0-1] [MQTT3-3.2.0-1]
            };
        }
        match packet {
            Packet::Publish(publish) => self.receive_publish(publish),
            Packet::Puback(ack) => self.receive_puback(ack),
            Packet::Pubrec(ack) => self.receive_pubrec(ack),
            Packet::Pubrel(ack) => self.receive_pubrel(ack),
            Packet::Pubcomp(ack) => self.receive_pubcomp(ack),
            Packet::Suback(suback) => {
                let answer = self.answer(
                    PacketType::Suback,
                    suback.packet_id,
                    &suback.reason_codes,
                    &suback.properties,
                )?;
                self.events.push_back(Event::Subscribed(answer));
                Ok(())
            }
            Packet::Unsuback(unsuback) => {
                let codes = &unsuback.reason_codes;
                let answer =
                    self.answer(PacketType::Unsuback, unsuback.packet_id, codes, &unsuback.properties)?;
                self.events.push_back(Event::Unsubscribed(answer));
                Ok(())
            }
            Packet::Pingresp => {
                connection.keep_alive.pingresp_received();
                Ok(())
            }
            Packet::Disconnect(disconnect) => self.receive_disconnect(disconnect),
            Packet::Auth(auth) => self.receive_auth(auth),
            Packet::Connack(_) => Err(ServerError::SecondConnack), // [MQTT-3.2.0-2]
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Pingreq => {
                Err(ServerError::UnexpectedPacket(packet.packet_type()))
            }
        }
    }

    fn receive_connack(&mut self, connack: &Connack<'_>) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let properties = Properties::from(&connack.properties);
        if connack.reason_code.is_error() {
            // [MQTT-4.13.2-1]
            self.close(CloseCause::Refused { reason_code: connack.reason_code, properties });
            return Ok(());
        }
        let method = connack.properties.authentication_method();
        if method.is_some() && method != connection.authentication_method.as_deref() {
            return Err(ServerError::AuthenticationMethodChanged); // [MQTT-4.12.0-5]
        }
        let may_be_present = self.session.exists && !connection.clean_start;
        let session_present = match connection.version {
            // Version 3.1 does not tell: it goes on with what it should have.
            ProtocolVersion::V3_1 => may_be_present,
            _ => connack.session_present,
        };
        if session_present && !may_be_present {
            return Err(ServerError::SessionPresent); // [MQTT-3.2.2-4]
        }
        accept(connection, connack, self.config.topic_aliases_max);
        let (limits, keep_alive_s) = (connection.server, connection.keep_alive_s);
        let own_receive_maximum = connection.own.receive_maximum;
        self.events.push_back(Event::Connected(Connected {
            session_present,
            limits,
            keep_alive_s,
            properties,
        }));
        if !session_present {
            self.lose_session(); // [MQTT-3.2.2-5] [MQTT-3.1.2-4] [MQTT3-3.1.2-6]
        }
        self.session.exists = true;
        self.session.outbound.connect(limits.receive_maximum); // [MQTT-3.3.4-7] [MQTT-4.9.0-1]
        self.session.inbound.connect(own_receive_maximum);
        self.resend();
        Ok(())
    }

    /// Forgets the Session and says what has become of each message.
    fn lose_session(&mut self) {
        self.session.inbound.clear();
        let outbound = &mut self.session.outbound;
        let unfinished: Vec<_> = outbound.iter().map(|one| (one.packet_id, one.message.is_some())).collect();
        let mut messages = outbound.drain();
        for (packet_id, has_message) in unfinished {
            let message = if has_message { messages.next() } else { None };
            let event = match message {
                Some((_, message)) => {
                    Event::NotPublished { packet_id, message, reason: NotPublished::SessionLost }
                }
                // PUBREC came: the message was the Server's before.
                None => published(packet_id, ReasonCode::Success, &PropertyList::EMPTY),
            };
            self.events.push_back(event);
        }
    }

    fn receive_publish(&mut self, publish: &Publish<'_>) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let topic_name = publish.topic_name.map(TopicName::as_str);
        let alias = publish.properties.topic_alias();
        let topic_name =
            connection.inbound_aliases.resolve(topic_name, alias).map_err(ServerError::TopicAlias)?;
        let received =
            self.session.inbound.publish(publish.qos, publish.packet_id).map_err(ServerError::Publish)?;
        if received == Received::New {
            let message = Message {
                topic_name: String::from(topic_name),
                qos: publish.qos,
                retain: publish.retain,
                payload: publish.payload.to_vec(),
                properties: Properties::from(&publish.properties),
            };
            let (dup, packet_id) = (publish.dup, publish.packet_id);
            self.events.push_back(Event::Message(ReceivedMessage { message, dup, packet_id }));
        }
        // In the order of receipt. [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]
        match (publish.qos, publish.packet_id) {
            // [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.5.0-2] [MQTT3-3.3.4-1] [MQTT3-4.3.2-2] [MQTT3-4.5.0-2]
            (QoS::AtLeastOnce, Some(packet_id)) => {
                connection.acknowledge(PacketType::Puback, packet_id, ReasonCode::Success);
                self.session.inbound.acknowledged(packet_id);
            }
            // [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT3-4.3.3-2]
            (QoS::ExactlyOnce, Some(packet_id)) => {
                connection.acknowledge(PacketType::Pubrec, packet_id, ReasonCode::Success);
            }
            _ => {}
        }
        Ok(())
    }

    fn receive_puback(&mut self, ack: &Ack<'_>) -> Result<(), ServerError> {
        match self.session.outbound.puback(ack.packet_id) {
            Ok(_) => self.events.push_back(published(ack.packet_id, ack.reason_code, &ack.properties)),
            Err(AckError::UnknownPacketId) => {}
            Err(AckError::WrongPacket) => return Err(ServerError::WrongAcknowledgement(PacketType::Puback)),
        }
        self.resend();
        Ok(())
    }

    fn receive_pubrec(&mut self, ack: &Ack<'_>) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        match self.session.outbound.pubrec(ack.packet_id, ack.reason_code.is_error()) {
            // In the order of the PUBRECs. [MQTT-4.3.3-4] [MQTT-4.6.0-4] [MQTT3-4.6.0-4]
            Ok(Pubrec::Release(_) | Pubrec::AlreadyReleased) => {
                connection.acknowledge(PacketType::Pubrel, ack.packet_id, ReasonCode::Success);
            }
            Ok(Pubrec::Refused(_)) => {
                self.events.push_back(published(ack.packet_id, ack.reason_code, &ack.properties));
                self.resend();
            }
            Err(AckError::UnknownPacketId) if ack.reason_code.is_error() => {}
            Err(AckError::UnknownPacketId) => {
                connection.acknowledge(
                    PacketType::Pubrel,
                    ack.packet_id,
                    ReasonCode::PacketIdentifierNotFound,
                );
            }
            Err(AckError::WrongPacket) => return Err(ServerError::WrongAcknowledgement(PacketType::Pubrec)),
        }
        Ok(())
    }

    fn receive_pubrel(&mut self, ack: &Ack<'_>) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let reason_code = match self.session.inbound.pubrel(ack.packet_id) {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        connection.acknowledge(PacketType::Pubcomp, ack.packet_id, reason_code); // [MQTT-4.3.3-11]
        Ok(())
    }

    fn receive_pubcomp(&mut self, ack: &Ack<'_>) -> Result<(), ServerError> {
        match self.session.outbound.pubcomp(ack.packet_id) {
            // Since PUBREC the message is the Server's, even if it has forgotten the identifier meanwhile.
            Ok(()) => self.events.push_back(published(ack.packet_id, ReasonCode::Success, &ack.properties)),
            Err(AckError::UnknownPacketId) => {}
            Err(AckError::WrongPacket) => return Err(ServerError::WrongAcknowledgement(PacketType::Pubcomp)),
        }
        self.resend();
        Ok(())
    }

    fn answer(
        &mut self,
        packet_type: PacketType,
        packet_id: PacketId,
        codes: &ReasonCodes<'_>,
        properties: &PropertyList<'_>,
    ) -> Result<RequestAnswer, ServerError> {
        let unknown = ServerError::UnknownRequest(packet_type);
        let connection = self.connection.as_mut().ok_or(unknown)?;
        let is_it = |packet_id_of: PacketId, answer| packet_id_of == packet_id && answer == packet_type;
        let index = connection.requests.iter().position(|request| is_it(request.packet_id, request.answer));
        let request = connection.requests.swap_remove(index.ok_or(unknown)?);
        self.session.outbound.release(packet_id);
        let reason_codes: Vec<_> = codes.iter().collect();
        // UNSUBACK has no Reason Codes before version 5.0.
        let has_codes = packet_type == PacketType::Suback || connection.version.has_properties();
        if has_codes && reason_codes.len() != request.filters {
            return Err(ServerError::ReasonCodeCount(packet_type)); // [MQTT-3.8.4-6] [MQTT-3.11.3-1]
        }
        Ok(RequestAnswer { packet_id, reason_codes, properties: Properties::from(properties) })
    }

    fn receive_auth(&mut self, auth: &Auth<'_>) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let Some(expected) = connection.authentication_method.as_deref() else {
            return Err(ServerError::AuthNotAsked); // [MQTT-4.12.0-6]
        };
        if auth.properties.authentication_method().is_some_and(|method| method != expected) {
            return Err(ServerError::AuthenticationMethodChanged); // [MQTT-4.12.0-5]
        }
        match (auth.reason_code, connection.state) {
            (ReasonCode::ContinueAuthentication, _) | (ReasonCode::Success, State::Connected) => {
                let properties = Properties::from(&auth.properties);
                self.events.push_back(Event::Auth { reason_code: auth.reason_code, properties });
                Ok(())
            }
            (reason_code, _) => Err(ServerError::UnexpectedAuth(reason_code)), // [MQTT-4.12.0-2]
        }
    }

    fn receive_disconnect(&mut self, disconnect: &Disconnect<'_>) -> Result<(), ServerError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if !connection.version.has_properties() {
            return Err(ServerError::UnexpectedPacket(PacketType::Disconnect));
        }
        if disconnect.properties.session_expiry_interval_s().is_some() {
            return Err(ServerError::SessionExpiryInDisconnect); // [MQTT-3.14.2-2]
        }
        let properties = Properties::from(&disconnect.properties);
        self.close(CloseCause::ByServer { reason_code: disconnect.reason_code, properties });
        Ok(())
    }
}

/// Takes over what CONNACK agreed on.
fn accept(connection: &mut Connection, connack: &Connack<'_>, topic_aliases_max: u16) {
    let limits = Limits::from_connack(connack);
    connection.state = State::Connected;
    connection.is_accepted = true;
    connection.server = limits;
    if let Some(interval_s) = limits.server_keep_alive_s {
        connection.keep_alive_s = interval_s; // [MQTT-3.1.2-21] [MQTT-3.2.2-21]
    }
    if let Some(interval_s) = limits.session_expiry_interval_s {
        connection.session_expiry_interval_s = interval_s;
    }
    connection.keep_alive.agree(KeepAlive { interval_s: connection.keep_alive_s });
    // [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-9]
    connection.outbound_aliases = OutboundAliases::new(limits.topic_alias_maximum.min(topic_aliases_max));
}

pub(super) fn published(
    packet_id: PacketId,
    reason_code: ReasonCode,
    properties: &PropertyList<'_>,
) -> Event {
    Event::Published { packet_id, reason_code, properties: Properties::from(properties) }
}
