//! Clients that break a rule: raw bytes, and what the Server has to say to them.

use dunlin_broker::limits::Settings;
use dunlin_packet::{
    connect::{Connect, Will},
    property::{list::PropertyList, value::Property},
    qos::QoS,
    reason_code::ReasonCode,
    topic::name::TopicName,
    version::ProtocolVersion,
};

use crate::{
    network::LinkId,
    oracle::connection::{Misdeed, Role},
    random::Random,
    workload::{choices, client::Scene},
};

/// Bytes of a misdeed, and what is told for it in 5.0.
struct Offence {
    what: &'static str,
    /// Right bytes before it.
    good: Vec<u8>,
    bad: Vec<u8>,
    codes: &'static [ReasonCode],
    /// It uses extended authentication.
    has_method: bool,
}

/// Opens a connection on which a rule is broken, and sends all of it at once.
pub fn spawn(scene: &mut Scene<'_>) -> LinkId {
    match scene.random.once_in(3) {
        true => spawn_at_the_door(scene),
        false => spawn_inside(scene),
    }
}

/// The misdeed is in CONNECT, or there is none.
fn spawn_at_the_door(scene: &mut Scene<'_>) -> LinkId {
    let (what, bytes, codes, must_be_told) = scene.random.pick(AT_THE_DOOR);
    let link = scene.network.open(60_000);
    let misdeed = Misdeed { what, good_bytes: None, codes, must_be_told };
    scene.trace.note(|| format!("a rogue opens {link}: {what}"));
    scene.oracle.announces(link, Role::Rogue(misdeed), None);
    scene.network.send(link, bytes);
    link
}

/// The misdeed comes after a right CONNECT.
fn spawn_inside(scene: &mut Scene<'_>) -> LinkId {
    *scene.last_number += 2;
    let number = *scene.last_number;
    let version = scene.random.pick(&[ProtocolVersion::V3_1_1, ProtocolVersion::V5_0, ProtocolVersion::V5_0]);
    let offence = offence(scene.random, version, &scene.plan.settings, number);
    let id = format!("r{number}");
    let payload = choices::payload(scene.random, number - 1, false);
    let will = scene.random.once_in(2).then(|| Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic_name: TopicName::parse("w/all").expect("a Topic Name"),
        payload: &payload,
        properties: PropertyList::EMPTY,
    });
    let method = [Property::AuthenticationMethod("echo"), Property::AuthenticationData(b"ok")];
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_s: 0,
        client_id: &id,
        properties: PropertyList::from_items(if offence.has_method { &method } else { &[] }),
        will,
        user_name: None,
        password: None,
        is_bridge: false,
    };
    let misdeed = Misdeed {
        what: offence.what,
        good_bytes: Some(offence.good.len()),
        codes: offence.codes,
        must_be_told: true,
    };
    let mut bytes = Vec::new();
    connect.encode(version, &mut bytes).expect("a right CONNECT");
    bytes.extend_from_slice(&offence.good);
    bytes.extend_from_slice(&offence.bad);
    let link = scene.network.open(60_000);
    scene.trace.note(|| format!("rogue {id} opens {link} with {version:?}: {}", offence.what));
    scene.oracle.announces(link, Role::Rogue(misdeed), Some(&connect));
    scene.network.send(link, &bytes);
    link
}

fn offence(random: &mut Random, version: ProtocolVersion, settings: &Settings, number: u64) -> Offence {
    let of_version = if version.has_properties() { OF_5 } else { OF_3 };
    let place = random.index(of_version.len() + INSIDE.len() + 4);
    let row = |row: &(&'static str, &[u8], &'static [ReasonCode])| Offence {
        what: row.0,
        good: Vec::new(),
        bad: row.1.to_vec(),
        codes: row.2,
        has_method: false,
    };
    if let Some(found) = of_version.iter().chain(INSIDE).nth(place) {
        return row(found);
    }
    match place - of_version.len() - INSIDE.len() {
        0 if version.has_properties() => too_many_in_flight(settings, number),
        1 => Offence {
            what: "a packet above the Maximum Packet Size",
            good: Vec::new(),
            bad: too_large(settings.maximum_packet_size),
            codes: &[ReasonCode::PacketTooLarge],
            has_method: false,
        },
        2 if version.has_properties() => alias_above_maximum(settings.topic_alias_maximum),
        3 if version.has_properties() => Offence {
            what: "a re-authentication that fails",
            good: Vec::new(),
            bad: b"\xf0\x0e\x19\x0c\x15\x00\x04echo\x16\x00\x02no".to_vec(),
            codes: &[ReasonCode::NotAuthorized], // [MQTT-4.12.1-2]
            has_method: true,
        },
        _ => row(&INSIDE[0]),
    }
}

