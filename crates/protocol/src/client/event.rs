//! What a Client tells its owner.

use alloc::string::String;
use alloc::vec::Vec;

use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;

use crate::client::properties::Properties;
use crate::error::{RequestError, ServerError};
use crate::limits::Limits;

/// An Application Message, as it is sent or received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The Topic Name, in full also where a Topic Alias stood for it.
    pub topic_name: String,
    /// The QoS of this hop.
    pub qos: QoS,
    /// RETAIN: keep it as the Retained Message; or: it is one, or was published as one (3.3.1.3).
    pub retain: bool,
    /// The payload.
    pub payload: Vec<u8>,
    /// Properties of PUBLISH; none before version 5.0.
    pub properties: Properties,
}

impl Message {
    /// A message without RETAIN and without properties.
    #[must_use]
    pub fn new(topic_name: impl Into<String>, qos: QoS, payload: impl Into<Vec<u8>>) -> Self {
        let (topic_name, payload) = (topic_name.into(), payload.into());
        Self { topic_name, qos, retain: false, payload, properties: Properties::EMPTY }
    }
}

/// A message from the Server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceivedMessage {
    /// The message.
    pub message: Message,
    /// The Server sent it before; with QoS 1 this Client may have seen it.
    pub dup: bool,
    /// The Packet Identifier, with QoS 1 and 2.
    pub packet_id: Option<PacketId>,
}

/// What has happened. Events come in the order of the packets that caused them.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// CONNACK came and the Server accepts the connection: requests can be made.
    Connected(Connected),
    /// A message came; its acknowledgement is on the way.
    Message(ReceivedMessage),
    /// A message with QoS 1 or 2 has been acknowledged for good. It is the Server's, unless the Reason Code is an
    /// error: then the Server refused it.
    Published {
        /// What [`Client::publish`](crate::client::Client::publish) returned.
        packet_id: PacketId,
        /// Success, No matching subscribers, or an error.
        reason_code: ReasonCode,
        /// Properties of the PUBACK, PUBREC or PUBCOMP.
        properties: Properties,
    },
    /// A message with QoS 1 or 2 will not be sent again, and whether the Server has it is not known.
    NotPublished {
        /// What [`Client::publish`](crate::client::Client::publish) returned.
        packet_id: PacketId,
        /// The message.
        message: Message,
        /// Why.
        reason: NotPublished,
    },
    /// SUBACK came.
    Subscribed(RequestAnswer),
    /// UNSUBACK came. Before version 5.0 it has no Reason Codes.
    Unsubscribed(RequestAnswer),
    /// AUTH came (4.12).
    Auth {
        /// Continue authentication: answer with [`Client::auth`](crate::client::Client::auth). Success: the
        /// re-authentication is done.
        reason_code: ReasonCode,
        /// Authentication Data and the rest.
        properties: Properties,
    },
    /// The Network Connection is over: write what [`Client::poll_output`](crate::client::Client::poll_output) has left,
    /// then close it.
    Closed(CloseCause),
}

/// What CONNACK said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connected {
    /// The Server goes on with the Session. If not, its Subscriptions are gone and have to be made again.
    pub session_present: bool,
    /// What the Server can take.
    pub limits: Limits,
    /// Keep Alive in seconds, the Server's if it asked for one.
    pub keep_alive_s: u16,
    /// Assigned Client Identifier, Reason String, Response Information and so on.
    pub properties: Properties,
}

/// What SUBACK or UNSUBACK said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestAnswer {
    /// What the request returned.
    pub packet_id: PacketId,
    /// One for each Topic Filter, in order.
    pub reason_codes: Vec<ReasonCode>,
    /// Properties of the answer.
    pub properties: Properties,
}

/// Why a message was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotPublished {
    /// The Server has no memory of the Session any more. [MQTT-3.2.2-5]
    SessionLost,
    /// After a reconnect the Server takes less than before.
    Unsendable(RequestError),
}

/// Why a Network Connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CloseCause {
    /// The owner asked for it.
    ByClient,
    /// CONNACK refused the connection. Before version 5.0 the return code is given as the Reason Code that says the same.
    Refused {
        /// Why.
        reason_code: ReasonCode,
        /// Reason String, Server Reference and so on.
        properties: Properties,
    },
    /// The Server sent DISCONNECT.
    ByServer {
        /// Why.
        reason_code: ReasonCode,
        /// Reason String, Server Reference and so on.
        properties: Properties,
    },
    /// The Server broke a rule.
    ServerError(ServerError),
    /// No CONNACK in time.
    NoConnack,
    /// No PINGRESP in time.
    NoPingresp,
    /// The Network Connection ended without a word.
    Lost,
}
