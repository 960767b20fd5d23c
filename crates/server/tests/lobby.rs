//! The lobby: strangers, limits, refusals, authentication (3.1.4, 4.12).

mod support;

use std::time::{Duration, Instant};

use dunlin_auth::{
    authenticator::{Authenticator, Grant, NextStep, Question, Verdict, VerdictFuture},
    chain::Chain,
};
use dunlin_packet::{
    auth::Auth,
    connect::Connect,
    disconnect::Disconnect,
    packet::Packet,
    property::{list::PropertyList, value::Property},
    reason_code::ReasonCode,
    version::ProtocolVersion,
};
use dunlin_server::{config::model::Config, in_process, server::Server};
use support::{Client, bytes_of, connect, until};

fn start(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::default();
    config.server.shards = 1;
    change(&mut config);
    in_process::start_with(config, Chain::default()).unwrap()
}

/// P20: whoever sends nothing, or too slowly, is closed when the time is over.
#[test]
fn the_time_for_connect_is_limited() {
    let server = start(|config| config.lobby.connect_timeout_s = 1);
    let opened = Instant::now();
    let mut silent = Client::open(&server);
    let mut slow = Client::open(&server);
    slow.send_bytes(&bytes_of(&Packet::Connect(connect("slow")), ProtocolVersion::V5_0)[..5]);
    silent.expect_end();
    slow.expect_end();
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&opened.elapsed()));
    // The time does not run on for those who are in.
    let mut client = Client::connect(&server, "in time");
    assert_eq!(server.connections(), 1);
    client.send(&Packet::Pingreq);
    assert!(matches!(client.next(), Some(Packet::Pingresp)));
}

/// [MQTT-3.1.0-1] [MQTT3-3.1.0-1] and P18.
#[test]
fn what_is_not_connect_is_closed() {
    let server = start(|_| {});
    for bytes in [
        &bytes_of(&Packet::Pingreq, ProtocolVersion::V5_0)[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        // A CONNECT of 256 MiB, announced and begun.
        b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05",
    ] {
        let mut client = Client::open(&server);
        client.send_bytes(bytes);
        client.expect_end();
    }
    let gone = Client::open(&server);
    drop(gone);
    Client::connect(&server, "others");
}

/// [MQTT-3.2.2-7]: the answer is read although the Client has sent more. [MQTT-3.1.4-6]
#[test]
fn a_refused_client_reads_why() {
    let server = start(|config| config.broker.client_id_bytes_max = 23);
    let mut client = Client::open(&server);
    let refused = "a Client Identifier that is too long";
    let mut bytes = bytes_of(&Packet::Connect(connect(refused)), ProtocolVersion::V5_0);
    bytes.extend([0; 20_000]);
    client.send_bytes(&bytes);
    client.expect_connack(ReasonCode::ClientIdentifierNotValid);
    client.expect_end();
}

#[test]
fn one_client_too_many_is_told_that_the_server_is_busy() {
    let server = start(|config| config.lobby.connections_max = 2);
    let first = Client::connect(&server, "first");
    let _second = Client::connect(&server, "second");
    let mut third = Client::open(&server);
    third.send(&Packet::Connect(connect("third")));
    third.expect_connack(ReasonCode::ServerBusy);
    third.expect_end();
    drop(first);
    until("the seat is free", || server.connections() == 1);
    Client::connect(&server, "third");
}

/// One that begins to say something, and so is in the lobby, and says no more.
fn stranger(server: &Server) -> Client {
    let mut client = Client::open(server);
    client.send_bytes(&[0x10]);
    client
}

#[test]
fn one_address_has_a_limited_number_of_strangers() {
    let server = start(|config| config.lobby.half_open_per_address_max = 2);
    let _strangers = [stranger(&server), stranger(&server)];
    let mut third = Client::open(&server);
    // It is closed without a word; a reset is one way to say nothing.
    if third.send_perhaps(&bytes_of(&Packet::Connect(connect("third")), ProtocolVersion::V5_0)).is_ok() {
        assert!(third.is_closed());
    }
    drop(_strangers);
    until("the strangers are gone", || {
        let mut client = Client::open(&server);
        client.send_perhaps(&bytes_of(&Packet::Connect(connect("later")), ProtocolVersion::V5_0)).is_ok()
            && !client.is_closed()
    });
}

/// The lobby is full of strangers who do not go on, and yet a Client gets in: the oldest stranger leaves.
#[test]
fn a_full_lobby_lets_the_newest_in() {
    let server = start(|config| config.lobby.half_open_max = 5);
    let mut strangers: Vec<Client> = (0..20).map(|_| stranger(&server)).collect();
    Client::connect(&server, "in earnest");
    assert!(strangers[0].is_closed());
}

/// The method `sums`: what is asked is two numbers, what is answered is their sum.
struct Sums;

/// The sum that was asked, and how many questions follow.
struct Asked(u8, u8);

impl Authenticator for Sums {
    fn name(&self) -> &str {
        "sums"
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        let is_mine = question.credentials.method.as_deref() == Some("sums");
        Box::pin(async move { if is_mine { ask(2) } else { Verdict::NotMine } })
    }
}

impl NextStep for Asked {
    fn judge<'a>(self: Box<Self>, question: &'a Question) -> VerdictFuture<'a> {
        Box::pin(async move {
            match (question.credentials.data == [self.0], self.1) {
                (false, _) => Verdict::Deny(ReasonCode::NotAuthorized),
                (true, 0) => Verdict::Grant { grant: Grant::default(), data: b"done".to_vec() },
                (true, more) => ask(more),
            }
        })
    }
}

