//! `dunlin store` with data folders that real Clients have filled.

#[allow(unused_macros, unused_imports, reason = "one Server is enough for most of this")]
mod support;

#[path = "store/filling.rs"]
mod filling;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use dunlin_store::{
    disk::{Disk, DiskOptions},
    store::Store as _,
};
use filling::{Running, fill, flip_bit, take_all};
use support::{
    program::{Finished, Program},
    server::dunlin,
};
use tempfile::TempDir;

/// A folder for a test, and what is run in it.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    /// With a data folder `data` that Clients have filled.
    fn filled(shards: u8) -> Self {
        let room = Self::new();
        let server = Running::start(&room.path("data"), shards);
        let _clients = fill(&server);
        server.stop();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file can be read")
    }

    /// `dunlin store` with these words; those that begin with @ are paths in this folder.
    fn start(&self, words: &str) -> Program {
        let words: Vec<String> = words
            .split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(name) => self.path(name).to_str().expect("it is text").to_owned(),
                None => word.to_owned(),
            })
            .collect();
        let words: Vec<&str> = ["store"].into_iter().chain(words.iter().map(String::as_str)).collect();
        dunlin(&words)
    }

    fn store(&self, words: &str) -> Finished {
        self.start(words).await_exit()
    }

    /// Fails unless it ends with 1 and says `expected`.
    #[track_caller]
    fn refused(&self, words: &str, expected: &str) {
        let finished = self.store(words).assert_code(1);
        let said = finished.errors();
        assert!(said.contains(expected), "{words}: {said}\nhas not\n{expected}");
    }

    /// The data folder of the first format, as `format-1`.
    fn unpack_sample(&self) {
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(samples().join("format-1.tar.gz")).arg("-C").arg(self.0.path());
        Program::start(&mut tar).await_exit().assert_success();
    }

    fn open(&self, name: &str) -> Disk {
        Disk::open(&DiskOptions::new(self.path(name))).expect("it can be opened")
    }
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

fn lines_of<'t>(text: &'t str, kind: &str) -> Vec<&'t str> {
    let start = format!("{{\"record\":\"{kind}\",");
    text.lines().filter(|line| line.starts_with(&start)).collect()
}

