//! `dunlin cert`: what it makes is good for openssl, mosquitto's clients and our own, and what it says can be followed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    support::program::Finished,
    world::{Doors, mosquitto, open_with, shell},
};

const DUNLIN: &str = env!("CARGO_BIN_EXE_dunlin");

/// A folder with a blank in its name, for everything that is made.
struct Folder {
    _outer: TempDir,
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let outer = tempfile::tempdir().expect("a temporary folder can be made");
        let path = outer.path().join("my certificates");
        Self { _outer: outer, path }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn cert(&self, words: &str) -> Finished {
        shell(&format!("{DUNLIN} cert {words} --dir '{}'", self.path.display()))
    }

    /// What is said of something that was made.
    #[track_caller]
    fn made(&self, words: &str) -> String {
        self.cert(words).assert_success().text()
    }

    fn openssl(&self, words: &str) -> Finished {
        shell(&format!("cd '{}' && openssl {words}", self.path.display()))
    }
}

/// The lines of `said` that are for `dunlin.toml`.
fn settings(said: &str) -> String {
    let is_setting = |line: &&str| line.contains(" = ") && !line.starts_with('#');
    said.lines().filter(is_setting).fold(String::new(), |text, line| text + line + "\n")
}

/// The command in `said` that begins so, with the port of the listener and the program of the test.
fn command(said: &str, begin: &str, doors: &Doors) -> String {
    let line = said.lines().map(str::trim).find(|line| line.starts_with(begin));
    let line = line.unwrap_or_else(|| panic!("no {begin:?} in {said}"));
    line.replacen("dunlin", DUNLIN, 1).replace("-h localhost", &format!("-h localhost -p {}", doors.ports[0]))
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).expect("the file is there").permissions().mode() & 0o777
}

#[test]
fn what_is_made_works_as_it_is_said() {
    let folder = Folder::new();
    let next = folder.made("ca");
    assert!(next.contains("dunlin cert server --dir '"), "{next}");
    let server = folder.made("server --host localhost --host 127.0.0.1 --host '*.example.com'");
    let client = folder.made("client --name 'sensor 1'");
    folder.made("client --name sensor2");
    for key in ["ca.key", "server.key", "sensor 1.key"] {
        assert_eq!(mode(&folder.file(key)), 0o600, "{key}");
    }
    assert_eq!(mode(&folder.file("ca.pem")), 0o644);
    folder.openssl("verify -x509_strict -CAfile ca.pem -purpose sslserver server.pem").assert_success();
    folder.openssl("verify -x509_strict -CAfile ca.pem -purpose sslclient 'sensor 1.pem'").assert_success();
    folder.openssl("verify -CAfile ca.pem -purpose sslserver 'sensor 1.pem'").assert_code(2);
    folder.openssl("verify -CAfile ca.pem -verify_hostname a.example.com server.pem").assert_success();

    let listener = settings(&server) + &settings(&client);
    let mut doors = open_with("[tls]\nwatch_interval_s = 1\n", &[&listener]);
    shell(&command(&client, "dunlin pub", &doors)).assert_success();
    let theirs = |name: &str| {
        let file = |name: String| folder.file(&name).display().to_string();
        let options = format!(
            "--cafile '{}' --cert '{}' --key '{}' -q 1 -t demo/x -m 1",
            file("ca.pem".into()),
            file(format!("{name}.pem")),
            file(format!("{name}.key"))
        );
        options
    };
    mosquitto("mosquitto_pub", doors.ports[0], &theirs("sensor 1")).assert_success();
    doors.await_log(&["connected"]);

    let revoked = folder.made("revoke --name 'sensor 1'");
    assert!(revoked.contains("1 certificate is on the list"), "{revoked}");
    folder.openssl("crl -in revoked.pem -CAfile ca.pem -noout").assert_success();
    let mut doors = open_with("[tls]\nwatch_interval_s = 1\n", &[&(listener + &settings(&revoked))]);
    let refused = shell(&command(&client, "dunlin pub", &doors)).assert_code(8).errors();
    assert!(refused.contains("it is revoked"), "{refused}");
    let pub_at = |doors: &Doors, name: &str| mosquitto("mosquitto_pub", doors.ports[0], &theirs(name));
    assert!(!pub_at(&doors, "sensor 1").status.success());
    pub_at(&doors, "sensor2").assert_success();
    // The list grows, and the Server reads it.
    let revoked = folder.made("revoke --name sensor2");
    assert!(revoked.contains("2 certificates are on the list"), "{revoked}");
    doors.await_log(&["read again"]);
    assert!(!pub_at(&doors, "sensor2").status.success());
    assert!(!pub_at(&doors, "sensor 1").status.success());
    let again = folder.made("revoke --name sensor2");
    assert!(again.contains("was revoked before. 2 certificates are"), "{again}");
}

#[test]
fn nothing_is_replaced_unless_it_is_asked_for() {
    let folder = Folder::new();
    let refuse = |words: &str, reason: &str| {
        let said = folder.cert(words).assert_code(1).errors();
        assert!(said.contains(reason), "{reason} is not in {said}");
    };
    refuse("server", "there is no CA");
    folder.made("ca --name 'My own CA'");
    let first = fs::read(folder.file("ca.key")).expect("it is there");
    refuse("ca", "ca.pem is there already; --force replaces it");
    assert_eq!(fs::read(folder.file("ca.key")).expect("it is there"), first);
    folder.made("server");
    fs::remove_file(folder.file("server.pem")).expect("it was made");
    refuse("server", "server.key is there already");
    folder.made("server --force");
    folder.made("client --name me");
    folder.made("ca --force");
    refuse("revoke --name me", "was issued by CN=My own CA, not by CN=Dunlin CA");
    refuse("revoke --name nobody", "cannot read");
    for (name, reason) in
        [("../x", "is no name for files"), ("ca", "is for something else"), (".x", "is no name")]
    {
        refuse(&format!("client --name {name}"), reason);
    }
    refuse("server --force --host mqtt://x", "is no name and no address of a host");
    fs::write(folder.file("ca.key"), "nonsense").expect("it can be written");
    refuse("client --name other", "ca.key cannot be used");
    let left: Vec<_> = fs::read_dir(&folder.path)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "drafts are left: {left:?}");
}
