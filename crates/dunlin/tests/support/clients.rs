//! Clients that we did not write: Debian's mosquitto tools, paho-mqtt for Python, MQTT.js.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{LONG_WAIT, WAIT, program::Program, server::Server};

/// One of the mosquitto tools at this Server, its output line by line, arguments as in a shell without quotes.
pub(crate) fn mosquitto(tool: &str, server: &Server, arguments: &str) -> Program {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    mosquitto_with(tool, server, &arguments)
}

/// [`mosquitto`] with arguments that may contain spaces.
pub(crate) fn mosquitto_with(tool: &str, server: &Server, arguments: &[&str]) -> Program {
    let mut command = Command::new("stdbuf"); // the tools' own output would wait in a buffer
    command.args(["-oL", tool, "-h", "127.0.0.1", "-p", &server.port()]).args(arguments);
    Program::start(&mut command)
}

/// `mosquitto_sub` that is known to be subscribed. It prints its debug lines among the messages.
pub(crate) fn mosquitto_sub(server: &Server, arguments: &str) -> Program {
    let mut program = mosquitto("mosquitto_sub", server, &format!("-d {arguments}"));
    program.await_line("the SUBACK", |line| line.starts_with("Subscribed "));
    program
}

/// `mosquitto_pub` from start to successful end.
pub(crate) fn mosquitto_pub(server: &Server, arguments: &str) {
    mosquitto("mosquitto_pub", server, arguments).await_exit().assert_success();
}

/// `mosquitto_pub` with a payload that may contain anything but NUL.
pub(crate) fn mosquitto_pub_text(server: &Server, arguments: &str, payload: &str) {
    let mut all: Vec<&str> = arguments.split_whitespace().collect();
    all.extend(["-m", payload]);
    mosquitto_with("mosquitto_pub", server, &all).await_exit().assert_success();
}

/// Whether a line of `mosquitto_sub -d` is a message rather than a debug line.
pub(crate) fn is_message(line: &str) -> bool {
    !["Client ", "Subscribed ", "All subs "].iter().any(|start| line.starts_with(start))
}

/// Plays one scenario of `tests/clients/paho` with each of `versions` and fails with what it said.
pub(crate) fn paho(server: &Server, scenario: &str, versions: &[&str]) {
    play(python("run.py"), server, scenario, versions);
}

/// Plays one scenario of `tests/clients/mqttjs` with each of `versions` and fails with what it said.
pub(crate) fn mqttjs(server: &Server, scenario: &str, versions: &[&str]) {
    play(node("run.mjs"), server, scenario, versions);
}

/// Plays one scenario of paho-mqtt at a door, which is `tcp`, `tls`, `ws` or `wss` at a port.
pub(crate) fn paho_at(door: &str, port: u16, ca_file: &Path, scenario: &str, version: &str) {
    play_at(python("run.py"), door, port, ca_file, scenario, version);
}

/// Plays one scenario of MQTT.js at a door, which is `tcp`, `tls`, `ws` or `wss` at a port.
pub(crate) fn mqttjs_at(door: &str, port: u16, ca_file: &Path, scenario: &str, version: &str) {
    play_at(node("run.mjs"), door, port, ca_file, scenario, version);
}

fn play_at(mut runner: Command, door: &str, port: u16, ca_file: &Path, scenario: &str, version: &str) {
    runner.env("DUNLIN_DOOR", door).env("DUNLIN_CA_FILE", ca_file);
    Program::start(runner.args([scenario, &port.to_string(), version]))
        .await_exit_within(LONG_WAIT)
        .assert_success();
}

fn play(mut runner: Command, server: &Server, scenario: &str, versions: &[&str]) {
    let bound = LONG_WAIT * versions.len() as u32;
    Program::start(runner.args([scenario, &server.port()]).args(versions))
        .await_exit_within(bound)
        .assert_success();
}

/// The scenarios that a runner knows, sorted.
pub(crate) fn scenarios_of(mut runner: Command) -> Vec<String> {
    let finished = Program::start(runner.arg("--list")).await_exit_within(WAIT).assert_success();
    let mut names = finished.lines();
    names.sort();
    names
}

/// Python with paho-mqtt, about to run `tests/clients/paho/<program>`.
pub(crate) fn python(program: &str) -> Command {
    let python = root().join("target/clients/venv/bin/python");
    assert!(python.exists(), "there is no {}: run ./test, which installs it", python.display());
    let mut command = Command::new(python);
    command.args(["-B", "-u"]).arg(root().join("tests/clients/paho").join(program));
    command
}

/// Node.js with MQTT.js, about to run `tests/clients/mqttjs/<program>`.
pub(crate) fn node(program: &str) -> Command {
    let mqttjs = root().join("tests/clients/node_modules/mqtt");
    assert!(mqttjs.exists(), "there is no {}: run ./test, which installs it", mqttjs.display());
    let mut command = Command::new("node");
    command.arg(root().join("tests/clients/mqttjs").join(program));
    command
}

/// The table of Topic Filters and the Topic Names they match: filter, name, whether they match.
pub(crate) fn topic_table() -> Vec<(String, String, bool)> {
    let path = root().join("tests/clients/topic_filters.tsv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
    rows.map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
        [filter, topic, "yes"] => (filter.to_owned(), topic.to_owned(), true),
        [filter, topic, "no"] => (filter.to_owned(), topic.to_owned(), false),
        _ => panic!("{}: a row is filter, topic, yes or no, with tabs: {line:?}", path.display()),
    })
    .collect()
}

/// The folder with README.md.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/dunlin is two floors down")
        .to_owned()
}
