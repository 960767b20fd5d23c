//! Tests of the Client as a whole: what it sends and tells when a Server behaves well, badly, or not at all.

mod conduct;
mod world;

extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use dunlin_packet::connack::Connack;
use dunlin_packet::packet::PacketType;
use dunlin_packet::property::identifier::PropertyPlace;
use dunlin_packet::property::list::{Property, PropertyList};
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::subscribe::{SubscriptionOptions, SubscriptionRequest};
use dunlin_packet::version::ProtocolVersion;
use proptest::prelude::{Strategy, any, prop};

use super::*;
use crate::client::properties::Properties;
use crate::client::tests::world::*;
use ProtocolVersion::{V3_1, V3_1_1, V5_0};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

/// [MQTT-3.1.0-1] [MQTT3-3.1.0-1] [MQTT-3.2.0-1] [MQTT3-3.2.0-1] [MQTT-3.2.0-2]
#[test]
fn connect_comes_first_and_connack_is_the_one_answer() {
    for version in [V3_1, V3_1_1, V5_0] {
        let mut world = World::opened(version, &connect(version, true, &[]));
        assert_eq!(world.publish("a", AtMostOnce), Err(RequestError::NotConnected));
        assert_eq!(
            world.client.connection_opened(world.now, &connect(version, true, &[])),
            Err(RequestError::SecondConnect)
        );
        world.receive(&connack(false, &[]));
        let events = world.events();
        let [Event::Connected(connected)] = &events[..] else { panic!("{events:?}") };
        assert!(!connected.session_present && connected.keep_alive_s == 10);
        assert!(world.client.is_connected());
        world.fails(&connack(false, &[]), ServerError::SecondConnack);
    }
    let world = World::opened(V5_0, &connect(V5_0, true, &[]));
    world.fails(&Packet::Pingresp, ServerError::BeforeConnack(PacketType::Pingresp));
}

#[test]
fn properties_need_version_5() {
    let mut client = Client::new(Config::default());
    let asked = [Property::ReceiveMaximum(1)];
    let refused = client.connection_opened(Instant::default(), &connect(V3_1_1, true, &asked));
    assert_eq!(refused, Err(RequestError::NoProperties));
    let mut world = World::new(V3_1_1, &[], &[]);
    let place = PropertyPlace::Packet(PacketType::Publish);
    let properties = Properties::new(place, &[Property::ContentType("x")]).unwrap();
    let message = Message { properties, ..message("a", AtMostOnce) };
    assert_eq!(world.client.publish(world.now, message), Err(RequestError::NoProperties));
}

/// [MQTT-4.13.2-1]
#[test]
fn a_refusal_closes_and_says_why() {
    for version in [V3_1, V3_1_1, V5_0] {
        let mut world = World::opened(version, &connect(version, true, &[]));
        let (reason_code, properties) = (ReasonCode::NotAuthorized, PropertyList::EMPTY);
        world.receive(&Packet::Connack(Connack { session_present: false, reason_code, properties }));
        let properties = Properties::EMPTY;
        assert_eq!(world.events(), [Event::Closed(CloseCause::Refused { reason_code, properties })]);
        assert_eq!(world.sent(), [""; 0]);
        world.client.connection_lost();
        assert_eq!(world.events(), []);
    }
}

/// [MQTT-3.2.2-4]
#[test]
fn session_present_without_a_session_is_an_error() {
    World::opened(V5_0, &connect(V5_0, false, &[])).fails(&connack(true, &[]), ServerError::SessionPresent);
    World::opened(V3_1_1, &connect(V3_1_1, false, &[]))
        .fails(&connack(true, &[]), ServerError::SessionPresent);
    let mut world = World::durable(V5_0);
    world.client.connection_lost();
    world.open(&connect(V5_0, true, &[]));
    world.fails(&connack(true, &[]), ServerError::SessionPresent);
    // A Session of an earlier process may be there.
    let client = Client::new(Config { has_session: true, ..Config::default() });
    let mut world = World { client, version: V5_0, now: Instant::from_ms(0) };
    world.open(&connect(V5_0, false, &[]));
    world.receive(&connack(true, &[]));
    assert!(matches!(world.events()[..], [Event::Connected(_)]));
}

/// [MQTT-3.1.2-23] [MQTT3-3.1.2-6]
#[test]
fn a_session_that_ends_with_the_connection_is_not_expected_back() {
    for version in [V3_1_1, V5_0] {
        let mut world = World::new(version, &[], &[]);
        world.client.connection_lost();
        world.events();
        world.open(&connect(version, false, &[]));
        world.fails(&connack(true, &[]), ServerError::SessionPresent);
    }
}

