//! Debian's mosquitto_pub, mosquitto_sub and mosquitto_rr at the real program; and our tools beside them.

mod support;

use std::{collections::BTreeSet, fs, net::TcpListener, process::Command};

use support::{
    WAIT,
    clients::{is_message, mosquitto, mosquitto_pub, mosquitto_pub_text, mosquitto_sub},
    on_shards,
    program::{Finished, Program},
    raw::DISCONNECT,
    server::Server,
};

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];

on_shards! {
    /// Every version and QoS of a publisher meets every version and QoS of a subscriber; the smaller QoS counts.
    /// [MQTT-3.8.4-8] [MQTT3-3.8.4-6]
    fn every_version_and_qos_meets_every_other(server) {
        let mut subscribers = Vec::new();
        for version in VERSIONS {
            for qos in 0..=2 {
                let arguments = format!("-V {version} -q {qos} -t meet/# -C 9 -F %q:%p");
                subscribers.push((version, qos, mosquitto_sub(server, &arguments)));
            }
        }
        for version in VERSIONS {
            for qos in 0..=2 {
                let payload = format!("{version}-{qos}");
                mosquitto_pub(server, &format!("-V {version} -i publisher -q {qos} -t meet/here -m {payload}"));
            }
        }
        for (version, granted, subscriber) in subscribers {
            let came = messages(&subscriber.await_exit().assert_success());
            let mut expected = BTreeSet::new();
            for publisher in VERSIONS {
                for qos in 0..=2 {
                    expected.insert(format!("{}:{publisher}-{qos}", qos.min(granted)));
                }
            }
            assert_eq!(came.into_iter().collect::<BTreeSet<_>>(), expected, "{version}, granted {granted}");
        }
    }

    /// What a publisher of 5.0 says about a message arrives unaltered, also from the retained copy; a subscriber
    /// of 3.x gets topic and payload. [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17]
    /// [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    fn properties_arrive_as_they_were_sent(server) {
        let format = "-F %t|%C|%R|%D|%F|%P|%S|%p";
        let live = mosquitto_sub(
            server,
            &format!("-V mqttv5 -q 1 -t props/# -C 1 {format} -D subscribe subscription-identifier 268435455"),
        );
        let old = mosquitto_sub(server, "-V mqttv311 -q 1 -t props/# -C 1 -F %t|%p");
        let properties = "-D publish content-type application/json -D publish response-topic answers/here \
            -D publish correlation-data order-66 -D publish payload-format-indicator 1 \
            -D publish user-property zebra first -D publish user-property apple second \
            -D publish user-property zebra third";
        mosquitto_pub(server, &format!("-V mqttv5 -q 1 -r -t props/all -m {{}} {properties}"));
        let said = "props/all|application/json|answers/here|order-66|1|zebra:first apple:second zebra:third";
        assert_eq!(messages(&live.await_exit().assert_success()), [format!("{said}|268435455|{{}}")]);
        assert_eq!(messages(&old.await_exit().assert_success()), ["props/all|{}"]);
        let late = mosquitto("mosquitto_sub", server, &format!("-V mqttv5 -t props/# -C 1 {format}"));
        assert_eq!(late.await_exit().assert_success().text(), format!("{said}||{{}}\n"));
    }

    /// mosquitto_rr asks, a responder answers to the Response Topic with the same Correlation Data (4.10).
    /// [MQTT-3.3.2-15] [MQTT-3.3.2-16]
    fn a_request_gets_its_response(server) {
        let mut responder = mosquitto_sub(server, "-V mqttv5 -q 1 -t calculator -C 2 -F =%R|%D|%p");
        for (question, ticket) in [("6*7", "ticket-1"), ("1+1", "ticket-2")] {
            let arguments = format!("-q 1 -t calculator -e results/{ticket} -m {question} -F %D|%p -W 10");
            let asking = mosquitto(
                "mosquitto_rr",
                server,
                &format!("{arguments} -D publish correlation-data {ticket}"),
            );
            let request = responder.await_line("the request", |line| line.starts_with('='));
            let [response_topic, correlation, body] = request[1..].split('|').collect::<Vec<_>>()[..] else {
                panic!("three parts expected: {request}");
            };
            assert_eq!((response_topic, body), (format!("results/{ticket}").as_str(), question));
            mosquitto_pub(
                server,
                &format!(
                    "-V mqttv5 -q 1 -t {response_topic} -m {body}=answer -D publish correlation-data {correlation}"
                ),
            );
            let answer = asking.await_exit().assert_success();
            assert_eq!(answer.text(), format!("{ticket}|{question}=answer\n"));
        }
        responder.await_exit().assert_success();
    }

    /// The same with 3.1.1, where the topics are agreed upon.
    fn a_3_1_1_request_gets_its_response(server) {
        let mut responder = mosquitto_sub(server, "-V mqttv311 -q 1 -t time/ask -C 1");
        let asking = mosquitto("mosquitto_rr", server, "-V mqttv311 -q 1 -t time/ask -e time/answer -m when -W 10");
        responder.await_line("the request", |line| line == "when");
        mosquitto_pub(server, "-V mqttv311 -q 1 -t time/answer -m now");
        assert_eq!(asking.await_exit().assert_success().text(), "now\n");
    }

    /// A second Client with the same Client Identifier takes over; one of 5.0 is told why. [MQTT-3.1.4-3]
    /// [MQTT3-3.1.4-2]
    fn the_older_client_is_told_that_it_was_taken_over(server) {
        for version in VERSIONS {
            let mut older = server.raw();
            older.connect("twin");
            let younger = mosquitto_sub(server, &format!("-V {version} -i twin -t anything -C 1"));
            let told = older.await_close(WAIT, "taken over");
            assert!(
                matches!(&told[..], [(DISCONNECT, body)] if body.first() == Some(&0x8E)),
                "{version}: awaited DISCONNECT 0x8E, came {told:?}"
            );
            mosquitto_pub(server, "-t anything -m alive");
            assert_eq!(messages(&younger.await_exit().assert_success()), ["alive"], "{version}");
        }
    }

    /// A Will of 5.0 keeps its properties, and its delay ends with the Session. [MQTT-3.1.3-9] [MQTT-3.1.2-8]
    fn a_will_keeps_its_properties_and_its_delay(server) {
        let watcher = mosquitto_sub(server, "-V mqttv5 -q 2 -t will/# -C 1 -F %q|%C|%P|%p");
        let dying = mosquitto_sub(
            server,
            "-V mqttv5 -t anything -c -x 1 --will-topic will/x --will-payload bye --will-qos 2 \
             -D will will-delay-interval 600 -D will content-type text/plain -D will user-property a b -i dying",
        );
        dying.signal("KILL");
        assert_eq!(messages(&watcher.await_exit().assert_success()), ["2|text/plain|a:b|bye"]);
    }

    /// `--remove-retained` cleans a tree, `--retained-only` ends at the first live message, `-U` unsubscribes.
    /// [MQTT-3.3.1-6] [MQTT-3.10.4-4] [MQTT-3.10.4-5]
    fn retained_trees_are_read_and_removed(server) {
        let leaves: BTreeSet<String> = (0..20).map(|leaf| format!("tree/{leaf}")).collect();
        for leaf in &leaves {
            mosquitto_pub(server, &format!("-q 1 -r -t {leaf} -m x"));
        }
        let watcher = mosquitto_sub(server, "-t tree/# -q 1 -R -C 20 -F %t:%l"); // sees only what is live
        let mut cleaner = mosquitto("mosquitto_sub", server, "-t tree/# --remove-retained -F %t");
        for _ in &leaves {
            cleaner.await_line("a retained leaf", |line| leaves.contains(line));
        }
        let removed: BTreeSet<String> = messages(&watcher.await_exit().assert_success()).into_iter().collect();
        assert_eq!(removed, leaves.iter().map(|leaf| format!("{leaf}:0")).collect());
        let mut reader = mosquitto_sub(server, "-t tree/+ -t tree/end/mark -q 1 -F %r:%t:%p");
        mosquitto_pub(server, "-q 1 -t tree/end/mark -m x");
        reader.await_line("the mark", |line| line == "0:tree/end/mark:x");
        let mut last = mosquitto_sub(server, "-t tree/# -t other -U tree/# -q 1");
        last.await_line("UNSUBACK", |line| line.contains("received UNSUBACK"));
        mosquitto_pub(server, "-i p -q 1 -t tree/new -m unwanted");
        mosquitto_pub(server, "-i p -q 1 -t other -m wanted");
        last.await_line("the message of the other topic", |line| line == "wanted");
        assert!(!last.lines().iter().any(|line| line == "unwanted"), "came after UNSUBACK:\n{}", last.tail());
    }

    /// RETAIN is kept for who asked for that, and only for a live message. [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    fn retain_as_published_keeps_the_flag(server) {
        let keeping = mosquitto_sub(server, "-V mqttv5 -t flag/x -q 1 --retain-as-published -C 2 -F %r:%p");
        let plain = mosquitto_sub(server, "-V mqttv5 -t flag/x -q 1 -C 2 -F %r:%p");
        mosquitto_pub(server, "-i p -q 1 -t flag/x -m retained -r");
        mosquitto_pub(server, "-i p -q 1 -t flag/x -m not");
        assert_eq!(messages(&keeping.await_exit().assert_success()), ["1:retained", "0:not"]);
        assert_eq!(messages(&plain.await_exit().assert_success()), ["0:retained", "0:not"]);
    }

    /// Standard input as lines, as one message, and many times the same.
    fn messages_come_from_standard_input(server) {
        let reader = mosquitto_sub(server, "-t stdin -q 1 -C 7 -F <%p>");
        for (arguments, input) in [("-l", "one\ntwo\n\nfour\n"), ("-s", "all of it"), ("-m again --repeat 2", "")] {
            let mut program =
                mosquitto("mosquitto_pub", server, &format!("-i p -q 1 -t stdin {arguments}"));
            program.feed(input.as_bytes());
            program.await_exit().assert_success();
        }
        assert_eq!(
            messages(&reader.await_exit().assert_success()),
            ["<one>", "<two>", "<>", "<four>", "<all of it>", "<again>", "<again>"]
        );
    }
}

