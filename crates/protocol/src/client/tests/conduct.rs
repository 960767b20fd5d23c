//! What a Client holds the Server and itself to: limits, answers, Keep Alive, AUTH, DISCONNECT.

extern crate std;

use dunlin_packet::auth::Auth;
use dunlin_packet::packet::PacketType;
use dunlin_packet::property::list::{Property, PropertyList};
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::suback::{ReasonCodes, Suback};
use dunlin_packet::unsuback::Unsuback;
use dunlin_packet::version::ProtocolVersion;

use super::world::*;
use crate::client::config::REQUESTS_MAX;
use crate::client::properties::Properties;
use crate::client::*;
use ProtocolVersion::{V3_1, V3_1_1, V5_0};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

#[test]
fn the_server_is_held_to_what_connect_said() {
    use crate::inbound::InboundError::ReceiveMaximumExceeded;
    let mut world = World::new(V5_0, &[Property::ReceiveMaximum(1)], &[]);
    world.receive(&publish(ExactlyOnce, 1, "a", &[]));
    world.events();
    world.sent();
    world.fails(&publish(AtLeastOnce, 2, "a", &[]), ServerError::Publish(ReceiveMaximumExceeded));
    let mut world = World::new(V5_0, &[Property::MaximumPacketSize(100)], &[]);
    // The header alone tells; nothing is kept or waited for.
    world.client.handle(world.now, &[0x30, 0x80, 0x80, 0x80, 0x01]);
    let events = world.events();
    let [Event::Closed(CloseCause::ServerError(error))] = &events[..] else { panic!("{events:?}") };
    assert_eq!(error.reason_code(), ReasonCode::PacketTooLarge);
}

/// [MQTT-3.8.4-6] [MQTT-3.11.3-1] [MQTT-3.8.4-2]
#[test]
fn subscribe_and_unsubscribe_are_answered_by_their_identifiers() {
    let granted = [ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized];
    let suback = |packet_id: PacketId, codes| {
        Packet::Suback(Suback {
            packet_id,
            properties: PropertyList::EMPTY,
            reason_codes: ReasonCodes::from_slice(codes),
        })
    };
    let mut world = World::new(V5_0, &[], &[]);
    let packet_id = world.subscribe(&["a", "b/+"]).unwrap();
    world.receive(&suback(packet_id, &granted));
    let answer =
        event::RequestAnswer { packet_id, reason_codes: granted.to_vec(), properties: Properties::EMPTY };
    assert_eq!(world.events(), [Event::Subscribed(answer)]);
    let mut world = World::new(V3_1_1, &[], &[]);
    let packet_id = world.client.unsubscribe(world.now, &["a", "b"], &PropertyList::EMPTY).unwrap();
    let (properties, reason_codes) = (PropertyList::EMPTY, ReasonCodes::from_slice(&granted[..1]));
    world.receive(&Packet::Unsuback(Unsuback { packet_id, properties, reason_codes }));
    assert!(matches!(&world.events()[..], [Event::Unsubscribed(answer)] if answer.reason_codes.is_empty()));

    let mut world = World::new(V5_0, &[], &[]);
    let packet_id = world.subscribe(&["a"]).unwrap();
    world.sent();
    world.fails(&suback(packet_id, &granted), ServerError::ReasonCodeCount(PacketType::Suback));
    World::new(V5_0, &[], &[])
        .fails(&suback(packet_id, &granted), ServerError::UnknownRequest(PacketType::Suback));
}

/// [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT3-3.8.3-3] [MQTT3-3.10.3-2]
#[test]
fn requests_without_filters_are_not_sent_and_unanswered_ones_are_bounded() {
    let mut world = World::new(V5_0, &[], &[]);
    assert!(matches!(world.subscribe(&[]), Err(RequestError::Encode(_))));
    assert!(matches!(
        world.client.unsubscribe(world.now, &[], &PropertyList::EMPTY),
        Err(RequestError::Encode(_))
    ));
    for _ in 0..REQUESTS_MAX {
        world.subscribe(&["a"]).unwrap();
    }
    assert_eq!(world.subscribe(&["a"]), Err(RequestError::TooManyRequests));
    world.client.connection_lost();
    world.events();
    world.open(&connect(V5_0, true, &[]));
    world.receive(&connack(false, &[]));
    world.subscribe(&["a"]).unwrap();
}

