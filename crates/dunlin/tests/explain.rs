//! `dunlin explain`: the rules in files, asked from the command line.

use std::{fs, path::Path, process::Command};

const RULES: &str = "\
[[rule]]
deny = \"all\"
topics = \"+/secret/#\"

[[rule]]
allow = [\"publish\", \"subscribe\"]
users = \"ann\"
groups = [\"staff\"]
addresses = \"192.0.2.0/24\"
topics = \"%u/#\"
qos_max = 1
retain = false
";

/// What it prints, and its exit code.
fn explain(folder: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.arg("explain").args(arguments).arg("--config").arg(folder.join("dunlin.toml"));
    let output = command.output().expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).expect("it prints text"), output.status.code())
}

#[test]
fn the_rule_that_decides_is_told_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    fs::write(&rules, RULES).unwrap();
    fs::write(folder.path().join("dunlin.toml"), format!("[rights]\nrules_file = {rules:?}\n")).unwrap();
    let file = rules.display().to_string();
    let who = ["--client", "c1", "--user", "ann", "--group", "staff", "--address", "192.0.2.9"];
    let ask = |action: &str, more: &[&str]| explain(folder.path(), &[&[action], &who[..], more].concat());

    let (text, code) = ask("publish", &["--topic", "ann/x", "--qos", "1"]);
    let words = "allowed: publish to \"ann/x\" with QoS 1, Client \"c1\", user \"ann\", 192.0.2.9";
    assert_eq!((text, code), (format!("{words}\n  the rule at {file}:6 allows it\n"), Some(0)));
    for (action, more, reason) in [
        ("publish", &["--topic", "ann/x", "--qos", "2"][..], format!("no rule in {file} allows it")),
        ("publish", &["--topic", "ann/x", "--retain"], format!("no rule in {file} allows it")),
        ("subscribe", &["--topic", "ann/#"], format!("the rule at {file}:2 denies it")),
        ("receive", &["--topic", "ann/secret"], format!("the rule at {file}:2 denies it")),
        ("publish", &["--topic", "$SYS/x"], "only the Server publishes to $SYS".to_owned()),
    ] {
        let (text, code) = ask(action, more);
        assert!(text.starts_with("denied: ") && text.contains(&reason), "{action} {more:?}: {text}");
        assert_eq!(code, Some(1));
    }
    let (text, code) = ask("publish", &["--topic", "ann/secret/x", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["allowed"], &json["rule"]["line"], code), (&false.into(), &2.into(), Some(1)));
    assert_eq!(json["rule"]["file"], file);
}

#[test]
fn what_cannot_be_asked_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    fs::write(folder.path().join("dunlin.toml"), format!("[rights]\nacl_file = {acl:?}\n")).unwrap();
    let ask = || explain(folder.path(), &["publish", "--client", "c", "--topic", "a/#"]);
    let (text, code) = ask();
    assert!(text.contains("cannot read the rules") && code == Some(2), "{text}");
    fs::write(&acl, "topic reed a\n").unwrap();
    let (text, code) = ask();
    assert!(text.contains("acl:1: `reed`; expected `read`") && code == Some(2), "{text}");
    fs::write(&acl, "topic read a\n").unwrap();
    let (text, code) = ask();
    assert!(text.contains("the topic \"a/#\": ") && code == Some(2), "{text}");
}
