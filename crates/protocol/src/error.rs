//! What can go wrong for a Client: requests it cannot send, and misdeeds of the Server.

use core::fmt;

use dunlin_packet::error::{DecodeError, EncodeError, TopicError};
use dunlin_packet::packet::PacketType;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;

use crate::inbound::InboundError;
use crate::topic_aliases::AliasError;

/// A request that cannot be sent as things are. Nothing has changed; the connection goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no connection, or CONNACK has not come.
    NotConnected,
    /// CONNECT was sent before on this connection. [MQTT-3.1.0-2]
    SecondConnect,
    /// As many messages are unacknowledged as the Server allows, or older ones have to be sent again first. Ask again
    /// after the next event.
    QuotaUsedUp,
    /// Too much output waits to be written. Write it first.
    OutputFull,
    /// All places for unanswered SUBSCRIBE and UNSUBSCRIBE packets are taken. Ask again after the next event.
    TooManyRequests,
    /// The Topic Name is none.
    InvalidTopicName(TopicError),
    /// A Topic Filter is none.
    InvalidTopicFilter {
        /// Its place in the request, from 0.
        index: usize,
        /// What is wrong with it.
        error: TopicError,
    },
    /// The packet is larger than the Server takes. [MQTT-3.2.2-15]
    PacketTooLarge {
        /// Bytes of the packet.
        len: usize,
        /// Bytes the Server takes.
        maximum: u32,
    },
    /// The Server takes no message with this QoS. [MQTT-3.2.2-11]
    QoSNotSupported {
        /// The highest it takes.
        maximum: QoS,
    },
    /// The Server keeps no Retained Messages. [MQTT-3.2.2-14]
    RetainNotSupported,
    /// The Server takes no Topic Filters with wildcards.
    WildcardSubscriptionsNotSupported,
    /// The Server has no Shared Subscriptions.
    SharedSubscriptionsNotSupported,
    /// The Server takes no Subscription Identifiers.
    SubscriptionIdentifiersNotSupported,
    /// Properties need version 5.0.
    NoProperties,
    /// Topic Alias or Subscription Identifier on a message: the machine chooses aliases by itself, and the Client sends
    /// no Subscription Identifiers. [MQTT-3.3.4-6]
    PropertyNotAllowed,
    /// AUTH needs an Authentication Method in CONNECT, which it repeats. [MQTT-4.12.0-7] [MQTT-4.12.0-5]
    AuthenticationMethod,
    /// DISCONNECT cannot keep a Session that CONNECT wanted to end with the connection (3.14.2.2.2).
    SessionExpiryRaised,
    /// The packet breaks a rule of its own form.
    Encode(EncodeError),
}

/// What a Server did that it must not do. The Network Connection is closed, in version 5.0 after a DISCONNECT with
/// [`ServerError::reason_code`]. [MQTT-4.13.1-1] [MQTT3-4.8.0-1]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The bytes break the rules of their packet.
    Malformed(DecodeError),
    /// A packet only Clients send, or one this version does not have.
    UnexpectedPacket(PacketType),
    /// A packet other than AUTH before CONNACK. [MQTT-3.2.0-1]
    BeforeConnack(PacketType),
    /// More than one CONNACK. [MQTT-3.2.0-2]
    SecondConnack,
    /// Session Present, although this Client has no Session or wanted a new one. [MQTT-3.2.2-4] [MQTT-3.2.2-2]
    SessionPresent,
    /// A PUBLISH beyond the Receive Maximum, or without identifier.
    Publish(InboundError),
    /// A PUBLISH whose topic cannot be told.
    TopicAlias(AliasError),
    /// A PUBACK, PUBREC or PUBCOMP for a message that is acknowledged by another packet now.
    WrongAcknowledgement(PacketType),
    /// SUBACK or UNSUBACK for nothing that was asked. [MQTT-3.8.4-2] [MQTT-3.10.4-5]
    UnknownRequest(PacketType),
    /// SUBACK or UNSUBACK with more or fewer Reason Codes than Topic Filters were asked. [MQTT-3.8.4-6] [MQTT-3.11.3-1]
    ReasonCodeCount(PacketType),
    /// AUTH although CONNECT had no Authentication Method. [MQTT-4.12.0-6]
    AuthNotAsked,
    /// AUTH or CONNACK with another Authentication Method than CONNECT. [MQTT-4.12.0-5]
    AuthenticationMethodChanged,
    /// An AUTH with a Reason Code a Server does not send, or not then.
    UnexpectedAuth(ReasonCode),
    /// DISCONNECT with a Session Expiry Interval. [MQTT-3.14.2-2]
    SessionExpiryInDisconnect,
}