/// Arguments for a subscriber that finds the retained `tools/#`, one row a pair of runs.
const SUBSCRIBERS: [&str; 18] = [
    "-t tools/# -C 4",
    "-t tools/# -C 4 -v",
    "-t tools/a -C 1 -N",
    "-t tools/# -C 4 -V mqttv31 -v",
    "-t tools/# -C 4 -V mqttv5 -v",
    "-t tools/# -C 4 -q 1 -F %t|%p|%q|%r|%l",
    "-t tools/# -C 4 -F %x|%X",
    "-t tools/# -C 4 -F %%|\\t|@@",
    "-t tools/a -t tools/b -C 2 -v",
    "-t tools/# -T tools/a -C 3 -v",
    "-V mqttv5 -t tools/props -C 1 -F %C|%R|%D|%F|%P|%p",
    "-V mqttv5 -t tools/props -C 1 -F %S -D subscribe subscription-identifier 5",
    "-t tools/# -R -W 1",
    "-t tools/nothing/here -W 1",
    "-t tools/# -E",
    "-t tools/+/#/bad -C 1",
    "-t tools/a -q 3 -C 1",
    "-C 1",
];

/// `dunlin sub` prints what `mosquitto_sub` prints and ends as it does, for the same options.
#[test]
fn our_subscriber_prints_what_mosquitto_sub_prints() {
    let server = Server::start(2);
    retain_some(&server);
    for arguments in SUBSCRIBERS {
        let theirs = outcome(mosquitto("mosquitto_sub", &server, arguments).await_exit());
        let ours = outcome(our_tool("sub", &server, arguments).await_exit());
        assert_eq!(ours, theirs, "dunlin sub {arguments} (left) and mosquitto_sub (right)");
    }
}

