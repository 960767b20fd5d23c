//! What is written for older versions, and what is not written at all.

use dunlin_packet::{
    acks::Ack,
    auth::Auth,
    connack::Connack,
    connect::Connect,
    disconnect::Disconnect,
    error::EncodeError,
    packet::{Packet, PacketType},
    packet_identifier::PacketId,
    property::list::{Property, PropertyList},
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
    suback::{ReasonCodes, Suback},
    subscribe::{RetainHandling, Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    topic::name::TopicName,
    unsuback::Unsuback,
    unsubscribe::{TopicFilters, Unsubscribe},
    version::ProtocolVersion::{self, V3_1, V3_1_1, V5_0},
    wire::variable_byte_integer,
};

const ID: PacketId = PacketId::MIN;
const WHY: PropertyList<'_> = PropertyList::from_items(&[Property::ReasonString("why")]);

fn encode(version: ProtocolVersion, packet: Packet<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let result = packet.encode(version, &mut out);
    assert_eq!(packet.encoded_len(version), result.map(|()| out.len()));
    result.map(|()| out)
}

fn publish(qos: QoS, packet_id: Option<PacketId>) -> Publish<'static> {
    let topic_name = Some(TopicName::parse("t").expect("valid"));
    let properties = PropertyList::EMPTY;
    Publish { dup: false, qos, retain: false, topic_name, packet_id, properties, payload: b"" }
}

fn connect(version: ProtocolVersion) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 0,
        client_id: "c",
        properties: PropertyList::EMPTY,
        will: None,
        user_name: None,
        password: None,
        is_bridge: false,
    }
}

fn all_codes() -> impl Iterator<Item = ReasonCode> {
    (0..=u8::MAX).filter_map(ReasonCode::from_value)
}

#[test]
fn there_are_43_reason_codes_and_each_belongs_somewhere() {
    assert_eq!(all_codes().count(), 43);
    for code in all_codes() {
        assert!(PacketType::ALL.into_iter().any(|packet_type| code.is_allowed_in(packet_type)), "{code}");
        assert_eq!(code.is_error(), code.value() >= 0x80);
        assert_eq!(ReasonCode::from_value(code.value()), Some(code));
    }
    for packet_type in [PacketType::Connect, PacketType::Publish, PacketType::Pingreq, PacketType::Subscribe]
    {
        assert!(!all_codes().any(|code| code.is_allowed_in(packet_type)), "{packet_type}");
    }
}

#[test]
fn older_clients_see_only_the_six_return_codes() {
    for code in all_codes().filter(|code| code.is_allowed_in(PacketType::Connack)) {
        let connack = Connack { session_present: false, reason_code: code, properties: WHY };
        for version in [V3_1, V3_1_1] {
            let value = code.connect_return_code();
            assert_eq!(encode(version, Packet::Connack(connack)), Ok(vec![0x20, 2, 0, value]), "{code}");
            assert!(value <= 5);
            assert_eq!(value == 0, code == ReasonCode::Success, "{code}");
        }
    }
    for value in 0..=5 {
        let code = ReasonCode::from_connect_return_code(value).expect("0 to 5 are codes");
        assert_eq!(code.connect_return_code(), value);
    }
    assert_eq!(ReasonCode::from_connect_return_code(6), None);
}

#[test]
fn version_3_1_has_no_session_present() {
    let connack =
        Connack { session_present: true, reason_code: ReasonCode::Success, properties: PropertyList::EMPTY };
    assert_eq!(encode(V3_1, Packet::Connack(connack)), Ok(vec![0x20, 2, 0, 0]));
    assert_eq!(encode(V3_1_1, Packet::Connack(connack)), Ok(vec![0x20, 2, 1, 0]));
}

#[test]
fn acknowledgements_have_no_code_and_no_properties_before_5_0() {
    let ack = Ack { packet_id: ID, reason_code: ReasonCode::NotAuthorized, properties: WHY };
    for version in [V3_1, V3_1_1] {
        assert_eq!(encode(version, Packet::Puback(ack)), Ok(vec![0x40, 2, 0, 1]));
        assert_eq!(encode(version, Packet::Pubrec(ack)), Ok(vec![0x50, 2, 0, 1]));
        assert_eq!(encode(version, Packet::Pubrel(ack)), Ok(vec![0x62, 2, 0, 1]));
        assert_eq!(encode(version, Packet::Pubcomp(ack)), Ok(vec![0x70, 2, 0, 1]));
        let disconnect = Disconnect { reason_code: ReasonCode::ServerBusy, properties: WHY };
        assert_eq!(encode(version, Packet::Disconnect(disconnect)), Ok(vec![0xE0, 0]));
    }
}

