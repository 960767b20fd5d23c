//! Who may connect, with the real program, its `passwd`, and Clients that we did not write.

#[allow(unused_macros, unused_imports, reason = "one Server is enough here")]
mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use dunlin_client::{
    authentication::Authentication,
    blocking::Client,
    options::{Message, Options as ClientOptions, QoS},
    scram::Scram,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use support::{
    WAIT,
    clients::{mosquitto_with, node},
    program::{Finished, Program},
    raw::{Came, Raw, packet, text},
    server::{Options, Server, dunlin},
};
use tempfile::TempDir;

/// Files for a test.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("a file can be written");
        self.path(name)
    }

    /// `dunlin passwd` with these words; those that begin with @ are files here.
    fn passwd(&self, words: &str) -> Finished {
        self.start_passwd(words).await_exit()
    }

    fn start_passwd(&self, words: &str) -> Program {
        let words: Vec<String> = words
            .split(' ')
            .map(|word| match word.strip_prefix('@') {
                Some(name) => self.path(name).display().to_string(),
                None => word.to_owned(),
            })
            .collect();
        let words: Vec<&str> = ["passwd"].into_iter().chain(words.iter().map(String::as_str)).collect();
        dunlin(&words)
    }

    /// A Server that knows the users of the file `users`.
    fn server(&self) -> Server {
        Server::configured(&self.users())
    }

    fn users(&self) -> String {
        format!(
            "[[auth]]\nname = \"users\"\nkind = \"password_file\"\nfile = \"{}\"\n",
            self.path("users").display()
        )
    }
}

