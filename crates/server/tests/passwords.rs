//! User names and passwords, asked of a provider by way of the lobby (3.1.3.5, 3.1.3.6, 3.1.4).

mod support;

use dunlin_auth::{
    authenticator::{Authenticator, Question, Verdict, VerdictFuture},
    chain::Chain,
};
use dunlin_packet::{
    connect::{Connect, Will},
    packet::Packet,
    property::list::PropertyList,
    qos::QoS,
    reason_code::ReasonCode,
    topic::name::TopicName,
    version::ProtocolVersion,
};
use dunlin_server::{config::model::Config, in_process, server::Server};
use support::{Client, bytes_of, connect};

const VERSIONS: [ProtocolVersion; 3] =
    [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5_0];

/// A password may be any bytes.
const PASSWORD: &[u8] = b"\x00\xff no text";

/// Knows `ann` and her password, and `eve`, who may not come in.
struct Doorkeeper;

impl Authenticator for Doorkeeper {
    fn name(&self) -> &str {
        "doorkeeper"
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        let credentials = &question.credentials;
        let verdict = match (credentials.user_name.as_deref(), credentials.password.as_deref()) {
            (Some("ann"), Some(PASSWORD)) => Verdict::user("ann"),
            (Some("ann"), _) => Verdict::Deny(ReasonCode::BadUserNameOrPassword),
            (Some("eve"), _) => Verdict::Deny(ReasonCode::NotAuthorized),
            _ => Verdict::NotMine,
        };
        Box::pin(async { verdict })
    }
}

fn start() -> Server {
    let mut config = Config::default();
    config.server.shards = 2;
    in_process::start_with(config, Chain::new(vec![Box::new(Doorkeeper)])).unwrap()
}

/// What the Server answers, byte for byte, to `connect`.
fn answer(server: &Server, connect: Connect<'_>) -> (Client, Vec<u8>) {
    let mut client = Client::open_with(server, connect.version);
    client.send(&Packet::Connect(connect));
    client.next();
    let bytes = client.last_bytes().to_vec();
    (client, bytes)
}

fn login<'a>(
    version: ProtocolVersion,
    user_name: Option<&'a str>,
    password: Option<&'a [u8]>,
) -> Connect<'a> {
    Connect { version, user_name, password, ..connect("visitor") }
}

/// CONNACK of 5.0 with a Reason String, as bytes.
fn refused_5_0(code: u8, reason: &str) -> Vec<u8> {
    let len = u8::try_from(reason.len()).unwrap();
    [&[0x20, 6 + len, 0, code, 3 + len, 0x1F, 0, len], reason.as_bytes()].concat()
}

/// 0x86 and 0x87, or 4 and 5 for older Clients, and the end. [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7]
/// [MQTT-3.14.0-1] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]
#[test]
fn who_may_not_come_in_is_told_so_and_closed() {
    let server = start();
    for (user_name, password, code) in [
        (Some("ann"), Some(&b"guessed"[..]), 4),
        (Some("ann"), Some(&b""[..]), 4),
        (Some("ann"), None, 4),
        (Some("Ann"), Some(PASSWORD), 4),
        (Some("nobody"), Some(PASSWORD), 4),
        (Some("eve"), Some(PASSWORD), 5),
        (None, None, 5),
    ] {
        for version in VERSIONS {
            let (mut client, bytes) = answer(&server, login(version, user_name, password));
            let expected = match (version, code) {
                (ProtocolVersion::V5_0, 4) => refused_5_0(0x86, "Bad User Name or Password"),
                (ProtocolVersion::V5_0, _) => refused_5_0(0x87, "Not authorized"),
                (_, code) => vec![0x20, 2, 0, code],
            };
            assert_eq!(bytes, expected, "{version:?} {user_name:?} {password:?}");
            client.expect_end();
        }
    }
    // Only 5.0 knows a password without a user name.
    let (mut client, bytes) = answer(&server, login(ProtocolVersion::V5_0, None, Some(PASSWORD)));
    assert_eq!(bytes, refused_5_0(0x86, "Bad User Name or Password"));
    client.expect_end();
    assert_eq!((server.connections(), server.panics()), (0, 0));
}

/// User name and password come to the provider as they were sent. [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT3-3.1.2-19]
/// [MQTT3-3.1.2-21] [MQTT3-3.1.4-4]
#[test]
fn the_right_password_lets_in() {
    let server = start();
    for version in VERSIONS {
        let (mut client, bytes) = answer(&server, login(version, Some("ann"), Some(PASSWORD)));
        assert_eq!((bytes[0], &bytes[2..4]), (0x20, &[0, 0][..]), "{version:?}");
        client.send(&Packet::Pingreq);
        assert!(matches!(client.next(), Some(Packet::Pingresp)));
    }
}

/// A wrong password takes nothing over, leaves no Will, and nothing behind it is looked at. [MQTT-3.1.4-2]
/// [MQTT-3.1.4-6] [MQTT3-3.1.4-5]
#[test]
fn a_wrong_password_changes_nothing() {
    let server = start();
    let (mut ann, _) = answer(&server, login(ProtocolVersion::V5_0, Some("ann"), Some(PASSWORD)));
    ann.subscribe("#", QoS::AtMostOnce);
    for version in VERSIONS {
        let will = Will {
            qos: QoS::AtMostOnce,
            retain: true,
            properties: PropertyList::EMPTY,
            topic_name: TopicName::parse("will").unwrap(),
            payload: b"gone",
        };
        let connect = Connect { will: Some(will), ..login(version, Some("ann"), Some(b"guessed")) };
        let mut bytes = bytes_of(&Packet::Connect(connect), version);
        bytes.extend(bytes_of(&Packet::Publish(support::publish("t", b"smuggled", None)), version));
        let mut stranger = Client::open_with(&server, version);
        stranger.send_bytes(&bytes);
        stranger.expect_connack(ReasonCode::BadUserNameOrPassword);
        stranger.expect_end();
    }
    ann.publish("t", b"still here", None);
    assert_eq!(ann.expect_publish(), b"still here");
}
