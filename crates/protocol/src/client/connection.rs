//! What a Client knows only as long as one Network Connection lasts.

use alloc::string::String;
use alloc::vec::Vec;

use dunlin_packet::acks::Ack;
use dunlin_packet::connect::Connect;
use dunlin_packet::error::EncodeError;
use dunlin_packet::packet::{Packet, PacketType};
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::property::identifier::PropertyId;
use dunlin_packet::property::list::{Property, PropertyList};
use dunlin_packet::publish::Publish;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::topic::name::TopicName;
use dunlin_packet::version::ProtocolVersion;

use crate::client::config::{Config, REQUESTS_MAX};
use crate::client::event::Message;
use crate::error::RequestError;
use crate::keep_alive::{ClientKeepAlive, KeepAlive};
use crate::limits::Limits;
use crate::time::Instant;
use crate::topic_aliases::{AliasChoice, InboundAliases, OutboundAliases};

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) version: ProtocolVersion,
    pub(super) state: State,
    /// CONNACK has accepted the connection.
    pub(super) is_accepted: bool,
    pub(super) opened: Instant,
    /// The latest time the owner told.
    pub(super) now: Instant,
    pub(super) keep_alive: ClientKeepAlive,
    pub(super) keep_alive_s: u16,
    pub(super) clean_start: bool,
    /// Seconds the Session lives on without a connection, as DISCONNECT or CONNECT last said.
    pub(super) session_expiry_interval_s: u32,
    pub(super) authentication_method: Option<String>,
    /// What this end told the Server it takes.
    pub(super) own: Limits,
    /// What the Server takes; defaults until CONNACK.
    pub(super) server: Limits,
    /// Bytes received and not yet handled: an unfinished packet, or packets waiting for room for their events.
    pub(super) input: Vec<u8>,
    pub(super) inbound_aliases: InboundAliases,
    pub(super) outbound_aliases: OutboundAliases,
    pub(super) requests: Vec<Request>,
    pub(super) output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    AwaitingConnack,
    Connected,
    /// The last packet is in the output, or there is none; nothing more is read.
    Closed,
}

/// A SUBSCRIBE or UNSUBSCRIBE without answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) packet_id: PacketId,
    /// SUBACK or UNSUBACK.
    pub(super) answer: PacketType,
    pub(super) filters: usize,
}

