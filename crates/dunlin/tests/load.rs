//! Many messages, many Retained Messages, many Clients: nothing is lost, doubled or out of order.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use support::{
    LONG_WAIT, WAIT,
    clients::{is_message, mosquitto, mosquitto_sub, mqttjs, paho, python},
    on_shards,
    program::Program,
    server::Server,
};

const MESSAGES: usize = 10_000;

/// Each number of shards gets another version: all three versions, all three numbers, a third of the time.
fn version(server: &Server) -> &'static str {
    match server.shards() {
        1 => "3.1",
        2 => "3.1.1",
        _ => "5.0",
    }
}

on_shards! {
    /// 10,000 messages of each QoS from paho to paho. [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]
    fn ten_thousand_of_paho_arrive_in_order(server) {
        paho(server, "ten_thousand_arrive_in_order", &[version(server)]);
    }

    /// 10,000 messages of each QoS from MQTT.js to MQTT.js. [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    fn ten_thousand_of_mqttjs_arrive_in_order(server) {
        mqttjs(server, "tenThousandArriveInOrder", &[version(server)]);
    }

    /// 10,000 lines of each QoS from mosquitto_pub to mosquitto_sub. [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    fn ten_thousand_of_mosquitto_arrive_in_order(server) {
        let version = match version(server) { "3.1" => "mqttv31", "3.1.1" => "mqttv311", _ => "mqttv5" };
        let everything: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
        for qos in 0..=2 {
            let arguments = format!("-V {version} -q {qos} -t order/{qos}");
            let mut subscriber = mosquitto("mosquitto_sub", server, &format!("{arguments} -t ready"));
            await_subscribed(server, &mut subscriber);
            let mut publisher = mosquitto("mosquitto_pub", server, &format!("{arguments} -l"));
            publisher.feed((everything.join("\n") + "\n").as_bytes());
            publisher.await_exit_within(LONG_WAIT).assert_success();
            subscriber.await_line_within(LONG_WAIT, "the last message", |line| line == "9999");
            let came: Vec<String> = subscriber.lines().iter().filter(|line| *line != "mark").cloned().collect();
            assert!(came == everything, "QoS {qos}: {} messages, not in order", came.len());
        }
    }

    /// 2,000 Retained Messages at the start of Home Assistant. [MQTT-3.3.1-9] [MQTT3-3.3.1-6]
    fn home_assistant_of_paho_starts(server) {
        paho(server, "home_assistant_starts", &["3.1.1", "5.0"]);
    }

    /// The same with MQTT.js, as Zigbee2MQTT and Node-RED have it. [MQTT-3.3.1-9] [MQTT3-3.3.1-6]
    fn home_assistant_of_mqttjs_starts(server) {
        mqttjs(server, "homeAssistantStarts", &["3.1.1", "5.0"]);
    }

    /// 500 Clients reconnect at once, three times. [MQTT-3.1.2-5] [MQTT-4.5.0-1] [MQTT3-3.1.2-5]
    fn a_crowd_of_paho_reconnects(server) {
        paho(server, "a_crowd_reconnects", &[version(server)]);
    }

    /// The same with MQTT.js. [MQTT-3.1.2-5] [MQTT-4.5.0-1] [MQTT3-3.1.2-5]
    fn a_crowd_of_mqttjs_reconnects(server) {
        mqttjs(server, "aCrowdReconnects", &[version(server)]);
    }

    /// Three workers share the load; one stops, holds messages and is killed: when its Session ends, the others
    /// get what it had not acknowledged (4.8.2). [MQTT-4.8.2-1] [MQTT-4.8.2-3] [MQTT-4.5.0-1]
    fn a_killed_worker_loses_nothing(server) {
        for version in ["3.1.1", "5.0"] {
            let topic = format!("jobs/{version}");
            let mut workers: Vec<Program> = (0..3).map(|_| worker(server, version, &topic)).collect();
            give_work(server, &topic, 0..1_000);
            await_done(&mut workers, 1_000);
            for worker in &workers {
                let share = worker.lines().len() - 1;
                assert!(share >= 150, "{version}: a worker got {share} of 1,000 messages");
            }
            workers[2].signal("STOP");
            give_work(server, &topic, 1_000..2_000);
            let mut dead = workers.pop().expect("there are three");
            await_lines(&mut workers, 1_000, "work goes on beside a worker that stands still");
            dead.signal("KILL");
            dead.await_line("the end of its output", |_| true);
            workers.push(dead);
            await_done(&mut workers, 2_000);
        }
    }
}