/// As many QoS 2 messages as the Receive Maximum allows, and one more. [MQTT-3.3.4-7]
fn too_many_in_flight(settings: &Settings, number: u64) -> Offence {
    let qos = settings.maximum_qos;
    if qos < QoS::ExactlyOnce {
        return Offence {
            what: "PUBLISH above the Maximum QoS",
            good: Vec::new(),
            bad: publish_qos2(1, number),
            codes: &[ReasonCode::QoSNotSupported],
            has_method: false,
        };
    }
    let good = (1..=settings.receive_maximum).flat_map(|packet_id| publish_qos2(packet_id, number));
    Offence {
        what: "a PUBLISH above the Receive Maximum",
        good: good.collect(),
        bad: publish_qos2(settings.receive_maximum + 1, number),
        codes: &[ReasonCode::ReceiveMaximumExceeded],
        has_method: false,
    }
}

fn publish_qos2(packet_id: u16, number: u64) -> Vec<u8> {
    let payload = format!("m{number}.");
    let [high, low] = packet_id.to_be_bytes();
    let mut bytes = vec![0x34, 2 + 3 + 2 + 1 + payload.len() as u8, 0, 3, b'x', b'/', b'1', high, low, 0];
    bytes.extend_from_slice(payload.as_bytes());
    bytes
}