/// [MQTT-3.1.2-20] [MQTT3-3.1.2-23] [MQTT-3.1.2-21] [MQTT-3.2.2-21]
#[test]
fn keep_alive_pings_by_the_servers_interval_and_notices_silence() {
    let mut world = World::new(V5_0, &[], &[Property::ServerKeepAlive(4)]);
    let at = Instant::from_ms;
    assert_eq!(world.client.next_timeout(), Some(at(4_000)));
    world.now = at(3_000);
    world.publish("a", AtMostOnce).unwrap();
    assert_eq!(world.client.next_timeout(), Some(at(7_000)));
    world.client.handle_timeout(at(6_999));
    assert_eq!(world.sent(), ["PUBLISH a"]);
    world.client.handle_timeout(at(7_000));
    assert_eq!(world.sent(), ["PINGREQ"]);
    world.now = at(8_000);
    world.receive(&Packet::Pingresp);
    world.client.handle_timeout(at(11_000));
    assert_eq!(world.sent(), ["PINGREQ"]);
    assert_eq!(world.client.next_timeout(), Some(at(15_000)));
    world.client.handle_timeout(at(15_000));
    assert_eq!(world.events(), [Event::Closed(CloseCause::NoPingresp)]);
}

#[test]
fn connack_has_its_time() {
    let mut world = World::opened(V3_1_1, &connect(V3_1_1, true, &[]));
    assert_eq!(world.client.next_timeout(), Some(Instant::from_ms(10_000)));
    world.client.handle_timeout(Instant::from_ms(9_999));
    assert_eq!(world.events(), []);
    world.client.handle_timeout(Instant::from_ms(10_000));
    assert_eq!(world.events(), [Event::Closed(CloseCause::NoConnack)]);
    world.client.connection_lost();
    assert_eq!(world.events(), [], "the end is told once");
}

/// [MQTT-3.14.4-1] [MQTT3-3.14.4-2]
#[test]
fn nothing_follows_disconnect() {
    for version in [V3_1, V3_1_1, V5_0] {
        let mut world = World::new(version, &[], &[]);
        world.client.disconnect(world.now, ReasonCode::NORMAL_DISCONNECTION, &PropertyList::EMPTY).unwrap();
        assert_eq!(world.sent(), ["DISCONNECT 0x0"]);
        assert_eq!(world.publish("a", AtMostOnce), Err(RequestError::NotConnected));
        world.receive(&publish(AtLeastOnce, 1, "late", &[]));
        assert_eq!(world.events(), [Event::Closed(CloseCause::ByClient)]);
        assert_eq!(world.sent(), [""; 0]);
    }
    let mut world = World::new(V5_0, &[], &[]);
    let expiry = [Property::SessionExpiryInterval(5)];
    let raised = world.client.disconnect(
        world.now,
        ReasonCode::NORMAL_DISCONNECTION,
        &PropertyList::from_items(&expiry),
    );
    assert_eq!(raised, Err(RequestError::SessionExpiryRaised));
    assert!(world.client.is_connected());
}

