//! `dunlin pub` and `dunlin sub` at every door, ours and mosquitto's, and what they say when a door stays shut.

use std::{net::TcpStream, process::Command, time::Instant};

use crate::{
    authority::{Authority, FUTURE, Issued, NOW, PAST},
    support::{
        WAIT,
        program::{Finished, Program},
    },
    world::{Doors, daemon, free_port, open, shell},
};

const DUNLIN: &str = env!("CARGO_BIN_EXE_dunlin");

/// One of our tools to its end; `options` as in a shell.
fn tool(name: &str, options: &str) -> Finished {
    shell(&format!("{DUNLIN} {name} {options}"))
}

/// `dunlin sub`, known to be subscribed.
fn subscriber(options: &str) -> Program {
    let command = format!("exec {DUNLIN} sub -d {options}");
    let mut program = Program::start(Command::new("sh").args(["-c", &command]));
    program.await_line("the SUBACK", |line| line.starts_with("Subscribed "));
    program
}

/// Both tools by the way that `options` say, with every version and QoS.
fn talk(options: &str) {
    talk_at_length(options, 100_000);
}

/// [`talk`] with a message of so many bytes beside a short one.
fn talk_at_length(options: &str, bytes: usize) {
    for (version, qos) in [("mqttv31", 0), ("mqttv311", 1), ("mqttv5", 2)] {
        let on = format!("{options} -V {version} -q {qos} -t way/{qos}");
        let mut receiver = subscriber(&format!("{on} -C 2 -F %q:%p"));
        tool("pub", &format!("{on} -m first")).assert_success();
        receiver.await_line("the message", |line| line == format!("{qos}:first"));
        let large = "x".repeat(bytes);
        let feed = format!("printf %s {large} | {DUNLIN} pub {on} -s");
        shell(&feed).assert_success();
        receiver.await_line("the large message", |line| line == format!("{qos}:{large}"));
        receiver.await_exit().assert_success();
    }
}

#[test]
fn our_tools_come_by_every_door() {
    let authority = Authority::new("CA");
    let socket = authority.folder().join("mqtt");
    let certificate = authority.server().settings();
    let doors = open(&[
        &format!("kind = \"tls\"\n{certificate}"),
        "kind = \"ws\"\n",
        &format!("kind = \"wss\"\n{certificate}"),
        &format!("kind = \"any\"\n{certificate}"),
        &format!("kind = \"unix\"\npath = {socket:?}\n"),
    ]);
    let [tls, ws, wss, any, _] = doors.ports[..] else { panic!("five listeners") };
    let ca = authority.ca_file();
    let ca = format!("--cafile {}", ca.display());
    talk(&format!("-h localhost -p {tls} {ca}"));
    talk(&format!("-h 127.0.0.1 -p {tls} {ca} --tls-version tlsv1.3 --tls-alpn mqtt"));
    talk(&format!("--ws -p {ws}"));
    talk(&format!("--ws -h localhost -p {wss} {ca}"));
    talk(&format!("-L wss://127.0.0.1:{any}/mqtt {ca}"));
    talk(&format!("-p {any} --capath {}", authority.folder().display()));
    talk(&format!("--unix {}", socket.display()));
    tool("pub", &format!("-L mqtts://localhost:{tls}/by/url {ca} -m x -q 1")).assert_success();
    tool("pub", &format!("-L unix://{} -t by/url -m x -q 1", socket.display())).assert_success();
}

#[test]
fn a_connection_that_is_made_again_resumes_tls() {
    let authority = Authority::new("CA");
    let admin = authority.folder().join("admin");
    let doors = crate::world::open_with(
        &format!("[admin]\nsocket = {admin:?}\n"),
        &[&format!("kind = \"tls\"\n{}", authority.server().settings())],
    );
    let way = format!("-h localhost -p {} --cafile {}", doors.ports[0], authority.ca_file().display());
    let mut receiver = subscriber(&format!("{way} -i again -t a"));
    assert!(receiver.lines().iter().any(|line| line.contains("speaks TLSv1.3, from the beginning")));
    tool("admin", &format!("--socket {} disconnect again", admin.display())).assert_success();
    receiver.await_line("the next connection", |line| line.contains("speaks TLSv1.3, resumed"));
    receiver.await_line("the SUBACK", |line| line.starts_with("Subscribed "));
}

/// Publishes to `port` of `host` and ends with `code`, having said all of `words`.
#[track_caller]
fn refused(host: &str, port: u16, options: &str, code: i32, words: &[&str]) {
    let finished = tool("pub", &format!("-h {host} -p {port} -q 1 -t a -m 1 {options}")).assert_code(code);
    let said = finished.errors();
    assert!(said.starts_with("Error: ") && said.lines().count() == 1, "one line of words: {said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in {said}");
    }
}

