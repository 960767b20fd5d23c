//! The rules in files, asked from the command line.

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
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let rule = format!("rule        the rule at {file}:6 allows it");
    assert_eq!(lines[..2], ["yes  \"c1\" may publish to \"ann/x\" with QoS 1", &rule]);
    assert_eq!(lines[2], "Client      user \"ann\", groups staff, 192.0.2.9");
    assert!(lines[3].starts_with("listener    tcp at 127.0.0.1 port 1883: nobody is asked"), "{text}");
    assert_eq!(code, Some(0));
    for (action, more, reason) in [
        ("publish", &["--topic", "ann/x", "--qos", "2"][..], format!("no rule in {file} allows it")),
        ("publish", &["--topic", "ann/x", "--retain"], format!("no rule in {file} allows it")),
        ("subscribe", &["--topic", "ann/#"], format!("the rule at {file}:2 denies it")),
        ("receive", &["--topic", "ann/secret"], format!("the rule at {file}:2 denies it")),
        ("publish", &["--topic", "$SYS/x"], "only the Server publishes to $SYS".to_owned()),
    ] {
        let (text, code) = ask(action, more);
        assert!(
            text.starts_with("no   \"c1\" may not ") && text.contains(&reason),
            "{action} {more:?}: {text}"
        );
        assert_eq!(code, Some(135), "Not authorized, as of PUBACK");
    }
    let (text, code) = ask("publish", &["--topic", "ann/secret/x", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["allowed"], &json["rule"]["line"], code), (&false.into(), &2.into(), Some(135)));
    assert_eq!((&json["rule"]["file"], &json["source"]), (&file.into(), &"files".into()));
}

#[test]
fn what_cannot_be_asked_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    fs::write(folder.path().join("dunlin.toml"), format!("[rights]\nacl_file = {acl:?}\n")).unwrap();
    let ask = || explain(folder.path(), &["publish", "--client", "c", "--topic", "a/#"]);
    let (text, code) = ask();
    assert!(text.contains("cannot read the rules") && code == Some(1), "{text}");
    fs::write(&acl, "topic reed a\n").unwrap();
    let (text, code) = ask();
    assert!(text.contains("acl:1: `reed`; expected `read`") && code == Some(1), "{text}");
    fs::write(&acl, "topic read a\n").unwrap();
    let (text, code) = ask();
    assert!(text.contains("the topic \"a/#\": ") && code == Some(1), "{text}");
}

/// Without a Server, and without a file, nobody can say; and it is told where a Server was looked for.
#[test]
fn that_nobody_answers_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
        command.args(["explain", "publish", "--client", "c", "-t", "a"]).args(more);
        command.env("HOME", folder.path()).env_remove("XDG_DATA_HOME").env_remove("STATE_DIRECTORY");
        let output = command.output().expect("the program starts");
        (String::from_utf8(output.stderr).expect("it prints text"), output.status.code())
    };
    let nowhere = folder.path().join("nowhere.sock").display().to_string();
    for more in [&[][..], &["--socket", &nowhere]] {
        let (errors, code) = ask(more);
        assert!(errors.contains("no Server answers: there is no socket") && code == Some(1), "{errors}");
    }
    assert!(ask(&[]).0.contains("--config FILE asks the rules in files"));
    let file = folder.path().join("dunlin.toml");
    fs::write(&file, "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    let wish = ["explain", "missing", "--client", "c", "-t", "a", "--config"];
    let output = command.args(wish).arg(&file).output().expect("the program starts");
    let errors = String::from_utf8(output.stderr).expect("it prints text");
    assert!(errors.contains("only a running Server knows") && output.status.code() == Some(1), "{errors}");
}
