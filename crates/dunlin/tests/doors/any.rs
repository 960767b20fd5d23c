//! One port for MQTT, TLS, WebSocket and WebSocket in TLS.

use crate::{
    authority::Authority,
    support::{
        WAIT,
        clients::{mqttjs_at, paho_at},
        raw::{Came, Raw},
    },
    world::{mosquitto, open, shell, subscriber},
};

#[test]
fn everything_comes_to_one_port() {
    let authority = Authority::new("CA");
    let mut doors = open(&[&format!("kind = \"any\"\n{}", authority.server().settings())]);
    let (port, ca) = (doors.ports[0], authority.ca_file());
    let mut receiver = subscriber(port, &format!("--cafile {} -t all/#", ca.display()));
    mosquitto("mosquitto_pub", port, "-t all/plain -m plain").assert_success();
    receiver.await_line("plain", |line| line == "plain");
    for (door, version) in [("tcp", "5.0"), ("tls", "3.1.1"), ("ws", "3.1"), ("wss", "5.0")] {
        paho_at(door, port, &ca, "payloads_of_all_kinds", version);
        mqttjs_at(door, port, &ca, "payloadsOfAllKinds", version);
    }
    for (url, status) in [("http", "404"), ("https", "404"), ("http", "426"), ("https", "426")] {
        let path = if status == "404" { "page" } else { "mqtt" };
        let said = shell(&format!("curl -sik --http1.1 {url}://127.0.0.1:{port}/{path}")).text();
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        assert!(said.contains("Connection: close\r\n"), "{said}");
    }
    let mut other = Raw::open(([127, 0, 0, 1], port).into());
    other.send(b"SSH-2.0-OpenSSH_9.2\r\n");
    doors.await_log(&[
        "the Client speaks something else; listener `any` speaks MQTT, also in TLS and WebSocket",
    ]);
    assert_eq!(other.next_within(WAIT), Came::Closed);
}

#[test]
fn without_a_certificate_there_is_no_tls() {
    let mut doors = open(&["kind = \"any\"\n"]);
    mosquitto("mosquitto_pub", doors.ports[0], "-t a -m 1").assert_success();
    shell(&format!("curl -sk https://127.0.0.1:{}/", doors.ports[0]));
    doors.await_log(&["the Client speaks TLS", "but has no certificate for TLS"]);
}