/// [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-4.3.1-1] [MQTT3-4.3.1-1] [MQTT3-4.3.2-1] [MQTT3-4.3.3-1]
#[test]
fn each_qos_has_its_handshake() {
    for version in [V3_1, V3_1_1, V5_0] {
        let mut world = World::new(version, &[], &[]);
        assert_eq!(world.publish("a", AtMostOnce), Ok(None));
        assert_eq!(world.publish("b", AtLeastOnce), Ok(PacketId::new(1)));
        assert_eq!(world.publish("c", ExactlyOnce), Ok(PacketId::new(2)));
        assert_eq!(world.sent(), ["PUBLISH a", "PUBLISH 1 b", "PUBLISH 2 c"]);
        world.receive(&Packet::Pubrec(ack(2)));
        assert_eq!(world.sent(), ["PUBREL 2"]);
        assert_eq!(world.events(), []);
        world.receive(&Packet::Puback(ack(1)));
        world.receive(&Packet::Pubcomp(ack(2)));
        assert_eq!(world.events(), [published(1, ReasonCode::Success), published(2, ReasonCode::Success)]);
        assert_eq!(world.client.in_flight(), 0);
    }
}

#[test]
fn a_refused_message_is_told_with_its_reason() {
    let mut world = World::new(V5_0, &[], &[]);
    world.publish("a", AtLeastOnce).unwrap();
    world.publish("b", ExactlyOnce).unwrap();
    world.receive(&Packet::Puback(refusal(1, ReasonCode::NotAuthorized)));
    world.receive(&Packet::Pubrec(refusal(2, ReasonCode::QuotaExceeded)));
    assert_eq!(
        world.events(),
        [published(1, ReasonCode::NotAuthorized), published(2, ReasonCode::QuotaExceeded)]
    );
    // Nothing is known under these identifiers any more (3.6.2.1).
    world.sent();
    world.receive(&Packet::Pubrec(ack(2)));
    world.receive(&Packet::Puback(ack(1)));
    world.receive(&Packet::Pubcomp(ack(2)));
    assert_eq!(world.sent(), ["PUBREL 2 0x92"]);
    assert_eq!(world.events(), []);
}

/// [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.5.0-2] [MQTT-4.6.0-2]
/// [MQTT3-3.3.4-1] [MQTT3-4.3.2-2] [MQTT3-4.3.3-2] [MQTT3-4.5.0-2] [MQTT3-4.6.0-2]
#[test]
fn each_message_comes_once_and_is_acknowledged_in_order() {
    for version in [V3_1, V3_1_1, V5_0] {
        let mut world = World::new(version, &[], &[]);
        world.receive(&publish(AtLeastOnce, 9, "a", &[]));
        world.receive(&publish(ExactlyOnce, 7, "b", &[]));
        world.receive(&publish(AtMostOnce, 0, "c", &[]));
        world.receive(&publish(ExactlyOnce, 7, "b", &[]));
        let topics: Vec<_> = world.events().into_iter().map(topic).collect();
        assert_eq!(topics, ["a", "b", "c"]);
        world.receive(&Packet::Pubrel(ack(7)));
        world.receive(&Packet::Pubrel(ack(7)));
        let again = if version == V5_0 { "PUBCOMP 7 0x92" } else { "PUBCOMP 7" };
        assert_eq!(world.sent(), ["PUBACK 9", "PUBREC 7", "PUBREC 7", "PUBCOMP 7", again]);
    }
}

fn topic(event: Event) -> String {
    match event {
        Event::Message(received) => received.message.topic_name,
        other => format!("{other:?}"),
    }
}

/// [MQTT-4.4.0-1] [MQTT3-4.4.0-1] [MQTT-3.3.1-1] [MQTT3-3.3.1-1] [MQTT-4.6.0-1] [MQTT3-4.6.0-1]
#[test]
fn a_resumed_session_goes_on_with_dup_and_in_order() {
    for version in [V3_1, V3_1_1, V5_0] {
        let mut world = World::durable(version);
        for topic_name in ["a", "b", "c"] {
            world.publish(topic_name, ExactlyOnce).unwrap();
        }
        world.receive(&Packet::Pubrec(ack(2)));
        world.receive(&publish(ExactlyOnce, 5, "in", &[]));
        world.events();
        world.sent();
        world.reopen(true, &[]);
        assert_eq!(world.sent(), ["PUBLISH 1 a DUP", "PUBREL 2", "PUBLISH 3 c DUP"]);
        world.events();
        world.receive(&publish(ExactlyOnce, 5, "in", &[]));
        assert_eq!(world.events(), [], "delivered before the cut");
        assert_eq!(world.sent(), ["PUBREC 5"]);
    }
}

