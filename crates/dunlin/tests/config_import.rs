//! `dunlin config import`: what becomes of a `mosquitto.conf`, with mosquitto itself beside it.

#[path = "doors/authority.rs"]
#[allow(dead_code, reason = "one certificate is enough here")]
mod authority;
#[allow(unused_macros, unused_imports, reason = "one Server is enough here")]
mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use authority::Authority;
use support::{
    WAIT,
    program::{Finished, Program},
    server::dunlin,
};

const EXAMPLES: &str = "/usr/share/doc/mosquitto/examples";

fn word(path: &Path) -> &str {
    path.to_str().expect("a plain name")
}

/// A file of this folder.
fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).expect("a file can be written");
    file
}

/// `dunlin config import` of a file with this text in `folder`.
fn import(folder: &Path, text: &str, more: &[&str]) -> Finished {
    let file = write(folder, "mosquitto.conf", text);
    let mut words = vec!["config", "import", word(&file)];
    words.extend(more);
    dunlin(&words).await_exit()
}

/// `dunlin config check` of what came out.
fn check(folder: &Path, toml: &str) -> Finished {
    let file = write(folder, "checked.toml", toml);
    let data_dir = folder.join("data");
    dunlin(&["config", "check", "--config", word(&file), "--data-dir", word(&data_dir)]).await_exit()
}

#[test]
fn each_option_of_the_manual_is_known() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut zcat = Command::new("zcat");
    let manual =
        Program::start(zcat.arg("/usr/share/man/man5/mosquitto.conf.5.gz")).await_exit().assert_success();
    let lines = manual.lines();
    let mut names = Vec::new();
    // The heading of an option stands above its indented description, perhaps several with a comma between them.
    for pair in lines.windows(2).filter(|pair| pair[1].starts_with(".RS") && pair[0].starts_with("\\fB")) {
        for heading in pair[0].split(", \\fB") {
            let name = heading.trim_start_matches("\\fB").split("\\fR").next().unwrap_or_default();
            names.push(name.replace("\\&", "").replace("\\-", "-").replace("_opt_*", "_opt_name"));
        }
    }
    assert!(names.len() > 100, "the manual has other headings now: {names:?}");
    let finished = import(folder.path(), &(names.join("\n") + "\nno_such_option\n"), &[]).assert_code(1);
    let unknown: Vec<String> = finished
        .errors()
        .lines()
        .filter(|line| line.contains("an option of mosquitto"))
        .map(str::to_owned)
        .collect();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(unknown[0].contains("no_such_option"), "{unknown:?}");
}

#[test]
fn the_examples_of_debian_come_along() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let text = fs::read_to_string("/etc/mosquitto/mosquitto.conf").expect("the package mosquitto is there");
    let usual = import(folder.path(), &text, &[]).assert_code(2);
    check(folder.path(), &usual.text()).assert_success();
    let lost: Vec<String> =
        usual.errors().lines().filter(|line| line.contains("NOT SUPPORTED")).map(str::to_owned).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].contains("mosquitto.conf:11: ") && lost[0].contains("standard error"), "{lost:?}");
    // All is a comment there.
    let example = fs::read_to_string(format!("{EXAMPLES}/mosquitto.conf")).expect("the package has examples");
    let plain = import(folder.path(), &example, &[]).assert_success();
    assert!(plain.errors().contains("0 lines: "), "{}", plain.errors());
    check(folder.path(), &plain.text()).assert_success();
    // With the values that the comments name.
    let is_option = |line: &&str| {
        line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains(' ') && !line.contains('<')
    };
    let options: Vec<&str> =
        example.lines().filter_map(|line| line.strip_prefix('#')).filter(is_option).collect();
    let files = format!(
        "password_file {EXAMPLES}/pwfile.example\nacl_file {EXAMPLES}/aclfile.example\npsk_file {EXAMPLES}/pskfile.example"
    );
    let all = import(folder.path(), &format!("{}\n{files}\n", options.join("\n")), &[]).assert_code(2);
    assert!(options.len() > 40 && !all.errors().contains("WRONG"), "{}", all.errors());
    check(folder.path(), &all.text()).assert_success();
}

#[test]
fn files_are_written_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let out = folder.path().join("out.toml");
    let options = ["-o", word(&out)];
    let good = import(folder.path(), "listener 1883\n", &options).assert_success();
    assert_eq!(good.text(), "");
    let text = fs::read_to_string(&out).expect("it was written");
    assert!(text.contains("port = 1883"), "{text}");
    let there = import(folder.path(), "listener 1884\n", &options).assert_code(1);
    assert!(there.errors().contains("--force"), "{}", there.errors());
    for (wrong, told) in [
        ("port 1\nlistener 1x\n", "mosquitto.conf:2: WRONG"),
        ("port 1\n\ninclude_dir no/such/folder\n", "mosquitto.conf:3: WRONG"),
        ("allow_anonymous yes\n", "expected true or false"),
    ] {
        let wrong = import(folder.path(), wrong, &["--force", "-o", word(&out)]).assert_code(1);
        assert!(wrong.errors().contains(told), "{}", wrong.errors());
    }
    assert_eq!(fs::read_to_string(&out).expect("it is there"), text, "nothing is lost");
    import(folder.path(), "listener 1884\n", &["--force", "-o", word(&out)]).assert_success();
    assert!(fs::read_to_string(&out).expect("it is there").contains("port = 1884"));
    let own = folder.path().join("mosquitto.conf");
    let own = import(folder.path(), "listener 1884\n", &["--force", "-o", word(&own)]).assert_code(1);
    assert!(own.errors().contains("the file that is read"), "{}", own.errors());
    let none = dunlin(&["config", "import", "/no/such/file"]).await_exit().assert_code(1);
    assert!(none.errors().contains("/no/such/file"), "{}", none.errors());
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 2, "nothing is left over");
}