/// What `openssl` prints, run in the room.
fn openssl(room: &Room, words: &[&str]) -> Vec<u8> {
    let done = Command::new("openssl").args(words).current_dir(room.0.path()).output();
    let done = done.expect("openssl is installed");
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// How `mosquitto_pub` fares with this user name and password, if any, in version 5.0: 0, or the Reason Code.
fn login(server: &Server, user: Option<(&str, &str)>) -> i32 {
    let mut arguments = vec!["-V", "mqttv5", "-t", "a", "-m", "b"];
    if let Some((name, password)) = user {
        arguments.extend(["-u", name, "-P", password]);
    }
    let finished = mosquitto_with("mosquitto_pub", server, &arguments).await_exit();
    finished.status.code().unwrap_or_else(|| panic!("mosquitto_pub was killed: {finished:?}"))
}

const BAD_PASSWORD: i32 = 0x86;
const NOT_AUTHORIZED: i32 = 0x87;
const UNAVAILABLE: i32 = 0x88;
const RATE_EXCEEDED: i32 = 0x9F;

#[test]
fn two_commands_add_a_user_and_serve_it() {
    let room = Room::new();
    let mut asked = room.start_passwd("-c @users ann");
    asked.feed(b"secret\nsecret\n");
    asked.await_exit().assert_success();
    let server = room.server();
    assert_eq!(login(&server, Some(("ann", "secret"))), 0);
    assert_eq!(login(&server, Some(("ann", "Secret"))), BAD_PASSWORD);
    assert_eq!(login(&server, Some(("bob", "secret"))), BAD_PASSWORD);
    assert_eq!(login(&server, None), NOT_AUTHORIZED);
    let old = mosquitto_with("mosquitto_pub", &server, &["-t", "a", "-m", "b", "-u", "ann", "-P", "x"]);
    assert_eq!(old.await_exit().status.code(), Some(4), "the code of 3.1.1");
}

#[test]
fn a_changed_file_acts_at_once_and_a_broken_one_does_not() {
    let room = Room::new();
    room.passwd("-c -b @users ann one").assert_success();
    let mut server = room.server();
    assert_eq!(login(&server, Some(("ann", "one"))), 0);
    room.passwd("-b @users ann two").assert_success();
    server.signal("HUP");
    server.await_line("that the file is read", |line| line.contains("read its file again"));
    assert_eq!(login(&server, Some(("ann", "one"))), BAD_PASSWORD);
    assert_eq!(login(&server, Some(("ann", "two"))), 0);
    // A user who is taken out is disconnected.
    room.passwd("-b -H sha512 @users bob three").assert_success();
    server.signal("HUP");
    server.await_line("that the file is read", |line| line.contains("read its file again"));
    let arguments = ["-V", "mqttv5", "-d", "-t", "a", "-u", "bob", "-P", "three"];
    let mut bob = mosquitto_with("mosquitto_sub", &server, &arguments);
    bob.await_line("the SUBACK", |line| line.starts_with("Subscribed "));
    room.passwd("-D @users bob").assert_success();
    bob.await_line("the DISCONNECT", |line| line.contains("DISCONNECT"));
    drop(bob);
    // Without a signal it is seen soon.
    room.write("users", "ann\n");
    let line = server.await_line("the broken line", |line| line.contains("there is no `:`"));
    assert!(line.contains("users:1: ") && line.contains("stays in force"), "{line}");
    assert_eq!(login(&server, Some(("ann", "two"))), 0);
}

#[test]
fn a_broken_line_is_no_user_and_no_start() {
    let room = Room::new();
    room.passwd("-c -b @users ann one").assert_success();
    let mut text = fs::read_to_string(room.path("users")).expect("the file can be read");
    text += "bob:plain\n";
    room.write("users", &text);
    let server = Server::prepare(&Options { shards: 1, config: Some(room.users()), ..Options::default() });
    let finished = server.launch().await_exit().assert_code(1);
    let errors = finished.errors();
    assert!(errors.contains("users:2: this is no password hash; expected"), "{errors}");
    assert!(!errors.contains("plain\n") && !errors.contains("bob"), "{errors}");
    let missing = "[[auth]]\nkind = \"password_file\"\nfile = \"/nowhere/users\"\n";
    let options = Options { shards: 1, config: Some(missing.to_owned()), ..Options::default() };
    let errors = Server::prepare(&options).launch().await_exit().assert_code(1).errors();
    assert!(errors.contains("cannot read the password file /nowhere/users"), "{errors}");
}

#[test]
fn a_public_listener_starts_only_if_somebody_is_asked() {
    let room = Room::new();
    room.passwd("-c -b -H sha512 @users ann one").assert_success();
    let public = "[[listener]]\nbind = \"0.0.0.0\"\n";
    let options = |config: String| Options { shards: 1, config: Some(config), ..Options::default() };
    let refused = Server::prepare(&options(public.to_owned())).launch().await_exit().assert_code(1);
    assert!(refused.errors().contains("add users with `dunlin passwd -c FILE USER`"), "{}", refused.errors());
    let nobody = format!("{public}auth = []\n{}", room.users());
    Server::prepare(&options(nobody)).launch().await_exit().assert_code(1);
    for config in
        [format!("{public}{}", room.users()), format!("{public}auth = []\nallow_anonymous = true\n")]
    {
        let server = Server::prepare(&options(config));
        let mut program = server.launch();
        program.await_line("that it listens", |line| line.contains("mqtt://0.0.0.0:"));
    }
}

#[test]
fn mosquittos_files_are_read_and_ours_by_mosquitto() {
    let room = Room::new();
    let users = room.path("users").display().to_string();
    for arguments in [&["-c", "-b", &users, "ann", "one"][..], &["-H", "sha512", "-b", &users, "bob", "two"]]
    {
        Program::start(Command::new("mosquitto_passwd").args(arguments)).await_exit().assert_success();
    }
    let server = room.server();
    for (user, password) in [("ann", "one"), ("bob", "two")] {
        assert_eq!(login(&server, Some((user, password))), 0, "{user}");
        assert_eq!(login(&server, Some((user, "three"))), BAD_PASSWORD, "{user}");
    }
    // And the other way round.
    room.passwd("-c -b -H sha512-pbkdf2 @theirs ann one").assert_success();
    room.passwd("-b -H sha512 @theirs bob two").assert_success();
    let theirs = Mosquitto::start(&room, "theirs");
    for (user, password, code) in [("ann", "one", 0), ("bob", "two", 0), ("ann", "two", 5), ("bob", "one", 5)]
    {
        assert_eq!(theirs.login(user, password), Some(code), "{user} {password}");
    }
}

/// Debian's mosquitto, with a password file.
struct Mosquitto {
    port: String,
    _program: Program,
}

impl Mosquitto {
    fn start(room: &Room, users: &str) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = free.local_addr().expect("it has an address").port().to_string();
        drop(free);
        let file = room.path(users);
        let config = room.write(
            "mosquitto.conf",
            &format!(
                "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser root\n",
                file.display()
            ),
        );
        let mut program = Program::start(Command::new("/usr/sbin/mosquitto").arg("-v").arg("-c").arg(config));
        program.await_line("that mosquitto runs", |line| line.contains(" running"));
        Self { port, _program: program }
    }

    fn login(&self, user: &str, password: &str) -> Option<i32> {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-u", user, "-P", password, "-t", "a", "-m", "b"]);
        Program::start(&mut command).await_exit().status.code()
    }
}

