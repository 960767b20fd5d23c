//! Each Property in each place: allowed or not, once or more, readable by its accessor (2.2.2).

use dunlin_packet::{
    acks::Ack,
    auth::Auth,
    connack::Connack,
    connect::{Connect, Will},
    disconnect::Disconnect,
    error::{DecodeError, EncodeError},
    fixed_header::Frame,
    packet::{Packet, PacketType},
    packet_identifier::PacketId,
    property::{
        identifier::{PropertyId, PropertyPlace},
        list::{Property, PropertyList},
    },
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
    suback::{ReasonCodes, Suback},
    subscribe::{Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    topic::name::TopicName,
    unsuback::Unsuback,
    unsubscribe::{TopicFilters, Unsubscribe},
    version::ProtocolVersion::V5_0,
};

/// A value for each Property.
const SAMPLES: [Property<'_>; 27] = [
    Property::PayloadFormatIndicator(true),
    Property::MessageExpiryInterval(0),
    Property::ContentType("text/plain"),
    Property::ResponseTopic("r"),
    Property::CorrelationData(&[0, 1]),
    Property::SubscriptionIdentifier(268_435_455),
    Property::SessionExpiryInterval(u32::MAX),
    Property::AssignedClientIdentifier("auto"),
    Property::ServerKeepAlive(0),
    Property::AuthenticationMethod("m"),
    Property::AuthenticationData(&[]),
    Property::RequestProblemInformation(false),
    Property::WillDelayInterval(5),
    Property::RequestResponseInformation(true),
    Property::ResponseInformation(""),
    Property::ServerReference("other"),
    Property::ReasonString("why"),
    Property::ReceiveMaximum(1),
    Property::TopicAliasMaximum(0),
    Property::TopicAlias(1),
    Property::MaximumQoS(QoS::AtMostOnce),
    Property::RetainAvailable(false),
    Property::UserProperty("k", ""),
    Property::MaximumPacketSize(1),
    Property::WildcardSubscriptionAvailable(false),
    Property::SubscriptionIdentifierAvailable(false),
    Property::SharedSubscriptionAvailable(true),
];

fn places() -> impl Iterator<Item = PropertyPlace> {
    let is_without =
        |packet_type: &PacketType| matches!(packet_type, PacketType::Pingreq | PacketType::Pingresp);
    let packets = PacketType::ALL.into_iter().filter(move |packet_type| !is_without(packet_type));
    packets.map(PropertyPlace::Packet).chain([PropertyPlace::Will])
}

/// Makes a packet with the Properties in `place` and gives it to `use_packet`.
fn with_packet<R>(
    place: PropertyPlace,
    properties: PropertyList<'_>,
    use_packet: impl FnOnce(Packet<'_>) -> R,
) -> R {
    let packet_id = PacketId::MIN;
    let ack = Ack { packet_id, reason_code: ReasonCode::Success, properties };
    let reason_codes = ReasonCodes::from_slice(&[ReasonCode::Success]);
    let topic_name = TopicName::parse("t").expect("valid");
    let request = [SubscriptionRequest { topic_filter: "f", options: SubscriptionOptions::default() }];
    let PropertyPlace::Packet(packet_type) = place else {
        return use_packet(Packet::Connect(connect(PropertyList::EMPTY, Some(properties))));
    };
    use_packet(match packet_type {
        PacketType::Connect => Packet::Connect(connect(properties, None)),
        PacketType::Connack => {
            Packet::Connack(Connack { session_present: false, reason_code: ReasonCode::Success, properties })
        }
        PacketType::Publish => Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic_name: Some(topic_name),
            packet_id: None,
            properties,
            payload: b"payload",
        }),
        PacketType::Puback => Packet::Puback(ack),
        PacketType::Pubrec => Packet::Pubrec(ack),
        PacketType::Pubrel => Packet::Pubrel(ack),
        PacketType::Pubcomp => Packet::Pubcomp(ack),
        PacketType::Subscribe => Packet::Subscribe(Subscribe {
            packet_id,
            properties,
            filters: SubscriptionFilters::from_slice(&request),
        }),
        PacketType::Suback => Packet::Suback(Suback { packet_id, properties, reason_codes }),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties,
            filters: TopicFilters::from_slice(&["f"]),
        }),
        PacketType::Unsuback => Packet::Unsuback(Unsuback { packet_id, properties, reason_codes }),
        PacketType::Pingreq => Packet::Pingreq,
        PacketType::Pingresp => Packet::Pingresp,
        PacketType::Disconnect => {
            Packet::Disconnect(Disconnect { reason_code: ReasonCode::Success, properties })
        }
        PacketType::Auth => Packet::Auth(Auth { reason_code: ReasonCode::Success, properties }),
    })
}

