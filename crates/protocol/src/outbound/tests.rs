//! Tests of the sender's half (4.3, 4.4, 4.6, 4.9).

use super::*;
use QoS::{AtLeastOnce, ExactlyOnce};
use alloc::vec::Vec;

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn connected(receive_maximum: u16) -> Outbound<&'static str> {
    let mut outbound = Outbound::new();
    outbound.connect(receive_maximum);
    outbound
}

/// What `resend` says until it says nothing: identifier, and message or "PUBREL".
fn resent(outbound: &mut Outbound<&'static str>) -> Vec<(u16, &'static str)> {
    let mut all = Vec::new();
    while let Some(packet) = outbound.resend() {
        all.push(match packet {
            Resend::Publish { packet_id, message, .. } => (packet_id.value(), *message),
            Resend::Pubrel { packet_id } => (packet_id.value(), "PUBREL"),
        });
    }
    all
}

#[test]
fn it_is_small_and_new_allocates_nothing() {
    assert!(size_of::<Outbound<[u64; 8]>>() <= 64);
    let mut outbound = Outbound::<u64>::new();
    assert_eq!(outbound.slots.capacity(), 0);
    assert_eq!(outbound.send(AtLeastOnce, 1), None, "not before connect");
    outbound.connect(1);
    let packet_id = outbound.send(AtLeastOnce, 1).unwrap();
    outbound.release_memory();
    assert_eq!(outbound.puback(packet_id), Ok(1));
    outbound.release_memory();
    assert_eq!(outbound.slots.capacity(), 0);
}

/// [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT3-2.3.1-1] [MQTT3-2.3.1-4]
#[test]
fn identifiers_are_never_zero_and_never_in_use_twice() {
    let mut outbound = connected(u16::MAX);
    let mut in_use = [false; 65_536];
    let held = outbound.send(ExactlyOnce, "held").unwrap();
    in_use[usize::from(held.value())] = true;
    for round in 0..200_000u32 {
        let Some(packet_id) = outbound.send(AtLeastOnce, "x") else {
            assert!(outbound.slots.len() == PACKET_IDS, "round {round}");
            break;
        };
        assert!(packet_id.value() != 0 && !in_use[usize::from(packet_id.value())]);
        outbound.puback(packet_id).unwrap();
    }
    outbound.pubrec(held, false).unwrap();
    outbound.pubcomp(held).unwrap();
    assert!(outbound.is_empty());
    assert_eq!(outbound.send(AtLeastOnce, "x"), Some(held), "the sequence starts again");
}

/// [MQTT-2.2.1-3]
#[test]
fn subscribe_shares_the_identifiers_and_takes_no_quota() {
    let mut outbound = connected(1);
    let subscribe = outbound.reserve().unwrap();
    let publish = outbound.send(AtLeastOnce, "a").unwrap();
    let unsubscribe = outbound.reserve().unwrap();
    assert_eq!([subscribe, publish, unsubscribe].map(PacketId::value), [1, 2, 3]);
    assert_eq!(outbound.puback(subscribe), Err(AckError::WrongPacket));
    assert!(outbound.release(subscribe) && !outbound.release(subscribe));
    assert!(!outbound.release(publish));
    outbound.connect(1);
    assert!(!outbound.release(unsubscribe), "it died with the connection");
    assert_eq!(resent(&mut outbound), [(2, "a")]);
}

/// [MQTT-3.3.4-7] [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
#[test]
fn quota_is_taken_by_publish_and_given_back_by_the_last_acknowledgement() {
    let mut outbound = connected(2);
    let one = outbound.send(AtLeastOnce, "a").unwrap();
    let two = outbound.send(ExactlyOnce, "b").unwrap();
    assert!(!outbound.can_send());
    assert_eq!(outbound.pubrec(two, false), Ok(Pubrec::Release("b")));
    assert!(!outbound.can_send(), "PUBREC gives nothing back");
    outbound.pubcomp(two).unwrap();
    assert_eq!(outbound.send_quota(), 1);
    let three = outbound.send(ExactlyOnce, "c").unwrap();
    assert_eq!(outbound.pubrec(three, true), Ok(Pubrec::Refused("c")));
    assert_eq!(outbound.send_quota(), 1);
    assert_eq!(outbound.puback(one), Ok("a"));
    assert_eq!((outbound.send_quota(), outbound.in_flight()), (2, 0));
    outbound.connect(7);
    assert_eq!(outbound.send_quota(), 7);
}

/// [MQTT-4.9.0-2]
#[test]
fn pubcomp_for_a_pubrel_sent_again_gives_no_quota() {
    let mut outbound = connected(2);
    let old = outbound.send(ExactlyOnce, "old").unwrap();
    outbound.pubrec(old, false).unwrap();
    outbound.connect(2);
    assert_eq!(resent(&mut outbound), [(1, "PUBREL")]);
    outbound.send(AtLeastOnce, "a").unwrap();
    outbound.pubcomp(old).unwrap();
    assert_eq!(outbound.send_quota(), 1, "one is in flight on this connection");
    outbound.send(AtLeastOnce, "b").unwrap();
    assert_eq!(outbound.send(AtLeastOnce, "c"), None);
}