/// Encoded packets that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Connection {
    pub(super) fn new(now: Instant, connect: &Connect<'_>, config: &Config) -> Self {
        let mut own = Limits::from_connect(connect);
        own.maximum_packet_size = own.maximum_packet_size.min(config.packet_bytes_max);
        Self {
            version: connect.version,
            state: State::AwaitingConnack,
            is_accepted: false,
            opened: now,
            now,
            keep_alive: ClientKeepAlive::new(KeepAlive { interval_s: 0 }, now),
            keep_alive_s: connect.keep_alive_s,
            clean_start: connect.clean_start,
            session_expiry_interval_s: session_expiry_interval_s(connect),
            authentication_method: connect.properties.authentication_method().map(String::from),
            own,
            server: Limits::default(),
            input: Vec::new(),
            // Aliases end with their connection. [MQTT-3.3.2-7]
            inbound_aliases: InboundAliases::new(own.topic_alias_maximum),
            outbound_aliases: OutboundAliases::new(0),
            requests: Vec::new(),
            output: Output::default(),
        }
    }

    /// Writes `packet`, if the Server takes packets of its size. [MQTT-3.2.2-15]
    pub(super) fn write(&mut self, packet: &Packet<'_>) -> Result<(), RequestError> {
        let len = packet.encoded_len(self.version)?;
        self.check_len(len)?;
        self.put(packet)
    }

    /// Writes PUBACK, PUBREC, PUBREL or PUBCOMP. These few bytes do not ask for the Server's Maximum Packet Size: a
    /// Server that does not take them cannot take part in QoS 1 and 2 at all.
    pub(super) fn acknowledge(
        &mut self,
        packet_type: PacketType,
        packet_id: PacketId,
        reason_code: ReasonCode,
    ) {
        let ack = Ack::with_reason(packet_id, reason_code);
        let packet = match packet_type {
            PacketType::Puback => Packet::Puback(ack),
            PacketType::Pubrec => Packet::Pubrec(ack),
            PacketType::Pubrel => Packet::Pubrel(ack),
            _ => Packet::Pubcomp(ack),
        };
        self.put(&packet).expect("an acknowledgement without properties is always sound");
    }

    /// Writes PINGREQ.
    pub(super) fn ping(&mut self) {
        self.put(&Packet::Pingreq).expect("PINGREQ has nothing that could be wrong");
        self.keep_alive.ping_sent(self.now);
    }

    /// Writes a PUBLISH for `message`, with a Topic Alias where that helps.
    pub(super) fn publish(
        &mut self,
        packet_id: Option<PacketId>,
        dup: bool,
        message: &Message,
    ) -> Result<(), RequestError> {
        let mut packet = publish_packet(packet_id, dup, message)?;
        let len = packet.encoded_len(self.version)?;
        self.check_len(len)?;
        // An alias is not worth a packet that gets too large by it.
        let has_room = self.check_len(len + ALIAS_LEN_MAX).is_ok();
        let choice = match has_room {
            true => self.outbound_aliases.choose(&message.topic_name),
            false => AliasChoice::None,
        };
        let alias = match choice {
            AliasChoice::None => return self.put(&Packet::Publish(packet)),
            AliasChoice::New(alias) => alias,
            AliasChoice::Known(alias) => {
                packet.topic_name = None;
                alias
            }
        };
        let items = [Property::TopicAlias(alias)];
        packet.properties = PropertyList::with_encoded(&items, message.properties.list().encoded());
        self.put(&Packet::Publish(packet))
    }

    /// Whether the Server takes `message`.
    pub(super) fn check(&self, message: &Message) -> Result<(), RequestError> {
        if message.qos > self.server.maximum_qos {
            return Err(RequestError::QoSNotSupported { maximum: self.server.maximum_qos }); // [MQTT-3.2.2-11]
        }
        if message.retain && !self.server.is_retain_available {
            return Err(RequestError::RetainNotSupported); // [MQTT-3.2.2-14]
        }
        self.check_properties(&message.properties.list())?;
        let is_forbidden = |id| message.properties.list().find(id).is_some();
        if is_forbidden(PropertyId::TopicAlias) || is_forbidden(PropertyId::SubscriptionIdentifier) {
            return Err(RequestError::PropertyNotAllowed); // [MQTT-3.3.4-6]
        }
        let packet_id = (message.qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let len = publish_packet(packet_id, false, message)?.encoded_len(self.version)?;
        self.check_len(len)
    }

    pub(super) fn check_properties(&self, properties: &PropertyList<'_>) -> Result<(), RequestError> {
        match properties.is_empty() || self.version.has_properties() {
            true => Ok(()),
            false => Err(RequestError::NoProperties),
        }
    }

    pub(super) fn check_request_room(&self) -> Result<(), RequestError> {
        match self.requests.len() < REQUESTS_MAX {
            true => Ok(()),
            false => Err(RequestError::TooManyRequests),
        }
    }

    /// Whether the Session outlives this connection. [MQTT-3.1.2-23] [MQTT3-3.1.2-6]
    pub(super) fn keeps_session(&self) -> bool {
        if self.version.has_properties() { self.session_expiry_interval_s > 0 } else { !self.clean_start }
    }

    fn check_len(&self, len: usize) -> Result<(), RequestError> {
        let maximum = self.server.maximum_packet_size;
        if len > maximum as usize { Err(RequestError::PacketTooLarge { len, maximum }) } else { Ok(()) }
    }

    fn put(&mut self, packet: &Packet<'_>) -> Result<(), RequestError> {
        self.output.put(packet, self.version)?;
        self.keep_alive.sent(self.now);
        Ok(())
    }
}

impl Output {
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn written(&mut self, len: usize) {
        self.written = (self.written + len).min(self.bytes.len());
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(OUTPUT_BYTES_KEPT);
            self.written = 0;
        }
    }

    fn put(&mut self, packet: &Packet<'_>, version: ProtocolVersion) -> Result<(), EncodeError> {
        packet.encode(version, &mut self.bytes)
    }
}

fn publish_packet(
    packet_id: Option<PacketId>,
    dup: bool,
    message: &Message,
) -> Result<Publish<'_>, RequestError> {
    let topic_name = TopicName::parse(&message.topic_name).map_err(RequestError::InvalidTopicName)?;
    let Message { qos, retain, payload, properties, .. } = message;
    let (qos, retain, properties) = (*qos, *retain, properties.list());
    Ok(Publish { dup, qos, retain, topic_name: Some(topic_name), packet_id, properties, payload })
}

fn session_expiry_interval_s(connect: &Connect<'_>) -> u32 {
    connect.properties.session_expiry_interval_s().unwrap_or(0)
}

/// The property itself, and one byte more each for Property Length and Remaining Length.
const ALIAS_LEN_MAX: usize = 5;
/// An output buffer that was larger gives the rest back when it is empty.
const OUTPUT_BYTES_KEPT: usize = 64 * 1024;
