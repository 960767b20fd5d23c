//! Any bytes are safe, and any packet survives the way to bytes and back.

use dunlin_packet::{
    acks::Ack,
    auth::Auth,
    connack::Connack,
    connect::{Connect, Will},
    disconnect::Disconnect,
    fixed_header::Frame,
    packet::{Packet, PacketType},
    packet_identifier::PacketId,
    property::{
        identifier::PropertyPlace,
        list::{Property, PropertyList},
    },
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
    suback::{ReasonCodes, Suback},
    subscribe::{RetainHandling, Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    topic::{filter::TopicFilter, matching, name::TopicName},
    unsuback::Unsuback,
    unsubscribe::{TopicFilters, Unsubscribe},
    version::ProtocolVersion,
    wire::variable_byte_integer::{self, Decoded},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// What a packet is made of, owned.
#[derive(Clone, Debug)]
struct Sample {
    version: ProtocolVersion,
    packet_type: PacketType,
    flags: [bool; 5],
    qos: QoS,
    retain_handling: RetainHandling,
    number: u16,
    packet_id: PacketId,
    topic: String,
    texts: Vec<String>,
    payload: Vec<u8>,
    codes: Vec<ReasonCode>,
    properties: Vec<OwnedProperty>,
}

#[derive(Clone, Debug)]
enum OwnedProperty {
    Flag(usize, bool),
    Number(usize, u32),
    Text(usize, String),
    Data(bool, Vec<u8>),
    Pair(String, String),
}

impl OwnedProperty {
    fn borrow(&self) -> Property<'_> {
        match self {
            Self::Flag(which, value) => {
                let value = *value;
                let qos = if value { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                [
                    Property::PayloadFormatIndicator(value),
                    Property::RequestProblemInformation(value),
                    Property::RequestResponseInformation(value),
                    Property::MaximumQoS(qos),
                    Property::RetainAvailable(value),
                    Property::WildcardSubscriptionAvailable(value),
                    Property::SubscriptionIdentifierAvailable(value),
                    Property::SharedSubscriptionAvailable(value),
                ][which % 8]
            }
            Self::Number(which, value) => {
                let short = *value as u16;
                [
                    Property::MessageExpiryInterval(*value),
                    Property::SubscriptionIdentifier((*value & variable_byte_integer::MAX).max(1)),
                    Property::SessionExpiryInterval(*value),
                    Property::WillDelayInterval(*value),
                    Property::MaximumPacketSize((*value).max(1)),
                    Property::ServerKeepAlive(short),
                    Property::ReceiveMaximum(short.max(1)),
                    Property::TopicAliasMaximum(short),
                    Property::TopicAlias(short.max(1)),
                ][which % 9]
            }
            Self::Text(which, value) => [
                Property::ContentType(value),
                Property::ResponseTopic(if TopicName::parse(value).is_ok() { value } else { "r" }),
                Property::AssignedClientIdentifier(value),
                Property::AuthenticationMethod(value),
                Property::ResponseInformation(value),
                Property::ServerReference(value),
                Property::ReasonString(value),
            ][which % 7],
            Self::Data(true, data) => Property::CorrelationData(data),
            Self::Data(false, data) => Property::AuthenticationData(data),
            Self::Pair(name, value) => Property::UserProperty(name, value),
        }
    }
}

impl Sample {
    /// The Properties that may stand in `place`, in front of them a method if one is needed.
    fn properties(&self, place: PropertyPlace) -> Vec<Property<'_>> {
        let mut list: Vec<Property<'_>> = Vec::new();
        if !self.version.has_properties() {
            return list;
        }
        let method = Property::AuthenticationMethod("method");
        if method.id().is_allowed_in(place) && (self.flags[4] || place.packet_type() == PacketType::Auth) {
            list.push(method);
        }
        for property in self.properties.iter().map(OwnedProperty::borrow) {
            let id = property.id();
            let is_doubled = list.iter().any(|other| other.id() == id) && !id.may_repeat_in(place);
            let is_lonely = matches!(property, Property::AuthenticationData(_)) && !list.contains(&method);
            if id.is_allowed_in(place) && !is_doubled && !is_lonely {
                list.push(property);
            }
        }
        list
    }

    /// The first code that `packet_type` may carry; Success in versions that cannot say another.
    fn code(&self, packet_type: PacketType) -> ReasonCode {
        let mut codes = self.codes.iter().copied();
        match codes.find(|code| code.is_allowed_in(packet_type)) {
            Some(code) if self.version.has_properties() => code,
            Some(code) if packet_type == PacketType::Connack => {
                let code = ReasonCode::from_connect_return_code(code.connect_return_code());
                code.expect("each code has a return code")
            }
            _ => ReasonCode::Success,
        }
    }

    /// The codes that SUBACK or UNSUBACK may carry in this version, at least one.
    fn codes(&self, packet_type: PacketType) -> Vec<ReasonCode> {
        let is_known = |code: &ReasonCode| match self.version {
            ProtocolVersion::V5_0 => code.is_allowed_in(packet_type),
            ProtocolVersion::V3_1_1 => code.value() <= 2 || *code == ReasonCode::UnspecifiedError,
            ProtocolVersion::V3_1 => code.value() <= 2,
        };
        let codes = self.codes.iter().copied().filter(is_known);
        codes.chain([ReasonCode::Success]).collect()
    }

    fn text(&self, index: usize) -> &str {
        &self.texts[index % self.texts.len()]
    }

    /// Makes the packet and gives it to `use_packet`.
    fn with_packet(&self, use_packet: impl FnOnce(Packet<'_>)) {
        let items = self.properties(PropertyPlace::Packet(self.packet_type));
        let properties = PropertyList::from_items(&items);
        let packet_id = self.packet_id;
        let ack = Ack { packet_id, reason_code: self.code(self.packet_type), properties };
        let codes = self.codes(self.packet_type);
        let reason_codes = ReasonCodes::from_slice(&codes);
        match self.packet_type {
            PacketType::Connect => self.with_connect(properties, use_packet),
            PacketType::Publish => self.with_publish(properties, use_packet),
            PacketType::Subscribe => self.with_subscribe(properties, use_packet),
            PacketType::Connack => {
                let reason_code = self.code(PacketType::Connack);
                let may_be_present = !reason_code.is_error() && self.version != ProtocolVersion::V3_1;
                let session_present = self.flags[0] && may_be_present;
                use_packet(Packet::Connack(Connack { session_present, reason_code, properties }));
            }
            PacketType::Puback => use_packet(Packet::Puback(ack)),
            PacketType::Pubrec => use_packet(Packet::Pubrec(ack)),
            PacketType::Pubrel => use_packet(Packet::Pubrel(ack)),
            PacketType::Pubcomp => use_packet(Packet::Pubcomp(ack)),
            PacketType::Suback => use_packet(Packet::Suback(Suback { packet_id, properties, reason_codes })),
            PacketType::Unsubscribe => {
                let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
                let filters = TopicFilters::from_slice(&texts);
                use_packet(Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters }));
            }
            PacketType::Unsuback => {
                let has_codes = self.version.has_properties();
                let reason_codes = if has_codes { reason_codes } else { ReasonCodes::EMPTY };
                use_packet(Packet::Unsuback(Unsuback { packet_id, properties, reason_codes }));
            }
            PacketType::Pingreq => use_packet(Packet::Pingreq),
            PacketType::Pingresp => use_packet(Packet::Pingresp),
            PacketType::Disconnect => {
                let reason_code = self.code(PacketType::Disconnect);
                use_packet(Packet::Disconnect(Disconnect { reason_code, properties }));
            }
            PacketType::Auth if self.version.has_properties() => {
                let reason_code = self.code(PacketType::Auth);
                use_packet(Packet::Auth(Auth { reason_code, properties }));
            }
            PacketType::Auth => {}
        }
    }

    fn with_connect(&self, properties: PropertyList<'_>, use_packet: impl FnOnce(Packet<'_>)) {
        let will_items = self.properties(PropertyPlace::Will);
        let will = Will {
            qos: self.qos,
            retain: self.flags[1],
            topic_name: TopicName::parse(&self.topic).expect("a valid sample"),
            payload: &self.payload,
            properties: PropertyList::from_items(&will_items),
        };
        let user_name = self.flags[2].then(|| self.text(1));
        let has_password = self.flags[3] && (user_name.is_some() || self.version.has_properties());
        use_packet(Packet::Connect(Connect {
            version: self.version,
            clean_start: self.flags[0],
            keep_alive_s: self.number,
            client_id: self.text(0),
            properties,
            will: self.flags[4].then_some(will),
            user_name,
            password: has_password.then_some(&self.payload),
            is_bridge: self.number & 1 != 0 && !self.version.has_properties(),
        }));
    }

    fn with_publish(&self, properties: PropertyList<'_>, use_packet: impl FnOnce(Packet<'_>)) {
        let is_acknowledged = self.qos != QoS::AtMostOnce;
        let is_aliased = self.flags[2] && properties.topic_alias().is_some();
        let topic_name = TopicName::parse(&self.topic).expect("a valid sample");
        use_packet(Packet::Publish(Publish {
            dup: self.flags[0] && is_acknowledged,
            qos: self.qos,
            retain: self.flags[1],
            topic_name: if is_aliased { None } else { Some(topic_name) },
            packet_id: is_acknowledged.then_some(self.packet_id),
            properties,
            payload: &self.payload,
        }));
    }

    fn with_subscribe(&self, properties: PropertyList<'_>, use_packet: impl FnOnce(Packet<'_>)) {
        let options = if self.version.has_properties() {
            SubscriptionOptions {
                qos: self.qos,
                no_local: self.flags[0],
                retain_as_published: self.flags[1],
                retain_handling: self.retain_handling,
            }
        } else {
            SubscriptionOptions::with_qos(self.qos)
        };
        let requests: Vec<_> =
            self.texts.iter().map(|topic_filter| SubscriptionRequest { topic_filter, options }).collect();
        let filters = SubscriptionFilters::from_slice(&requests);
        use_packet(Packet::Subscribe(Subscribe { packet_id: self.packet_id, properties, filters }));
    }
}

