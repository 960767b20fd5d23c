//! Property Identifiers: type of the value, packets that may carry it (2.2.2.2).

use core::fmt;

use crate::packet_type::PacketType;

/// Names one of the 27 Properties.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PropertyId {
    /// Payload Format Indicator (3.3.2.3.2).
    PayloadFormatIndicator = 0x01,
    /// Message Expiry Interval (3.3.2.3.3).
    MessageExpiryInterval = 0x02,
    /// Content Type (3.3.2.3.9).
    ContentType = 0x03,
    /// Response Topic (3.3.2.3.5).
    ResponseTopic = 0x08,
    /// Correlation Data (3.3.2.3.6).
    CorrelationData = 0x09,
    /// Subscription Identifier (3.8.2.1.2, 3.3.2.3.8).
    SubscriptionIdentifier = 0x0B,
    /// Session Expiry Interval (3.1.2.11.2).
    SessionExpiryInterval = 0x11,
    /// Assigned Client Identifier (3.2.2.3.7).
    AssignedClientIdentifier = 0x12,
    /// Server Keep Alive (3.2.2.3.14).
    ServerKeepAlive = 0x13,
    /// Authentication Method (3.1.2.11.9).
    AuthenticationMethod = 0x15,
    /// Authentication Data (3.1.2.11.10).
    AuthenticationData = 0x16,
    /// Request Problem Information (3.1.2.11.7).
    RequestProblemInformation = 0x17,
    /// Will Delay Interval (3.1.3.2.2).
    WillDelayInterval = 0x18,
    /// Request Response Information (3.1.2.11.6).
    RequestResponseInformation = 0x19,
    /// Response Information (3.2.2.3.15).
    ResponseInformation = 0x1A,
    /// Server Reference (3.2.2.3.16).
    ServerReference = 0x1C,
    /// Reason String (3.2.2.3.9).
    ReasonString = 0x1F,
    /// Receive Maximum (3.1.2.11.3).
    ReceiveMaximum = 0x21,
    /// Topic Alias Maximum (3.1.2.11.5).
    TopicAliasMaximum = 0x22,
    /// Topic Alias (3.3.2.3.4).
    TopicAlias = 0x23,
    /// Maximum QoS (3.2.2.3.4).
    MaximumQoS = 0x24,
    /// Retain Available (3.2.2.3.5).
    RetainAvailable = 0x25,
    /// User Property (3.1.2.11.8).
    UserProperty = 0x26,
    /// Maximum Packet Size (3.1.2.11.4).
    MaximumPacketSize = 0x27,
    /// Wildcard Subscription Available (3.2.2.3.11).
    WildcardSubscriptionAvailable = 0x28,
    /// Subscription Identifier Available (3.2.2.3.12).
    SubscriptionIdentifierAvailable = 0x29,
    /// Shared Subscription Available (3.2.2.3.13).
    SharedSubscriptionAvailable = 0x2A,
}

impl PropertyId {
    /// All Properties in the order of their numbers.
    pub const ALL: [Self; 27] = [
        Self::PayloadFormatIndicator,
        Self::MessageExpiryInterval,
        Self::ContentType,
        Self::ResponseTopic,
        Self::CorrelationData,
        Self::SubscriptionIdentifier,
        Self::SessionExpiryInterval,
        Self::AssignedClientIdentifier,
        Self::ServerKeepAlive,
        Self::AuthenticationMethod,
        Self::AuthenticationData,
        Self::RequestProblemInformation,
        Self::WillDelayInterval,
        Self::RequestResponseInformation,
        Self::ResponseInformation,
        Self::ServerReference,
        Self::ReasonString,
        Self::ReceiveMaximum,
        Self::TopicAliasMaximum,
        Self::TopicAlias,
        Self::MaximumQoS,
        Self::RetainAvailable,
        Self::UserProperty,
        Self::MaximumPacketSize,
        Self::WildcardSubscriptionAvailable,
        Self::SubscriptionIdentifierAvailable,
        Self::SharedSubscriptionAvailable,
    ];