#[test]
fn what_is_wrong_is_wrong_for_mosquitto_too() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for text in [
        "no_such_option 1\n",
        "allow_anonymous perhaps\n",
        "password_file\n",
        "port 65536\n",
        "max_qos 3\n",
        "listener 70000\n",
        "listener 0\n",
        "socket_domain ipv5\n",
        "include_dir /no/such/folder\n",
        "log_dest nowhere\n",
        "persistent_client_expiration 7\n",
        "listener 1883\ncafile a\ncafile b\n",
        "password_file a\nlistener 1883\npassword_file b\n",
        "allow_anonymous true\nper_listener_settings true\n",
    ] {
        let wrong = import(folder.path(), text, &[]).assert_code(1);
        assert!(wrong.errors().contains("WRONG") && wrong.text().is_empty(), "{text}{}", wrong.errors());
        let mut mosquitto = Command::new("/usr/sbin/mosquitto");
        let file = folder.path().join("mosquitto.conf");
        let theirs = Program::start(mosquitto.arg("-c").arg(file)).await_exit();
        assert_ne!(theirs.code(), Some(0), "{text}");
    }
}

#[test]
fn folders_are_included() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::create_dir(folder.path().join("conf.d")).expect("a folder can be made");
    write(folder.path(), "conf.d/b.conf", "listener 1884\nno such thing\n");
    write(folder.path(), "conf.d/a.conf", "listener 1883\n");
    let wrong = import(folder.path(), "include_dir conf.d\n", &[]).assert_code(1);
    assert!(wrong.errors().contains("conf.d/b.conf:2: WRONG"), "{}", wrong.errors());
    write(folder.path(), "conf.d/b.conf", "listener 1884\n");
    let good = import(folder.path(), "include_dir conf.d\n", &[]).assert_success();
    assert!(good.text().contains("port = 1883") && good.text().contains("port = 1884"), "{}", good.text());
}

/// What somebody has who moves: users, rules, several doors. Each `{...}` is filled in.
const FULL: &str = "\
user root
pid_file {folder}/{who}.pid
per_listener_settings true
persistence true
persistence_location {folder}/kept/
persistent_client_expiration 1d
max_queued_messages 500
max_inflight_messages 10
sys_interval 1
log_dest stderr
log_type error
log_type warning
log_type notice

listener {port0} 127.0.0.1
password_file users
acl_file rules

listener {port1} 127.0.0.1
allow_anonymous true
acl_file rules

listener {port2} 127.0.0.1
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
acl_file rules

listener {port3} 127.0.0.1
protocol websockets
password_file users
acl_file rules

listener 0 {folder}/{who}.socket
password_file users
acl_file rules
";

const RULES: &str =
    "topic read public/#\n\nuser ann\ntopic readwrite plant/#\n\nuser bob\ntopic write plant/pump\n";

/// A Server with the configuration above.
struct Place {
    who: &'static str,
    ports: [u16; 4],
    folder: PathBuf,
    ca: PathBuf,
    program: Option<Program>,
}

impl Place {
    fn new(who: &'static str, folder: &Path, authority: &Authority) -> Self {
        // All at once, so that they differ.
        let free =
            [(); 4].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port"));
        let ports = free.map(|listener| listener.local_addr().expect("a listener has an address").port());
        let issued = authority.server();
        let mut text = FULL.replace("{folder}", word(folder)).replace("{who}", who);
        for (name, file) in
            [("{ca}", authority.ca_file()), ("{certificate}", issued.certificate), ("{key}", issued.key)]
        {
            text = text.replace(name, word(&file));
        }
        for (number, port) in ports.iter().enumerate() {
            text = text.replace(&format!("{{port{number}}}"), &port.to_string());
        }
        write(folder, &format!("{who}.conf"), &text);
        Self { who, ports, folder: folder.to_owned(), ca: authority.ca_file(), program: None }
    }

    fn conf(&self) -> PathBuf {
        self.folder.join(format!("{}.conf", self.who))
    }

