//! The library against a Server that does what each test says: acknowledgement, reconnect, resuming, back-pressure, end.

mod server;

use std::time::Duration;

use dunlin_client::client::Client;
use dunlin_client::error::{ConnectionError, Error};
use dunlin_client::messages::Messages;
use dunlin_client::options::{Message, Options, ProtocolVersion, QoS, Reconnect, Subscription};
use dunlin_packet::reason_code::ReasonCode;
use server::{Peer, Server};

const QUICK: Reconnect = Reconnect::Always { first: Duration::from_millis(2), max: Duration::from_millis(2) };

/// A Client with a Session that outlives its connections, and the Server's end of the first one.
async fn start(server: &Server) -> (Client, Messages, Peer) {
    let mut options = server.options();
    options.version = ProtocolVersion::V3_1_1;
    options.clean_start = false;
    options.client_id = "me".into();
    options.reconnect = QUICK;
    let (started, mut peer) = tokio::join!(Client::connect(options), server.accept("CONNECT me"));
    let (client, messages) = started.expect("the Server accepts");
    peer.version = ProtocolVersion::V3_1_1;
    (client, messages, peer)
}

#[tokio::test]
async fn publish_returns_when_the_server_has_the_message() {
    let server = Server::new().await;
    let (client, _messages, mut peer) = start(&server).await;
    let script = async {
        peer.expect("PUBLISH 0 a").await;
        peer.expect("PUBLISH 1 b").await;
        peer.send("PUBACK 1").await;
        peer.expect("PUBLISH 2 c").await;
        peer.send("PUBREC 2").await;
        peer.expect("PUBREL 2").await;
        peer.send("PUBCOMP 2").await;
        peer.expect("DISCONNECT").await;
        peer.close().await;
    };
    let requests = async {
        for (topic_name, qos) in [("a", QoS::AtMostOnce), ("b", QoS::AtLeastOnce), ("c", QoS::ExactlyOnce)] {
            assert_eq!(
                client.publish(Message::new(topic_name, qos, "x")).await.unwrap(),
                ReasonCode::Success
            );
        }
        client.disconnect().await;
        assert!(matches!(
            client.publish(Message::new("a", QoS::AtMostOnce, "x")).await,
            Err(Error::Ended(_))
        ));
    };
    tokio::join!(script, requests);
}

#[tokio::test]
async fn an_unacknowledged_message_is_sent_again_after_a_reconnect() {
    let server = Server::new().await;
    let (client, _messages, mut peer) = start(&server).await;
    let script = async {
        peer.expect("PUBLISH 1 a").await;
        peer.close().await;
        let mut peer = server.accept_resumed("CONNECT me").await;
        peer.expect("PUBLISH 1 a DUP").await;
        peer.send("PUBACK 1").await;
    };
    let publish = client.publish(Message::new("a", QoS::AtLeastOnce, "x"));
    let (_, published) = tokio::join!(script, publish);
    assert_eq!(published.unwrap(), ReasonCode::Success);
}

#[tokio::test]
async fn a_lost_session_is_subscribed_again_and_qos_1_published_again() {
    let server = Server::new().await;
    let (client, mut messages, mut peer) = start(&server).await;
    let script = async {
        peer.expect("SUBSCRIBE 1 s/#").await;
        peer.send("SUBACK 1").await;
        peer.expect("PUBLISH 2 a").await;
        peer.expect("PUBLISH 3 b").await;
        peer.close().await;
        let mut peer = server.accept("CONNECT me").await;
        peer.expect("SUBSCRIBE 4 s/#").await;
        peer.expect("PUBLISH 5 a").await;
        peer.send("SUBACK 4").await;
        peer.send("PUBACK 5").await;
        peer.send("PUBLISH 0 s/t").await;
        peer
    };
    let requests = async {
        client.subscribe(vec![Subscription::new("s/#", QoS::AtLeastOnce)]).await.unwrap();
        let first = client.send(Message::new("a", QoS::AtLeastOnce, "x")).await.unwrap();
        let second = client.send(Message::new("b", QoS::ExactlyOnce, "x")).await.unwrap();
        first.acknowledged().await.unwrap();
        assert!(matches!(second.acknowledged().await, Err(Error::SessionLost)));
        assert_eq!(messages.recv().await.unwrap().message.topic_name, "s/t");
    };
    tokio::join!(script, requests);
}

