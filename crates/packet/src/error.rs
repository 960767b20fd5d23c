//! What can be wrong with a packet (4.13), with a Topic Name or Topic Filter (4.7), and with writing.

use core::{error::Error, fmt};

use crate::{
    packet_type::PacketType,
    property::identifier::{PropertyId, PropertyPlace},
    reason_code::ReasonCode,
    version::ProtocolVersion,
};

/// Tells what the sender of a packet did wrong; one variant for each misdeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// Packet type 0, or 15 before version 5.0.
    ReservedPacketType {
        /// The upper half of the first byte.
        value: u8,
    },
    /// Flags in the fixed header that are reserved. [MQTT-2.1.3-1] [MQTT3-2.2.2-2]
    ReservedFlags {
        /// The packet.
        packet_type: PacketType,
        /// The lower half of the first byte.
        flags: u8,
    },
    /// PUBLISH with QoS 3. [MQTT-3.3.1-4] [MQTT3-3.3.1-4]
    InvalidPublishQoS,
    /// PUBLISH with DUP and QoS 0. [MQTT-3.3.1-2] [MQTT3-3.3.1-2]
    DupWithQoS0,
    /// A Variable Byte Integer of more than four bytes (1.5.5).
    VariableByteIntegerTooLong,
    /// A Variable Byte Integer in more bytes than it needs. [MQTT-1.5.5-1]
    VariableByteIntegerNotMinimal,
    /// The packet is larger than the receiver allows. [MQTT-3.1.2-24] [MQTT-3.2.2-15]
    PacketTooLarge {
        /// Bytes of the whole packet.
        encoded_len: usize,
        /// Bytes that are allowed.
        maximum: u32,
    },
    /// A field goes on after the end of its packet, or of the Property Length.
    CutShort {
        /// The packet.
        packet_type: PacketType,
    },
    /// Bytes follow the last field.
    TrailingBytes {
        /// The packet.
        packet_type: PacketType,
    },
    /// A string is not UTF-8. [MQTT-1.5.4-1] [MQTT3-1.5.3-1]
    InvalidUtf8 {
        /// The packet.
        packet_type: PacketType,
    },
    /// A string has the character U+0000. [MQTT-1.5.4-2] [MQTT3-1.5.3-2]
    NullCharacter {
        /// The packet.
        packet_type: PacketType,
    },
    /// Packet Identifier 0. [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT3-2.3.1-1]
    ZeroPacketId {
        /// The packet.
        packet_type: PacketType,
    },
    /// A Protocol Name other than `MQTT` and `MQIsdp`. [MQTT-3.1.2-1] [MQTT3-3.1.2-1]
    UnsupportedProtocolName,
    /// A Protocol Level that does not exist under this name. [MQTT-3.1.2-2] [MQTT3-3.1.2-2]
    UnsupportedProtocolVersion {
        /// The byte, with the bridge bit.
        level: u8,
    },
    /// Bit 0 of the Connect Flags. [MQTT-3.1.2-3] [MQTT3-3.1.2-3]
    ReservedConnectFlag,
    /// Will QoS 3. [MQTT-3.1.2-12] [MQTT3-3.1.2-14]
    InvalidWillQoS,
    /// Will QoS or Will Retain without Will Flag. [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT3-3.1.2-13] [MQTT3-3.1.2-15]
    WillOptionsWithoutWill,
    /// Password without User Name before version 5.0. [MQTT3-3.1.2-22]
    PasswordWithoutUserName,
    /// The Topic Name of a PUBLISH or of a Will is none. [MQTT-3.3.2-2] [MQTT-4.7.3-1] [MQTT3-3.3.2-2]
    InvalidTopicName {
        /// The packet.
        packet_type: PacketType,
        /// What is wrong with it.
        error: TopicError,
    },
    /// PUBLISH with neither Topic Name nor Topic Alias (3.3.2.1).
    NoTopicName,
    /// Reserved bits of the Connect Acknowledge Flags. [MQTT-3.2.2-1]
    ReservedConnackFlags {
        /// The byte.
        flags: u8,
    },
    /// Session Present together with a refusal. [MQTT-3.2.2-6] [MQTT3-3.2.2-4]
    SessionPresentOnRefusal,
    /// A Reason Code that does not exist in this version.
    UnknownReasonCode {
        /// The packet.
        packet_type: PacketType,
        /// The byte.
        value: u8,
    },
    /// A Reason Code that does not belong into this packet (2.4).
    ReasonCodeNotAllowed {
        /// The packet.
        packet_type: PacketType,
        /// The code.
        reason_code: ReasonCode,
    },
    /// SUBSCRIBE or UNSUBSCRIBE without a Topic Filter. [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT3-3.8.3-3] [MQTT3-3.10.3-2]
    NoTopicFilter {
        /// The packet.
        packet_type: PacketType,
    },
    /// SUBACK or UNSUBACK without a Reason Code.
    NoReasonCode {
        /// The packet.
        packet_type: PacketType,
    },
    /// Reserved bits of the Subscription Options. [MQTT-3.8.3-5] [MQTT3-3.8.3-4]
    ReservedSubscriptionOptions {
        /// The byte.
        options: u8,
    },
    /// A Subscription with QoS 3 (3.8.3.1): malformed before version 5.0, a Protocol Error since. [MQTT3-3.8.3-4]
    InvalidSubscriptionQoS {
        /// The version of the Network Connection.
        version: ProtocolVersion,
    },
    /// A Subscription with Retain Handling 3 (3.8.3.1).
    InvalidRetainHandling,
    /// No Local for a Shared Subscription. [MQTT-3.8.3-4]
    NoLocalOnSharedSubscription,
    /// A Property Identifier that the standard does not have (2.2.2.2).
    UnknownProperty {
        /// The identifier.
        value: u32,
        /// Where it stood.
        place: PropertyPlace,
    },
    /// A Property in a packet that may not carry it (2.2.2.2).
    PropertyNotAllowed {
        /// The Property.
        property: PropertyId,
        /// Where it stood.
        place: PropertyPlace,
    },
    /// A Property twice that may be there once (2.2.2.2).
    DuplicateProperty {
        /// The Property.
        property: PropertyId,
        /// Where it stood.
        place: PropertyPlace,
    },
    /// Zero where zero is not allowed. [MQTT-3.3.2-8], 3.1.2.11
    ZeroProperty {
        /// The Property.
        property: PropertyId,
        /// Where it stood.
        place: PropertyPlace,
    },
    /// A value other than 0 and 1 in a Property that knows only these.
    InvalidFlagProperty {
        /// The Property.
        property: PropertyId,
        /// Where it stood.
        place: PropertyPlace,
        /// The byte.
        value: u8,
    },
    /// A Response Topic that is no Topic Name. [MQTT-3.3.2-14]
    InvalidResponseTopic {
        /// Where it stood.
        place: PropertyPlace,
        /// What is wrong with it.
        error: TopicError,
    },
    /// Authentication Data without Authentication Method (3.1.2.11.10).
    AuthenticationDataWithoutMethod {
        /// The packet.
        packet_type: PacketType,
    },
    /// AUTH with a Reason Code but without Authentication Method (3.15.2.2.2).
    AuthWithoutMethod,
}

