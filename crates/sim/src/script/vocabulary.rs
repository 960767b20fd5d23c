//! The names of the language: Control Packets (2.1.2), properties (2.2.2.2) and Reason Codes (2.4).

/// A Control Packet type; the value is that of the fixed header (2.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum Kind {
    Connect = 1,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth,
}

use Kind::*;

/// All packet types with their names, in the order of their values.
pub const KINDS: [(Kind, &str); 15] = [
    (Connect, "CONNECT"),
    (Connack, "CONNACK"),
    (Publish, "PUBLISH"),
    (Puback, "PUBACK"),
    (Pubrec, "PUBREC"),
    (Pubrel, "PUBREL"),
    (Pubcomp, "PUBCOMP"),
    (Subscribe, "SUBSCRIBE"),
    (Suback, "SUBACK"),
    (Unsubscribe, "UNSUBSCRIBE"),
    (Unsuback, "UNSUBACK"),
    (Pingreq, "PINGREQ"),
    (Pingresp, "PINGRESP"),
    (Disconnect, "DISCONNECT"),
    (Auth, "AUTH"),
];

impl Kind {
    /// The packet type with this value in the fixed header.
    pub fn from_value(value: u8) -> Option<Kind> {
        KINDS.iter().map(|&(kind, _)| kind).find(|&kind| kind as u8 == value)
    }

    /// The packet type with this name.
    pub fn from_name(name: &str) -> Option<Kind> {
        KINDS.iter().find(|(_, known)| *known == name).map(|&(kind, _)| kind)
    }

    /// The name as the specification prints it.
    pub fn name(self) -> &'static str {
        KINDS[self as usize - 1].1
    }

    /// The reserved flags of the fixed header (2.1.3); for PUBLISH the flags without DUP, QoS and RETAIN.
    pub fn reserved_flags(self) -> u8 {
        if matches!(self, Pubrel | Subscribe | Unsubscribe) { 0b0010 } else { 0 }
    }
}

/// How the value of a property is written (2.2.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One byte.
    Byte,
    /// Two Byte Integer.
    Two,
    /// Four Byte Integer.
    Four,
    /// Variable Byte Integer.
    Variable,
    /// UTF-8 Encoded String.
    Text,
    /// Binary Data.
    Binary,
    /// UTF-8 String Pair.
    Pair,
}

/// One row of table 2-4.
#[derive(Debug)]
pub struct PropertyRow {
    /// The identifier on the wire.
    pub identifier: u8,
    /// The name in the language.
    pub name: &'static str,
    /// The form of its value.
    pub form: Form,
    /// The packets in which the Server may send it.
    pub from_server: &'static [Kind],
}

const fn row(identifier: u8, name: &'static str, form: Form, from_server: &'static [Kind]) -> PropertyRow {
    PropertyRow { identifier, name, form, from_server }
}

const EVERY_ANSWER: &[Kind] = &[Connack, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback, Disconnect, Auth];
const ALSO_PUBLISH: &[Kind] =
    &[Connack, Publish, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback, Disconnect, Auth];

/// The 27 properties of MQTT 5.0.
pub const PROPERTIES: [PropertyRow; 27] = [
    row(0x01, "payload_format_indicator", Form::Byte, &[Publish]),
    row(0x02, "message_expiry_interval", Form::Four, &[Publish]),
    row(0x03, "content_type", Form::Text, &[Publish]),
    row(0x08, "response_topic", Form::Text, &[Publish]),
    row(0x09, "correlation_data", Form::Binary, &[Publish]),
    row(0x0B, "subscription_identifier", Form::Variable, &[Publish]),
    row(0x11, "session_expiry_interval", Form::Four, &[Connack]),
    row(0x12, "assigned_client_identifier", Form::Text, &[Connack]),
    row(0x13, "server_keep_alive", Form::Two, &[Connack]),
    row(0x15, "authentication_method", Form::Text, &[Connack, Auth]),
    row(0x16, "authentication_data", Form::Binary, &[Connack, Auth]),
    row(0x17, "request_problem_information", Form::Byte, &[]),
    row(0x18, "will_delay_interval", Form::Four, &[]),
    row(0x19, "request_response_information", Form::Byte, &[]),
    row(0x1A, "response_information", Form::Text, &[Connack]),
    row(0x1C, "server_reference", Form::Text, &[Connack, Disconnect]),
    row(0x1F, "reason_string", Form::Text, EVERY_ANSWER),
    row(0x21, "receive_maximum", Form::Two, &[Connack]),
    row(0x22, "topic_alias_maximum", Form::Two, &[Connack]),
    row(0x23, "topic_alias", Form::Two, &[Publish]),
    row(0x24, "maximum_qos", Form::Byte, &[Connack]),
    row(0x25, "retain_available", Form::Byte, &[Connack]),
    row(0x26, "user_property", Form::Pair, ALSO_PUBLISH),
    row(0x27, "maximum_packet_size", Form::Four, &[Connack]),
    row(0x28, "wildcard_subscription_available", Form::Byte, &[Connack]),
    row(0x29, "subscription_identifier_available", Form::Byte, &[Connack]),
    row(0x2A, "shared_subscription_available", Form::Byte, &[Connack]),
];