fn connect<'a>(properties: PropertyList<'a>, will: Option<PropertyList<'a>>) -> Connect<'a> {
    let will = will.map(|properties| Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic_name: TopicName::parse("w").expect("valid"),
        payload: b"",
        properties,
    });
    Connect {
        version: V5_0,
        clean_start: true,
        keep_alive_s: 0,
        client_id: "",
        properties,
        will,
        user_name: None,
        password: None,
        is_bridge: false,
    }
}

/// The Properties of `place` in `packet`.
fn list_of<'a>(place: PropertyPlace, packet: &Packet<'a>) -> PropertyList<'a> {
    match packet {
        Packet::Connect(Connect { will: Some(will), .. }) if place == PropertyPlace::Will => will.properties,
        Packet::Connect(connect) => connect.properties,
        Packet::Connack(connack) => connack.properties,
        Packet::Publish(publish) => publish.properties,
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            ack.properties
        }
        Packet::Subscribe(subscribe) => subscribe.properties,
        Packet::Suback(suback) => suback.properties,
        Packet::Unsubscribe(unsubscribe) => unsubscribe.properties,
        Packet::Unsuback(unsuback) => unsuback.properties,
        Packet::Disconnect(disconnect) => disconnect.properties,
        Packet::Auth(auth) => auth.properties,
        Packet::Pingreq | Packet::Pingresp => PropertyList::EMPTY,
    }
}

/// The samples in wire form, by way of packets that may carry them.
fn wire_form(property: Property<'_>) -> Vec<u8> {
    let place = places().find(|place| property.id().is_allowed_in(*place)).expect("some place");
    let with_method = [Property::AuthenticationMethod("m"), property];
    let items = if property.id() == PropertyId::AuthenticationMethod || !needs_method(place, property) {
        &with_method[1..]
    } else {
        &with_method[..]
    };
    let bytes = encode(place, PropertyList::from_items(items)).expect("a sound sample");
    let frame = Frame::split(&bytes, u32::MAX).expect("sound").expect("whole");
    let packet = Packet::decode(V5_0, frame).expect("sound");
    let (_, encoded) = list_of(place, &packet).encoded_properties().last().expect("one at least");
    encoded.to_vec()
}

/// AUTH always needs a method, and Authentication Data everywhere.
fn needs_method(place: PropertyPlace, property: Property<'_>) -> bool {
    property.id() == PropertyId::AuthenticationData || place == PropertyPlace::Packet(PacketType::Auth)
}

fn encode(place: PropertyPlace, properties: PropertyList<'_>) -> Result<Vec<u8>, EncodeError> {
    with_packet(place, properties, |packet| {
        let mut out = Vec::new();
        packet.encode(V5_0, &mut out).map(|()| out)
    })
}

fn decode_list(place: PropertyPlace, bytes: &[u8]) -> Result<Vec<PropertyId>, DecodeError> {
    let frame = Frame::split(bytes, u32::MAX)?.expect("whole");
    let packet = Packet::decode(V5_0, frame)?;
    Ok(list_of(place, &packet).iter().map(|property| property.id()).collect())
}

#[test]
fn the_samples_are_all_properties_in_order() {
    assert!(SAMPLES.iter().map(Property::id).eq(PropertyId::ALL));
}