    /// Returns the Property with this number, `None` if the standard has none.
    #[inline]
    #[must_use]
    pub const fn from_value(value: u32) -> Option<Self> {
        Some(match value {
            0x01 => Self::PayloadFormatIndicator,
            0x02 => Self::MessageExpiryInterval,
            0x03 => Self::ContentType,
            0x08 => Self::ResponseTopic,
            0x09 => Self::CorrelationData,
            0x0B => Self::SubscriptionIdentifier,
            0x11 => Self::SessionExpiryInterval,
            0x12 => Self::AssignedClientIdentifier,
            0x13 => Self::ServerKeepAlive,
            0x15 => Self::AuthenticationMethod,
            0x16 => Self::AuthenticationData,
            0x17 => Self::RequestProblemInformation,
            0x18 => Self::WillDelayInterval,
            0x19 => Self::RequestResponseInformation,
            0x1A => Self::ResponseInformation,
            0x1C => Self::ServerReference,
            0x1F => Self::ReasonString,
            0x21 => Self::ReceiveMaximum,
            0x22 => Self::TopicAliasMaximum,
            0x23 => Self::TopicAlias,
            0x24 => Self::MaximumQoS,
            0x25 => Self::RetainAvailable,
            0x26 => Self::UserProperty,
            0x27 => Self::MaximumPacketSize,
            0x28 => Self::WildcardSubscriptionAvailable,
            0x29 => Self::SubscriptionIdentifierAvailable,
            0x2A => Self::SharedSubscriptionAvailable,
            _ => return None,
        })
    }

    /// Returns the number on the wire; it fits one byte of a Variable Byte Integer.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Returns the name as the standard writes it, such as `Topic Alias`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the type of the value.
    #[inline]
    #[must_use]
    pub const fn value_type(self) -> ValueType {
        self.row().value_type
    }

    /// Tells whether the Property may stand in `place`.
    #[inline]
    #[must_use]
    pub const fn is_allowed_in(self, place: PropertyPlace) -> bool {
        self.row().places & place.bit() != 0
    }

    /// Tells whether the Property may stand in `place` more than once.
    #[inline]
    #[must_use]
    pub const fn may_repeat_in(self, place: PropertyPlace) -> bool {
        match self {
            Self::UserProperty => true,
            // One for each matching Subscription. [MQTT-3.3.4-4]
            Self::SubscriptionIdentifier => matches!(place, PropertyPlace::Packet(PacketType::Publish)),
            _ => false,
        }
    }

    /// One bit for each Property, for sets.
    #[inline]
    pub(crate) const fn bit(self) -> u64 {
        1 << self.value()
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells how the value of a Property is written (1.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    /// One byte, 0 or 1.
    Flag,
    /// Two Byte Integer.
    TwoByteInteger,
    /// Four Byte Integer.
    FourByteInteger,
    /// Variable Byte Integer.
    VariableByteInteger,
    /// Binary Data.
    BinaryData,
    /// UTF-8 Encoded String.
    Text,
    /// UTF-8 String Pair.
    TextPair,
}

/// Names a place for Properties: one in most packets, and a second one in CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PropertyPlace {
    /// The Properties of a packet.
    Packet(PacketType),
    /// The Will Properties in the payload of CONNECT (3.1.3.2).
    Will,
}

impl PropertyPlace {
    /// Returns the packet that the place is in.
    #[inline]
    #[must_use]
    pub const fn packet_type(self) -> PacketType {
        match self {
            Self::Packet(packet_type) => packet_type,
            Self::Will => PacketType::Connect,
        }
    }

    /// The bit of the packet type; bit 0, which no packet has, for the Will.
    #[inline]
    const fn bit(self) -> u16 {
        match self {
            Self::Packet(packet_type) => packet_type.bit(),
            Self::Will => 1,
        }
    }
}

impl fmt::Display for PropertyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(packet_type) => packet_type.fmt(f),
            Self::Will => f.write_str("the Will Properties of CONNECT"),
        }
    }
}

/// One line of the table.
struct Row {
    name: &'static str,
    value_type: ValueType,
    places: u16,
}

const WILL: u16 = PropertyPlace::Will.bit();
const CONNECT: u16 = PacketType::Connect.bit();
const CONNACK: u16 = PacketType::Connack.bit();
const PUBLISH: u16 = PacketType::Publish.bit();
const SUBSCRIBE: u16 = PacketType::Subscribe.bit();
const SUBACK: u16 = PacketType::Suback.bit();
const UNSUBSCRIBE: u16 = PacketType::Unsubscribe.bit();
const UNSUBACK: u16 = PacketType::Unsuback.bit();
const DISCONNECT: u16 = PacketType::Disconnect.bit();
const AUTH: u16 = PacketType::Auth.bit();
/// PUBACK, PUBREC, PUBREL, PUBCOMP.
const ACKS: u16 = PacketType::Puback.bit()
    | PacketType::Pubrec.bit()
    | PacketType::Pubrel.bit()
    | PacketType::Pubcomp.bit();