#[test]
fn wrong_passwords_are_delayed_and_nobody_else() {
    let room = Room::new();
    room.passwd("-c -b -H sha512 @users ann one").assert_success();
    room.passwd("-b -H sha512 @users bob two").assert_success();
    let server = Server::configured(&format!("{}[limits]\nfailed_logins_free = 2\n", room.users()));
    let codes: Vec<i32> = (0..4).map(|_| login(&server, Some(("ann", "guess")))).collect();
    assert_eq!(codes[..3], [BAD_PASSWORD; 3]);
    assert_eq!(codes[3], RATE_EXCEEDED);
    assert_eq!(login(&server, Some(("bob", "two"))), 0);
    // The right one, as soon as the second is over.
    let deadline = Instant::now() + WAIT;
    while login(&server, Some(("ann", "one"))) != 0 {
        assert!(Instant::now() < deadline, "ann does not get in");
    }
}

#[test]
fn scram_is_played_by_a_client_of_others_and_again_while_it_is_connected() {
    let room = Room::new();
    room.passwd("-c -b --scram @users ann pencil").assert_success();
    let config =
        format!("[[auth]]\nkind = \"scram\"\nfile = \"{}\"\n{}", room.path("users").display(), room.users());
    let server = Server::configured(&config);
    let play = |user: &str, password: &str| {
        let mut script = node("scram.mjs");
        script.args([&server.port(), user, password]);
        Program::start(&mut script).await_exit().assert_success().lines()
    };
    assert_eq!(play("ann", "pencil"), ["connected", "again"]);
    assert_eq!(play("ann", "pen"), [format!("refused {NOT_AUTHORIZED}")]);
    assert_eq!(play("bob", "pencil"), [format!("refused {NOT_AUTHORIZED}")]);
    // A Client that knows nothing of it sends the same password as it is.
    assert_eq!(login(&server, Some(("ann", "pencil"))), 0);
}

#[test]
fn scram_is_played_by_our_tools_and_again_by_our_library() {
    let room = Room::new();
    room.passwd("-c -b --scram @users ann pencil").assert_success();
    let server = Server::configured(&format!(
        "[[auth]]\nkind = \"scram\"\nfile = \"{}\"\n",
        room.path("users").display()
    ));
    let play = |more: &str| {
        let arguments = format!(
            "pub -h 127.0.0.1 -p {} -V mqttv5 -q 1 -t a -m b -D connect authentication-method {more}",
            server.port()
        );
        dunlin(&arguments.split(' ').collect::<Vec<_>>()).await_exit()
    };
    let said = play("SCRAM-SHA-256 -u ann -P pencil -d").assert_success().text();
    assert!(said.contains("sending AUTH") && !said.contains("pencil"), "{said}");
    play("SCRAM-SHA-256 -u ann -P pen").assert_code(NOT_AUTHORIZED);
    play("SCRAM-SHA-256 -u bob -P pencil").assert_code(NOT_AUTHORIZED);
    for (more, words) in [
        ("SCRAM-SHA-1 -u ann -P pencil", "only SCRAM-SHA-256"),
        ("SCRAM-SHA-256 -u ann", "needs a user name and a password"),
    ] {
        let said = play(more).assert_code(1).errors();
        assert!(said.contains(words), "{said}");
    }

    let mut options = ClientOptions::new("127.0.0.1", server.address().port());
    options.authentication = Some(Authentication::new(Scram::new("ann", "pencil")));
    let client = Client::connect(options.clone()).expect("ann is known");
    for _ in 0..3 {
        client.reauthenticate().expect("ann still knows the password");
        client.publish(Message::new("a", QoS::AtLeastOnce, "b")).expect("the connection goes on");
    }
    client.disconnect();
    options.authentication = None;
    assert!(Client::connect(options).is_err());
}