/// The JSON of both says the same, apart from the time.
#[test]
fn our_json_is_mosquittos_json() {
    let server = Server::start(1);
    retain_some(&server);
    for arguments in
        ["-t tools/a -C 1 -F %j", "-V mqttv5 -t tools/props -C 1 -F %j", "-t tools/json -C 1 -F %J"]
    {
        let theirs = mosquitto("mosquitto_sub", &server, arguments).await_exit().assert_success();
        let ours = our_tool("sub", &server, arguments).await_exit().assert_success();
        assert_eq!(without_time(&ours.text()), without_time(&theirs.text()), "sub {arguments}");
    }
}

/// What `dunlin pub` sends is what `mosquitto_pub` sends, for the same options and input.
#[test]
fn our_publisher_sends_what_mosquitto_pub_sends() {
    let server = Server::start(2);
    let file = server.folder().join("payload");
    fs::write(&file, [0, 1, 2, b'\n', 255]).expect("a file can be written");
    let file = file.to_str().expect("temporary folders have plain names");
    let rows: [(&str, &str, usize); 12] = [
        ("-m hello", "", 1),
        ("-n", "", 1),
        ("-q 1 -m one", "", 1),
        ("-q 2 -m two -r", "", 1),
        ("-V mqttv31 -q 2 -m old", "", 1),
        ("-V mqttv5 -q 1 -m new -D publish content-type text/plain -D publish user-property k v", "", 1),
        ("-V mqttv5 -m r -D publish response-topic a/b -D publish correlation-data c -x 5 -c -i kept", "", 1),
        ("-V mqttv5 -m x -D publish payload-format-indicator 1 -D publish message-expiry-interval 90", "", 1),
        ("-q 1 -l", "first\nsecond\n\nlast without newline", 4),
        ("-s", "whole\ninput\n", 1),
        (&format!("-q 1 -f {file}"), "", 1),
        ("-q 1 -m thrice --repeat 3", "", 3),
    ];
    for (arguments, input, count) in rows {
        let format = "-F %t|%q|%r|%x|%C|%R|%D|%F|%P";
        let sent = |start: &dyn Fn(&str) -> Program| {
            let reader = mosquitto_sub(
                &server,
                &format!("-V mqttv5 -q 2 -t out/# -C {count} --retain-as-published {format}"),
            );
            let mut program = start(&format!("-t out/x {arguments}"));
            program.feed(input.as_bytes());
            let finished = outcome(program.await_exit());
            let read = messages(&reader.await_exit().assert_success());
            mosquitto_pub(&server, "-q 1 -t out/x -r -n");
            (finished, read)
        };
        let theirs = sent(&|all| mosquitto("mosquitto_pub", &server, all));
        let ours = sent(&|all| our_tool("pub", &server, all));
        assert_eq!(ours, theirs, "dunlin pub {arguments} (left) and mosquitto_pub (right)");
    }
}

