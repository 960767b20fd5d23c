//! Enhanced authentication (4.12) from the Client's side, against a Server that does what each test says.

mod server;

use std::time::Duration;

use data_encoding::BASE64;
use dunlin_client::authentication::{Authentication, AuthenticationError, Begun, Exchange, Method};
use dunlin_client::client::Client;
use dunlin_client::error::{ConnectionError, Error, RequestError};
use dunlin_client::options::{Options, Reconnect};
use dunlin_client::scram::Scram;
use dunlin_packet::auth::Auth;
use dunlin_packet::connack::Connack;
use dunlin_packet::packet::Packet;
use dunlin_packet::property::list::{Property, PropertyList};
use dunlin_packet::reason_code::ReasonCode;
use dunlin_passwords::scram::ScramKeys;
use server::{Peer, Server};

const SALT: &[u8] = b"salt of the tests";

/// Method and data of an AUTH or a CONNECT.
fn spoken(packet: &Packet<'_>) -> (ReasonCode, String, String) {
    let (reason_code, properties) = match packet {
        Packet::Connect(connect) => (ReasonCode::Success, connect.properties),
        Packet::Auth(auth) => (auth.reason_code, auth.properties),
        other => panic!("{other:?}"),
    };
    let data = properties.authentication_data().unwrap_or_default();
    let method = properties.authentication_method().expect("there is a method");
    (reason_code, method.to_owned(), String::from_utf8(data.to_vec()).expect("it is text"))
}

async fn auth(peer: &mut Peer, reason_code: ReasonCode, method: &str, data: &str) {
    let items = [Property::AuthenticationMethod(method), Property::AuthenticationData(data.as_bytes())];
    peer.write(&Packet::Auth(Auth { reason_code, properties: PropertyList::from_items(&items) })).await;
}

async fn connack(peer: &mut Peer, method: &str, data: &str) {
    let items = [Property::AuthenticationMethod(method), Property::AuthenticationData(data.as_bytes())];
    let properties = PropertyList::from_items(&items);
    let (session_present, reason_code) = (false, ReasonCode::Success);
    peer.write(&Packet::Connack(Connack { session_present, reason_code, properties })).await;
}

/// Plays the Server of SCRAM for `password` up to the proof and gives what proves the Server.
async fn challenge(peer: &mut Peer, begins: ReasonCode, password: &[u8]) -> String {
    let (reason_code, method, first) = peer.take(spoken).await;
    assert_eq!((reason_code, method.as_str()), (begins, Scram::NAME));
    let bare = first.strip_prefix("n,,").expect("no channel binding");
    let nonce = bare.split_once(",r=").expect("there is a nonce").1;
    let said = format!("r={nonce}more,s={},i=4096", BASE64.encode(SALT));
    auth(peer, ReasonCode::ContinueAuthentication, Scram::NAME, &said).await;
    let (reason_code, _, last) = peer.take(spoken).await;
    assert_eq!(reason_code, ReasonCode::ContinueAuthentication);
    let (without_proof, proof) = last.rsplit_once(",p=").expect("there is a proof");
    let message = format!("{bare},{said},{without_proof}");
    let keys = ScramKeys::derive(password, SALT, 4_096);
    assert!(keys.is_proof(&BASE64.decode(proof.as_bytes()).unwrap(), message.as_bytes()));
    format!("v={}", BASE64.encode(&keys.server_signature(message.as_bytes())))
}

fn options(server: &Server) -> Options {
    let mut options = server.options();
    options.authentication = Some(Authentication::new(Scram::new("ann", "pencil")));
    let wait = Duration::from_millis(2);
    options.reconnect = Reconnect::Always { first: wait, max: wait };
    options
}

/// [MQTT-4.12.0-3] [MQTT-4.12.1-1]
#[tokio::test]
async fn scram_is_played_at_each_connection_and_again_in_between() {
    let server = Server::new().await;
    let script = async {
        let mut peer = server.listen().await;
        let proof = challenge(&mut peer, ReasonCode::Success, b"pencil").await;
        connack(&mut peer, Scram::NAME, &proof).await;
        let proof = challenge(&mut peer, ReasonCode::ReAuthenticate, b"pencil").await;
        auth(&mut peer, ReasonCode::Success, Scram::NAME, &proof).await;
        peer.close().await;
        // Another connection, another exchange.
        let mut peer = server.listen().await;
        let proof = challenge(&mut peer, ReasonCode::Success, b"pencil").await;
        connack(&mut peer, Scram::NAME, &proof).await;
        peer.send("PUBLISH 0 here-again").await;
        peer.expect("DISCONNECT").await;
        peer.close().await;
    };
    let requests = async {
        let (client, mut messages) = Client::connect(options(&server)).await.unwrap();
        client.reauthenticate().await.unwrap();
        assert_eq!(messages.recv().await.unwrap().message.topic_name, "here-again");
        client.disconnect().await;
    };
    tokio::join!(requests, script);
}

#[tokio::test]
async fn a_server_that_does_not_prove_itself_is_left() {
    let server = Server::new().await;
    let script = async {
        let mut peer = server.listen().await;
        challenge(&mut peer, ReasonCode::Success, b"pencil").await;
        connack(&mut peer, Scram::NAME, "v=AAAA").await;
        peer.expect("DISCONNECT").await;
    };
    let (connected, ()) = tokio::join!(Client::connect(options(&server)), script);
    let error = connected.map(|_| ()).unwrap_err();
    assert!(matches!(error, ConnectionError::Authentication(_)), "{error}");
    assert!(error.to_string().contains("does not prove that it knows the password"), "{error}");
}

/// A method with as many rounds as the Server likes: each answer is what came, turned round.
struct Mirror;

impl Method for Mirror {
    fn name(&self) -> &str {
        "MIRROR"
    }

    fn begin(&self) -> Result<Begun, AuthenticationError> {
        Ok(Begun { data: None, exchange: Box::new(Mirror) })
    }
}

impl Exchange for Mirror {
    fn answer(&mut self, data: Option<&[u8]>) -> Result<Option<Vec<u8>>, AuthenticationError> {
        let data = data.ok_or_else(|| AuthenticationError("nothing to turn round".into()))?;
        Ok(Some(data.iter().rev().copied().collect()))
    }

    fn finish(&mut self, _data: Option<&[u8]>) -> Result<(), AuthenticationError> {
        Ok(())
    }
}

#[tokio::test]
async fn another_method_may_have_any_number_of_rounds() {
    let server = Server::new().await;
    let mut options = server.options();
    options.authentication = Some(Authentication::new(Mirror));
    let script = async {
        let mut peer = server.listen().await;
        assert_eq!(peer.take(spoken).await, (ReasonCode::Success, "MIRROR".into(), String::new()));
        for (said, expected) in [("abc", "cba"), ("x", "x"), ("12", "21")] {
            auth(&mut peer, ReasonCode::ContinueAuthentication, "MIRROR", said).await;
            let (_, _, answer) = peer.take(spoken).await;
            assert_eq!(answer, expected);
        }
        connack(&mut peer, "MIRROR", "").await;
        peer
    };
    let (connected, _peer) = tokio::join!(Client::connect(options), script);
    connected.unwrap();
}

#[tokio::test]
async fn without_a_method_nothing_can_be_authenticated_anew() {
    let server = Server::new().await;
    let (connected, _peer) = tokio::join!(Client::connect(server.options()), server.accept("CONNECT "));
    let (client, _messages) = connected.unwrap();
    let refused = client.reauthenticate().await;
    assert!(matches!(refused, Err(Error::Request(RequestError::AuthenticationMethod))), "{refused:?}");
}