#[test]
fn subscribe_acknowledgements_know_one_failure_in_3_1_1_and_none_in_3_1() {
    let codes = [ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized, ReasonCode::GRANTED_QOS_0];
    let reason_codes = ReasonCodes::from_slice(&codes);
    let suback = Packet::Suback(Suback { packet_id: ID, properties: WHY, reason_codes });
    assert_eq!(encode(V3_1, suback), Ok(vec![0x90, 5, 0, 1, 2, 0, 0]));
    assert_eq!(encode(V3_1_1, suback), Ok(vec![0x90, 5, 0, 1, 2, 0x80, 0])); // [MQTT3-3.9.3-2]
    let codes = [ReasonCode::NoSubscriptionExisted];
    let reason_codes = ReasonCodes::from_slice(&codes);
    let unsuback = Packet::Unsuback(Unsuback { packet_id: ID, properties: WHY, reason_codes });
    assert_eq!(encode(V3_1_1, unsuback), Ok(vec![0xB0, 2, 0, 1]));
}

#[test]
fn before_5_0_a_subscription_has_a_qos_only() {
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let requests = [SubscriptionRequest { topic_filter: "$share/g/a", options }];
    let filters = SubscriptionFilters::from_slice(&requests);
    let subscribe = Packet::Subscribe(Subscribe { packet_id: ID, properties: PropertyList::EMPTY, filters });
    let bytes = encode(V3_1_1, subscribe).expect("$share means nothing there");
    assert_eq!(bytes.last(), Some(&1));
    assert_eq!(encode(V5_0, subscribe), Err(EncodeError::InvalidPacket)); // [MQTT-3.8.3-4]
}

#[test]
fn properties_of_a_publish_are_left_out_before_5_0() {
    let items = [Property::ContentType("text/plain")];
    let with = Publish { properties: PropertyList::from_items(&items), ..publish(QoS::AtMostOnce, None) };
    assert_eq!(encode(V3_1_1, Packet::Publish(with)), Ok(vec![0x30, 3, 0, 1, b't']));
    let alias = [Property::TopicAlias(1)];
    let aliased = Publish { topic_name: None, properties: PropertyList::from_items(&alias), ..with };
    assert!(encode(V5_0, Packet::Publish(aliased)).is_ok());
    assert_eq!(encode(V3_1_1, Packet::Publish(aliased)), Err(EncodeError::InvalidPacket));
}

#[test]
fn packets_that_contradict_themselves_are_not_written() {
    let no_topic = Publish { topic_name: None, ..publish(QoS::AtMostOnce, None) };
    let dup = Publish { dup: true, ..publish(QoS::AtMostOnce, None) };
    let no_codes = ReasonCodes::EMPTY;
    let alien = [ReasonCode::SessionTakenOver];
    let alien_codes = ReasonCodes::from_slice(&alien);
    let properties = PropertyList::EMPTY;
    let refusal = ReasonCode::NotAuthorized;
    for packet in [
        Packet::Publish(no_topic),
        Packet::Publish(dup),                             // [MQTT-3.3.1-2] [MQTT3-3.3.1-2]
        Packet::Publish(publish(QoS::AtLeastOnce, None)), // [MQTT-2.2.1-4] [MQTT3-2.3.1-1]
        Packet::Publish(publish(QoS::AtMostOnce, Some(ID))), // [MQTT-2.2.1-2] [MQTT3-2.3.1-5]
        Packet::Connack(Connack { session_present: true, reason_code: refusal, properties }), // [MQTT-3.2.2-6]
        Packet::Connack(Connack { session_present: false, reason_code: alien[0], properties }), // [MQTT-3.2.2-8]
        Packet::Puback(Ack::with_reason(ID, alien[0])), // [MQTT-3.4.2-1]
        Packet::Pubrec(Ack::with_reason(ID, alien[0])), // [MQTT-3.5.2-1]
        Packet::Pubrel(Ack::with_reason(ID, refusal)),  // [MQTT-3.6.2-1]
        Packet::Pubcomp(Ack::with_reason(ID, refusal)), // [MQTT-3.7.2-1]
        Packet::Subscribe(Subscribe {
            packet_id: ID,
            properties,
            filters: SubscriptionFilters::from_slice(&[]),
        }), // [MQTT-3.8.3-2]
        Packet::Unsubscribe(Unsubscribe {
            packet_id: ID,
            properties,
            filters: TopicFilters::from_slice(&[]),
        }), // [MQTT-3.10.3-2]
        Packet::Suback(Suback { packet_id: ID, properties, reason_codes: no_codes }),
        Packet::Suback(Suback { packet_id: ID, properties, reason_codes: alien_codes }), // [MQTT-3.9.3-2]
        Packet::Unsuback(Unsuback { packet_id: ID, properties, reason_codes: no_codes }),
        Packet::Unsuback(Unsuback { packet_id: ID, properties, reason_codes: alien_codes }), // [MQTT-3.11.3-2]
        Packet::Disconnect(Disconnect::with_reason(ReasonCode::Banned)), // [MQTT-3.14.2-1]
        Packet::Auth(Auth { reason_code: refusal, properties }),         // [MQTT-3.15.2-1]
        Packet::Auth(Auth { reason_code: ReasonCode::ReAuthenticate, properties }),
        Packet::Connect(Connect { is_bridge: true, ..connect(V5_0) }),
        Packet::Connect(Connect { password: Some(b"p"), ..connect(V3_1_1) }), // [MQTT3-3.1.2-22]
    ] {
        assert_eq!(encode(V5_0, packet), Err(EncodeError::InvalidPacket), "{packet:?}");
    }
    let auth = Auth { reason_code: ReasonCode::Success, properties };
    assert_eq!(encode(V3_1_1, Packet::Auth(auth)), Err(EncodeError::InvalidPacket));
    let mut out = Vec::new();
    let as_publish = Ack::success(ID).encode(PacketType::Publish, V5_0, &mut out);
    assert_eq!((as_publish, out), (Err(EncodeError::InvalidPacket), vec![]));
}

