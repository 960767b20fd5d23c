//! `dunlin config` and where the settings of the real program come from.

#[allow(unused_macros, unused_imports, reason = "one Server is enough here")]
mod support;

use std::{fs, path::Path, process::Command};

use support::{
    program::{Finished, Program},
    server::dunlin,
};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("it is in the folder")).expect("a folder can be made");
        fs::write(file, text).expect("a file can be written");
    }
    folder
}

/// `dunlin config ... --config FOLDER/dunlin.toml` with these variables.
fn config(folder: &Path, arguments: &str, variables: &[(&str, &str)]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.arg("config").args(arguments.split_whitespace()).arg("--config").arg(folder.join("dunlin.toml"));
    Program::start(command.envs(variables.iter().copied())).await_exit()
}

const MAIN: &str = "[server]\nshards = 1\nsys_interval_s = 5\n[log]\nlevel = \"error\"\n";

#[test]
fn show_tells_each_value_and_where_it_comes_from() {
    let folder = folder(&[
        ("dunlin.toml", MAIN),
        ("conf.d/20.toml", "[server]\nshards = 3\n"),
        ("conf.d/10.toml", "[server]\nshards = 2\nsys_interval_s = 7\n"),
        ("secret", "a secret of the tests\n"),
    ]);
    let secret = folder.path().join("secret");
    let variables = [
        ("DUNLIN__LOG__LEVEL", "warn"),
        ("DUNLIN__AUTH__0__KIND", "http"),
        ("DUNLIN__AUTH__0__URL", "http://localhost"),
        ("DUNLIN__AUTH__1__KIND", "jwt"),
        ("DUNLIN__AUTH__1__SECRET", "another secret of the tests"),
        ("DUNLIN__MQTT__RESPONSE_INFORMATION_FILE", secret.to_str().expect("a plain name")),
    ];
    let text = config(folder.path(), "show --port 1999", &variables).assert_success().text();
    for (setting, origin) in [
        ("shards = 3", "conf.d/20.toml:2"),
        ("sys_interval_s = 7", "conf.d/10.toml:3"),
        ("level = \"warn\"", "DUNLIN__LOG__LEVEL"),
        ("port = 1999", "--port"),
        ("response_information = \"a secret of the tests\"", "DUNLIN__MQTT__RESPONSE_INFORMATION_FILE"),
        ("# secret: hidden", "DUNLIN__AUTH__1__SECRET"),
        ("memory_only = false", "default"),
    ] {
        let is_it = |line: &str| {
            line.trim_start_matches("# ").starts_with(setting.trim_start_matches("# "))
                && line.ends_with(origin)
        };
        assert!(text.lines().any(is_it), "{setting} from {origin} is not in\n{text}");
    }
    assert!(!text.contains("another secret"), "{text}");
    let json = config(folder.path(), "show --json", &variables).assert_success().text();
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(json["files"].as_array().map(Vec::len), Some(3));
    // What is shown can be used.
    let plain = config(folder.path(), "show", &[]).assert_success().text();
    fs::remove_dir_all(folder.path().join("conf.d")).expect("a folder can be removed");
    fs::write(folder.path().join("dunlin.toml"), &plain).expect("a file can be written");
    let again = config(folder.path(), "show", &[]).assert_success().text();
    let settings = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("# "));
        lines
            .map(|line| line.split("  # ").next().unwrap_or_default().trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(settings(&again), settings(&plain));
}

#[test]
fn check_says_whether_a_server_could_start() {
    let folder = folder(&[("dunlin.toml", MAIN), ("conf.d/a.toml", "[mqtt]\nmaximum_qos = 1\n")]);
    let good = config(folder.path(), "check", &[]).assert_success();
    assert!(good.text().contains("can be used") && good.text().contains("conf.d/a.toml"), "{}", good.text());
    let wrong = config(folder.path(), "check", &[("DUNLIN__LOG__LEVL", "warn")]).assert_code(1);
    assert!(wrong.errors().contains("DUNLIN__LOG__LEVEL`?"), "{}", wrong.errors());
    fs::write(folder.path().join("conf.d/b.toml"), "[mqtt]\nmaximum_qos = 7\n")
        .expect("a file can be written");
    let wrong = config(folder.path(), "check", &[]).assert_code(1);
    assert!(wrong.errors().contains("b.toml:2:15: `maximum_qos` is 7"), "{}", wrong.errors());
}

#[test]
fn check_reads_all_files_that_are_named_and_tells_all_faults() {
    let folder = folder(&[(
        "dunlin.toml",
        "[server]\ndata_dir = \"/dev/null\"\n[rights]\nacl_file = \"/no/acl\"\n[[auth]]\nkind = \"password_file\"\nfile = \"/no/users\"\n\
             [[auth]]\nkind = \"jwt\"\npublic_key_file = \"/no/key\"\n[[listener]]\nkind = \"tls\"\n\
             certificate_file = \"/no/certificate\"\nkey_file = \"/no/key\"\n[[listener]]\nkind = \"unix\"\n\
             path = \"/no/folder/socket\"\n[[listener]]\nkind = \"unix\"\nname = \"owned\"\npath = \"/socket\"\ngroup = \"no such group\"\n",
    )]);
    let said = config(folder.path(), "check", &[]).assert_code(1).errors();
    for words in [
        "`password_file` ([[auth]]) cannot be used",
        "/no/users",
        "`jwt` ([[auth]]) cannot be used",
        "/no/acl",
        "listener `tls`",
        "/no/certificate",
        "listener `unix`: cannot listen on /no/folder/socket",
        "there is no group `no such group`",
        "the data folder /dev/null",
    ] {
        assert!(said.contains(words), "{words}\nis not in\n{said}");
    }
    assert_eq!(said.lines().filter(|line| line.starts_with("dunlin: ")).count(), 7, "{said}");
}

#[test]
fn check_knows_what_is_refused_at_the_start() {
    let folder = folder(&[("dunlin.toml", "[[listener]]\nbind = \"0.0.0.0\"\n")]);
    let said = config(folder.path(), "check", &[]).assert_code(1).errors();
    assert!(said.contains("nobody is asked for a password"), "{said}");
    config(folder.path(), "check --allow-anonymous", &[]).assert_success();
    let allowed = [("DUNLIN__SERVER__ALLOW_ANONYMOUS_PUBLIC", "true")];
    config(folder.path(), "check", &allowed).assert_success();
}

#[test]
fn a_server_is_told_by_its_environment() {
    let folder = folder(&[]);
    let data = folder.path().join("data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(["serve", "--data-dir"]).arg(&data).env("DUNLIN__SERVER__USER", "root");
    command.env("DUNLIN__LISTENER__0__PORT", "0").env("DUNLIN__SERVER__SHARDS", "3");
    let mut server = Program::start(&mut command);
    server.await_line("three shards", |line| line.split_whitespace().eq(["shards", "3"]));
    drop(server);
    let wrong = Program::start(command.env("DUNLIN__SERVER__SHARDS", "65")).await_exit().assert_code(1);
    assert!(wrong.errors().contains("DUNLIN__SERVER__SHARDS: `shards` is \"65\""), "{}", wrong.errors());
}

#[test]
fn a_wrong_option_is_told() {
    let said = dunlin(&["config", "chekc"]).await_exit().assert_code(1).errors();
    assert!(said.contains("check"), "{said}");
}