impl DecodeError {
    /// Returns the Reason Code that tells the sender so, in CONNACK or DISCONNECT of version 5.0 (4.13.1).
    #[must_use]
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            Self::UnsupportedProtocolName | Self::UnsupportedProtocolVersion { .. } => {
                ReasonCode::UnsupportedProtocolVersion
            }
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::ZeroProperty { property: PropertyId::TopicAlias, .. } => ReasonCode::TopicAliasInvalid,
            Self::ZeroPacketId { .. }
            | Self::InvalidTopicName { .. }
            | Self::NoTopicName
            | Self::SessionPresentOnRefusal
            | Self::ReasonCodeNotAllowed { .. }
            | Self::NoTopicFilter { .. }
            | Self::NoReasonCode { .. }
            | Self::InvalidSubscriptionQoS { version: ProtocolVersion::V5_0 }
            | Self::InvalidRetainHandling
            | Self::NoLocalOnSharedSubscription
            | Self::DuplicateProperty { .. }
            | Self::ZeroProperty { .. }
            | Self::InvalidFlagProperty { .. }
            | Self::InvalidResponseTopic { .. }
            | Self::AuthenticationDataWithoutMethod { .. }
            | Self::AuthWithoutMethod => ReasonCode::ProtocolError,
            _ => ReasonCode::MalformedPacket,
        }
    }

    /// Returns the packet that the error is in, as far as it is known.
    #[must_use]
    pub const fn packet_type(&self) -> Option<PacketType> {
        match self {
            Self::ReservedFlags { packet_type, .. }
            | Self::CutShort { packet_type }
            | Self::TrailingBytes { packet_type }
            | Self::InvalidUtf8 { packet_type }
            | Self::NullCharacter { packet_type }
            | Self::ZeroPacketId { packet_type }
            | Self::InvalidTopicName { packet_type, .. }
            | Self::UnknownReasonCode { packet_type, .. }
            | Self::ReasonCodeNotAllowed { packet_type, .. }
            | Self::NoTopicFilter { packet_type }
            | Self::NoReasonCode { packet_type }
            | Self::AuthenticationDataWithoutMethod { packet_type } => Some(*packet_type),
            Self::UnknownProperty { place, .. }
            | Self::PropertyNotAllowed { place, .. }
            | Self::DuplicateProperty { place, .. }
            | Self::ZeroProperty { place, .. }
            | Self::InvalidFlagProperty { place, .. }
            | Self::InvalidResponseTopic { place, .. } => Some(place.packet_type()),
            Self::InvalidPublishQoS | Self::DupWithQoS0 | Self::NoTopicName => Some(PacketType::Publish),
            Self::UnsupportedProtocolName
            | Self::UnsupportedProtocolVersion { .. }
            | Self::ReservedConnectFlag
            | Self::InvalidWillQoS
            | Self::WillOptionsWithoutWill
            | Self::PasswordWithoutUserName => Some(PacketType::Connect),
            Self::ReservedConnackFlags { .. } | Self::SessionPresentOnRefusal => Some(PacketType::Connack),
            Self::ReservedSubscriptionOptions { .. }
            | Self::InvalidSubscriptionQoS { .. }
            | Self::InvalidRetainHandling
            | Self::NoLocalOnSharedSubscription => Some(PacketType::Subscribe),
            Self::AuthWithoutMethod => Some(PacketType::Auth),
            Self::ReservedPacketType { .. }
            | Self::VariableByteIntegerTooLong
            | Self::VariableByteIntegerNotMinimal
            | Self::PacketTooLarge { .. } => None,
        }
    }
}