/// [MQTT-3.14.2-2]
#[test]
fn the_servers_disconnect_ends_the_connection() {
    let disconnect = |items| {
        let properties = PropertyList::from_items(items);
        Packet::Disconnect(Disconnect { reason_code: ReasonCode::SessionTakenOver, properties })
    };
    let mut world = World::new(V5_0, &[], &[]);
    world.receive(&disconnect(&[]));
    let cause =
        CloseCause::ByServer { reason_code: ReasonCode::SessionTakenOver, properties: Properties::EMPTY };
    assert_eq!(world.events(), [Event::Closed(cause)]);
    assert_eq!(world.sent(), [""; 0]);
    let expiry = [Property::SessionExpiryInterval(5)];
    World::new(V5_0, &[], &[]).fails(&disconnect(&expiry), ServerError::SessionExpiryInDisconnect);
    let unexpected = ServerError::UnexpectedPacket(PacketType::Disconnect);
    World::new(V3_1_1, &[], &[]).fails(&disconnect(&[]), unexpected);
}

#[test]
fn packets_of_clients_and_wrong_acknowledgements_are_errors() {
    World::new(V5_0, &[], &[]).fails(&Packet::Pingreq, ServerError::UnexpectedPacket(PacketType::Pingreq));
    let connect = Packet::Connect(connect(V5_0, true, &[]));
    World::new(V5_0, &[], &[]).fails(&connect, ServerError::UnexpectedPacket(PacketType::Connect));
    for (packet, packet_type) in
        [(Packet::Puback(ack(1)), PacketType::Puback), (Packet::Pubcomp(ack(1)), PacketType::Pubcomp)]
    {
        let mut world = World::new(V5_0, &[], &[]);
        world.publish("a", ExactlyOnce).unwrap();
        world.sent();
        world.fails(&packet, ServerError::WrongAcknowledgement(packet_type));
    }
    let mut world = World::new(V5_0, &[], &[]);
    world.publish("a", AtLeastOnce).unwrap();
    world.sent();
    world.fails(&Packet::Pubrec(ack(1)), ServerError::WrongAcknowledgement(PacketType::Pubrec));
}

/// [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-4.12.0-6] [MQTT-4.12.0-7] [MQTT-4.12.1-1]
#[test]
fn extended_authentication_goes_both_ways_with_one_method() {
    let method = [Property::AuthenticationMethod("x")];
    let other = [Property::AuthenticationMethod("y")];
    let auth =
        |reason_code, items| Packet::Auth(Auth { reason_code, properties: PropertyList::from_items(items) });
    let go_on = ReasonCode::ContinueAuthentication;
    let mut world = World::opened(V5_0, &connect(V5_0, true, &method));
    world.receive(&auth(go_on, &method));
    assert!(matches!(world.events()[..], [Event::Auth { .. }]));
    let wrong = world.client.auth(world.now, go_on, &PropertyList::from_items(&other));
    assert_eq!(wrong, Err(RequestError::AuthenticationMethod));
    let list = PropertyList::from_items(&method);
    assert_eq!(
        world.client.auth(world.now, ReasonCode::ReAuthenticate, &list),
        Err(RequestError::NotConnected)
    );
    world.client.auth(world.now, go_on, &list).unwrap();
    assert_eq!(world.sent(), ["AUTH"]);
    world.receive(&connack(false, &method));
    world.client.auth(world.now, ReasonCode::ReAuthenticate, &list).unwrap();
    world.receive(&auth(ReasonCode::Success, &method));
    assert!(matches!(world.events()[..], [Event::Connected(_), Event::Auth { .. }]));

    let changed = ServerError::AuthenticationMethodChanged;
    World::opened(V5_0, &connect(V5_0, true, &method)).fails(&auth(go_on, &other), changed);
    World::opened(V5_0, &connect(V5_0, true, &method)).fails(&connack(false, &other), changed);
    let early = ServerError::UnexpectedAuth(ReasonCode::Success);
    World::opened(V5_0, &connect(V5_0, true, &method)).fails(&auth(ReasonCode::Success, &method), early);
    let mut world = World::new(V5_0, &[], &[]);
    assert_eq!(
        world.client.auth(world.now, go_on, &PropertyList::EMPTY),
        Err(RequestError::AuthenticationMethod)
    );
    world.fails(&auth(go_on, &method), ServerError::AuthNotAsked);
}