#[tokio::test]
async fn a_slow_reader_gets_every_message_and_the_server_is_not_read_meanwhile() {
    let server = Server::new().await;
    let mut options = server.options();
    options.messages_max = 2;
    let (started, mut peer) = tokio::join!(Client::connect(options), server.accept("CONNECT "));
    let (client, mut messages) = started.unwrap();
    for _ in 0..1_000 {
        peer.send("PUBLISH 0 a").await;
    }
    let requests = async {
        for _ in 0..1_000 {
            assert_eq!(messages.recv().await.unwrap().message.topic_name, "a");
        }
        client.disconnect().await;
        assert!(messages.recv().await.is_none());
        assert!(matches!(messages.end(), Some(ConnectionError::ByClient)));
    };
    let script = async {
        peer.expect("DISCONNECT").await;
        peer.close().await;
    };
    tokio::join!(requests, script);
}

#[tokio::test]
async fn disconnect_does_not_wait_for_a_reader_that_does_not_read() {
    let server = Server::new().await;
    let mut options = server.options();
    options.messages_max = 1;
    let (started, mut peer) = tokio::join!(Client::connect(options), server.accept("CONNECT "));
    let (client, _messages) = started.unwrap();
    for _ in 0..10 {
        peer.send("PUBLISH 0 a").await;
    }
    let script = async {
        peer.expect("DISCONNECT").await;
        peer.close().await;
    };
    tokio::join!(client.disconnect(), script);
}

#[tokio::test]
async fn the_first_connection_is_tried_once_and_says_what_the_server_said() {
    let server = Server::new().await;
    let (refused, _peer) =
        tokio::join!(Client::connect(server.options()), server.refuse(ReasonCode::NotAuthorized));
    let error = refused.map(|_| ()).unwrap_err();
    assert!(
        matches!(error, ConnectionError::Refused { reason_code: ReasonCode::NotAuthorized, .. }),
        "{error}"
    );
    assert_eq!(error.to_string(), "the Server refuses the connection: Not authorized (0x87)");

    let nobody = Options::new("127.0.0.1", server.free_port().await);
    let error = Client::connect(nobody).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ConnectionError::Network(_)), "{error}");
}

#[tokio::test]
async fn whoever_answers_connect_in_another_language_or_not_at_all_is_told() {
    for (answer, words) in [
        (
            &b"\x15\x03\x01\x00\x02\x02\x0A"[..],
            "the Server speaks TLS at this port, not plain MQTT; use mqtts://",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "the Server speaks HTTP at this port, not plain MQTT; for MQTT over",
        ),
        (b"", "the Server closed the connection instead of answering CONNECT; a port for TLS or WebSocket"),
    ] {
        let server = Server::new().await;
        let script = async {
            let mut peer = server.listen().await;
            peer.expect("CONNECT ").await;
            peer.say(answer).await;
            peer.close().await;
        };
        let (connected, ()) = tokio::join!(Client::connect(server.options()), script);
        let error = connected.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[tokio::test]
async fn a_session_taken_over_is_not_fought_for() {
    let server = Server::new().await;
    let mut options = server.options();
    options.reconnect = QUICK;
    let (started, mut peer) = tokio::join!(Client::connect(options), server.accept("CONNECT "));
    let (client, _messages) = started.unwrap();
    peer.disconnect(ReasonCode::SessionTakenOver).await;
    let error = client.ended().await;
    let taken_over = ReasonCode::SessionTakenOver;
    assert!(
        matches!(error, ConnectionError::ByServer { reason_code, .. } if reason_code == taken_over),
        "{error}"
    );
}

#[tokio::test]
async fn without_reconnect_a_lost_connection_is_the_end() {
    let server = Server::new().await;
    let mut options = server.options();
    options.reconnect = Reconnect::Never;
    let (started, mut peer) = tokio::join!(Client::connect(options), server.accept("CONNECT "));
    let (client, mut messages) = started.unwrap();
    let delivery = client.send(Message::new("a", QoS::AtLeastOnce, "x")).await.unwrap();
    peer.expect("PUBLISH 1 a").await;
    peer.close().await;
    assert!(matches!(delivery.acknowledged().await, Err(Error::Ended(ConnectionError::Lost))));
    assert!(messages.recv().await.is_none());
}

#[tokio::test]
async fn dropping_the_last_handle_disconnects_after_what_was_asked() {
    let server = Server::new().await;
    let (client, _messages, mut peer) = start(&server).await;
    let other = client.clone();
    drop(client);
    drop(other.send(Message::new("a", QoS::AtMostOnce, "x")).await.unwrap());
    drop(other);
    peer.expect("PUBLISH 0 a").await;
    peer.expect("DISCONNECT").await;
}
