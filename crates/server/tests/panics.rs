//! A panic in what serves one Client: the others go on.

mod support;

use dunlin_auth::{
    authenticator::{Authenticator, NextStep, Question, Verdict, VerdictFuture},
    chain::Chain,
};
use dunlin_packet::{
    auth::Auth,
    connect::Connect,
    packet::Packet,
    property::{list::PropertyList, value::Property},
    reason_code::ReasonCode,
};
use dunlin_server::{config::model::Config, in_process};
use support::{Client, connect, until};

/// Panics over the Client `broken`, and over everybody who authenticates again.
struct Fragile;

impl Authenticator for Fragile {
    fn name(&self) -> &str {
        "fragile"
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        assert!(!question.is_reauthentication && &*question.credentials.client_id != "broken", "as planned");
        Box::pin(async move {
            match question.credentials.method {
                Some(_) => Verdict::Challenge { data: b"?".to_vec(), next: Box::new(Answered) },
                None => Verdict::user("somebody"),
            }
        })
    }
}

struct Answered;

impl NextStep for Answered {
    fn judge<'a>(self: Box<Self>, _question: &'a Question) -> VerdictFuture<'a> {
        Box::pin(async { Verdict::user("somebody") })
    }
}

const METHOD: [Property<'static>; 1] = [Property::AuthenticationMethod("fragile")];

#[test]
fn a_panic_over_one_client_costs_only_that_client() {
    let mut config = Config::default();
    config.server.shards = 1;
    let server = in_process::start_with(config, Chain::new(vec![Box::new(Fragile)])).unwrap();
    let mut friend = Client::connect(&server, "friend");
    for number in 1..=20 {
        let mut broken = Client::open(&server);
        broken.send(&Packet::Connect(connect("broken")));
        broken.expect_end();
        until("it is counted", || server.panics() == number);
    }
    friend.send(&Packet::Pingreq);
    assert!(matches!(friend.next(), Some(Packet::Pingresp)));
    Client::connect(&server, "newcomer");
    assert_eq!(server.panics(), 20);
}

/// A Client that authenticates again when the provider breaks is told and closed. [MQTT-4.12.1-2]
#[test]
fn a_panic_over_a_second_authentication_is_answered() {
    let mut config = Config::default();
    config.server.shards = 1;
    let server = in_process::start_with(config, Chain::new(vec![Box::new(Fragile)])).unwrap();
    let auth =
        |reason_code| Packet::Auth(Auth { reason_code, properties: PropertyList::from_items(&METHOD) });
    let mut client = Client::open(&server);
    let properties = PropertyList::from_items(&METHOD);
    client.send(&Packet::Connect(Connect { properties, ..connect("again") }));
    assert!(matches!(client.next(), Some(Packet::Auth(_))));
    client.send(&auth(ReasonCode::ContinueAuthentication));
    client.expect_connack(ReasonCode::Success);
    client.send(&auth(ReasonCode::ReAuthenticate));
    match client.next() {
        Some(Packet::Disconnect(packet)) => assert_eq!(packet.reason_code, ReasonCode::UnspecifiedError),
        other => panic!("awaited DISCONNECT, came {other:?}"),
    }
    client.expect_end();
    assert_eq!(server.panics(), 1);
    Client::connect(&server, "newcomer");
}