/// [MQTT-3.2.2-5] [MQTT-3.1.2-4]
#[test]
fn a_lost_session_is_forgotten_and_each_message_accounted_for() {
    let mut world = World::durable(V5_0);
    world.publish("a", AtLeastOnce).unwrap();
    world.publish("b", ExactlyOnce).unwrap();
    world.receive(&Packet::Pubrec(ack(2)));
    world.receive(&publish(ExactlyOnce, 5, "in", &[]));
    world.sent();
    world.reopen(false, &[]);
    let events = world.events();
    let (packet_id, reason) = (PacketId::MIN, NotPublished::SessionLost);
    let not_published = Event::NotPublished { packet_id, message: message("a", AtLeastOnce), reason };
    assert_eq!(events[1..], [not_published, published(2, ReasonCode::Success)]);
    assert_eq!(world.sent(), [""; 0]);
    world.receive(&publish(ExactlyOnce, 5, "new", &[]));
    assert_eq!(world.events().len(), 1);
}

/// [MQTT-3.3.4-7] [MQTT-3.3.4-8] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
#[test]
fn the_servers_receive_maximum_holds_publish_back_and_nothing_else() {
    let mut world = World::new(V5_0, &[], &[Property::ReceiveMaximum(1)]);
    world.publish("a", AtLeastOnce).unwrap();
    assert!(!world.client.can_publish(ExactlyOnce) && world.client.can_publish(AtMostOnce));
    assert_eq!(world.publish("b", ExactlyOnce), Err(RequestError::QuotaUsedUp));
    world.subscribe(&["a"]).unwrap();
    world.publish("c", AtMostOnce).unwrap();
    world.receive(&publish(ExactlyOnce, 1, "in", &[]));
    assert_eq!(world.sent(), ["PUBLISH 1 a", "SUBSCRIBE 2", "PUBLISH c", "PUBREC 1"]);
    world.receive(&Packet::Puback(ack(1)));
    assert!(world.client.can_publish(ExactlyOnce));
}

/// [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-15] [MQTT-3.3.4-6]
#[test]
fn what_the_server_does_not_take_is_not_sent() {
    let answered = [
        Property::MaximumQoS(AtLeastOnce),
        Property::RetainAvailable(false),
        Property::MaximumPacketSize(20),
        Property::WildcardSubscriptionAvailable(false),
        Property::SharedSubscriptionAvailable(false),
        Property::SubscriptionIdentifierAvailable(false),
        Property::TopicAliasMaximum(5),
    ];
    let mut world = World::new(V5_0, &[], &answered);
    assert_eq!(world.publish("a", ExactlyOnce), Err(RequestError::QoSNotSupported { maximum: AtLeastOnce }));
    let retained = Message { retain: true, ..message("a", AtMostOnce) };
    assert_eq!(world.client.publish(world.now, retained), Err(RequestError::RetainNotSupported));
    let topic_of_18 = "a".repeat(18);
    assert_eq!(
        world.publish(&topic_of_18, AtMostOnce),
        Err(RequestError::PacketTooLarge { len: 24, maximum: 20 })
    );
    assert_eq!(
        world.publish("a/+", AtMostOnce).map_err(|error| error.to_string()).unwrap_err(),
        "the Topic Name has a wildcard"
    );
    assert_eq!(world.subscribe(&["a/#"]), Err(RequestError::WildcardSubscriptionsNotSupported));
    assert_eq!(world.subscribe(&["$share/g/a"]), Err(RequestError::SharedSubscriptionsNotSupported));
    assert!(matches!(
        world.subscribe(&["a", "b/#/c"]),
        Err(RequestError::InvalidTopicFilter { index: 1, .. })
    ));
    let place = PropertyPlace::Packet(PacketType::Publish);
    let properties = Properties::new(place, &[Property::TopicAlias(1)]).unwrap();
    let aliased = Message { properties, ..message("a", AtMostOnce) };
    assert_eq!(world.client.publish(world.now, aliased), Err(RequestError::PropertyNotAllowed));
    let options = SubscriptionOptions::default();
    let identified = world.client.subscribe(
        world.now,
        &[SubscriptionRequest { topic_filter: "a", options }],
        &PropertyList::from_items(&[Property::SubscriptionIdentifier(1)]),
    );
    assert_eq!(identified, Err(RequestError::SubscriptionIdentifiersNotSupported));
    assert_eq!(world.sent(), [""; 0]);
    // An alias that would make it too large is left out.
    world.publish(&"a".repeat(12), AtMostOnce).unwrap();
    assert_eq!(world.sent(), ["PUBLISH aaaaaaaaaaaa"]);
}