impl ServerError {
    /// The Reason Code of the DISCONNECT that tells the Server.
    #[must_use]
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Malformed(error) => match error.reason_code() {
                code if code.is_allowed_in(PacketType::Disconnect) => code,
                _ => ReasonCode::ProtocolError,
            },
            Self::Publish(InboundError::ReceiveMaximumExceeded) => ReasonCode::ReceiveMaximumExceeded,
            Self::Publish(InboundError::NoPacketId) => ReasonCode::MalformedPacket,
            Self::TopicAlias(AliasError::Zero | AliasError::AboveMaximum) => ReasonCode::TopicAliasInvalid,
            Self::AuthenticationMethodChanged => ReasonCode::BadAuthenticationMethod,
            _ => ReasonCode::ProtocolError,
        }
    }
}

impl From<EncodeError> for RequestError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<DecodeError> for ServerError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("there is no connection to a Server"),
            Self::SecondConnect => f.write_str("CONNECT was sent before on this connection"),
            Self::QuotaUsedUp => f.write_str("the Server has too many messages to acknowledge first"),
            Self::OutputFull => f.write_str("too much output waits to be written"),
            Self::TooManyRequests => {
                f.write_str("the Server has too many SUBSCRIBE and UNSUBSCRIBE to answer first")
            }
            Self::InvalidTopicName(error) => write!(f, "the Topic Name {error}"),
            Self::InvalidTopicFilter { index, error } => write!(f, "Topic Filter {} {error}", index + 1),
            Self::PacketTooLarge { len, maximum } => {
                write!(f, "the packet has {len} bytes, and the Server takes {maximum} at most")
            }
            Self::QoSNotSupported { maximum } => {
                write!(f, "the Server takes QoS {} at most", maximum.value())
            }
            Self::RetainNotSupported => f.write_str("the Server keeps no Retained Messages"),
            Self::WildcardSubscriptionsNotSupported => {
                f.write_str("the Server takes no wildcards in Topic Filters")
            }
            Self::SharedSubscriptionsNotSupported => f.write_str("the Server has no Shared Subscriptions"),
            Self::SubscriptionIdentifiersNotSupported => {
                f.write_str("the Server takes no Subscription Identifiers")
            }
            Self::NoProperties => f.write_str("properties need MQTT version 5.0"),
            Self::PropertyNotAllowed => {
                f.write_str("a message to send has no property Topic Alias or Subscription Identifier")
            }
            Self::AuthenticationMethod => f.write_str("AUTH repeats the Authentication Method of CONNECT"),
            Self::SessionExpiryRaised => {
                f.write_str("DISCONNECT cannot set a Session Expiry Interval after CONNECT had none")
            }
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the Server sent ")?;
        match self {
            Self::Malformed(error) => write!(f, "bad bytes: {error}"),
            Self::UnexpectedPacket(packet) => write!(f, "{packet}, which no Server sends"),
            Self::BeforeConnack(packet) => write!(f, "{packet} before CONNACK"),
            Self::SecondConnack => f.write_str("a second CONNACK"),
            Self::SessionPresent => f.write_str("Session Present for a Session this Client does not have"),
            Self::Publish(error) => write!(f, "a PUBLISH too many: {error}"),
            Self::TopicAlias(error) => write!(f, "PUBLISH with {error}"),
            Self::WrongAcknowledgement(packet) => {
                write!(f, "{packet} for a message that it does not acknowledge now")
            }
            Self::UnknownRequest(packet) => write!(f, "{packet} for nothing that was asked"),
            Self::ReasonCodeCount(packet) => write!(f, "{packet} with a wrong number of Reason Codes"),
            Self::AuthNotAsked => f.write_str("AUTH although CONNECT had no Authentication Method"),
            Self::AuthenticationMethodChanged => {
                f.write_str("another Authentication Method than CONNECT had")
            }
            Self::UnexpectedAuth(reason_code) => {
                write!(f, "AUTH with {reason_code}, which does not belong there")
            }
            Self::SessionExpiryInDisconnect => f.write_str("DISCONNECT with a Session Expiry Interval"),
        }
    }
}

impl core::error::Error for RequestError {}
impl core::error::Error for ServerError {}