    fn await_doors(&mut self, mut program: Program) {
        let deadline = Instant::now() + WAIT;
        for port in self.ports {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "{} does not listen:\n{}", self.who, program.tail());
                program.take_output_for(Duration::from_millis(20));
            }
        }
        self.program = Some(program);
    }

    /// A tool of mosquitto at one of its doors; 4 is the socket file.
    fn tool(&self, tool: &str, door: usize, words: &str) -> Program {
        let mut command = Command::new("stdbuf");
        command.args(["-oL", tool]);
        match self.ports.get(door) {
            Some(port) => command.args(["-h", "127.0.0.1", "-p", &port.to_string()]),
            None => command.arg("--unix").arg(self.folder.join(format!("{}.socket", self.who))),
        };
        if door == 2 {
            command.arg("--cafile").arg(&self.ca);
        }
        Program::start(command.args(words.split_whitespace()))
    }

    /// The exit codes of publishers that come to each door.
    fn who_gets_in(&self, certificate: &str) -> Vec<bool> {
        let mut codes = Vec::new();
        for door in [0, 1, 4] {
            for name in ["-u ann -P right", "-u ann -P wrong", "-u nobody -P right", ""] {
                let finished =
                    self.tool("mosquitto_pub", door, &format!("-t plant/x -m x {name}")).await_exit();
                codes.push(finished.code() == Some(0));
            }
        }
        for name in [certificate, ""] {
            let finished = self.tool("mosquitto_pub", 2, &format!("-t plant/x -m x {name}")).await_exit();
            codes.push(finished.code() == Some(0));
        }
        codes
    }

    /// What ann sees of what several publish.
    fn what_ann_sees(&self, certificate: &str) -> Vec<String> {
        let mut ann = self.tool("mosquitto_sub", 0, "-d -v -q 1 -t # -u ann -P right");
        ann.await_line("the SUBACK", |line| line.starts_with("Subscribed "));
        for (door, words) in [
            (0, "-t plant/pump -m 1 -u bob -P bobs"),
            (0, "-t plant/secret -m 2 -u bob -P bobs"),
            (1, "-t public/x -m 3"),
            (4, "-t plant/y -m 4 -u ann -P right"),
            (2, &format!("-t plant/z -m 5 {certificate}")),
            (0, "-t plant/end -m 6 -u ann -P right"),
        ] {
            self.tool("mosquitto_pub", door, &format!("-q 1 {words}")).await_exit().assert_success();
        }
        ann.await_line("the last message", |line| line == "plant/end 6");
        let is_message = |line: &&String| line.starts_with("plant/") || line.starts_with("public/");
        ann.lines().iter().filter(is_message).cloned().collect()
    }

    fn speaks_websocket(&self) -> bool {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[3])).expect("it listens");
        let head = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("it can be written to");
        stream.set_read_timeout(Some(WAIT)).expect("a socket takes a bound");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("there is an answer");
        &answer == b"HTTP/1.1 101"
    }
}

#[test]
fn the_same_clients_get_in_and_see_the_same_as_with_mosquitto() {
    let authority = Authority::new("CA");
    let certificate = authority.client("ann", 7).options();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::create_dir(folder.path().join("kept")).expect("a folder can be made");
    write(folder.path(), "rules", RULES);
    let users = folder.path().join("users");
    for (new, user, password) in [("-c -b", "ann", "right"), ("-b", "bob", "bobs")] {
        let mut passwd = Command::new("mosquitto_passwd");
        passwd.args(new.split(' ')).args([word(&users), user, password]);
        Program::start(&mut passwd).await_exit().assert_success();
    }

    let mut theirs = Place::new("theirs", folder.path(), &authority);
    let mut mosquitto = Command::new("/usr/sbin/mosquitto");
    mosquitto.current_dir(folder.path()).arg("-c").arg(theirs.conf());
    theirs.await_doors(Program::start(&mut mosquitto));

    let mut ours = Place::new("ours", folder.path(), &authority);
    let toml = folder.path().join("dunlin.toml");
    let imported = dunlin(&["config", "import", word(&ours.conf()), "-o", word(&toml)]).await_exit();
    let said = imported.assert_success().errors();
    assert!(said.contains(", 0 not supported") && said.contains("ours.conf:3: taken over "), "{said}");
    dunlin(&["config", "check", "--config", word(&toml)]).await_exit().assert_success();
    ours.await_doors(dunlin(&["serve", "--config", word(&toml)]));

    let (f, t) = (false, true);
    let expected =
        [t, f, f, f, /* open */ t, t, t, t, /* socket file */ t, f, f, f, /* TLS */ t, f];
    assert_eq!(theirs.who_gets_in(&certificate), expected, "mosquitto's own answers");
    assert_eq!(
        ours.who_gets_in(&certificate),
        expected,
        "{}",
        fs::read_to_string(&toml).expect("it is there")
    );
    let expected = ["plant/pump 1", "plant/y 4", "plant/z 5", "plant/end 6"];
    assert_eq!(theirs.what_ann_sees(&certificate), expected);
    assert_eq!(ours.what_ann_sees(&certificate), expected);
    assert!(theirs.speaks_websocket() && ours.speaks_websocket());
    assert!(folder.path().join("kept/dunlin").is_dir(), "data are where mosquitto had them");
}