fn versions() -> impl Strategy<Value = ProtocolVersion> {
    select(&[ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5_0][..])
}

/// Text without U+0000; now and then longer than one byte of length can say.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[^\0]{0,12}", 2 => "[a-c/+#$]{0,8}", 1 => "[^\0]{200,400}"]
}

fn property() -> impl Strategy<Value = OwnedProperty> {
    prop_oneof![
        (0..8_usize, any::<bool>()).prop_map(|(which, value)| OwnedProperty::Flag(which, value)),
        (0..9_usize, any::<u32>()).prop_map(|(which, value)| OwnedProperty::Number(which, value)),
        (0..7_usize, text()).prop_map(|(which, value)| OwnedProperty::Text(which, value)),
        (any::<bool>(), vec(any::<u8>(), 0..20)).prop_map(|(which, data)| OwnedProperty::Data(which, data)),
        (text(), text()).prop_map(|(name, value)| OwnedProperty::Pair(name, value)),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let qos = select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..]);
    let retain_handlings =
        [RetainHandling::SendAtSubscribe, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    let codes: Vec<ReasonCode> = (0..=u8::MAX).filter_map(ReasonCode::from_value).collect();
    let small = (
        versions(),
        select(&PacketType::ALL[..]),
        any::<[bool; 5]>(),
        qos,
        select(retain_handlings.to_vec()),
    );
    let large = (
        any::<u16>(),
        1..=u16::MAX,
        "[^\0+#]{1,20}",
        vec(text(), 1..4),
        vec(any::<u8>(), 0..300),
        vec(select(codes), 0..20),
        vec(property(), 0..12),
    );
    (small, large).prop_map(|(small, large)| {
        let (version, packet_type, flags, qos, retain_handling) = small;
        let (number, packet_id, topic, texts, payload, codes, properties) = large;
        let packet_id = PacketId::new(packet_id).expect("not zero");
        Sample {
            version,
            packet_type,
            flags,
            qos,
            retain_handling,
            number,
            packet_id,
            topic,
            texts,
            payload,
            codes,
            properties,
        }
    })
}