/// Clients of all makes on one topic, each hears 500 messages of each other.
#[test]
fn all_makes_hear_each_other() {
    let server = &Server::start(5);
    let listeners: Vec<Program> = ["mqttv31", "mqttv311", "mqttv5"]
        .map(|version| mosquitto_sub(server, &format!("-V {version} -q 2 -t all/# -C 1000")))
        .into();
    let publishers: Vec<Program> = ["mqttv311", "mqttv5"]
        .map(|version| {
            let mut program =
                mosquitto("mosquitto_pub", server, &format!("-V {version} -q 2 -t all/{version} -l"));
            program
                .feed((0..500).map(|number| format!("{version} {number}\n")).collect::<String>().as_bytes());
            program
        })
        .into();
    for publisher in publishers {
        publisher.await_exit_within(LONG_WAIT).assert_success();
    }
    for listener in listeners {
        let lines = listener.await_exit_within(LONG_WAIT).assert_success().lines();
        let mut next: BTreeMap<&str, usize> = BTreeMap::new();
        for line in lines.iter().filter(|line| is_message(line)) {
            let (make, number) = line.split_once(' ').expect("a line is make and number");
            let expected = next.entry(make).or_default();
            assert_eq!(number, expected.to_string(), "{make} is out of order");
            *expected += 1;
        }
        assert_eq!(next.values().sum::<usize>(), 1_000);
    }
}

/// Publishes marks until one arrives: the subscriber, which prints nothing else, is then subscribed.
fn await_subscribed(server: &Server, subscriber: &mut Program) {
    let deadline = Instant::now() + WAIT;
    while !subscriber.lines().iter().any(|line| line == "mark") {
        assert!(Instant::now() < deadline, "the subscriber did not subscribe:\n{}", subscriber.tail());
        mosquitto("mosquitto_pub", server, "-q 1 -t ready -m mark").await_exit().assert_success();
        subscriber.take_output_for(Duration::from_millis(50));
    }
}

/// A worker that is known to be subscribed.
fn worker(server: &Server, version: &str, topic: &str) -> Program {
    let mut command = python("worker.py");
    let mut program =
        Program::start(command.args([&server.port(), version, &format!("$share/workers/{topic}")]));
    program.await_line("the SUBACK", |line| line == "ready");
    program
}

/// Publishes one message of QoS 1 for each number and awaits every PUBACK.
fn give_work(server: &Server, topic: &str, numbers: std::ops::Range<usize>) {
    let mut program = mosquitto("mosquitto_pub", server, &format!("-q 1 -l -t {topic}"));
    program.feed(numbers.map(|number| format!("{number}\n")).collect::<String>().as_bytes());
    program.await_exit_within(LONG_WAIT).assert_success();
}

/// Awaits that the workers together have done everything below `count`.
fn await_done(workers: &mut [Program], count: usize) {
    await_output(workers, |workers| {
        let done: BTreeSet<&String> = workers.iter().flat_map(|worker| worker.lines()).collect();
        (0..count)
            .filter(|number| !done.contains(&number.to_string()))
            .map(|number| number.to_string())
            .collect()
    });
}

/// Awaits that the workers together have printed `count` lines.
fn await_lines(workers: &mut [Program], count: usize, what: &str) {
    await_output(workers, |workers| {
        let lines: usize = workers.iter().map(|worker| worker.lines().len()).sum();
        if lines >= count { Vec::new() } else { vec![format!("{what}: {lines} lines")] }
    });
}

/// Takes the workers' output until `missing` finds nothing.
fn await_output(workers: &mut [Program], missing: impl Fn(&[Program]) -> Vec<String>) {
    let deadline = Instant::now() + LONG_WAIT;
    loop {
        for worker in workers.iter_mut() {
            worker.take_output_for(Duration::from_millis(20));
        }
        let left = missing(workers);
        if left.is_empty() {
            return;
        }
        let shown = &left[..left.len().min(20)];
        assert!(Instant::now() < deadline, "{} are missing after {LONG_WAIT:?}: {shown:?}", left.len());
    }
}