impl fmt::Display for DecodeError {
    #[rustfmt::skip]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sender = match self.packet_type() {
            Some(packet_type) => packet_type.sender(),
            None => "the other side",
        };
        write!(f, "{sender} sent ")?;
        match self {
            Self::ReservedPacketType { value } => write!(f, "packet type {value}, which is reserved"),
            Self::ReservedFlags { packet_type, flags } => write!(f, "{packet_type} with flags {flags:04b} in the fixed header, which are reserved"),
            Self::InvalidPublishQoS => f.write_str("PUBLISH with QoS 3"),
            Self::DupWithQoS0 => f.write_str("PUBLISH with DUP and QoS 0"),
            Self::VariableByteIntegerTooLong => f.write_str("a Variable Byte Integer of more than four bytes"),
            Self::VariableByteIntegerNotMinimal => f.write_str("a Variable Byte Integer in more bytes than it needs"),
            Self::PacketTooLarge { encoded_len, maximum } => write!(f, "a packet of {encoded_len} bytes, where {maximum} are allowed"),
            Self::CutShort { packet_type } => write!(f, "{packet_type} with a field that goes on after its end"),
            Self::TrailingBytes { packet_type } => write!(f, "{packet_type} with bytes after its last field"),
            Self::InvalidUtf8 { packet_type } => write!(f, "{packet_type} with a string that is not UTF-8"),
            Self::NullCharacter { packet_type } => write!(f, "{packet_type} with a null character in a string"),
            Self::ZeroPacketId { packet_type } => write!(f, "{packet_type} with Packet Identifier 0"),
            Self::UnsupportedProtocolName => f.write_str("CONNECT with a Protocol Name other than MQTT and MQIsdp"),
            Self::UnsupportedProtocolVersion { level } => write!(f, "CONNECT with protocol level {level:#04x}, which is not supported under its Protocol Name"),
            Self::ReservedConnectFlag => f.write_str("CONNECT with the reserved bit of the Connect Flags"),
            Self::InvalidWillQoS => f.write_str("CONNECT with Will QoS 3"),
            Self::WillOptionsWithoutWill => f.write_str("CONNECT with Will QoS or Will Retain, but without Will Flag"),
            Self::PasswordWithoutUserName => f.write_str("CONNECT with a Password, but without User Name"),
            Self::InvalidTopicName { packet_type, error } => write!(f, "{packet_type} with a Topic Name that {error}"),
            Self::NoTopicName => f.write_str("PUBLISH with neither Topic Name nor Topic Alias"),
            Self::ReservedConnackFlags { flags } => write!(f, "CONNACK with flags {flags:#04x}, which are reserved"),
            Self::SessionPresentOnRefusal => f.write_str("CONNACK with Session Present and a refusal"),
            Self::UnknownReasonCode { packet_type, value } => write!(f, "{packet_type} with code {value:#04x}, which does not exist"),
            Self::ReasonCodeNotAllowed { packet_type, reason_code } => write!(f, "{packet_type} with Reason Code {reason_code}, which does not belong there"),
            Self::NoTopicFilter { packet_type } => write!(f, "{packet_type} without a Topic Filter"),
            Self::NoReasonCode { packet_type } => write!(f, "{packet_type} without a Reason Code"),
            Self::ReservedSubscriptionOptions { options } => write!(f, "SUBSCRIBE with Subscription Options {options:#04x}, which has reserved bits"),
            Self::InvalidSubscriptionQoS { .. } => f.write_str("SUBSCRIBE with QoS 3"),
            Self::InvalidRetainHandling => f.write_str("SUBSCRIBE with Retain Handling 3"),
            Self::NoLocalOnSharedSubscription => f.write_str("SUBSCRIBE with No Local for a Shared Subscription"),
            Self::UnknownProperty { value, place } => write!(f, "property {value:#04x}, which does not exist, in {place}"),
            Self::PropertyNotAllowed { property, place } => write!(f, "property {property} in {place}"),
            Self::DuplicateProperty { property, place } => write!(f, "property {property} twice in {place}"),
            Self::ZeroProperty { property, place } => write!(f, "property {property} with value 0 in {place}"),
            Self::InvalidFlagProperty { property, place, value } => write!(f, "property {property} with value {value} in {place}, where only 0 and 1 are allowed"),
            Self::InvalidResponseTopic { place, error } => write!(f, "property Response Topic in {place}, which {error}"),
            Self::AuthenticationDataWithoutMethod { packet_type } => write!(f, "property Authentication Data without Authentication Method in {packet_type}"),
            Self::AuthWithoutMethod => f.write_str("AUTH without property Authentication Method"),
        }
    }
}