#[test]
fn a_server_that_is_not_to_be_believed_is_told_with_mosquittos_code() {
    let (authority, other) = (Authority::new("CA"), Authority::new("other CA"));
    let (ca, wrong) = (authority.ca_file(), other.ca_file());
    let (ca, wrong) = (format!("--cafile {}", ca.display()), format!("--cafile {}", wrong.display()));
    let only = authority.issue("only", &["localhost"], 2, NOW).settings();
    let doors = open(&[&format!("kind = \"tls\"\n{only}")]);
    let port = doors.ports[0];
    refused("localhost", port, &wrong, 8, &["of a CA that is not trusted here", "with --cafile"]);
    let names = ["not for `127.0.0.1`, but for `localhost`", "-h", "--insecure"];
    refused("127.0.0.1", port, &ca, 8, &names);
    let way = format!("-h 127.0.0.1 -p {port} -q 1 -t a -m 1");
    tool("pub", &format!("{way} {ca} --insecure")).assert_success();
    // The name only: it is no way around the CA.
    refused("127.0.0.1", port, &format!("{wrong} --insecure"), 8, &["of a CA that is not trusted here"]);
    for (believed, code) in [(authority.ca_file(), 0), (other.ca_file(), 8)] {
        let way = format!("-h localhost -p {port} -q 1 -t a -m 1 --tls-use-os-certs");
        shell(&format!("SSL_CERT_FILE={} {DUNLIN} pub {way}", believed.display())).assert_code(code);
    }
    let plain = doors.server.address().port();
    refused("127.0.0.1", plain, &ca, 8, &["a port without TLS", "-p"]);
    refused("127.0.0.1", port, "", 7, &["instead of answering CONNECT", "mqtts://"]);
    refused("127.0.0.1", port, "--ws", 1, &["HTTP"]);
    refused("127.0.0.1", plain, "--ws", 1, &["instead of answering the HTTP request"]);
}

/// A Server with one TLS listener, whose certificate must be one that cannot be served: openssl serves it.
fn s_server(issued: &Issued) -> (Program, u16) {
    let port = free_port();
    let files = format!("-cert {} -key {}", issued.certificate.display(), issued.key.display());
    let command = format!("exec openssl s_server -accept 127.0.0.1:{port} {files}");
    let mut program = Program::start(Command::new("sh").args(["-c", &command]));
    program.await_line("openssl", |line| line == "ACCEPT");
    (program, port)
}

#[test]
fn a_certificate_that_is_over_or_for_others_is_told() {
    let authority = Authority::new("CA");
    let ca = format!("--cafile {}", authority.ca_file().display());
    for (issued, host, words) in [
        (authority.issue("old", &["localhost"], 2, PAST), "localhost", ["has expired", "days ago"]),
        (
            authority.issue("young", &["localhost"], 3, FUTURE),
            "localhost",
            ["not valid yet", "clock of this machine"],
        ),
        (
            authority.issue("other", &["a.example", "b.example"], 4, NOW),
            "localhost",
            ["not for `localhost`, but for `a.example`, `b.example`", "--insecure"],
        ),
        (authority.issue("name", &[], 5, NOW), "localhost", ["no name at all", "common name does not count"]),
    ] {
        let (_openssl, port) = s_server(&issued);
        refused(host, port, &ca, 8, &words);
    }
}

#[test]
fn a_listener_that_asks_for_a_certificate_says_what_is_wrong_with_it() {
    let (authority, other) = (Authority::new("CA"), Authority::new("other CA"));
    let (revoked, ca) = (authority.revoke(&[7]), authority.ca_file());
    let doors = open(&[&format!(
        "kind = \"tls\"\n{}client_certificates = \"required\"\nclient_ca_file = {ca:?}\nclient_crl_file = {revoked:?}\n",
        authority.server().settings()
    )]);
    let port = doors.ports[0];
    let ca = format!("--cafile {}", ca.display());
    let with = |issued: &Issued| format!("{ca} {}", issued.options());
    talk(&format!("-h localhost -p {port} {}", with(&authority.client("good", 6))));
    refused("localhost", port, &ca, 8, &["requires a certificate of this Client", "--cert and --key"]);
    let stolen = with(&authority.client("stolen", 7));
    refused(
        "localhost",
        port,
        &stolen,
        8,
        &["does not accept the certificate of this Client: it is revoked"],
    );
    let foreign = with(&other.client("foreign", 6));
    refused("localhost", port, &foreign, 8, &["it is of a CA that the Server does not know"]);
    // It is looked at before it goes anywhere.
    let old = with(&authority.issue("old", &[], 8, PAST));
    refused("localhost", port, &old, 1, &["old.pem has expired", "days ago"]);
}