/// A token of HS256 that ends so many seconds from now.
fn token(seconds: u64, more: &str) -> String {
    let exp = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() + seconds;
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let message =
        format!("{}.{}", part(r#"{"alg":"HS256"}"#), part(&format!(r#"{{"sub":"ann","exp":{exp}{more}}}"#)));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key may have any length");
    mac.update(message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

const SECRET: &str = "a secret of the tests";

/// A token of RS256, signed by openssl with the key in `jwt.key`.
fn signed_token(room: &Room) -> String {
    let exp = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() + 60;
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"sub":"ann","exp":{exp}}}"#);
    let message = format!("{}.{}", part(r#"{"alg":"RS256","kid":"one"}"#), part(&claims));
    room.write("message", &message);
    let signature = openssl(room, &["dgst", "-sha256", "-sign", "jwt.key", "message"]);
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// Keys come by HTTPS from a program that is not ours, if its certificate is one to believe.
#[test]
fn keys_come_by_https() {
    let room = Room::new();
    let folder = room.0.path().to_str().expect("the path is text");
    for words in [["ca", "--days", "2"], ["server", "--host", "localhost"]] {
        dunlin(&[&["cert", "-d", folder][..], &words].concat()).await_exit().assert_success();
    }
    openssl(&room, &["genrsa", "-out", "jwt.key", "2048"]);
    let modulus = openssl(&room, &["rsa", "-in", "jwt.key", "-noout", "-modulus"]);
    let digits = modulus.trim_ascii().strip_prefix(b"Modulus=").expect("openssl says the modulus");
    let modulus: Vec<u8> = digits
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).expect("digits"), 16).expect("two digits"))
        .collect();
    let n = BASE64_URL_SAFE_NO_PAD.encode(modulus);
    room.write("keys.json", &format!(r#"{{"keys":[{{"kty":"RSA","kid":"one","n":"{n}","e":"AQAB"}}]}}"#));
    let serving = ["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key", "-WWW"];
    let mut service = Program::start(Command::new("openssl").args(serving).current_dir(room.0.path()));
    let port = service.await_line("its port", |line| line.starts_with("ACCEPT "));
    let port = port.rsplit(':').next().expect("a port").trim();

    let url = format!("jwks_url = \"https://localhost:{port}/keys.json\"\nleeway_s = 0\n");
    let ca = room.path("ca.pem");
    let known = Server::configured(&format!("[[auth]]\nkind = \"jwt\"\n{url}ca_file = {ca:?}\n"));
    let token = signed_token(&room);
    assert_eq!(login(&known, Some(("whatever", &token))), 0);
    let changed = token.replacen('.', ".e", 1);
    assert_ne!(login(&known, Some(("whatever", &changed))), 0);
    // Nobody else vouches for this CA.
    let mut unknown = Server::configured(&format!("[[auth]]\nkind = \"jwt\"\n{url}"));
    assert_eq!(login(&unknown, Some(("whatever", &token))), UNAVAILABLE);
    unknown.await_line("why", |line| line.contains("certificate"));
}

/// CONNECT of 5.0 with a password that is a token.
fn connect_with(token: &str, client_id: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0b0100_0010, 0, 60, 0];
    text(&mut body, client_id);
    text(&mut body, token);
    packet(0x10, &body)
}

fn jwt(room: &Room) -> Server {
    let file = room.write("secret", &format!("{SECRET}\n"));
    Server::configured(&format!(
        "[[auth]]\nkind = \"jwt\"\nsecret_file = \"{}\"\nleeway_s = 0\n",
        file.display()
    ))
}

#[test]
fn a_token_lets_in_until_it_ends() {
    let room = Room::new();
    let server = jwt(&room);
    assert_eq!(login(&server, Some(("whatever", &token(60, "")))), 0);
    assert_eq!(login(&server, Some(("whatever", "no token"))), BAD_PASSWORD);
    let changed = token(60, "").replace("eyJzdWIi", "eyJzdWJi");
    assert_eq!(login(&server, Some(("whatever", &changed))), NOT_AUTHORIZED);
    let mut client = server.raw();
    client.send(&connect_with(&token(2, ""), "c"));
    client.await_connack("c");
    let packets = client.await_close(WAIT, "the end of the token");
    let [(0xE0, body)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(body[0], 0x87, "DISCONNECT with Not authorized");
}

#[test]
fn a_token_names_the_only_client_identifier_and_the_rights() {
    let room = Room::new();
    let server = jwt(&room);
    let mine = token(60, r#","client_id":"mine","rights":{"publish":["out/ann"]}"#);
    let connack = |client: &mut Raw| match client.next_within(WAIT) {
        Came::Packet(0x20, body) => body,
        other => panic!("awaited CONNACK, came {other:?}"),
    };
    let mut other = server.raw();
    other.send(&connect_with(&mine, "another"));
    assert_eq!(connack(&mut other)[1], 0x85, "Client Identifier not valid");
    // Who comes without one is given it.
    let mut given = server.raw();
    given.send(&connect_with(&mine, ""));
    let body = connack(&mut given);
    assert!(body[1] == 0 && body.windows(7).any(|part| part == b"\x12\0\x04mine"), "{body:?}");
    for (topic, code) in [("out/ann", 0), ("out/bob", 0x87)] {
        let mut body = Vec::new();
        text(&mut body, topic);
        body.extend([0, 1, 0]);
        given.send(&packet(0x32, &body));
        match given.next_within(WAIT) {
            Came::Packet(0x40, body) => {
                let reason = body.get(2).copied().unwrap_or(0);
                assert_eq!(reason & 0x80, code & 0x80, "{topic}: {body:?}");
            }
            other => panic!("{topic}: awaited PUBACK, came {other:?}"),
        }
    }
}

/// A service that lets in whoever has the password `right`, as long as it is not told to fail.
fn service() -> (String, std::sync::Arc<std::sync::atomic::AtomicBool>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let url = format!("http://{}/auth", listener.local_addr().expect("it has an address"));
    let fails = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&fails);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection comes");
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let mut bytes = [0; 4_096];
                let count = stream.read(&mut bytes).expect("a request can be read");
                request.extend_from_slice(&bytes[..count]);
            }
            let request = String::from_utf8(request).expect("a request is text");
            let answer = match told.load(std::sync::atomic::Ordering::SeqCst) {
                true => "HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
                false => {
                    let result = if request.contains("\"password\":\"right\"") { "allow" } else { "deny" };
                    let body = format!("{{\"result\":\"{result}\"}}");
                    format!(
                        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    )
                }
            };
            stream.write_all(answer.as_bytes()).expect("an answer can be written");
        }
    });
    (url, fails)
}