const ANYWHERE: u16 = WILL
    | CONNECT
    | CONNACK
    | PUBLISH
    | ACKS
    | SUBSCRIBE
    | SUBACK
    | UNSUBSCRIBE
    | UNSUBACK
    | DISCONNECT
    | AUTH;

const fn row(name: &'static str, value_type: ValueType, places: u16) -> Row {
    Row { name, value_type, places }
}

impl PropertyId {
    #[rustfmt::skip]
    #[inline]
    const fn row(self) -> Row {
        use ValueType::{BinaryData, Flag, FourByteInteger, Text, TextPair, TwoByteInteger, VariableByteInteger};
        match self {
            Self::PayloadFormatIndicator => row("Payload Format Indicator", Flag, PUBLISH | WILL),
            Self::MessageExpiryInterval => row("Message Expiry Interval", FourByteInteger, PUBLISH | WILL),
            Self::ContentType => row("Content Type", Text, PUBLISH | WILL),
            Self::ResponseTopic => row("Response Topic", Text, PUBLISH | WILL),
            Self::CorrelationData => row("Correlation Data", BinaryData, PUBLISH | WILL),
            Self::SubscriptionIdentifier => row("Subscription Identifier", VariableByteInteger, PUBLISH | SUBSCRIBE),
            Self::SessionExpiryInterval => row("Session Expiry Interval", FourByteInteger, CONNECT | CONNACK | DISCONNECT),
            Self::AssignedClientIdentifier => row("Assigned Client Identifier", Text, CONNACK),
            Self::ServerKeepAlive => row("Server Keep Alive", TwoByteInteger, CONNACK),
            Self::AuthenticationMethod => row("Authentication Method", Text, CONNECT | CONNACK | AUTH),
            Self::AuthenticationData => row("Authentication Data", BinaryData, CONNECT | CONNACK | AUTH),
            Self::RequestProblemInformation => row("Request Problem Information", Flag, CONNECT),
            Self::WillDelayInterval => row("Will Delay Interval", FourByteInteger, WILL),
            Self::RequestResponseInformation => row("Request Response Information", Flag, CONNECT),
            Self::ResponseInformation => row("Response Information", Text, CONNACK),
            Self::ServerReference => row("Server Reference", Text, CONNACK | DISCONNECT),
            Self::ReasonString => row("Reason String", Text, CONNACK | ACKS | SUBACK | UNSUBACK | DISCONNECT | AUTH),
            Self::ReceiveMaximum => row("Receive Maximum", TwoByteInteger, CONNECT | CONNACK),
            Self::TopicAliasMaximum => row("Topic Alias Maximum", TwoByteInteger, CONNECT | CONNACK),
            Self::TopicAlias => row("Topic Alias", TwoByteInteger, PUBLISH),
            Self::MaximumQoS => row("Maximum QoS", Flag, CONNACK),
            Self::RetainAvailable => row("Retain Available", Flag, CONNACK),
            Self::UserProperty => row("User Property", TextPair, ANYWHERE),
            Self::MaximumPacketSize => row("Maximum Packet Size", FourByteInteger, CONNECT | CONNACK),
            Self::WildcardSubscriptionAvailable => row("Wildcard Subscription Available", Flag, CONNACK),
            Self::SubscriptionIdentifierAvailable => row("Subscription Identifier Available", Flag, CONNACK),
            Self::SharedSubscriptionAvailable => row("Shared Subscription Available", Flag, CONNACK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_properties_belong_together() {
        let known = (0..=300).filter_map(PropertyId::from_value);
        assert!(known.eq(PropertyId::ALL));
        for property in PropertyId::ALL {
            assert_eq!(PropertyId::from_value(u32::from(property.value())), Some(property));
        }
    }

    #[test]
    fn packets_without_properties_carry_none() {
        for property in PropertyId::ALL {
            for packet_type in [PacketType::Pingreq, PacketType::Pingresp] {
                assert!(!property.is_allowed_in(PropertyPlace::Packet(packet_type)));
            }
        }
    }
}
