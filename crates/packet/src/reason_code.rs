//! Reason Codes (2.4) and the return codes of the older versions.

use core::fmt;

use crate::packet_type::PacketType;

/// The outcome of an operation, as one byte; from 0x80 on it is a failure (2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ReasonCode {
    /// Success; Normal disconnection in DISCONNECT, Granted QoS 0 in SUBACK.
    Success = 0x00,
    /// Granted QoS 1.
    GrantedQoS1 = 0x01,
    /// Granted QoS 2.
    GrantedQoS2 = 0x02,
    /// The Client wishes to disconnect and to have its Will Message published.
    DisconnectWithWillMessage = 0x04,
    /// Accepted, but nobody subscribes.
    NoMatchingSubscribers = 0x10,
    /// No such Subscription existed for the Client.
    NoSubscriptionExisted = 0x11,
    /// Another step of authentication follows.
    ContinueAuthentication = 0x18,
    /// The Client starts authentication again.
    ReAuthenticate = 0x19,
    /// No other code says it, or the sender does not want to say it.
    UnspecifiedError = 0x80,
    /// The bytes cannot be parsed by the rules.
    MalformedPacket = 0x81,
    /// Well formed, but not allowed there or then.
    ProtocolError = 0x82,
    /// Valid, but this receiver cannot process it.
    ImplementationSpecificError = 0x83,
    /// The Server does not speak the requested version.
    UnsupportedProtocolVersion = 0x84,
    /// The Client Identifier is not allowed by the Server.
    ClientIdentifierNotValid = 0x85,
    /// Bad User Name or Password.
    BadUserNameOrPassword = 0x86,
    /// Not authorized.
    NotAuthorized = 0x87,
    /// Server unavailable.
    ServerUnavailable = 0x88,
    /// Try again later.
    ServerBusy = 0x89,
    /// The Client was banned by an administrator.
    Banned = 0x8A,
    /// Server shutting down.
    ServerShuttingDown = 0x8B,
    /// The Authentication Method is unknown or is not the current one.
    BadAuthenticationMethod = 0x8C,
    /// Nothing arrived for one and a half times the Keep Alive.
    KeepAliveTimeout = 0x8D,
    /// Another Network Connection uses the same Client Identifier.
    SessionTakenOver = 0x8E,
    /// Topic Filter invalid.
    TopicFilterInvalid = 0x8F,
    /// Topic Name invalid.
    TopicNameInvalid = 0x90,
    /// Packet Identifier in use.
    PacketIdentifierInUse = 0x91,
    /// Packet Identifier not found.
    PacketIdentifierNotFound = 0x92,
    /// Receive Maximum exceeded.
    ReceiveMaximumExceeded = 0x93,
    /// Topic Alias invalid.
    TopicAliasInvalid = 0x94,
    /// Packet too large.
    PacketTooLarge = 0x95,
    /// Message rate too high.
    MessageRateTooHigh = 0x96,
    /// An implementation or administrative limit is reached.
    QuotaExceeded = 0x97,
    /// Administrative action.
    AdministrativeAction = 0x98,
    /// The payload is not what the Payload Format Indicator says.
    PayloadFormatInvalid = 0x99,
    /// Retain not supported.
    RetainNotSupported = 0x9A,
    /// QoS not supported.
    QoSNotSupported = 0x9B,
    /// For now; see Server Reference.
    UseAnotherServer = 0x9C,
    /// For good; see Server Reference.
    ServerMoved = 0x9D,
    /// Shared Subscriptions not supported.
    SharedSubscriptionsNotSupported = 0x9E,
    /// Connection rate exceeded.
    ConnectionRateExceeded = 0x9F,
    /// The time granted for this Network Connection is over.
    MaximumConnectTime = 0xA0,
    /// Subscription Identifiers not supported.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// Wildcard Subscriptions not supported.
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// 0x00 in DISCONNECT.
    pub const NORMAL_DISCONNECTION: Self = Self::Success;
    /// 0x00 in SUBACK.
    pub const GRANTED_QOS_0: Self = Self::Success;

    /// Returns the byte on the wire.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Tells whether the code reports a failure: 0x80 or greater.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.value() >= 0x80
    }

    /// Tells whether the standard lists this code for `packet_type`, in either direction (table of 2.4).
    #[must_use]
    pub const fn is_allowed_in(self, packet_type: PacketType) -> bool {
        self.row().packets & packet_type.bit() != 0
    }

    /// Returns the name as the standard writes it, such as `Not authorized`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the name that the standard gives the code in `packet_type`: 0x00 has three.
    #[must_use]
    pub const fn name_in(self, packet_type: PacketType) -> &'static str {
        match (self, packet_type) {
            (Self::NORMAL_DISCONNECTION, PacketType::Disconnect) => "Normal disconnection",
            (Self::GRANTED_QOS_0, PacketType::Suback) => "Granted QoS 0",
            _ => self.name(),
        }
    }

    /// Returns the Connect Return code, 0 to 5, that says the same to a Client of version 3.1 or 3.1.1 (3.2.2.3).
    ///
    /// Limits and policies without a code of their own become 5 (not authorized), all other failures 3 (unavailable).
    #[must_use]
    pub const fn connect_return_code(self) -> u8 {
        match self {
            code if !code.is_error() => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized
            | Self::Banned
            | Self::BadAuthenticationMethod
            | Self::TopicNameInvalid
            | Self::RetainNotSupported
            | Self::QoSNotSupported => 5,
            _ => 3,
        }
    }

    /// Returns the Reason Code that says the same as a Connect Return code of version 3.1 or 3.1.1, `None` above 5.
    #[must_use]
    pub const fn from_connect_return_code(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Success),
            1 => Some(Self::UnsupportedProtocolVersion),
            2 => Some(Self::ClientIdentifierNotValid),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUserNameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }

    /// Returns the code with this byte, `None` if the standard has none.
    #[must_use]
    pub const fn from_value(value: u8) -> Option<Self> {
        Some(match value {
            0x00 => Self::Success,
            0x01 => Self::GrantedQoS1,
            0x02 => Self::GrantedQoS2,
            0x04 => Self::DisconnectWithWillMessage,
            0x10 => Self::NoMatchingSubscribers,
            0x11 => Self::NoSubscriptionExisted,
            0x18 => Self::ContinueAuthentication,
            0x19 => Self::ReAuthenticate,
            0x80 => Self::UnspecifiedError,
            0x81 => Self::MalformedPacket,
            0x82 => Self::ProtocolError,
            0x83 => Self::ImplementationSpecificError,
            0x84 => Self::UnsupportedProtocolVersion,
            0x85 => Self::ClientIdentifierNotValid,
            0x86 => Self::BadUserNameOrPassword,
            0x87 => Self::NotAuthorized,
            0x88 => Self::ServerUnavailable,
            0x89 => Self::ServerBusy,
            0x8A => Self::Banned,
            0x8B => Self::ServerShuttingDown,
            0x8C => Self::BadAuthenticationMethod,
            0x8D => Self::KeepAliveTimeout,
            0x8E => Self::SessionTakenOver,
            0x8F => Self::TopicFilterInvalid,
            0x90 => Self::TopicNameInvalid,
            0x91 => Self::PacketIdentifierInUse,
            0x92 => Self::PacketIdentifierNotFound,
            0x93 => Self::ReceiveMaximumExceeded,
            0x94 => Self::TopicAliasInvalid,
            0x95 => Self::PacketTooLarge,
            0x96 => Self::MessageRateTooHigh,
            0x97 => Self::QuotaExceeded,
            0x98 => Self::AdministrativeAction,
            0x99 => Self::PayloadFormatInvalid,
            0x9A => Self::RetainNotSupported,
            0x9B => Self::QoSNotSupported,
            0x9C => Self::UseAnotherServer,
            0x9D => Self::ServerMoved,
            0x9E => Self::SharedSubscriptionsNotSupported,
            0x9F => Self::ConnectionRateExceeded,
            0xA0 => Self::MaximumConnectTime,
            0xA1 => Self::SubscriptionIdentifiersNotSupported,
            0xA2 => Self::WildcardSubscriptionsNotSupported,
            _ => return None,
        })
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.value())
    }
}

