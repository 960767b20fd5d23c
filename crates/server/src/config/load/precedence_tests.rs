//! Files, folders, variables and flags, and which of them counts.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt};

use super::*;

/// A folder with `dunlin.toml` and the files of `conf.d`.
fn files(main: &str, more: &[(&str, &str)]) -> (tempfile::TempDir, Flags) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dunlin.toml");
    fs::write(&file, main).unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    for (name, text) in more {
        fs::write(folder.path().join("conf.d").join(name), text).unwrap();
    }
    (folder, Flags { config: Some(file), ..Flags::default() })
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))))
}

fn with(variables: &[(&str, &str)]) -> Flags {
    Flags { environment: environment(variables), ..Flags::default() }
}

#[test]
fn later_ones_go_over_earlier_ones_and_lists_grow() {
    let (folder, mut flags) = files(
        "[server]\nshards = 1\nsys_interval_s = 1\n[mqtt]\nmaximum_qos = 1\n[limits]\nhalf_open_max = 1\n[[listener]]\nname = \"a\"\n",
        &[
            (
                "20.toml",
                "[server]\nsys_interval_s = 3\n[mqtt]\nmaximum_qos = 0\n[[listener]]\nname = \"c\"\nport = 3\n",
            ),
            ("10.toml", "[server]\nsys_interval_s = 2\n[[listener]]\nname = \"b\"\nport = 2\n"),
        ],
    );
    flags.environment = environment(&[
        ("DUNLIN__SERVER__SHARDS", "4"),
        ("DUNLIN__MQTT__MAXIMUM_QOS", "2"),
        ("DUNLIN__LISTENER__2__PORT", "33"),
        ("DUNLIN__LISTENER__3__PORT", "44"),
        ("PATH", "/bin"),
    ]);
    flags.shards = Some(5);
    let Loaded { config, origins, files } = load_with_origins(&flags).unwrap();
    assert_eq!((config.server.shards, config.server.sys_interval_s), (5, 3));
    let listeners: Vec<_> = config.listeners.iter().map(|it| (&*it.name, it.port)).collect();
    assert_eq!(listeners, [("a", 1883), ("b", 2), ("c", 33), ("tcp", 44)]);
    let origin = |table, number, key| {
        origins.of(table, number, key).to_string().replace(folder.path().to_str().unwrap(), "")
    };
    assert_eq!(origin("server", 0, "shards"), "--shards");
    assert_eq!(origin("server", 0, "sys_interval_s"), "/conf.d/20.toml:2");
    assert_eq!(origin("mqtt", 0, "maximum_qos"), "DUNLIN__MQTT__MAXIMUM_QOS");
    assert_eq!(origin("limits", 0, "half_open_max"), "/dunlin.toml:7");
    assert_eq!(origin("limits", 0, "connections_max"), "default");
    assert_eq!(origin("listener", 1, "port"), "/conf.d/10.toml:5");
    assert_eq!(origin("listener", 2, "port"), "DUNLIN__LISTENER__2__PORT");
    assert_eq!(files.len(), 3);
}

#[test]
fn variables_are_read_by_the_kinds_of_their_settings() {
    let config = load(&with(&[
        ("DUNLIN__LISTENER__0__BIND", "::1"),
        ("DUNLIN__LISTENER__0__KIND", "ws"),
        ("DUNLIN__LISTENER__0__WEBSOCKET_PATHS", "/a, /b,"),
        ("DUNLIN__LISTENER__0__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"::1\"]"),
        ("DUNLIN__LISTENER__0__ALLOW_ANONYMOUS", "false"),
        ("DUNLIN__LISTENER__0__AUTH", ""),
        ("DUNLIN__MQTT__RESPONSE_INFORMATION", "with, comma \"quotes\" "),
        ("DUNLIN__SERVER__DATA_DIR", "/d"),
        ("DUNLIN__LIMITS__CONNECTIONS_MAX", "1_000"),
    ]))
    .unwrap();
    let [listener] = &config.listeners[..] else { panic!("{:?}", config.listeners) };
    assert_eq!(
        (listener.bind.to_string(), listener.kind, listener.port),
        ("::1".into(), ListenerKind::Ws, 8083)
    );
    assert_eq!(listener.websocket_paths, ["/a", "/b"]);
    assert_eq!((listener.trusted_proxies.len(), listener.allow_anonymous), (2, Some(false)));
    assert_eq!(listener.auth, Some(Vec::new()));
    assert_eq!(config.broker.response_information, "with, comma \"quotes\" ");
    assert_eq!((config.server.data_dir, config.lobby.connections_max), (Some("/d".into()), 1_000));
}

#[test]
fn a_secret_comes_from_a_file_without_the_end_of_its_line() {
    let folder = tempfile::tempdir().unwrap();
    for (text, secret) in [
        ("a secret of the tests\n", "a secret of the tests"),
        ("a secret of the tests\r\n", "a secret of the tests"),
        ("a secret of the tests \n\n", "a secret of the tests \n"),
    ] {
        let file = folder.path().join("secret");
        fs::write(&file, text).unwrap();
        let flags = with(&[
            ("DUNLIN__AUTH__0__KIND", "http"),
            ("DUNLIN__AUTH__0__URL", "http://localhost"),
            ("DUNLIN__AUTH__0__AUTHORIZATION_FILE", "/that/is/a/setting"),
            ("DUNLIN__AUTH__1__KIND", "http"),
            ("DUNLIN__AUTH__1__URL_FILE", file.to_str().unwrap()),
        ]);
        let config = load(&flags).unwrap();
        assert_eq!(config.auths[0].authorization_file, Some("/that/is/a/setting".into()));
        assert_eq!(config.auths[1].url.as_deref(), Some(secret));
        assert!(!format!("{flags:?}").contains("/that/is"), "values may be secrets");
    }
}

