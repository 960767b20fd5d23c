//! What every introduction to MQTT shows, with Debian's mosquitto tools at the real program.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, Instant},
};

use support::{
    clients::{
        is_message, mosquitto, mosquitto_pub, mosquitto_pub_text, mosquitto_sub, mosquitto_with, topic_table,
    },
    on_shards,
    program::Program,
    raw::connect_3_1_1_with_will,
    server::Server,
};

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

on_shards! {
    /// QoS 2 is four packets on each side (4.3.3). [MQTT-4.3.3-1] [MQTT-4.3.3-8] [MQTT3-4.3.3-1]
    fn a_qos_2_message_takes_four_packets_on_each_side(server) {
        for version in VERSIONS {
            let mut subscriber =
                mosquitto_sub(server, &format!("-V {version} -q 2 -t floor-5/temperature -C 1"));
            let publisher = mosquitto(
                "mosquitto_pub",
                server,
                &format!("-V {version} -d -q 2 -t floor-5/temperature -m 15"),
            );
            subscriber.await_line("the payload 15", |line| line == "15");
            let subscriber = subscriber.await_exit().assert_success();
            let publisher = publisher.await_exit().assert_success();
            assert_eq!(
                packets(&subscriber.text()),
                [
                    "sending CONNECT", "received CONNACK", "sending SUBSCRIBE", "received SUBACK",
                    "received PUBLISH", "sending PUBREC", "received PUBREL", "sending PUBCOMP",
                    "sending DISCONNECT",
                ],
                "{version}, subscriber:\n{}", subscriber.text()
            );
            assert_eq!(
                packets(&publisher.text()),
                [
                    "sending CONNECT", "received CONNACK", "sending PUBLISH", "received PUBREC",
                    "sending PUBREL", "received PUBCOMP", "sending DISCONNECT",
                ],
                "{version}, publisher:\n{}", publisher.text()
            );
        }
    }

    /// A single-level wildcard gathers the sensors of all rooms. [MQTT-4.7.1-2]
    fn a_wildcard_gathers_the_json_of_two_sensors(server) {
        for version in VERSIONS {
            let dashboard =
                mosquitto_sub(server, &format!("-V {version} -v -t sensor/+/temperature -C 2"));
            let kitchen = r#"{"value": 21.5, "unit": "°C"}"#;
            let cellar = r#"{"value": 12, "unit": "°C", "battery": [97, null]}"#;
            let arguments = format!("-V {version} -q 1 -i sensor -t");
            mosquitto_pub_text(server, &format!("{arguments} sensor/kitchen/temperature"), kitchen);
            mosquitto_pub_text(server, &format!("{arguments} sensor/kitchen/humidity"), "not asked for");
            mosquitto_pub_text(server, &format!("{arguments} sensor/cellar/temperature"), cellar);
            let shown = dashboard.await_exit().assert_success();
            assert_eq!(
                messages(&shown.lines()),
                [
                    format!("sensor/kitchen/temperature {kitchen}"),
                    format!("sensor/cellar/temperature {cellar}"),
                ],
                "{version}"
            );
        }
    }

    /// The last Retained Message waits for whoever comes later. [MQTT-3.3.1-5] [MQTT3-3.3.1-5]
    fn the_second_of_two_retained_messages_arrives_later(server) {
        for version in VERSIONS {
            let topic = format!("door/{version}");
            mosquitto_pub(server, &format!("-V {version} -q 1 -r -t {topic} -m open"));
            mosquitto_pub(server, &format!("-V {version} -q 1 -r -t {topic} -m closed"));
            let late = mosquitto("mosquitto_sub", server, &format!("-V {version} -t {topic} -C 1 -F %r:%p"));
            assert_eq!(late.await_exit().assert_success().text(), "1:closed\n", "{version}");
            mosquitto_pub(server, &format!("-V {version} -q 1 -r -n -t {topic}"));
            mosquitto_pub(server, &format!("-V {version} -q 1 -r -t {topic}/end -m end"));
            let later = mosquitto("mosquitto_sub", server, &format!("-V {version} -t {topic}/# -C 1 -F %t"));
            assert_eq!(later.await_exit().assert_success().text(), format!("{topic}/end\n"), "{version}");
        }
    }

    /// A Session outlives its Network Connection and keeps messages. [MQTT3-3.1.2-4] [MQTT3-3.1.2-5] [MQTT-3.1.2-23]
    fn a_session_gets_its_three_messages_after_coming_back(server) {
        for version in VERSIONS {
            for qos in ["1", "2"] {
                let phone = format!("-V {version} -c -i phone-{qos}-{version} -q {qos} -t hall/{version}/{qos}");
                mosquitto("mosquitto_sub", server, &format!("{phone} -E")).await_exit().assert_success();
                for text in ["one", "two", "three"] {
                    mosquitto_pub(
                        server,
                        &format!("-V {version} -i hall -q {qos} -t hall/{version}/{qos} -m {text}"),
                    );
                }
                let back = mosquitto("mosquitto_sub", server, &format!("{phone} -C 3 -F %q:%p"));
                let expected = format!("{qos}:one\n{qos}:two\n{qos}:three\n");
                assert_eq!(back.await_exit().assert_success().text(), expected, "{version}");
            }
        }
    }

    /// A Client that vanishes leaves its Will: at once when the connection breaks, after one and a half times
    /// the Keep Alive when it falls silent. [MQTT-3.1.2-8] [MQTT-3.1.2-22] [MQTT3-3.1.2-8] [MQTT3-3.1.2-24]
    fn a_client_that_vanishes_leaves_its_retained_will(server) {
        let mut watcher = mosquitto_sub(server, "-v -q 1 -t status/+");
        let device = |name: &str, version: &str| {
            mosquitto_sub(
                server,
                &format!(
                    "-V {version} -i {name} -k 5 -t commands/{name} --will-topic status/{name} \
                     --will-payload {name}-gone --will-qos 1 --will-retain"
                ),
            )
        };
        let mut pinging = device("pinging", "mqttv311");
        let stopped: Vec<Program> = VERSIONS.map(|version| device(&format!("stopped-{version}"), version)).into();
        let killed: Vec<Program> = VERSIONS.map(|version| device(&format!("killed-{version}"), version)).into();
        let mut silent = server.raw();
        silent.send(&connect_3_1_1_with_will("silent", 5, "status/silent", "silent-gone"));
        silent.await_connack("silent");
        let leaving = device("leaving", "mqttv311");
        leaving.signal("TERM"); // mosquitto_sub says DISCONNECT then: no Will
        leaving.await_exit();

        let start = Instant::now();
        stopped.iter().for_each(|program| program.signal("STOP"));
        killed.iter().for_each(|program| program.signal("KILL"));
        let mut at_once = BTreeSet::new();
        for _ in &killed {
            at_once.insert(watcher.await_line("the Will of a killed Client", is_message));
        }
        assert_eq!(at_once, VERSIONS.map(|v| format!("status/killed-{v} killed-{v}-gone")).into());
        assert!(start.elapsed() < Duration::from_secs(4), "killed Clients were noticed late");

        let mut later = BTreeSet::new();
        for _ in 0..=stopped.len() {
            let bound = Duration::from_secs(15);
            later.insert(watcher.await_line_within(bound, "the Will of a silent Client", is_message));
        }
        let mut expected = BTreeSet::from(VERSIONS.map(|v| format!("status/stopped-{v} stopped-{v}-gone")));
        expected.insert("status/silent silent-gone".to_owned());
        assert_eq!(later, expected);
        assert!(start.elapsed() > Duration::from_secs(6), "closed before 1.5 times the Keep Alive");
        assert!(pinging.is_running(), "a Client that pings was closed");

        let retained = mosquitto("mosquitto_sub", server, "-t status/+ -F %r:%p -C 7").await_exit().assert_success();
        assert!(retained.lines().iter().all(|line| line.starts_with("1:")), "{}", retained.text());
    }

    /// The table of Topic Filters (4.7), each filter a mosquitto_sub. [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1]
    fn topic_filters_match_as_the_table_says(server) {
        let table = topic_table();
        let end = "the/end/of/this/table";
        let filters: BTreeSet<&str> = table.iter().map(|(filter, _, _)| filter.as_str()).collect();
        let mut subscribers: BTreeMap<&str, Program> = BTreeMap::new();
        for filter in filters {
            let mut program =
                mosquitto_with("mosquitto_sub", server, &["-d", "-q", "1", "-t", filter, "-t", end, "-F", "%t"]);
            program.await_line("the SUBACK", |line| line.starts_with("Subscribed "));
            subscribers.insert(filter, program);
        }
        let topics: BTreeSet<&str> = table.iter().map(|(_, topic, _)| topic.as_str()).collect();
        for topic in topics.into_iter().chain([end]) {
            let arguments = ["-i", "table", "-q", "1", "-t", topic, "-m", "x"];
            mosquitto_with("mosquitto_pub", server, &arguments).await_exit().assert_success();
        }
        let mut wrong = Vec::new();
        for (filter, program) in &mut subscribers {
            program.await_line("the end of the table", |line| line == end);
            let came = messages(program.lines());
            for (_, topic, matches) in table.iter().filter(|(row, _, _)| row == filter) {
                let count = came.iter().filter(|line| *line == topic).count();
                if count != usize::from(*matches) {
                    wrong.push(format!("{filter} and {topic}: expected {matches}, came {count} times"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// A file leaves the Server as it came, byte for byte.
#[test]
fn a_file_arrives_as_it_was_sent() {
    let server = Server::start(2);
    let file = server.folder().join("picture");
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(1_000_003).collect();
    fs::write(&file, &bytes).expect("a file can be written");
    let file = file.to_str().expect("temporary folders have plain names");
    mosquitto_with("mosquitto_pub", &server, &["-q", "1", "-r", "-t", "camera/1", "-f", file])
        .await_exit()
        .assert_success();
    for version in VERSIONS {
        let arguments = format!("-V {version} -N -t camera/1 -C 1");
        let came = mosquitto("mosquitto_sub", &server, &arguments).await_exit().assert_success();
        assert!(
            came.stdout == bytes,
            "{version}: {} bytes came instead of {}",
            came.stdout.len(),
            bytes.len()
        );
    }
}

/// The lines that are messages.
fn messages(lines: &[String]) -> Vec<String> {
    lines.iter().filter(|line| is_message(line)).cloned().collect()
}

/// `sending CONNECT`, `received CONNACK`, ... from the debug lines of a mosquitto tool.
fn packets(text: &str) -> Vec<String> {
    let words = |line: &str| -> Option<String> {
        let mut words = line.strip_prefix("Client ")?.split_whitespace();
        let direction = words.find(|word| ["sending", "received"].contains(word))?;
        Some(format!("{direction} {}", words.next()?))
    };
    text.lines().filter_map(words).collect()
}
