//! A Server with several doors, and programs that knock.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{
    program::{Finished, Program},
    server::{Options, Server},
};

/// A Server with a listener for plain MQTT and others; the ports of the others in their order, 0 for one without.
pub(crate) struct Doors {
    pub(crate) server: Server,
    pub(crate) ports: Vec<u16>,
}

/// Starts a Server with the listeners `others` besides one for plain MQTT; each is the text of its keys, without `port`.
pub(crate) fn open(others: &[&str]) -> Doors {
    open_with("", others)
}

/// [`open`] with other tables before the listeners.
pub(crate) fn open_with(more: &str, others: &[&str]) -> Doors {
    let mut config = format!("{more}\n[[listener]]\nport = 0\n");
    for other in others {
        let port = if other.contains("kind = \"unix\"") { "" } else { "port = 0\n" };
        config += &format!("[[listener]]\n{port}{other}\n");
    }
    let mut server = Server::with(&Options { shards: 2, config: Some(config), ..Options::default() });
    let mut port = || {
        let line = server.await_line("a listener", |line| line.contains("://"));
        let digits = line.split("127.0.0.1:").nth(1).unwrap_or("0");
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a port is a number")
    };
    let ports = others.iter().map(|_| port()).collect();
    Doors { server, ports }
}

impl Doors {
    /// Waits for a line of the log with all of `parts` in it.
    pub(crate) fn await_log(&mut self, parts: &[&str]) -> String {
        self.server.await_line(&format!("a line with {parts:?}"), |line| {
            parts.iter().all(|part| line.contains(part))
        })
    }
}

/// Runs a shell command to its end; its standard input is empty.
pub(crate) fn shell(command: &str) -> Finished {
    Program::start(Command::new("sh").args(["-c", &format!("exec </dev/null; {command}")])).await_exit()
}

/// `openssl s_client` at a port, which says what it has negotiated; `options` as in a shell.
pub(crate) fn s_client(port: u16, options: &str) -> String {
    let finished = shell(&format!("openssl s_client -connect 127.0.0.1:{port} {options}"));
    finished.text() + &finished.errors()
}

/// One of mosquitto's clients at a port, to its end; `options` as in a shell.
pub(crate) fn mosquitto(tool: &str, port: u16, options: &str) -> Finished {
    shell(&format!("{tool} -h 127.0.0.1 -p {port} {options}"))
}

/// `mosquitto_sub` at a port, known to be subscribed.
pub(crate) fn subscriber(port: u16, options: &str) -> Program {
    let command = format!("exec stdbuf -oL mosquitto_sub -d -h 127.0.0.1 -p {port} {options}");
    let mut program = Program::start(Command::new("sh").args(["-c", &command]));
    program.await_line("the SUBACK", |line| line.starts_with("Subscribed "));
    program
}

/// Publishes to `topic` at the plain door, and waits until `subscriber` has it.
pub(crate) fn expect_delivery(doors: &Doors, subscriber: &mut Program, topic: &str, payload: &str) {
    let port = doors.server.address().port();
    mosquitto("mosquitto_pub", port, &format!("-q 1 -t {topic} -m {payload}")).assert_success();
    subscriber.await_line(payload, |line| line == payload);
}

/// A program of `/usr/sbin` that stays, with its configuration in a file.
pub(crate) fn daemon(name: &str, before_file: &[&str], file: &Path) -> Program {
    let mut command = Command::new(format!("/usr/sbin/{name}"));
    command.args(before_file).arg(file).stdin(Stdio::null());
    Program::start(&mut command)
}

/// A port that was free a moment ago, for a program that cannot choose one itself.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("a listener has an address").port()
}
