//! Many Clients on one, two and five shards; slow ones; a graceful stop.

mod support;

use std::{
    io::ErrorKind,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use dunlin_packet::{packet::Packet, qos::QoS, reason_code::ReasonCode, version::ProtocolVersion};
use dunlin_server::{in_process, server::Server};
use support::{Client, bytes_of, publish, until};

const SHARD_COUNTS: [u8; 3] = [1, 2, 5];

fn all_gone(server: &Server) {
    until("all connections are closed", || server.connections() == 0);
    assert_eq!(server.panics(), 0);
}

#[test]
fn many_clients_talk_across_all_shards() {
    const CLIENTS: usize = 300;
    const MESSAGES: usize = 5;
    for shards in SHARD_COUNTS {
        let server = in_process::start(shards).unwrap();
        assert_eq!(server.shards(), shards);
        let mut clients: Vec<Client> =
            (0..CLIENTS).map(|number| Client::connect(&server, &format!("client-{number}"))).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.subscribe(&format!("to/{number}"), QoS::AtLeastOnce);
        }
        // Each sends to the one behind it, all at once.
        for (number, client) in clients.iter_mut().enumerate() {
            let topic = format!("to/{}", (number + 1) % CLIENTS);
            for message in 1..=MESSAGES {
                client.publish(&topic, &[message as u8], Some(message as u16));
            }
        }
        for client in &mut clients {
            let (mut acknowledged, mut received) = (0, Vec::new());
            while acknowledged < MESSAGES || received.len() < MESSAGES {
                match client.next() {
                    Some(Packet::Puback(_)) => acknowledged += 1,
                    Some(Packet::Publish(publish)) => received.push(publish.payload[0] as usize),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(received, (1..=MESSAGES).collect::<Vec<_>>(), "in order");
        }
        assert_eq!(server.connections(), CLIENTS as u32);
        drop(clients);
        all_gone(&server);
    }
}

#[test]
fn packets_cut_anywhere_and_packets_in_one_piece() {
    let server = in_process::start(2).unwrap();
    let mut client = Client::open(&server);
    let mut bytes = bytes_of(&Packet::Connect(support::connect("pieces")), ProtocolVersion::V5_0);
    // Clients need not wait for CONNACK (3.1.4).
    for number in 1..=20 {
        let payload = vec![number as u8; usize::from(number) * 100];
        bytes.extend(bytes_of(
            &Packet::Publish(publish("a/b", &payload, Some(number))),
            ProtocolVersion::V5_0,
        ));
    }
    for piece in bytes.chunks(7) {
        client.send_bytes(piece);
    }
    client.expect_connack(ReasonCode::Success);
    for number in 1..=20 {
        assert!(matches!(client.next(), Some(Packet::Puback(ack)) if ack.packet_id.value() == number));
    }
    let mut at_once = Client::open(&server);
    at_once.send_bytes(&bytes);
    at_once.expect_connack(ReasonCode::Success);
    assert!(matches!(at_once.next(), Some(Packet::Puback(_))));
}

#[test]
fn a_subscriber_that_does_not_read_stops_nobody() {
    for shards in SHARD_COUNTS {
        let server = in_process::start(shards).unwrap();
        let mut asleep = Client::connect(&server, "asleep");
        asleep.subscribe("load", QoS::AtMostOnce);
        let mut awake = Client::connect(&server, "awake");
        awake.subscribe("load", QoS::AtMostOnce);
        let mut publisher = Client::connect(&server, "publisher");
        const MESSAGES: usize = 2_000;
        let payload = vec![1; 16 << 10];
        for number in 1..=MESSAGES {
            publisher.publish("load", &payload, None);
            // The window keeps what is under way to the one that reads below the limit.
            if number % 16 == 0 {
                for _ in 0..16 {
                    assert_eq!(awake.expect_publish().len(), payload.len());
                }
            }
        }
        // What the sleeper gets is a part of it, whole packets, and then the connection still works.
        asleep.send(&Packet::Pingreq);
        let mut received = 0;
        loop {
            match asleep.next() {
                Some(Packet::Publish(publish)) if publish.payload.len() == payload.len() => received += 1,
                Some(Packet::Pingresp) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(received > 0 && received < MESSAGES, "{received} of {MESSAGES}");
        drop((asleep, awake, publisher));
        all_gone(&server);
    }
}

#[test]
fn a_client_that_floods_does_not_keep_another_one_waiting() {
    let server = in_process::start(1).unwrap();
    let mut flood = Client::connect(&server, "flood");
    let mut other = Client::connect(&server, "other");
    let packets =
        bytes_of(&Packet::Publish(publish("flood", b"x", None)), ProtocolVersion::V5_0).repeat(10_000);
    let flooding = thread::spawn(move || (0..100).for_each(|_| flood.send_bytes(&packets)));
    let mut slowest = Duration::ZERO;
    while !flooding.is_finished() {
        let asked = Instant::now();
        other.send(&Packet::Pingreq);
        assert!(matches!(other.next(), Some(Packet::Pingresp)));
        slowest = slowest.max(asked.elapsed());
    }
    flooding.join().unwrap();
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[test]
fn a_graceful_stop_tells_all_clients() {
    for shards in SHARD_COUNTS {
        let mut server = in_process::start(shards).unwrap();
        let address = server.addresses()[0];
        let mut new: Vec<Client> =
            (0..50).map(|number| Client::connect(&server, &format!("new-{number}"))).collect();
        let mut old: Vec<Client> =
            (0..50).map(|number| Client::connect_3_1_1(&server, &format!("old-{number}"))).collect();
        let stranger = Client::open(&server);
        let reading = thread::spawn(move || {
            for client in &mut new {
                match client.next() {
                    Some(Packet::Disconnect(packet)) => {
                        assert_eq!(packet.reason_code, ReasonCode::ServerShuttingDown);
                    }
                    other => panic!("{other:?}"),
                }
                client.expect_end();
                client.end();
            }
            for client in &mut old {
                client.expect_end();
                client.end();
            }
        });
        let asked = Instant::now();
        server.stop();
        assert!(asked.elapsed() < Duration::from_secs(5));
        reading.join().unwrap();
        assert_eq!((server.connections(), server.panics()), (0, 0));
        until(
            "the door is closed",
            || matches!(TcpStream::connect(address), Err(error) if error.kind() == ErrorKind::ConnectionRefused),
        );
        drop(stranger);
    }
}

#[test]
fn a_stop_does_not_wait_for_clients_that_do_not_read() {
    let mut server = in_process::start(2).unwrap();
    let mut asleep = Client::connect(&server, "asleep");
    asleep.subscribe("load", QoS::AtMostOnce);
    let mut publisher = Client::connect(&server, "publisher");
    (0..2_000).for_each(|_| publisher.publish("load", &[0; 16 << 10], None));
    let asked = Instant::now();
    server.stop();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(server.connections(), 0);
}