/// Decodes all packets in `bytes`; each that decodes must be the same after another round.
fn check_any(version: ProtocolVersion, mut bytes: &[u8]) {
    while let Ok(Some(frame)) = Frame::split(bytes, u32::MAX) {
        bytes = &bytes[frame.encoded_len..];
        let Ok(packet) = Packet::decode(version, frame) else { continue };
        let mut again = Vec::new();
        packet.encode(version, &mut again).expect("what was decoded can be encoded");
        let is_old_refusal = frame.body == [0, 1] && packet.packet_type() == PacketType::Connack;
        assert!(again.len() <= frame.encoded_len + usize::from(is_old_refusal), "our form is not longer");
        let frame = Frame::split(&again, u32::MAX).expect("sound").expect("whole");
        assert_eq!(Packet::decode(version, frame), Ok(packet));
    }
}

/// Whether `filter` matches `topic`, by recursion on the levels as 4.7 tells it.
fn matches_by_the_book(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => matches_by_the_book(filter, topic),
        ([level, filter @ ..], [same, topic @ ..]) => level == same && matches_by_the_book(filter, topic),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_packet_survives_the_way_to_bytes_and_back(sample in sample()) {
        let version = sample.version;
        sample.with_packet(|packet| {
            let mut bytes = Vec::new();
            packet.encode(version, &mut bytes).expect("a sound sample");
            assert_eq!(packet.encoded_len(version), Ok(bytes.len()));
            let frame = Frame::split(&bytes, u32::MAX).expect("sound").expect("whole");
            assert_eq!(frame.encoded_len, bytes.len());
            assert_eq!(Packet::decode(version, frame), Ok(packet));
            for len in 0..bytes.len().min(40) {
                assert_eq!(Frame::split(&bytes[..len], u32::MAX), Ok(None));
            }
        });
    }

    #[test]
    fn the_layout_of_a_publish_points_at_its_parts(sample in sample()) {
        let sample = Sample { packet_type: PacketType::Publish, ..sample };
        sample.with_packet(|packet| {
            let mut bytes = Vec::new();
            packet.encode(sample.version, &mut bytes).expect("a sound sample");
            let frame = Frame::split(&bytes, u32::MAX).expect("sound").expect("whole");
            let (publish, layout) =
                Publish::decode_with_layout(sample.version, frame.header, frame.body).expect("sound");
            let topic = publish.topic_name.map_or("", TopicName::as_str);
            assert_eq!(layout.topic.of(frame.body), topic.as_bytes());
            assert_eq!(layout.properties.of(frame.body), publish.properties.encoded());
            assert_eq!(&frame.body[layout.payload_start as usize..], publish.payload);
            if let Some(packet_id) = publish.packet_id {
                let start = layout.topic.end() as usize;
                assert_eq!(frame.body[start..start + 2], packet_id.value().to_be_bytes());
            }
        });
    }

    #[test]
    fn any_bytes_are_safe(version in versions(), bytes in vec(any::<u8>(), 0..200)) {
        check_any(version, &bytes);
    }

    #[test]
    fn any_bytes_behind_a_sound_header_are_safe(
        version in versions(),
        first in any::<u8>(),
        body in vec(prop_oneof![3 => 0..0x30_u8, 1 => any::<u8>()], 0..100),
    ) {
        let len = u8::try_from(body.len()).expect("below 128");
        check_any(version, &[&[first, len], &body[..]].concat());
    }

    #[test]
    fn a_damaged_packet_is_safe(sample in sample(), damage in vec((any::<usize>(), any::<u8>()), 1..4)) {
        sample.with_packet(|packet| {
            let mut bytes = Vec::new();
            packet.encode(sample.version, &mut bytes).expect("a sound sample");
            for (place, value) in &damage {
                let len = bytes.len();
                bytes[place % len] = *value;
            }
            check_any(sample.version, &bytes);
        });
    }

    #[test]
    fn each_variable_byte_integer_survives(value in 0..=variable_byte_integer::MAX) {
        let (bytes, len) = variable_byte_integer::encode(value);
        prop_assert_eq!(len, variable_byte_integer::encoded_len(value));
        prop_assert_eq!(variable_byte_integer::decode(&bytes[..len]), Ok(Decoded::Value { value, len }));
        for cut in 0..len {
            prop_assert_eq!(variable_byte_integer::decode(&bytes[..cut]), Ok(Decoded::MoreBytes));
        }
    }

    #[test]
    fn filters_match_by_the_book(filter in "[ab+#/$]{1,6}", topic in "[ab/$]{1,6}") {
        if let (Ok(filter), Ok(topic)) = (TopicFilter::parse(&filter), TopicName::parse(&topic)) {
            let levels: Vec<&str> = filter.levels().collect();
            let topic_levels: Vec<&str> = topic.levels().collect();
            let is_hidden = topic.as_str().starts_with('$') && matches!(levels[0], "+" | "#");
            let expected = !is_hidden && matches_by_the_book(&levels, &topic_levels);
            prop_assert_eq!(filter.matches(topic), expected);
            prop_assert_eq!(matching::matches(filter.as_str(), topic.as_str()), expected);
            if expected {
                let head = filter.literal_head();
                let rest = topic.as_str().strip_prefix(head);
                prop_assert!(rest.is_some_and(|rest| head.is_empty() || rest.is_empty() || rest.starts_with('/')));
            }
        }
    }
}