#[test]
fn options_that_do_not_fit_or_are_not_there_are_told() {
    let authority = Authority::new("CA");
    let (server, other) = (authority.server(), authority.client("other", 2));
    let mixed = Issued { certificate: server.certificate, key: other.key }.options();
    for (options, words) in [
        ("--psk 00 --psk-identity me", "--psk is not supported"),
        ("--keyform engine", "files in PEM"),
        ("--tls-engine pkcs11", "--tls-engine is not supported"),
        ("--tls-version tlsv1.1", "TLS before 1.2 is not safe"),
        ("--cert only", "--cert and --key belong together"),
        ("--cafile missing.pem", "cannot read missing.pem"),
        (&mixed, "does not belong to the key in"),
        ("--no-tls --tls", "--no-tls does not go with"),
    ] {
        let said = tool("pub", &format!("-t a -m 1 {options}")).assert_code(1).errors();
        assert!(said.contains(words), "{words} is not in {said}");
    }
}

/// Debian's mosquitto with TLS, with TLS that asks for certificates, with WebSocket, and with WebSocket in TLS.
fn mosquitto(authority: &Authority) -> (Program, [u16; 4]) {
    let [open, strict, ws, wss] = [(); 4].map(|()| free_port());
    let server = authority.server();
    let tls = format!(
        "cafile {}\ncertfile {}\nkeyfile {}\n",
        authority.ca_file().display(),
        server.certificate.display(),
        server.key.display()
    );
    let text = format!(
        "user root\nallow_anonymous true\nlistener {open} 127.0.0.1\n{tls}listener {strict} 127.0.0.1\n{tls}\
         require_certificate true\nlistener {ws} 127.0.0.1\nprotocol websockets\n\
         listener {wss} 127.0.0.1\n{tls}protocol websockets\n"
    );
    let program = daemon("mosquitto", &["-c"], &authority.write("mosquitto.conf", &text));
    let deadline = Instant::now() + WAIT;
    while TcpStream::connect(("127.0.0.1", wss)).is_err() {
        assert!(Instant::now() < deadline, "mosquitto does not listen");
        std::thread::yield_now();
    }
    (program, [open, strict, ws, wss])
}

#[test]
fn our_tools_meet_mosquitto_in_tls_and_websocket() {
    let (authority, other) = (Authority::new("CA"), Authority::new("other CA"));
    let (_program, [open, strict, ws, wss]) = mosquitto(&authority);
    let ca = format!("--cafile {}", authority.ca_file().display());
    talk(&format!("-h localhost -p {open} {ca}"));
    talk(&format!("-h localhost -p {strict} {ca} {}", authority.client("good", 2).options()));
    // It takes a WebSocket's bytes slowly, some thousand each tenth of a second.
    talk_at_length(&format!("--ws -h localhost -p {ws}"), 5_000);
    talk_at_length(&format!("--ws -h localhost -p {wss} {ca}"), 5_000);
    refused("localhost", strict, &ca, 8, &["requires a certificate of this Client"]);
    let foreign = other.client("foreign", 2).options();
    refused("localhost", strict, &format!("{ca} {foreign}"), 8, &["of a CA that the Server does not know"]);
    // With the same mistake mosquitto's own tool ends with 8, or with 1 if it sees it early.
    let wrong = format!("-h localhost -p {open} -t a -m 1 --cafile {}", other.ca_file().display());
    let theirs = shell(&format!("mosquitto_pub {wrong}"));
    assert!(matches!(theirs.status.code(), Some(1 | 8)), "{theirs:?}");
    tool("pub", &wrong).assert_code(8);
    // Plain MQTT at a port of TLS.
    shell(&format!("mosquitto_pub -h localhost -p {open} -t a -m 1")).assert_code(7);
    refused("localhost", open, "", 7, &["mqtts://"]);
}

/// What openssl makes as the guide has it, and with RSA.
#[test]
fn certificates_of_openssl_are_believed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path();
    for kind in ["ec -pkeyopt ec_paramgen_curve:P-256", "rsa:2048"] {
        shell(&format!(
            "cd {} && openssl req -x509 -newkey {kind} -nodes -days 3650 -subj '/CN=My CA' -keyout ca.key -out ca.pem \
             && openssl req -newkey {kind} -nodes -subj /CN=localhost -keyout server.key -out server.csr \
             && echo subjectAltName=DNS:localhost > names \
             && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 365 -extfile names -out server.pem",
            path.display()
        ))
        .assert_success();
        let issued = Issued { certificate: path.join("server.pem"), key: path.join("server.key") };
        let doors: Doors = open(&[&format!("kind = \"tls\"\n{}", issued.settings())]);
        let way = format!("-h localhost -p {} -q 1 -t a -m 1", doors.ports[0]);
        tool("pub", &format!("{way} --cafile {}", path.join("ca.pem").display())).assert_success();
        // The one certificate that is wanted may be named itself.
        tool("pub", &format!("{way} --cafile {}", issued.certificate.display())).assert_success();
    }
}