#[test]
fn strings_and_binary_data_end_at_65535_bytes() {
    let longest = "a".repeat(65_535);
    let too_long = "a".repeat(65_536);
    for (text, expected) in [(&longest, None), (&too_long, Some(EncodeError::TooLong))] {
        let version = V3_1_1;
        let with_id = Connect { client_id: text, ..connect(version) };
        let with_user = Connect { user_name: Some(text), ..connect(version) };
        let with_password = Connect { password: Some(text.as_bytes()), ..with_user };
        let texts = [text.as_str()];
        let filters = TopicFilters::from_slice(&texts);
        let properties = PropertyList::EMPTY;
        let unsubscribe = Packet::Unsubscribe(Unsubscribe { packet_id: ID, properties, filters });
        for packet in
            [with_id, with_user, with_password].map(Packet::Connect).into_iter().chain([unsubscribe])
        {
            assert_eq!(encode(version, packet).err(), expected);
        }
    }
    let with_null = Connect { client_id: "a\0", ..connect(V5_0) };
    assert_eq!(encode(V5_0, Packet::Connect(with_null)), Err(EncodeError::NullCharacter)); // [MQTT-1.5.4-2]
}

#[test]
fn the_remaining_length_ends_at_268435455() {
    let text = "a".repeat(65_535);
    let request = SubscriptionRequest { topic_filter: &text, options: SubscriptionOptions::default() };
    let most = variable_byte_integer::MAX as usize / (65_535 + 3);
    let requests = vec![request; most + 1];
    let properties = PropertyList::EMPTY;
    for (len, is_sound) in [(most, true), (most + 1, false)] {
        let filters = SubscriptionFilters::from_slice(&requests[..len]);
        let subscribe = Subscribe { packet_id: ID, properties, filters };
        let expected = if is_sound { None } else { Some(EncodeError::TooLarge) };
        assert_eq!(subscribe.encoded_len(V3_1_1).err(), expected);
    }
    let items = vec![Property::UserProperty(&text, &text); 2100];
    let ack = Ack { properties: PropertyList::from_items(&items), ..Ack::success(ID) };
    assert_eq!(ack.encoded_len(PacketType::Puback, V5_0), Err(EncodeError::TooLarge));
}

#[test]
fn the_version_of_a_connect_is_known_also_if_the_rest_is_bad() {
    for (body, version) in [
        (&b"\0\x04MQTT\x05\xFF"[..], Some(V5_0)),
        (b"\0\x04MQTT\x04", Some(V3_1_1)),
        (b"\0\x06MQIsdp\x83", Some(V3_1)),
        (b"\0\x04MQTT\x06", None),
        (b"\0\x04MQTT", None),
        (b"\0\x04HTTP\x05", None),
        (b"", None),
    ] {
        assert_eq!(Connect::announced_version(body), version, "{}", body.escape_ascii());
    }
}

#[test]
fn errors_speak() {
    for error in [
        EncodeError::BufferFull,
        EncodeError::TooLong,
        EncodeError::TooLarge,
        EncodeError::NullCharacter,
        EncodeError::InvalidProperty,
        EncodeError::InvalidPacket,
    ] {
        assert!(error.to_string().len() > 20);
    }
    assert_eq!(ReasonCode::NotAuthorized.to_string(), "Not authorized (0x87)");
    assert_eq!(ReasonCode::Success.name_in(PacketType::Disconnect), "Normal disconnection");
    assert_eq!(ReasonCode::Success.name_in(PacketType::Suback), "Granted QoS 0");
    assert_eq!(V3_1_1.to_string(), "3.1.1");
}