/// [MQTT-4.4.0-1] [MQTT3-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.6.0-1] [MQTT-4.6.0-4] [MQTT3-4.6.0-4]
#[test]
fn unacknowledged_packets_are_sent_again_in_order_with_their_identifiers() {
    let mut outbound = connected(10);
    for message in ["a", "b", "c", "d", "e"] {
        outbound.send(if message == "a" { AtLeastOnce } else { ExactlyOnce }, message).unwrap();
    }
    assert_eq!(resent(&mut outbound), [], "never on the same connection");
    outbound.pubrec(id(2), false).unwrap();
    outbound.pubrec(id(3), true).unwrap();
    outbound.pubrec(id(4), false).unwrap();
    outbound.connect(10);
    assert_eq!(outbound.send(AtLeastOnce, "f"), None, "old messages first");
    assert_eq!(resent(&mut outbound), [(1, "a"), (2, "PUBREL"), (4, "PUBREL"), (5, "e")]);
    assert_eq!(outbound.send(AtLeastOnce, "f"), Some(id(6)));
}

/// [MQTT-4.4.0-2]
#[test]
fn refused_messages_are_not_sent_again() {
    let mut outbound = connected(10);
    outbound.send(AtLeastOnce, "a").unwrap();
    outbound.send(ExactlyOnce, "b").unwrap();
    outbound.puback(id(1)).unwrap();
    outbound.pubrec(id(2), true).unwrap();
    outbound.connect(10);
    assert_eq!(resent(&mut outbound), []);
}

/// [MQTT-3.3.4-8] [MQTT-4.9.0-3]
#[test]
fn pubrel_is_not_held_back_by_the_quota() {
    let mut outbound = connected(10);
    for message in ["a", "b", "c"] {
        outbound.send(ExactlyOnce, message).unwrap();
    }
    outbound.pubrec(id(3), false).unwrap();
    outbound.connect(1);
    assert_eq!(resent(&mut outbound), [(1, "a"), (3, "PUBREL")]);
    assert!(outbound.is_resending() && outbound.reserve().is_some());
    outbound.pubcomp(id(3)).unwrap();
    assert_eq!(resent(&mut outbound), []);
    outbound.pubrec(id(1), false).unwrap();
    outbound.pubcomp(id(1)).unwrap();
    assert_eq!(resent(&mut outbound), [(2, "b")]);
    assert!(!outbound.is_resending());
}

/// [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT3-4.3.3-1]
#[test]
fn after_pubrec_only_pubrel_is_sent_again() {
    let mut outbound = connected(10);
    outbound.send(ExactlyOnce, "a").unwrap();
    assert_eq!(outbound.pubcomp(id(1)), Err(AckError::WrongPacket));
    assert_eq!(outbound.puback(id(1)), Err(AckError::WrongPacket));
    assert_eq!(outbound.pubrec(id(1), false), Ok(Pubrec::Release("a")));
    assert_eq!(outbound.pubrec(id(1), false), Ok(Pubrec::AlreadyReleased));
    assert_eq!(outbound.pubrec(id(1), true), Err(AckError::WrongPacket));
    for _ in 0..2 {
        outbound.connect(10);
        assert_eq!(resent(&mut outbound), [(1, "PUBREL")]);
    }
    assert_eq!(outbound.pubcomp(id(1)), Ok(()));
    assert_eq!(outbound.pubcomp(id(1)), Err(AckError::UnknownPacketId));
    assert_eq!(outbound.pubrec(id(1), false), Err(AckError::UnknownPacketId));
}

#[test]
fn a_peer_that_never_acknowledges_the_first_cannot_make_it_grow() {
    let mut outbound = connected(4);
    outbound.send(AtLeastOnce, "stuck").unwrap();
    let mut sent = 0;
    while let Some(packet_id) = outbound.send(AtLeastOnce, "x") {
        outbound.puback(packet_id).unwrap();
        sent += 1;
    }
    assert_eq!(sent, 4 * 16 + 16 - 1);
    outbound.puback(id(1)).unwrap();
    assert!(outbound.can_send() && outbound.is_empty());
}

#[test]
fn the_end_of_the_session_returns_messages_nobody_owns() {
    let mut outbound = connected(10);
    for message in ["a", "b", "c"] {
        outbound.send(ExactlyOnce, message).unwrap();
    }
    outbound.pubrec(id(2), false).unwrap();
    assert_eq!(outbound.drain().collect::<Vec<_>>(), [(ExactlyOnce, "a"), (ExactlyOnce, "c")]);
    assert!(outbound.is_empty() && outbound.in_flight() == 0 && !outbound.can_send());
}

#[test]
fn a_restored_session_goes_on_where_it_stood() {
    let mut outbound = Outbound::new();
    assert!(outbound.restore_publish(id(65_534), AtLeastOnce, "a"));
    assert!(outbound.restore_pubrel(id(2)));
    assert!(outbound.restore_publish(id(1), ExactlyOnce, "b"));
    assert!(!outbound.restore_pubrel(id(1)));
    let seen: Vec<_> = outbound.iter().map(|one| (one.packet_id.value(), one.message.copied())).collect();
    assert_eq!(seen, [(65_534, Some("a")), (1, Some("b")), (2, None)]);
    outbound.connect(10);
    assert_eq!(resent(&mut outbound), [(65_534, "a"), (1, "b"), (2, "PUBREL")]);
    assert_eq!(outbound.send(AtLeastOnce, "c"), Some(id(3)));
    assert_eq!((outbound.message(id(3)), outbound.message(id(2))), (Some(&"c"), None));
    assert_eq!(outbound.in_flight(), 4);
}