/// Variable, value, what was found, what was expected; `@short` is a file with a short text.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("DUNLIN__SERVER__SHARD", "1", "no such setting", "did you mean `DUNLIN__SERVER__SHARDS`?"),
    ("DUNLIN__SEVER__SHARDS", "1", "no such setting", "did you mean `DUNLIN__SERVER__SHARDS`?"),
    (
        "DUNLIN__SERVER__shards",
        "1",
        "no such setting",
        "`DUNLIN__TABLE__KEY`, where TABLE is one of SERVER, LISTENER__0",
    ),
    ("DUNLIN__SERVER__PORT", "1", "no such setting", "did you mean `DUNLIN__LISTENER__0__PORT`?"),
    ("DUNLIN__LISTENER__PORT", "1", "no such setting", "did you mean `DUNLIN__LISTENER__0__PORT`?"),
    ("DUNLIN__LISTENER__01__PORT", "1", "no such setting", "did you mean `DUNLIN__LISTENER__01__PORT`?"),
    (
        "DUNLIN__LISTENER__1__PORT",
        "1",
        "there are 0 of [[listener]]",
        "a number up to 0, which adds another one",
    ),
    (
        "DUNLIN__LISTENER__0__PROT_FILE",
        "1",
        "no such setting",
        "did you mean `DUNLIN__LISTENER__0__PORT_FILE`?",
    ),
    ("DUNLIN__", "1", "no such setting", "`DUNLIN__TABLE__KEY`, where TABLE is one of"),
    (
        "DUNLIN__SERVER__SHARDS",
        "two",
        "`shards` is \"two\", which is of another type",
        "a whole number from 0 to 64",
    ),
    (
        "DUNLIN__SERVER__SHARDS",
        "65",
        "`shards` is \"65\", which is out of bounds",
        "a whole number from 0 to 64",
    ),
    (
        "DUNLIN__SERVER__SHARDS_FILE",
        "/nowhere",
        "cannot read \"/nowhere\": No such file",
        "the path of a file",
    ),
    (
        "DUNLIN__LOG__LEVEL",
        "loud",
        "`level` is \"loud\", which is not one of the words",
        "one of error, warn, info, debug, trace",
    ),
    (
        "DUNLIN__AUTH__0__SECRET",
        "hush",
        "`secret` is a secret, which is too short",
        "a text, 16 to 65535 bytes long",
    ),
    (
        "DUNLIN__LOG__LEVEL_FILE",
        "@short",
        "`level` is what stands in the file, which is not one",
        "one of error",
    ),
    ("DUNLIN__AUTH__0__KIND", "jwt", "a provider of kind `jwt` without `a key`", "one of `secret`"),
    (
        "DUNLIN__LISTENER__0__AUTH",
        "users",
        "there is no provider `users`",
        "an [[auth]] with this name; there is none",
    ),
];

#[test]
fn wrong_variables_are_named_with_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short");
    fs::write(&short, "hush").unwrap();
    for &(name, value, found, expected) in WRONG {
        let value = if value == "@short" { short.to_str().unwrap() } else { value };
        let error = load(&with(&[(name, value)])).unwrap_err().to_string();
        // The number cannot be guessed.
        let expected = if name.contains("__01__") { "the name of a setting" } else { expected };
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
        let (first, second) = error.split_once("\n  = expected ").unwrap_or_else(|| panic!("{error}"));
        assert!(first.contains(found) && second.contains(expected), "{name}={value}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn all_mistakes_of_all_sources_are_told_in_order() {
    let (_folder, mut flags) =
        files("[server]\nshards = 65\n", &[("b.toml", "x = 1\n"), ("a.toml", "[log\n")]);
    let variables = [
        ("DUNLIN__LOG__LEVEL_FILE".to_owned(), OsString::from("/nowhere")),
        ("DUNLIN__LOG__FORMAT".to_owned(), OsString::from_vec(vec![0xFF])),
    ];
    flags.environment = Environment::new(variables);
    let error = load(&flags).unwrap_err().to_string();
    let places: Vec<_> =
        ["dunlin.toml:2:10", "a.toml:1:", "b.toml:1:1", "FORMAT: it is not text", "LEVEL_FILE: "]
            .iter()
            .map(|text| error.find(text).unwrap_or_else(|| panic!("{text}\nis not in\n{error}")))
            .collect();
    assert!(places.is_sorted(), "{error}");
}

#[test]
fn one_setting_has_one_variable() {
    let error = load(&with(&[("DUNLIN__LOG__LEVEL", "warn"), ("DUNLIN__LOG__LEVEL_FILE", "/dev/null")]));
    assert!(error.is_err(), "an empty file is no level");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("level");
    fs::write(&file, "info\n").unwrap();
    let both = with(&[("DUNLIN__LOG__LEVEL", "warn"), ("DUNLIN__LOG__LEVEL_FILE", file.to_str().unwrap())]);
    let error = load(&both).unwrap_err().to_string();
    assert!(error.contains("LEVEL_FILE: `DUNLIN__LOG__LEVEL` sets the same"), "{error}");
}