#[test]
fn each_property_is_taken_where_it_may_stand_and_nowhere_else() {
    for place in places() {
        for property in SAMPLES {
            let id = property.id();
            // The method in front satisfies AUTH and Authentication Data, where it may stand.
            let encoded = if needs_method(place, property) && id != PropertyId::AuthenticationMethod {
                [wire_form(Property::AuthenticationMethod("m")), wire_form(property)].concat()
            } else {
                wire_form(property)
            };
            let bytes = encode(place, PropertyList::with_encoded(&[], &encoded));
            let bytes = bytes.unwrap_or_else(|error| panic!("{id} in {place}: {error}"));
            match decode_list(place, &bytes) {
                Ok(found) => {
                    assert!(id.is_allowed_in(place), "{id} in {place}");
                    assert_eq!(found.last(), Some(&id));
                }
                Err(DecodeError::PropertyNotAllowed { property, place: found_in }) => {
                    assert!(!property.is_allowed_in(place), "{property} in {place}");
                    assert_eq!(found_in, place);
                }
                Err(error) => panic!("{id} in {place}: {error}"),
            }
        }
    }
}

#[test]
fn only_user_property_and_in_publish_subscription_identifier_may_be_doubled() {
    for place in places() {
        for property in SAMPLES.into_iter().filter(|property| property.id().is_allowed_in(place)) {
            let id = property.id();
            let method = match needs_method(place, property) && id != PropertyId::AuthenticationMethod {
                true => wire_form(Property::AuthenticationMethod("m")),
                false => Vec::new(),
            };
            let encoded = [method, wire_form(property), wire_form(property)].concat();
            let bytes = encode(place, PropertyList::with_encoded(&[], &encoded)).expect("written as it is");
            let may_repeat = id == PropertyId::UserProperty
                || id == PropertyId::SubscriptionIdentifier
                    && place == PropertyPlace::Packet(PacketType::Publish);
            match decode_list(place, &bytes) {
                Ok(_) => assert!(may_repeat, "{id} in {place}"),
                Err(error) => {
                    assert!(!may_repeat, "{id} in {place}");
                    assert_eq!(error, DecodeError::DuplicateProperty { property: id, place });
                    assert_eq!(error.reason_code(), ReasonCode::ProtocolError);
                }
            }
        }
    }
}

#[test]
fn values_that_a_receiver_would_refuse_are_not_sent() {
    let topic = "a".repeat(65_536);
    for (place, items) in [
        (PacketType::Connect, vec![Property::ReceiveMaximum(0)]),
        (PacketType::Connect, vec![Property::MaximumPacketSize(0)]),
        (PacketType::Connect, vec![Property::TopicAlias(1)]),
        (PacketType::Connect, vec![Property::TopicAliasMaximum(1), Property::TopicAliasMaximum(1)]),
        (PacketType::Connack, vec![Property::MaximumQoS(QoS::ExactlyOnce)]),
        (PacketType::Publish, vec![Property::TopicAlias(0)]),
        (PacketType::Publish, vec![Property::ResponseTopic("a/#")]),
        (PacketType::Publish, vec![Property::ResponseTopic("")]),
        (PacketType::Publish, vec![Property::SubscriptionIdentifier(0)]),
        (PacketType::Publish, vec![Property::SubscriptionIdentifier(268_435_456)]),
        (
            PacketType::Subscribe,
            vec![Property::SubscriptionIdentifier(1), Property::SubscriptionIdentifier(2)],
        ),
        (PacketType::Connect, vec![Property::AuthenticationData(b"x")]),
        (PacketType::Connack, vec![Property::AuthenticationData(b"x")]),
    ] {
        let result = encode(PropertyPlace::Packet(place), PropertyList::from_items(&items));
        assert_eq!(result, Err(EncodeError::InvalidProperty), "{items:?} in {place}");
    }
    for property in [Property::ReasonString(&topic), Property::UserProperty("k", &topic)] {
        let result = encode(PropertyPlace::Packet(PacketType::Puback), PropertyList::from_items(&[property]));
        assert_eq!(result, Err(EncodeError::TooLong));
    }
    for property in [Property::ReasonString("\0"), Property::UserProperty("\0", "v")] {
        let result = encode(PropertyPlace::Packet(PacketType::Puback), PropertyList::from_items(&[property]));
        assert_eq!(result, Err(EncodeError::NullCharacter)); // [MQTT-1.5.4-2]
    }
}