fn ask(questions: u8) -> Verdict {
    let next = Box::new(Asked(questions + 1, questions - 1));
    Verdict::Challenge { data: vec![questions, 1], next }
}

fn with_sums() -> Server {
    let mut config = Config::default();
    config.server.shards = 2;
    in_process::start_with(config, Chain::new(vec![Box::new(Sums)])).unwrap()
}

fn send_auth(client: &mut Client, reason_code: ReasonCode, data: &[u8]) {
    let items = [Property::AuthenticationMethod("sums"), Property::AuthenticationData(data)];
    let properties = PropertyList::from_items(if data.is_empty() { &items[..1] } else { &items });
    client.send(&Packet::Auth(Auth { reason_code, properties }));
}

/// Two questions are asked and answered; the last packet of the Server is not read.
fn answer_all(client: &mut Client) {
    for _ in 0..2 {
        let (code, data) = client.expect_auth();
        assert_eq!(code, ReasonCode::ContinueAuthentication); // [MQTT-4.12.0-2]
        send_auth(client, ReasonCode::ContinueAuthentication, &[data.iter().sum()]);
    }
}

fn connect_with_sums(server: &Server, client_id: &str) -> Client {
    let mut client = Client::open(server);
    let items = [Property::AuthenticationMethod("sums")];
    let properties = PropertyList::from_items(&items);
    client.send(&Packet::Connect(Connect { properties, ..connect(client_id) }));
    answer_all(&mut client);
    match client.next() {
        Some(Packet::Connack(connack)) => {
            assert_eq!(connack.reason_code, ReasonCode::Success);
            assert_eq!(connack.properties.authentication_data(), Some(&b"done"[..]));
            assert_eq!(connack.properties.authentication_method(), Some("sums")); // [MQTT-4.12.0-5]
        }
        other => panic!("{other:?}"),
    }
    client
}

#[test]
fn a_method_with_several_steps_lets_in_and_keeps_out() {
    let server = with_sums();
    connect_with_sums(&server, "right");
    let mut wrong = Client::open(&server);
    let items = [Property::AuthenticationMethod("sums")];
    let properties = PropertyList::from_items(&items);
    wrong.send(&Packet::Connect(Connect { properties, ..connect("wrong") }));
    wrong.expect_auth();
    send_auth(&mut wrong, ReasonCode::ContinueAuthentication, &[99]);
    wrong.expect_connack(ReasonCode::NotAuthorized);
    wrong.expect_end();
    // [MQTT-4.12.0-1]
    let mut unknown = Client::open(&server);
    let items = [Property::AuthenticationMethod("products")];
    let properties = PropertyList::from_items(&items);
    unknown.send(&Packet::Connect(Connect { properties, ..connect("unknown") }));
    unknown.expect_connack(ReasonCode::BadAuthenticationMethod);
    unknown.expect_end();
    let mut without = Client::open(&server);
    without.send(&Packet::Connect(connect("without")));
    without.expect_connack(ReasonCode::NotAuthorized);
}

/// 4.12.1, by way of the lobby, while packets flow.
#[test]
fn a_connected_client_authenticates_again() {
    let server = with_sums();
    let mut clients: Vec<Client> =
        (0..4).map(|number| connect_with_sums(&server, &format!("again-{number}"))).collect();
    for client in &mut clients {
        for _ in 0..3 {
            send_auth(client, ReasonCode::ReAuthenticate, b"");
            answer_all(client);
            assert_eq!(client.expect_auth(), (ReasonCode::Success, b"done".to_vec()));
            client.send(&Packet::Pingreq);
            assert!(matches!(client.next(), Some(Packet::Pingresp)));
        }
    }
    // [MQTT-4.12.1-2]: a wrong answer ends the connection.
    let client = &mut clients[0];
    send_auth(client, ReasonCode::ReAuthenticate, b"");
    client.expect_auth();
    send_auth(client, ReasonCode::ContinueAuthentication, &[99]);
    match client.next() {
        Some(Packet::Disconnect(Disconnect { reason_code, .. })) => {
            assert_eq!(reason_code, ReasonCode::NotAuthorized);
        }
        other => panic!("{other:?}"),
    }
    client.expect_end();
    assert_eq!(server.panics(), 0);
}