/// Wrong options and an absent Server end both tools with the same exit code.
#[test]
fn our_tools_fail_as_mosquittos_tools_fail() {
    let server = Server::start(1);
    let rows = [
        ("pub", "-t a/+ -m x"),
        ("pub", "-m x"),
        ("pub", "-t a"),
        ("pub", "-t a -m x -q 7"),
        ("pub", "-t a -m x -V mqttv9"),
        ("pub", "-t a -m x --no-such-option"),
        ("pub", "-t a -f /no/such/file"),
        ("sub", "-t a/#/b -C 1"),
        ("sub", "-t a -V mqttv311 -W 1"),
        ("sub", "-t a -C none"),
    ];
    for (tool, arguments) in rows {
        let theirs = mosquitto(&format!("mosquitto_{tool}"), &server, arguments).await_exit();
        let ours = our_tool(tool, &server, arguments).await_exit();
        assert_eq!(ours.status.code(), theirs.status.code(), "{tool} {arguments}: {}", ours.errors());
        assert_eq!(
            ours.errors().is_empty(),
            theirs.errors().is_empty(),
            "{tool} {arguments}: {}",
            ours.errors()
        );
    }
    let unused = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it is bound");
    for tool in ["pub", "sub"] {
        let port = unused.port().to_string();
        let mut arguments = vec![tool, "-h", "127.0.0.1", "-p", &port, "-t", "a"];
        if tool == "pub" {
            arguments.extend(["-m", "x"]);
        }
        let finished = support::server::dunlin(&arguments).await_exit().assert_code(1);
        assert!(finished.errors().contains(&port), "the message names the address: {}", finished.errors());
    }
}