#[test]
fn items_come_first_and_encoded_properties_follow() {
    let encoded =
        [wire_form(Property::UserProperty("k", "")), wire_form(Property::ContentType("text/plain"))].concat();
    let items = [Property::TopicAlias(7), Property::SubscriptionIdentifier(1)];
    let list = PropertyList::with_encoded(&items, &encoded);
    let all = [
        Property::TopicAlias(7),
        Property::SubscriptionIdentifier(1),
        Property::UserProperty("k", ""),
        Property::ContentType("text/plain"),
    ];
    assert_eq!(list, PropertyList::from_items(&all));
    let place = PropertyPlace::Packet(PacketType::Publish);
    assert_eq!(encode(place, list), encode(place, PropertyList::from_items(&all)));
    assert_eq!(list.topic_alias(), Some(7));
    assert_eq!(list.content_type(), Some("text/plain"));
    assert_eq!(list.response_topic(), None);
    assert!(list.subscription_identifiers().eq([1]));
    assert!(list.user_properties().eq([("k", "")]));
    assert_eq!(list.encoded_len(), PropertyList::from_items(&all).encoded_len());
}

#[test]
fn reading_stops_where_encoded_bytes_are_not_sound() {
    let sound = wire_form(Property::UserProperty("k", ""));
    for broken in
        [&[0x00][..], &[0x7F], &[0x26, 0, 5], &[0x23, 0], &[0x0B, 0x80], &[0x01, 2], &[0x03, 0, 1, 0xFF]]
    {
        let encoded = [&sound, broken].concat();
        let list = PropertyList::with_encoded(&[], &encoded);
        assert_eq!(list.iter().count(), 1, "{broken:02X?}");
        assert_eq!(list.topic_alias(), None);
        assert_eq!(list.content_type(), None);
        assert!(!format!("{list:?}").is_empty());
    }
}

#[test]
fn each_accessor_finds_its_property() {
    let all = PropertyList::from_items(&SAMPLES);
    let none = PropertyList::EMPTY;
    assert_eq!((all.payload_format_indicator(), none.payload_format_indicator()), (Some(true), None));
    assert_eq!((all.message_expiry_interval_s(), none.message_expiry_interval_s()), (Some(0), None));
    assert_eq!((all.content_type(), none.content_type()), (Some("text/plain"), None));
    assert_eq!((all.response_topic(), none.response_topic()), (Some("r"), None));
    assert_eq!((all.correlation_data(), none.correlation_data()), (Some(&[0, 1][..]), None));
    assert_eq!((all.session_expiry_interval_s(), none.session_expiry_interval_s()), (Some(u32::MAX), None));
    assert_eq!((all.assigned_client_identifier(), none.assigned_client_identifier()), (Some("auto"), None));
    assert_eq!((all.server_keep_alive_s(), none.server_keep_alive_s()), (Some(0), None));
    assert_eq!((all.authentication_method(), none.authentication_method()), (Some("m"), None));
    assert_eq!((all.authentication_data(), none.authentication_data()), (Some(&[][..]), None));
    assert_eq!((all.request_problem_information(), none.request_problem_information()), (Some(false), None));
    assert_eq!((all.will_delay_interval_s(), none.will_delay_interval_s()), (Some(5), None));
    assert_eq!((all.request_response_information(), none.request_response_information()), (Some(true), None));
    assert_eq!((all.response_information(), none.response_information()), (Some(""), None));
    assert_eq!((all.server_reference(), none.server_reference()), (Some("other"), None));
    assert_eq!((all.reason_string(), none.reason_string()), (Some("why"), None));
    assert_eq!((all.receive_maximum(), none.receive_maximum()), (Some(1), None));
    assert_eq!((all.topic_alias_maximum(), none.topic_alias_maximum()), (Some(0), None));
    assert_eq!((all.topic_alias(), none.topic_alias()), (Some(1), None));
    assert_eq!((all.maximum_qos(), none.maximum_qos()), (Some(QoS::AtMostOnce), None));
    assert_eq!((all.retain_available(), none.retain_available()), (Some(false), None));
    assert_eq!((all.maximum_packet_size(), none.maximum_packet_size()), (Some(1), None));
    assert_eq!(
        (all.wildcard_subscription_available(), none.wildcard_subscription_available()),
        (Some(false), None)
    );
    assert_eq!(
        (all.subscription_identifier_available(), none.subscription_identifier_available()),
        (Some(false), None)
    );
    assert_eq!(
        (all.shared_subscription_available(), none.shared_subscription_available()),
        (Some(true), None)
    );
}