impl Error for DecodeError {}

/// Tells why a packet cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EncodeError {
    /// The packet does not fit into the rest of the buffer.
    BufferFull,
    /// A string or Binary Data is longer than 65,535 bytes (1.5.4, 1.5.6).
    TooLong,
    /// The Remaining Length would exceed 268,435,455 (1.5.5).
    TooLarge,
    /// A string has the character U+0000. [MQTT-1.5.4-2] [MQTT3-1.5.3-2]
    NullCharacter,
    /// A Property that the packet may not carry, twice, or with a value that is not allowed (2.2.2.2).
    InvalidProperty,
    /// A field is missing or contradicts another one, so that the receiver would refuse the packet: a Packet Identifier
    /// or Topic Name that must be there, an empty list of Topic Filters, Reason Codes that do not belong there.
    InvalidPacket,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferFull => "the packet does not fit into the buffer",
            Self::TooLong => "a string or Binary Data is longer than 65,535 bytes",
            Self::TooLarge => "the packet is longer than 268,435,455 bytes",
            Self::NullCharacter => "a string has a null character",
            Self::InvalidProperty => {
                "a property is not allowed in this packet, is doubled, or has a bad value"
            }
            Self::InvalidPacket => "a field of the packet is missing or contradicts another one",
        })
    }
}

impl Error for EncodeError {}

/// Tells why a text is no Topic Name or no Topic Filter (4.7, 4.8.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum TopicError {
    /// No character at all. [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
    Empty,
    /// More than 65,535 bytes. [MQTT-4.7.3-3] [MQTT3-4.7.3-3]
    TooLong,
    /// The character U+0000. [MQTT-4.7.3-2] [MQTT3-4.7.3-2]
    NullCharacter,
    /// `+` or `#` in a Topic Name. [MQTT-3.3.2-2] [MQTT3-3.3.2-2]
    WildcardInTopicName,
    /// `#` that is not the whole last level. [MQTT-4.7.1-1] [MQTT3-4.7.1-2]
    InvalidMultiLevelWildcard,
    /// `+` that is not a whole level. [MQTT-4.7.1-2] [MQTT3-4.7.1-3]
    InvalidSingleLevelWildcard,
    /// `$share/` without a valid Share Name or without a filter. [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    InvalidShare,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "is longer than 65,535 bytes",
            Self::NullCharacter => "has a null character",
            Self::WildcardInTopicName => "has a wildcard",
            Self::InvalidMultiLevelWildcard => "has a # that is not the whole last level",
            Self::InvalidSingleLevelWildcard => "has a + that is not a whole level",
            Self::InvalidShare => "starts with $share/, but not with $share/<name>/<filter>",
        })
    }
}

impl Error for TopicError {}