/// One line of the table: the name and the packets that may carry the code.
struct Row {
    name: &'static str,
    packets: u16,
}

const CONNACK: u16 = PacketType::Connack.bit();
const PUBACK: u16 = PacketType::Puback.bit();
const PUBREC: u16 = PacketType::Pubrec.bit();
const PUBREL: u16 = PacketType::Pubrel.bit();
const PUBCOMP: u16 = PacketType::Pubcomp.bit();
const SUBACK: u16 = PacketType::Suback.bit();
const UNSUBACK: u16 = PacketType::Unsuback.bit();
const DISCONNECT: u16 = PacketType::Disconnect.bit();
const AUTH: u16 = PacketType::Auth.bit();

const fn row(name: &'static str, packets: u16) -> Row {
    Row { name, packets }
}

impl ReasonCode {
    #[rustfmt::skip]
    const fn row(self) -> Row {
        match self {
            Self::Success => row("Success", CONNACK | PUBACK | PUBREC | PUBREL | PUBCOMP | SUBACK | UNSUBACK | DISCONNECT | AUTH),
            Self::GrantedQoS1 => row("Granted QoS 1", SUBACK),
            Self::GrantedQoS2 => row("Granted QoS 2", SUBACK),
            Self::DisconnectWithWillMessage => row("Disconnect with Will Message", DISCONNECT),
            Self::NoMatchingSubscribers => row("No matching subscribers", PUBACK | PUBREC),
            Self::NoSubscriptionExisted => row("No subscription existed", UNSUBACK),
            Self::ContinueAuthentication => row("Continue authentication", AUTH),
            Self::ReAuthenticate => row("Re-authenticate", AUTH),
            Self::UnspecifiedError => row("Unspecified error", CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT),
            Self::MalformedPacket => row("Malformed Packet", CONNACK | DISCONNECT),
            Self::ProtocolError => row("Protocol Error", CONNACK | DISCONNECT),
            Self::ImplementationSpecificError => row("Implementation specific error", CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT),
            Self::UnsupportedProtocolVersion => row("Unsupported Protocol Version", CONNACK),
            Self::ClientIdentifierNotValid => row("Client Identifier not valid", CONNACK),
            Self::BadUserNameOrPassword => row("Bad User Name or Password", CONNACK),
            Self::NotAuthorized => row("Not authorized", CONNACK | PUBACK | PUBREC | SUBACK | UNSUBACK | DISCONNECT),
            Self::ServerUnavailable => row("Server unavailable", CONNACK),
            Self::ServerBusy => row("Server busy", CONNACK | DISCONNECT),
            Self::Banned => row("Banned", CONNACK),
            Self::ServerShuttingDown => row("Server shutting down", DISCONNECT),
            Self::BadAuthenticationMethod => row("Bad authentication method", CONNACK | DISCONNECT),
            Self::KeepAliveTimeout => row("Keep Alive timeout", DISCONNECT),
            Self::SessionTakenOver => row("Session taken over", DISCONNECT),
            Self::TopicFilterInvalid => row("Topic Filter invalid", SUBACK | UNSUBACK | DISCONNECT),
            Self::TopicNameInvalid => row("Topic Name invalid", CONNACK | PUBACK | PUBREC | DISCONNECT),
            Self::PacketIdentifierInUse => row("Packet Identifier in use", PUBACK | PUBREC | SUBACK | UNSUBACK),
            Self::PacketIdentifierNotFound => row("Packet Identifier not found", PUBREL | PUBCOMP),
            Self::ReceiveMaximumExceeded => row("Receive Maximum exceeded", DISCONNECT),
            Self::TopicAliasInvalid => row("Topic Alias invalid", DISCONNECT),
            Self::PacketTooLarge => row("Packet too large", CONNACK | DISCONNECT),
            Self::MessageRateTooHigh => row("Message rate too high", DISCONNECT),
            Self::QuotaExceeded => row("Quota exceeded", CONNACK | PUBACK | PUBREC | SUBACK | DISCONNECT),
            Self::AdministrativeAction => row("Administrative action", DISCONNECT),
            Self::PayloadFormatInvalid => row("Payload format invalid", CONNACK | PUBACK | PUBREC | DISCONNECT),
            Self::RetainNotSupported => row("Retain not supported", CONNACK | DISCONNECT),
            Self::QoSNotSupported => row("QoS not supported", CONNACK | DISCONNECT),
            Self::UseAnotherServer => row("Use another server", CONNACK | DISCONNECT),
            Self::ServerMoved => row("Server moved", CONNACK | DISCONNECT),
            Self::SharedSubscriptionsNotSupported => row("Shared Subscriptions not supported", SUBACK | DISCONNECT),
            Self::ConnectionRateExceeded => row("Connection rate exceeded", CONNACK | DISCONNECT),
            Self::MaximumConnectTime => row("Maximum connect time", DISCONNECT),
            Self::SubscriptionIdentifiersNotSupported => row("Subscription Identifiers not supported", SUBACK | DISCONNECT),
            Self::WildcardSubscriptionsNotSupported => row("Wildcard Subscriptions not supported", SUBACK | DISCONNECT),
        }
    }
}