/// Short names of properties that scripts use often, and what they stand for.
const SHORT_NAMES: [(&str, &str); 3] = [
    ("delay", "will_delay_interval"),
    ("session_expiry", "session_expiry_interval"),
    ("message_expiry", "message_expiry_interval"),
];

/// The property with this name or short name.
pub fn property_by_name(name: &str) -> Option<&'static PropertyRow> {
    let name = SHORT_NAMES.iter().find(|(short, _)| *short == name).map_or(name, |&(_, whole)| whole);
    PROPERTIES.iter().find(|row| row.name == name)
}

/// The property with this identifier.
pub fn property_by_identifier(identifier: u32) -> Option<&'static PropertyRow> {
    PROPERTIES.iter().find(|row| u32::from(row.identifier) == identifier)
}

/// One row of table 2-6, for one meaning of the value.
#[derive(Debug)]
pub struct ReasonRow {
    /// The value on the wire.
    pub value: u8,
    /// The name in the language.
    pub name: &'static str,
    /// The packets in which it may stand.
    pub allowed: &'static [Kind],
}

const fn reason(value: u8, name: &'static str, allowed: &'static [Kind]) -> ReasonRow {
    ReasonRow { value, name, allowed }
}

const PUBLISH_ACKS: &[Kind] = &[Puback, Pubrec];
const GENERAL: &[Kind] = &[Connack, Puback, Pubrec, Suback, Unsuback, Disconnect];

/// All Reason Codes of MQTT 5.0; 0x00 stands here with each of its three names.
pub const REASONS: [ReasonRow; 45] = [
    reason(0x00, "GrantedQoS0", &[Suback]),
    reason(0x00, "NormalDisconnection", &[Disconnect]),
    reason(0x00, "Success", &[Connack, Puback, Pubrec, Pubrel, Pubcomp, Unsuback, Auth]),
    reason(0x01, "GrantedQoS1", &[Suback]),
    reason(0x02, "GrantedQoS2", &[Suback]),
    reason(0x04, "DisconnectWithWillMessage", &[Disconnect]),
    reason(0x10, "NoMatchingSubscribers", PUBLISH_ACKS),
    reason(0x11, "NoSubscriptionExisted", &[Unsuback]),
    reason(0x18, "ContinueAuthentication", &[Auth]),
    reason(0x19, "ReAuthenticate", &[Auth]),
    reason(0x80, "UnspecifiedError", GENERAL),
    reason(0x81, "MalformedPacket", &[Connack, Disconnect]),
    reason(0x82, "ProtocolError", &[Connack, Disconnect]),
    reason(0x83, "ImplementationSpecificError", GENERAL),
    reason(0x84, "UnsupportedProtocolVersion", &[Connack]),
    reason(0x85, "ClientIdentifierNotValid", &[Connack]),
    reason(0x86, "BadUserNameOrPassword", &[Connack]),
    reason(0x87, "NotAuthorized", GENERAL),
    reason(0x88, "ServerUnavailable", &[Connack]),
    reason(0x89, "ServerBusy", &[Connack, Disconnect]),
    reason(0x8A, "Banned", &[Connack]),
    reason(0x8B, "ServerShuttingDown", &[Disconnect]),
    reason(0x8C, "BadAuthenticationMethod", &[Connack, Disconnect]),
    reason(0x8D, "KeepAliveTimeout", &[Disconnect]),
    reason(0x8E, "SessionTakenOver", &[Disconnect]),
    reason(0x8F, "TopicFilterInvalid", &[Suback, Unsuback, Disconnect]),
    reason(0x90, "TopicNameInvalid", &[Connack, Puback, Pubrec, Disconnect]),
    reason(0x91, "PacketIdentifierInUse", &[Puback, Pubrec, Suback, Unsuback]),
    reason(0x92, "PacketIdentifierNotFound", &[Pubrel, Pubcomp]),
    reason(0x93, "ReceiveMaximumExceeded", &[Disconnect]),
    reason(0x94, "TopicAliasInvalid", &[Disconnect]),
    reason(0x95, "PacketTooLarge", &[Connack, Disconnect]),
    reason(0x96, "MessageRateTooHigh", &[Disconnect]),
    reason(0x97, "QuotaExceeded", &[Connack, Puback, Pubrec, Suback, Disconnect]),
    reason(0x98, "AdministrativeAction", &[Disconnect]),
    reason(0x99, "PayloadFormatInvalid", &[Connack, Puback, Pubrec, Disconnect]),
    reason(0x9A, "RetainNotSupported", &[Connack, Disconnect]),
    reason(0x9B, "QoSNotSupported", &[Connack, Disconnect]),
    reason(0x9C, "UseAnotherServer", &[Connack, Disconnect]),
    reason(0x9D, "ServerMoved", &[Connack, Disconnect]),
    reason(0x9E, "SharedSubscriptionsNotSupported", &[Suback, Disconnect]),
    reason(0x9F, "ConnectionRateExceeded", &[Connack, Disconnect]),
    reason(0xA0, "MaximumConnectTime", &[Disconnect]),
    reason(0xA1, "SubscriptionIdentifiersNotSupported", &[Suback, Disconnect]),
    reason(0xA2, "WildcardSubscriptionsNotSupported", &[Suback, Disconnect]),
];