#[test]
fn another_service_is_asked() {
    let (url, fails) = service();
    let room = Room::new();
    room.passwd("-c -b -H sha512 @users bob two").assert_success();
    let asked = format!("[[auth]]\nkind = \"http\"\nurl = \"{url}\"\ncache_s = 0\n");
    let server = Server::configured(&format!("{asked}{}", room.users()));
    let lenient = Server::configured(&format!("{asked}on_failure = \"ignore\"\n{}", room.users()));
    assert_eq!(login(&server, Some(("ann", "right"))), 0);
    assert_eq!(login(&server, Some(("ann", "wrong"))), BAD_PASSWORD);
    fails.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(login(&server, Some(("ann", "right"))), UNAVAILABLE);
    assert_eq!(login(&server, Some(("bob", "two"))), UNAVAILABLE);
    assert_eq!(login(&lenient, Some(("bob", "two"))), 0, "the next one is asked");
    assert_eq!(login(&lenient, Some(("ann", "right"))), BAD_PASSWORD);
}

#[test]
fn each_tool_ends_with_its_code() {
    let room = Room::new();
    room.passwd("-c -b -H sha512 @users ann one").assert_success();
    room.passwd("-D @users bob").assert_code(2);
    let mut different = room.start_passwd("@users ann");
    different.feed(b"one\ntwo\n");
    different.await_exit().assert_code(3);
    let mut nothing = room.start_passwd("@users ann");
    nothing.feed(b"");
    nothing.await_exit().assert_code(1);
    room.passwd("@none ann").assert_code(1);
    let shown = room.passwd("-c -b -H sha512-pbkdf2 - ann one").assert_success().text();
    assert!(shown.starts_with("ann:$7$1000$"), "{shown}");
    assert!(!Path::new("-").exists());
    room.passwd("-D @users ann").assert_success();
    assert_eq!(fs::read_to_string(room.path("users")).expect("the file can be read"), "");
}

/// What the Server is told, and what it must not tell.
#[test]
fn no_password_and_no_secret_stands_in_the_log() {
    let room = Room::new();
    room.passwd("-c -b -H sha512 @users ann hush-hush").assert_success();
    let config = format!(
        "[log]\nlevel = \"trace\"\n[[auth]]\nkind = \"jwt\"\nsecret = \"{SECRET}\"\n{}",
        room.users()
    );
    let server = Server::configured(&config);
    let token = token(60, "");
    for (user, password) in
        [("ann", "hush-hush"), ("ann", "wrong-hush"), ("bob", "hush-hush"), ("x", &*token)]
    {
        login(&server, Some((user, password)));
    }
    let finished = server.stop("TERM", Duration::from_secs(10)).assert_success();
    let told = finished.text() + &finished.errors();
    assert!(told.contains("refused"), "{told}");
    for secret in ["hush", SECRET, &token[30..]] {
        assert!(!told.contains(secret), "{secret} is in\n{told}");
    }
}