/// A published QoS 2 message, our tool on one side and mosquitto's on the other.
#[test]
fn our_tools_talk_to_mosquittos_tools() {
    let server = Server::start(2);
    for version in VERSIONS {
        for qos in 0..=2 {
            let on = format!("-V {version} -q {qos} -t mixed/{version}/{qos}");
            let theirs = mosquitto_sub(&server, &format!("{on} -C 1 -F %q:%p"));
            our_tool("pub", &server, &format!("{on} -m ours -r")).await_exit().assert_success();
            assert_eq!(messages(&theirs.await_exit().assert_success()), [format!("{qos}:ours")], "{version}");
            let ours = our_tool("sub", &server, &format!("{on} -C 1 -F %q:%r:%p"));
            assert_eq!(ours.await_exit().assert_success().text(), format!("{qos}:1:ours\n"), "{version}");
        }
    }
}

/// `dunlin sub` keeps its Session with `-c`, as mosquitto_sub does.
#[test]
fn our_subscriber_keeps_its_session() {
    let server = Server::start(2);
    for version in ["mqttv311", "mqttv5"] {
        let me = format!("-V {version} -c -i mine-{version} -q 1 -t kept/{version}");
        our_tool("sub", &server, &format!("{me} -E")).await_exit().assert_success();
        mosquitto_pub(&server, &format!("-q 1 -t kept/{version} -m while-away"));
        let back = our_tool("sub", &server, &format!("{me} -C 1 -W 10")).await_exit().assert_success();
        assert_eq!(back.text(), "while-away\n", "{version}");
    }
}

fn retain_some(server: &Server) {
    mosquitto_pub_text(server, "-q 1 -r -t tools/a", "plain");
    mosquitto_pub_text(server, "-q 1 -r -t tools/b", "größer\tals");
    mosquitto_pub_text(server, "-q 1 -r -t tools/json", r#"{"a":[1,2.5,"x"]}"#);
    let properties = "-D publish content-type text/plain -D publish response-topic r/t -D publish correlation-data cd \
        -D publish payload-format-indicator 1 -D publish user-property k1 v1 -D publish user-property k2 v2";
    mosquitto_pub_text(server, &format!("-V mqttv5 -q 1 -r -t tools/props {properties}"), "p");
}

/// `dunlin pub` or `dunlin sub` at this Server.
fn our_tool(tool: &str, server: &Server, arguments: &str) -> Program {
    let port = server.port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args([tool, "-h", "127.0.0.1", "-p", &port]).args(arguments.split_whitespace());
    Program::start(&mut command)
}

/// Exit code and sorted standard output: retained messages of several topics come in any order.
fn outcome(finished: Finished) -> (Option<i32>, Vec<Vec<u8>>) {
    let mut lines: Vec<Vec<u8>> = finished.stdout.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.sort();
    (finished.status.code(), lines)
}

/// The lines that are messages, not debug lines.
fn messages(finished: &Finished) -> Vec<String> {
    finished.lines().into_iter().filter(|line| is_message(line)).collect()
}

/// A line of JSON without the value of `tst`.
fn without_time(json: &str) -> String {
    let Some((head, rest)) = json.split_once("\"tst\":\"") else { return json.to_owned() };
    let tail = rest.split_once('"').expect("the time is a string").1;
    format!("{head}{tail}")
}