/// The fixed header alone says enough.
fn too_large(maximum: u32) -> Vec<u8> {
    let mut bytes = vec![0x30];
    let mut rest = maximum;
    while rest >= 0x80 {
        bytes.push(rest as u8 & 0x7f | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend_from_slice(&[0, 1, b'a']);
    bytes
}

fn alias_above_maximum(maximum: u16) -> Offence {
    let [high, low] = (maximum + 1).to_be_bytes();
    Offence {
        what: "a Topic Alias above the maximum",
        good: Vec::new(),
        bad: vec![0x30, 7, 0, 1, b'a', 3, 0x23, high, low],
        codes: &[ReasonCode::TopicAliasInvalid], // [MQTT-3.3.2-9]
        has_method: false,
    }
}

const MALFORMED: &[ReasonCode] = &[ReasonCode::MalformedPacket];
const PROTOCOL_ERROR: &[ReasonCode] = &[ReasonCode::ProtocolError];
const EITHER: &[ReasonCode] = &[ReasonCode::MalformedPacket, ReasonCode::ProtocolError];

/// What, bytes, codes, whether the Client must be told.
type AtTheDoor = (&'static str, &'static [u8], &'static [ReasonCode], bool);

const AT_THE_DOOR: &[AtTheDoor] = &[
    ("PINGREQ as the first packet", &[0xc0, 0], &[], false), // [MQTT-3.1.0-1]
    ("PUBLISH as the first packet", &[0x30, 3, 0, 1, b'a'], &[], false),
    ("packet type 0", &[0, 0], &[], false),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[], false),
    (
        "another protocol",
        b"\x10\x0c\x00\x04XXXX\x05\x02\x00\x00\x00\x00",
        &[ReasonCode::UnsupportedProtocolVersion],
        false,
    ),
    (
        "protocol level 6",
        b"\x10\x0e\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x01z",
        &[ReasonCode::UnsupportedProtocolVersion],
        true, // [MQTT-3.1.2-2]
    ),
    (
        "protocol level 2",
        b"\x10\x0d\x00\x04MQTT\x02\x02\x00\x00\x00\x01z",
        &[ReasonCode::UnsupportedProtocolVersion],
        true,
    ),
    ("the reserved flag of CONNECT", b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x01z", MALFORMED, false),
    ("Will QoS without Will", b"\x10\x0e\x00\x04MQTT\x05\x0a\x00\x00\x00\x00\x01z", EITHER, false),
    ("Will QoS 3", b"\x10\x14\x00\x04MQTT\x05\x1e\x00\x00\x00\x00\x01z\x00\x00\x01a\x00\x00", EITHER, false),
    (
        "no Client Identifier with Clean Session 0",
        b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x00\x00\x00",
        &[ReasonCode::ClientIdentifierNotValid],
        true, // [MQTT3-3.1.3-8]
    ),
    (
        "a password without user name in 3.1.1",
        b"\x10\x10\x00\x04MQTT\x04\x42\x00\x00\x00\x01z\x00\x01p",
        &[],
        false,
    ),
    (
        "Receive Maximum twice",
        b"\x10\x14\x00\x04MQTT\x05\x02\x00\x00\x06\x21\x00\x05\x21\x00\x05\x00\x01z",
        PROTOCOL_ERROR,
        false,
    ),
    (
        "Receive Maximum 0",
        b"\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x01z",
        PROTOCOL_ERROR,
        false,
    ),
    (
        "Authentication Data without method",
        b"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x04\x16\x00\x01x\x00\x01z",
        PROTOCOL_ERROR,
        false,
    ),
    (
        "an unknown Authentication Method",
        b"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x04\x15\x00\x01x\x00\x01z",
        &[ReasonCode::BadAuthenticationMethod],
        true, // [MQTT-4.12.0-1]
    ),
    (
        "a user that is not wanted",
        b"\x10\x15\x00\x04MQTT\x05\x82\x00\x00\x00\x00\x01z\x00\x05never",
        &[ReasonCode::NotAuthorized],
        true,
    ),
    (
        "a user that is not wanted, in 3.1.1",
        b"\x10\x14\x00\x04MQTT\x04\x82\x00\x00\x00\x01z\x00\x05never",
        &[ReasonCode::NotAuthorized],
        true,
    ),
    ("a CONNECT of 100 MB", b"\x10\x80\xc2\xd7\x2f\x00\x04MQTT\x05", &[ReasonCode::PacketTooLarge], false),
    ("a Remaining Length of five bytes", b"\x10\xff\xff\xff\xff\x7f", MALFORMED, false),
    ("trailing bytes in CONNECT", b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01z\x00", MALFORMED, false),
];

/// What, bytes, codes.
type Inside = (&'static str, &'static [u8], &'static [ReasonCode]);

/// Wrong in all versions.
const INSIDE: &[Inside] = &[
    ("PUBLISH with QoS 3", &[0x36, 5, 0, 1, b'a', 0, 1], MALFORMED), // [MQTT-3.3.1-4]
    ("DUP with QoS 0", &[0x38, 3, 0, 1, b'a'], MALFORMED),           // [MQTT-3.3.1-2]
    ("packet type 0", &[0x00, 0], MALFORMED),
    ("PUBREL with wrong flags", &[0x60, 2, 0, 1], MALFORMED), // [MQTT-3.6.1-1]
    ("SUBSCRIBE with wrong flags", &[0x80, 2, 0, 1], MALFORMED),
    ("PINGREQ with a body", &[0xc0, 1, 0], MALFORMED),
    ("CONNACK from a Client", &[0x20, 2, 0, 0], EITHER),
    ("SUBACK from a Client", &[0x90, 3, 0, 1, 0], EITHER),
    ("PINGRESP from a Client", &[0xd0, 0], EITHER),
    ("a Remaining Length that is too long", &[0xc0, 0x80, 0x00], MALFORMED), // [MQTT-1.5.5-1]
    ("a Remaining Length of five bytes", &[0x30, 0xff, 0xff, 0xff, 0xff, 0x7f], MALFORMED),
    ("PUBACK cut short", &[0x40, 1, 0], MALFORMED),
    ("PUBACK with Packet Identifier 0", &[0x40, 2, 0, 0], EITHER),
];

/// Wrong in 3.1.1.
const OF_3: &[Inside] = &[
    ("a wildcard in a Topic Name", &[0x30, 5, 0, 3, b'a', b'/', b'#'], &[]), // [MQTT3-3.3.2-2]
    ("an empty Topic Name", &[0x30, 2, 0, 0], &[]),
    ("a Topic Name that is not UTF-8", &[0x30, 4, 0, 2, 0xc0, 0x80], &[]),
    ("a null character in a Topic Name", &[0x30, 4, 0, 2, b'a', 0], &[]),
    ("PUBLISH with Packet Identifier 0", &[0x32, 5, 0, 1, b'a', 0, 0], &[]),
    ("SUBSCRIBE without Topic Filters", &[0x82, 2, 0, 1], &[]), // [MQTT3-3.8.3-3]
    ("SUBSCRIBE with QoS 3", &[0x82, 6, 0, 1, 0, 1, b'a', 3], &[]),
    ("SUBSCRIBE with options of 5.0", &[0x82, 6, 0, 1, 0, 1, b'a', 4], &[]),
    ("UNSUBSCRIBE without Topic Filters", &[0xa2, 2, 0, 1], &[]),
    ("AUTH before 5.0", &[0xf0, 0], &[]),
    ("DISCONNECT with a body", &[0xe0, 1, 0], &[]),
    ("PUBACK with a Reason Code", &[0x40, 3, 0, 1, 0], &[]),
    ("a second CONNECT", b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01z", &[]), // [MQTT3-3.1.0-2]
];

/// Wrong in 5.0.
const OF_5: &[Inside] = &[
    ("a second CONNECT", b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01z", PROTOCOL_ERROR), // [MQTT-3.1.0-2]
    ("Topic Alias 0", &[0x30, 7, 0, 1, b'a', 3, 0x23, 0, 0], &[ReasonCode::TopicAliasInvalid]), // [MQTT-3.3.2-8]
    ("no Topic Name and no alias", &[0x30, 3, 0, 0, 0], PROTOCOL_ERROR),
    (
        "a wildcard in a Topic Name",
        &[0x30, 6, 0, 3, b'a', b'/', b'#', 0],
        &[ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::TopicNameInvalid],
    ),
    ("a Topic Name that is not UTF-8", &[0x30, 5, 0, 2, 0xc0, 0x80, 0], MALFORMED),
    ("a null character in a Topic Name", &[0x30, 5, 0, 2, b'a', 0, 0], MALFORMED),
    ("a Subscription Identifier from a Client", &[0x30, 6, 0, 1, b'a', 2, 0x0b, 1], PROTOCOL_ERROR), // [MQTT-3.3.4-6]
    ("a Property that PUBLISH does not have", &[0x30, 7, 0, 1, b'a', 3, 0x21, 0, 1], EITHER),
    ("a Property twice", &[0x30, 8, 0, 1, b'a', 4, 0x01, 0, 0x01, 0], PROTOCOL_ERROR),
    ("a flag that is 2", &[0x30, 6, 0, 1, b'a', 2, 0x01, 2], EITHER),
    ("Properties beyond the packet", &[0x30, 4, 0, 1, b'a', 9], MALFORMED),
    ("PUBLISH with Packet Identifier 0", &[0x32, 6, 0, 1, b'a', 0, 0, 0], EITHER),
    ("SUBSCRIBE without Topic Filters", &[0x82, 3, 0, 1, 0], PROTOCOL_ERROR), // [MQTT-3.8.3-2]
    ("SUBSCRIBE with reserved options", &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x40], MALFORMED), // [MQTT-3.8.3-5]
    ("SUBSCRIBE with QoS 3", &[0x82, 7, 0, 1, 0, 0, 1, b'a', 3], EITHER),
    ("SUBSCRIBE with Retain Handling 3", &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x30], PROTOCOL_ERROR),
    ("Subscription Identifier 0", &[0x82, 9, 0, 1, 2, 0x0b, 0, 0, 1, b'a', 0], PROTOCOL_ERROR),
    ("No Local on a Shared Subscription", b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04", PROTOCOL_ERROR), // [MQTT-3.8.3-4]
    ("UNSUBSCRIBE without Topic Filters", &[0xa2, 3, 0, 1, 0], PROTOCOL_ERROR),
    ("DISCONNECT that raises the expiry from 0", &[0xe0, 7, 0, 5, 0x11, 0, 0, 0, 9], PROTOCOL_ERROR),
    ("DISCONNECT with wrong flags", &[0xe1, 0], MALFORMED), // [MQTT-3.14.1-1]
    ("AUTH without a method", &[0xf0, 2, 0x19, 0], PROTOCOL_ERROR),
    ("PUBACK with an unknown Reason Code", &[0x40, 3, 0, 1, 0x05], EITHER),
    ("PUBREL with a Reason Code of others", &[0x62, 3, 0, 1, 0x10], EITHER), // [MQTT-3.6.2-1]
];