/// The return codes of a 3.1 and 3.1.1 CONNACK (3.2.2.3 there), by the Reason Code that says the same; the place is the value.
pub const CONNECT_RETURN_CODES: [u8; 6] = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87];

/// The value of the Reason Code with this name, if it may stand in a packet of this kind.
pub fn reason_by_name(kind: Kind, name: &str) -> Option<u8> {
    REASONS.iter().find(|row| row.name == name && row.allowed.contains(&kind)).map(|row| row.value)
}

/// The name of Reason Code `value` in a packet of this kind; `None` if it may not stand there.
pub fn reason_name(kind: Kind, value: u8) -> Option<&'static str> {
    REASONS.iter().find(|row| row.value == value && row.allowed.contains(&kind)).map(|row| row.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dunlin_packet::{packet::PacketType, reason_code::ReasonCode};

    use super::*;

    /// Two tables that were written apart say the same.
    #[test]
    fn reason_codes_are_those_of_the_packet_crate() {
        let ours: BTreeSet<u8> = REASONS.iter().map(|row| row.value).collect();
        let theirs: BTreeSet<u8> =
            (0..=u8::MAX).filter(|&value| ReasonCode::from_value(value).is_some()).collect();
        assert_eq!(ours, theirs);
        for value in theirs {
            let code = ReasonCode::from_value(value).expect("it is one of theirs");
            if value != 0 {
                let row = REASONS.iter().find(|row| row.value == value).expect("the values are the same");
                assert_eq!(format!("{code:?}"), row.name);
            }
            for (kind, name) in KINDS {
                let packet_type = PACKET_TYPES[kind as usize - 1];
                assert_eq!(
                    code.is_allowed_in(packet_type),
                    reason_name(kind, value).is_some(),
                    "{code:?} in {name}"
                );
            }
        }
    }

    const PACKET_TYPES: [PacketType; 15] = [
        PacketType::Connect,
        PacketType::Connack,
        PacketType::Publish,
        PacketType::Puback,
        PacketType::Pubrec,
        PacketType::Pubrel,
        PacketType::Pubcomp,
        PacketType::Subscribe,
        PacketType::Suback,
        PacketType::Unsubscribe,
        PacketType::Unsuback,
        PacketType::Pingreq,
        PacketType::Pingresp,
        PacketType::Disconnect,
        PacketType::Auth,
    ];

    #[test]
    fn tables_are_in_the_order_of_their_values() {
        assert!(KINDS.iter().enumerate().all(|(place, (kind, _))| *kind as usize == place + 1));
        assert!(PROPERTIES.is_sorted_by_key(|row| row.identifier));
        assert!(REASONS.is_sorted_by_key(|row| row.value));
    }

    #[test]
    fn the_names_of_zero_depend_on_the_packet() {
        assert_eq!(reason_name(Suback, 0), Some("GrantedQoS0"));
        assert_eq!(reason_name(Disconnect, 0), Some("NormalDisconnection"));
        assert_eq!(reason_name(Connack, 0), Some("Success"));
        assert_eq!(reason_name(Puback, 0x92), None);
    }

    #[test]
    fn short_names_stand_for_whole_names() {
        assert_eq!(property_by_name("delay").map(|row| row.identifier), Some(0x18));
        assert_eq!(property_by_name("topic_alias").map(|row| row.identifier), Some(0x23));
        assert!(property_by_name("colour").is_none());
    }
}
