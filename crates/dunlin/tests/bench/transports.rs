//! `dunlin bench` over TLS and WebSocket.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::{
    Mosquitto, bench, exchange, fails, number,
    support::{
        program::Program,
        server::{Options, Server},
    },
};

/// A CA and the certificate of a Server.
struct Certificates(TempDir);

impl Certificates {
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for what in ["ca", "server"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
            command.args(["cert", what, "--dir"]).arg(folder.path());
            Program::start(&mut command).await_exit().assert_success();
        }
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self) -> String {
        format!("--cafile {}", self.file("ca.pem").display())
    }
}

/// A Server with listeners for TLS, WebSocket and both, and their ports.
fn start(certificates: &Certificates) -> (Server, [u16; 3]) {
    let files = format!(
        "certificate_file = {:?}\nkey_file = {:?}\n",
        certificates.file("server.pem"),
        certificates.file("server.key")
    );
    let mut config = String::from("[[listener]]\nport = 0\n");
    for (kind, files) in [("tls", files.as_str()), ("ws", ""), ("wss", files.as_str())] {
        config += &format!("[[listener]]\nkind = \"{kind}\"\nport = 0\n{files}");
    }
    let mut server = Server::with(&Options { shards: 2, config: Some(config), ..Options::default() });
    let ports = ["mqtts://", "ws://", "wss://"].map(|scheme| {
        let line = server.await_line(scheme, |line| line.contains(scheme));
        let digits = line.split("127.0.0.1:").nth(1).expect("a line with an address");
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a port is a number")
    });
    (server, ports)
}

#[test]
fn messages_are_exchanged_in_tls_and_websocket() {
    let certificates = Certificates::make();
    let (_server, [tls, ws, wss]) = start(&certificates);
    let ca = certificates.options();
    for (port, way) in [(tls, ca.clone()), (ws, "--ws".into()), (wss, format!("--ws {ca}"))] {
        exchange(port, &format!("pair {way}"), 1.0);
        exchange(port, &format!("pair -q 2 -w 10 -n 3 -V 5 --topics 3 {way}"), 1.0);
        // Packets of more than one record, and of more than the tool reads at once.
        exchange(port, &format!("pair -s 400000 -w 2 -n 2 -q 1 --threads 2 {way}"), 1.0);
        exchange(port, &format!("fan-out -n 20 -q 1 -w 4 --threads 2 {way}"), 20.0);
        let figures = bench(port, &format!("conn -n 50 -d 0.2 --ping-every 0.1 --storms 1 -t x/%i {way}"));
        assert_eq!(figures["connections"], 50, "{way}");
        assert!(number(&figures, "pings") >= 50.0, "{figures}");
    }
    let figures = bench(tls, &format!("pair -n 1 -d 0.2 --warm-up 0 {ca}"));
    assert_eq!(figures["server"], format!("mqtts://127.0.0.1:{tls}"));
}

#[test]
fn messages_are_exchanged_through_mosquittos_tls() {
    let certificates = Certificates::make();
    let file = |name: &str| certificates.file(name).display().to_string();
    let mosquitto = Mosquitto::start(&format!(
        "user root\nmax_inflight_messages 1000\nmax_queued_messages 100000\ncafile {}\ncertfile {}\nkeyfile {}",
        file("ca.pem"),
        file("server.pem"),
        file("server.key")
    ));
    let ca = certificates.options();
    exchange(mosquitto.port, &format!("pair -n 2 {ca}"), 1.0);
    exchange(mosquitto.port, &format!("pair -s 200000 -w 2 -n 2 -q 1 {ca} --tls-version tlsv1.3"), 1.0);
}

#[test]
fn what_keeps_tls_and_websocket_from_coming_up_is_told() {
    let (certificates, other) = (Certificates::make(), Certificates::make());
    let (server, [tls, ws, _]) = start(&certificates);
    let plain = server.address().port();
    let (ca, wrong) = (certificates.options(), other.options());
    for (port, options, words) in [
        (tls, wrong.as_str(), "of a CA that is not trusted here"),
        (plain, &ca, "a port without TLS"),
        (ws, &ca, "TLS"),
        (plain, "--ws", "instead of answering the HTTP request"),
        (tls, "--psk 00", "--psk is not supported"),
        (tls, "--cafile missing.pem", "cannot read missing.pem"),
        (tls, "--cert x", "--cert and --key belong together"),
    ] {
        let said = fails(port, &format!("pair -n 1 {options}"), 1);
        assert!(said.contains(words), "{options}: {said}");
    }
}