#[test]
fn what_clients_have_left_is_well_and_is_counted() {
    let room = Room::filled(1);
    let said = room.store("check --data-dir @data").assert_success().text();
    assert!(said.contains("all is well"), "{said}");
    for row in ["Sessions", "Subscriptions", "Wills", "messages that Sessions share", "Retained Messages"] {
        let line = said.lines().find(|line| line.starts_with(row)).expect("there is such a row");
        assert!(!line.contains(" 0 B"), "nothing is kept: {line}");
    }
    let said = room.store("stat --data-dir @data").assert_success().text();
    for part in
        ["Sessions                  4\n", "Shared Subscriptions      1\n", "Wills                     1\n"]
    {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let said = room.store("stat --json --data-dir @data").assert_success().text();
    let stat: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!((&stat["sessions"], &stat["wills"], &stat["shards"]), (&4.into(), &1.into(), &1.into()));
    assert_eq!(stat["longest_queues"][0]["client_identifier"], "sleeper", "{stat}");
}

#[test]
fn an_export_is_imported_and_the_server_goes_on_with_it() {
    for shards in [1, 2] {
        let room = Room::filled(shards);
        room.store("export --data-dir @data --out @first.jsonl").assert_success();
        room.store("import --data-dir @copy @first.jsonl").assert_success();
        let again = room.store("export --data-dir @copy").assert_success();
        assert_eq!(again.text(), room.text("first.jsonl"));
        room.store("check --data-dir @copy").assert_success();
        let mut piped = room.start("import --data-dir @piped -");
        piped.feed(&again.stdout);
        piped.await_exit().assert_success();
        room.refused("import --data-dir @copy @first.jsonl", "there are records already");
        // The copy is as good as the original: with another number of shards, too.
        for name in ["data", "copy"] {
            let server = Running::start(&room.path(name), 2);
            take_all(&server, 1);
            server.stop();
        }
    }
}

#[test]
fn an_export_that_is_wrong_leaves_nothing_that_can_be_used() {
    let room = Room::filled(1);
    room.store("export --data-dir @data --out @good.jsonl").assert_success();
    let good = room.text("good.jsonl");
    fs::write(room.path("bad.jsonl"), good.replacen("\"qos\":1", "\"qos\":4", 1)).unwrap();
    room.refused("import --data-dir @copy @bad.jsonl", "`qos` is 0, 1 or 2");
    for words in ["check", "stat", "export", "compact"] {
        let expected = "an import into it was not finished";
        room.refused(&format!("{words} --data-dir @copy"), expected);
    }
    assert!(Running::refused(&room.path("copy"), 1).contains("an import into it was not finished"));
    room.store("import --data-dir @copy @good.jsonl").assert_success();
    let again = room.store("export --data-dir @copy").assert_success();
    assert_eq!(again.text(), good);
}

#[test]
fn a_folder_that_is_in_use_missing_or_not_ours_is_refused() {
    let room = Room::new();
    room.refused("check --data-dir @data", "there is no data in");
    assert!(!room.path("data").exists(), "looking makes nothing");
    let server = Running::start(&room.path("data"), 1);
    for words in ["check", "check --repair", "stat", "export", "compact"] {
        room.refused(&format!("{words} --data-dir @data"), "a Server uses the data folder");
    }
    fs::write(room.path("empty.jsonl"), "").unwrap();
    room.refused("import --data-dir @data @empty.jsonl", "a Server uses the data folder");
    server.stop();
    fs::create_dir(room.path("other")).unwrap();
    fs::write(room.path("other").join("letter"), "Dear").unwrap();
    room.refused("check --data-dir @other", "it holds other files");
    room.refused("import --data-dir @new @missing.jsonl", "missing.jsonl: ");
    room.store("check --no-such-option").assert_code(1);
}

#[test]
fn damage_is_named_and_given_up_and_the_rest_goes_on() {
    let room = Room::filled(1);
    let disk = room.open("data");
    let damaged = flip_bit(&disk, b't', "plants/state");
    drop(disk);
    let said = room.store("check --data-dir @data").assert_code(1);
    let expected = "the Retained Message, topic `plants/state`: its checksum is wrong";
    assert!(said.text().contains(expected), "{}", said.text());
    assert!(said.errors().contains("--repair` goes on without it"), "{}", said.errors());
    assert!(room.open("data").find(&damaged).unwrap().is_some(), "a check changes nothing");
    room.store("export --data-dir @data --out @rest.jsonl").assert_code(1);
    room.store("import --data-dir @rest @rest.jsonl").assert_success();
    let server = Running::refused(&room.path("data"), 1);
    assert!(server.contains("dunlin store check"), "{server}");

    let said = room.store("check --data-dir @data --repair").assert_success().text();
    assert!(said.contains(expected) && said.contains("repaired"), "{said}");
    let said = room.store("check --data-dir @data").assert_success().text();
    assert!(said.contains("all is well"), "{said}");
    let server = Running::start(&room.path("data"), 1);
    take_all(&server, 0);
}

#[test]
fn a_damaged_session_is_lost_with_what_it_had() {
    let room = Room::filled(1);
    flip_bit(&room.open("data"), b's', "sleeper");
    let said = room.store("check --data-dir @data").assert_code(1).text();
    for part in [
        "the Session of the Client `sleeper`: its checksum is wrong",
        "the Session of the Client `sleeper`: lost with it: 1 Subscription to `plants/#`; 3 messages (",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    room.store("check --data-dir @data --repair").assert_success();
    let text = room.store("export --data-dir @data").assert_success().text();
    assert!(!text.contains("\"sleeper\"") && text.contains("\"reader\""), "{text}");
    Running::start(&room.path("data"), 1).stop();
}

#[test]
fn compacting_keeps_everything() {
    let room = Room::filled(2);
    let before = room.store("export --data-dir @data").assert_success().text();
    let said = room.store("compact --data-dir @data").assert_success().text();
    assert!(said.starts_with("before ") && said.contains(", now "), "{said}");
    assert_eq!(room.store("export --data-dir @data").assert_success().text(), before);
}

/// What the engine itself cannot read is not repaired, but the rest is saved.
#[test]
fn what_the_engine_cannot_read_is_left_behind() {
    let room = Room::new();
    room.unpack_sample();
    let table = room.path("format-1").join("records/keyspaces/1/tables/2");
    let mut bytes = fs::read(&table).expect("the sample has its queues there");
    bytes[100] ^= 1;
    fs::write(&table, bytes).unwrap();
    let said = room.store("check --data-dir @format-1").assert_code(1);
    assert!(said.text().contains("keyspaces/1/tables/2 is damaged: "), "{}", said.text());
    room.refused("check --repair --data-dir @format-1", "this cannot be repaired");
    room.refused("export --data-dir @format-1 --out @rest.jsonl", "unreadable places were left out");
    let rest = room.text("rest.jsonl");
    for (kind, count) in [("Session", 4), ("Subscription", 3), ("Will", 1), ("Message", 0), ("Retained", 1)] {
        assert_eq!(lines_of(&rest, kind).len(), count, "{kind}");
    }
    room.store("import --data-dir @rest @rest.jsonl").assert_success();
    room.store("check --data-dir @rest").assert_success();
    Running::start(&room.path("rest"), 1).stop();
}

/// The first format of data folders: one that was written then is read for ever.
#[test]
fn a_data_folder_of_format_1_is_read() {
    let room = Room::new();
    let sample = fs::read_to_string(samples().join("format-1.jsonl")).expect("the sample is there");
    room.unpack_sample();
    let text = room.store("export --data-dir @format-1").assert_success().text();
    // The first line names the program that has written it.
    let records = |text: &str| text.split_once('\n').expect("there are lines").1.to_owned();
    assert_eq!(records(&text), records(&sample));
    let kinds = [
        "Fact",
        "Session",
        "Subscription",
        "Will",
        "InFlight",
        "Message",
        "Received",
        "Retained",
        "Body",
        "Mail",
    ];
    for kind in kinds {
        assert!(!lines_of(&sample, kind).is_empty(), "the sample has no {kind}");
    }
    room.store("check --data-dir @format-1").assert_success();
    fs::copy(samples().join("format-1.jsonl"), room.path("sample.jsonl")).unwrap();
    room.store("import --data-dir @copy @sample.jsonl").assert_success();
    assert_eq!(records(&room.store("export --data-dir @copy").assert_success().text()), records(&sample));
    let server = Running::start(&room.path("format-1"), 2);
    take_all(&server, 1);
}