#[test]
fn a_message_the_server_takes_no_more_after_a_reconnect_is_given_up() {
    let mut world = World::durable(V5_0);
    world.publish("a", ExactlyOnce).unwrap();
    world.publish("b", AtLeastOnce).unwrap();
    world.sent();
    world.reopen(true, &[Property::MaximumQoS(AtLeastOnce)]);
    let reason = NotPublished::Unsendable(RequestError::QoSNotSupported { maximum: AtLeastOnce });
    let given_up =
        Event::NotPublished { packet_id: PacketId::MIN, message: message("a", ExactlyOnce), reason };
    assert_eq!(world.events()[1..], [given_up]);
    assert_eq!(world.sent(), ["PUBLISH 2 b DUP"]);
}

/// [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-7] [MQTT-3.3.2-9]
#[test]
fn topic_aliases_are_used_within_the_servers_maximum_and_die_with_the_connection() {
    let mut world = World::durable(V5_0);
    world.publish("a", AtMostOnce).unwrap();
    assert_eq!(world.sent(), ["PUBLISH a"], "the Server takes none");
    world.reopen(true, &[Property::TopicAliasMaximum(1)]);
    for topic_name in ["a", "a", "b", "a"] {
        world.publish(topic_name, AtLeastOnce).unwrap();
    }
    let sent = world.sent();
    assert_eq!(
        sent,
        ["PUBLISH 1 a alias 1", "PUBLISH 2  alias 1", "PUBLISH 3 b alias 1", "PUBLISH 4 a alias 1"]
    );
    world.reopen(true, &[]);
    assert_eq!(world.sent(), ["PUBLISH 1 a DUP", "PUBLISH 2 a DUP", "PUBLISH 3 b DUP", "PUBLISH 4 a DUP"]);
}

/// [MQTT-3.3.2-10]
#[test]
fn topic_aliases_of_the_server_are_understood_up_to_the_maximum() {
    let asked = [Property::TopicAliasMaximum(3)];
    let alias = |alias| [Property::TopicAlias(alias)];
    let mut world = World::new(V5_0, &asked, &[]);
    world.receive(&publish(AtMostOnce, 0, "long/topic", &alias(3)));
    world.receive(&publish(AtMostOnce, 0, "", &alias(3)));
    let topics: Vec<_> = world.events().into_iter().map(topic).collect();
    assert_eq!(topics, ["long/topic", "long/topic"]);
    use crate::topic_aliases::AliasError::{AboveMaximum, Unknown};
    let unknown = ServerError::TopicAlias(Unknown);
    World::new(V5_0, &asked, &[]).fails(&publish(AtMostOnce, 0, "", &alias(2)), unknown);
    let above = ServerError::TopicAlias(AboveMaximum);
    World::new(V5_0, &asked, &[]).fails(&publish(AtMostOnce, 0, "a", &alias(4)), above);
    World::new(V5_0, &[], &[]).fails(&publish(AtMostOnce, 0, "a", &alias(1)), above);
    assert_eq!(
        (unknown.reason_code(), above.reason_code()),
        (ReasonCode::ProtocolError, ReasonCode::TopicAliasInvalid)
    );
}

#[test]
fn events_are_bounded_and_the_rest_waits() {
    let mut world = World::new(V3_1_1, &[], &[]);
    let mut bytes = Vec::new();
    for packet_id in 1..=1_000 {
        publish(AtLeastOnce, packet_id, "a", &[]).encode(V3_1_1, &mut bytes).unwrap();
    }
    world.client.handle(world.now, &bytes);
    assert_eq!(world.client.events.len(), EVENTS_MAX);
    assert!(!world.client.wants_bytes());
    assert_eq!(world.sent().len(), EVENTS_MAX);
    assert_eq!(world.events().len(), 1_000);
    assert_eq!(world.sent().len(), 1_000 - EVENTS_MAX);
    assert!(world.client.wants_bytes());
}

proptest::proptest! {
    #[test]
    fn a_packet_may_come_in_any_pieces(sizes in prop::collection::vec(1..9usize, 1..50)) {
        let mut world = World::new(V5_0, &[], &[]);
        let mut bytes = Vec::new();
        for packet_id in 1..=20 {
            publish(ExactlyOnce, packet_id, "topic", &[]).encode(V5_0, &mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            world.client.handle(world.now, piece);
            rest = after;
        }
        proptest::prop_assert_eq!(world.events().len(), 20);
        proptest::prop_assert_eq!(world.sent().len(), 20);
    }

    #[test]
    fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(byte(), 0..40), 0..20)) {
        for version in [V3_1, V3_1_1, V5_0] {
            let mut world = World::new(version, &[], &[]);
            world.publish("a", ExactlyOnce).unwrap();
            for piece in &pieces {
                world.client.handle(world.now, piece);
                world.events();
                let len = world.client.poll_output().len();
                world.client.output_written(len);
            }
        }
    }
}

/// First bytes of packets and short lengths more often than the rest.
fn byte() -> impl Strategy<Value = u8> {
    proptest::prop_oneof![0..8u8, (2..15u8).prop_map(|kind| kind << 4), any::<u8>()]
}
