//! What Paho and MQTT.js show at the plain door, shown at the others.

use crate::{
    authority::Authority,
    support::clients::{mqttjs_at, paho_at},
    world::{Doors, open},
};

const PAHO: [&str; 7] = [
    "every_qos_arrives",
    "payloads_of_all_kinds",
    "receive_maximum_is_kept",
    "a_session_waits_for_its_client",
    "unacknowledged_messages_come_again",
    "a_broken_connection_leaves_the_will",
    "a_newer_client_takes_over",
];

/// Paho forgets the rest of a WebSocket frame that the socket does not take at once, so these are for TLS only; MQTT.js shows them
/// at all doors.
const PAHO_BIG: [&str; 2] = ["big_payloads_arrive", "ten_thousand_arrive_in_order"];

const MQTTJS: [&str; 8] = [
    "everyQosArrives",
    "payloadsOfAllKinds",
    "bigPayloadsArrive",
    "aSessionWaitsForItsClient",
    "aBrokenConnectionHeals",
    "aBrokenConnectionLeavesTheWill",
    "aNewerClientTakesOver",
    "tenThousandArriveInOrder",
];

/// A fresh Server with one door besides the plain one.
fn fresh(authority: &Authority, door: &str) -> Doors {
    let certificate = if door == "ws" { String::new() } else { authority.server().settings() };
    open(&[&format!("kind = \"{door}\"\n{certificate}")])
}

const DOORS: [&str; 3] = ["tls", "ws", "wss"];

#[test]
fn paho_at_every_door() {
    let authority = Authority::new("CA");
    for (number, scenario) in PAHO.iter().enumerate() {
        for door in DOORS {
            let doors = fresh(&authority, door);
            let port = doors.ports[0];
            let version = ["5.0", "3.1.1"][number % 2];
            paho_at(door, port, &authority.ca_file(), scenario, version);
        }
    }
}

#[test]
fn paho_with_much_over_tls() {
    let authority = Authority::new("CA");
    for scenario in PAHO_BIG {
        let doors = fresh(&authority, "tls");
        paho_at("tls", doors.ports[0], &authority.ca_file(), scenario, "5.0");
    }
}

#[test]
fn mqttjs_at_every_door() {
    let authority = Authority::new("CA");
    for (number, scenario) in MQTTJS.iter().enumerate() {
        for door in DOORS {
            let doors = fresh(&authority, door);
            let port = doors.ports[0];
            let version = ["3.1.1", "5.0"][number % 2];
            mqttjs_at(door, port, &authority.ca_file(), scenario, version);
        }
    }
}
