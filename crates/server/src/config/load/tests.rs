//! Files that are right, and mistakes in others.

use std::{fs, net::Ipv6Addr};

use dunlin_broker::limits::Settings;
use dunlin_packet::qos::QoS;
use tracing::Level;

use super::*;
use crate::config::{authentication::AuthKind, error::SECRETS};

fn read(text: &str) -> Config {
    parse(Path::new("test.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

/// Line, column, what was found, what was expected.
fn mistakes(text: &str) -> Vec<(usize, usize, String, String)> {
    match parse(Path::new("test.toml"), text) {
        Err(ConfigError::Mistakes(mistakes)) => mistakes
            .into_iter()
            .map(|Mistake { place, found, expected }| match place {
                Place::File(spot) => (spot.line, spot.column, found, expected),
                Place::Variable(name) => panic!("{name}: {found}"),
            })
            .collect(),
        other => panic!("no mistake found: {other:?}"),
    }
}

fn mistake(text: &str) -> (usize, usize, String, String) {
    let mut all = mistakes(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn an_empty_file_is_the_default() {
    let config = read("# nothing\n");
    assert_eq!(config.broker, Settings::default());
    assert_eq!(config.listeners, loopback_listeners(1883));
    assert_eq!(config.server.shards, 0);
}

#[test]
fn settings_reach_their_places() {
    let config = read(
        "[server]\nshards = 3\ndata_dir = \"data\"\n[[listener]]\nbind = \"::\"\nport = 0x75c\n\
         [[listener]]\nbind = \"127.0.0.1\"\nbacklog = 7\n[mqtt]\nmaximum_qos = 1\n\
         retain_available = false\n             response_information = \"reply\"\n\
         session_expiry_max_s = 4_294_967_295\n\
         [limits]\nconnect_timeout_s = 2\nuser_properties_max = 5\n\
         [log]\nlevel = \"debug\"\nformat = \"json\"\n",
    );
    assert_eq!((config.server.shards, config.server.data_dir), (3, Some("data".into())));
    let [first, second] = &config.listeners[..] else { panic!("{:?}", config.listeners) };
    assert_eq!((first.bind, first.port), (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 1884));
    assert_eq!((second.port, second.backlog, second.is_optional), (1883, 7, false));
    assert_eq!((config.broker.maximum_qos, config.broker.retain_available), (QoS::AtLeastOnce, false));
    assert_eq!(config.broker.response_information, "reply");
    assert_eq!((config.lobby.connect_timeout_s, config.broker.user_properties_max), (2, 5));
    assert_eq!((config.log.level, config.log.is_json), (Level::DEBUG, true));
}

#[test]
fn every_setting_takes_its_bounds_and_nothing_beyond() {
    for (table, setting) in TABLES.iter().flat_map(|table| table.settings.iter().map(move |it| (table, it))) {
        let Kind::Integer(bounds) = &setting.kind else { continue };
        let text = |number: u64| {
            format!("{}\n{} = {number}\n{}", table.heading(), setting.key, beside(table, setting.key))
        };
        for number in [*bounds.start(), *bounds.end()] {
            parse(Path::new("t"), &text(number)).unwrap_or_else(|error| panic!("{error}"));
        }
        let (line, _, found, _) = mistake(&text(bounds.end() + 1));
        assert_eq!(line, 2);
        assert!(found.ends_with("which is out of bounds"), "{found}");
    }
}

/// What must stand beside a key, so that its table is whole.
fn beside(table: &Table, key: &str) -> &'static str {
    const PROVIDERS: [(AuthKind, &str); 3] = [
        (AuthKind::PasswordFile, "kind = \"password_file\"\nfile = \"users\"\n"),
        (AuthKind::Http, "kind = \"http\"\nurl = \"http://localhost\"\n"),
        (AuthKind::Jwt, "kind = \"jwt\"\njwks_url = \"http://localhost\"\n"),
    ];
    if table.name == "limit" {
        return "listeners = \"tcp\"\n";
    }
    let provider = PROVIDERS.iter().find(|(kind, _)| table.name == "auth" && kind.keys().contains(&key));
    provider.map_or("", |(_, text)| text)
}

/// Text, line, column, what was found, what was expected.
const MISTAKES: &[(&str, usize, usize, &str, &str)] = &[
    (
        "[mqtt]\n  recieve_maximum = 1",
        2,
        3,
        "unknown key `recieve_maximum` in [mqtt]",
        "a key of this table; did you mean `receive_maximum`?",
    ),
    (
        "[mqtt]\nbind = \"::\"",
        2,
        1,
        "unknown key `bind` in [mqtt]",
        "`bind` in [[listener]], where it belongs",
    ),
    ("[log]\nx = 1", 2, 1, "unknown key `x` in [log]", "one of level, format"),
    ("port = 1", 1, 1, "unknown name `port`", "`port` in [[listener]], where it belongs"),
    ("[mqt]", 1, 2, "unknown name `mqt`", "a table known here; did you mean `mqtt`?"),
    (
        "[x.y]",
        1,
        2,
        "unknown name `x`",
        "one of the tables server, listener, tls, auth, mqtt, queue, rights, limits, limit, ban, storage, \
         admin, log",
    ),
    (
        "[[limit]]\nsubscriptions_max = 1",
        1,
        1,
        "a [[limit]] that is about nobody",
        "`listeners`, `groups`, `users`, `client_ids` or `addresses` with it; what is for all stands in [limits]",
    ),
    (
        "[[limit]]\nusers = \"ann\"\nconnections_per_address_per_s = 1",
        3,
        1,
        "`connections_per_address_per_s` for Clients that are not known yet",
        "it with `listeners` and `addresses` alone",
    ),
    (
        "[[listener]]\nname = \"public\"\n[[limit]]\nlisteners = [\"publik\"]\nmessages_per_s = 1",
        4,
        14,
        "there is no listener `publik`",
        "the name of a [[listener]]; did you mean `public`?",
    ),
    (
        "[[ban]]\naddress = \"192.0.2.0/33\"",
        2,
        1,
        "`192.0.2.0/33` is not an address such as 192.0.2.1, or a range such as 192.0.2.0/24 or 2001:db8::/32",
        "`user`, `client_id`, `address` or several of them",
    ),
    ("mqtt = 1", 1, 1, "`mqtt` is not a table", "[mqtt]"),
    ("[listener]\nport = 1", 1, 2, "`listener` is not a list of tables", "[[listener]], in two brackets"),
    (
        "listener = [1]",
        1,
        13,
        "this listener is not a table",
        "[[listener]] with name, kind, bind, port, backlog, path, owner, group, mode, certificate_file, \
         key_file, client_certificates, client_ca_file, client_crl_file, tls_version_min, websocket_paths, \
         websocket_origins, proxy_protocol, trusted_proxies, auth, allow_anonymous",
    ),
    (
        "[mqtt]\nmaximum_qos = 3",
        2,
        15,
        "`maximum_qos` is 3, which is out of bounds",
        "a whole number from 0 to 2",
    ),
    (
        "[mqtt]\nmaximum_qos = -1",
        2,
        15,
        "`maximum_qos` is -1, which is out of bounds",
        "a whole number from 0 to 2",
    ),
    (
        "[server]\nshards = \"two\"",
        2,
        10,
        "`shards` is \"two\", which is of another type",
        "a whole number from 0 to 64",
    ),
    (
        "[mqtt]\nretain_available = 1",
        2,
        20,
        "`retain_available` is 1, which is of another type",
        "true or false",
    ),
    (
        "[[listener]]\nbind = \"here\"",
        2,
        8,
        "`bind` is \"here\", which is not an IP address",
        "an IP address in quotes, such as \"127.0.0.1\" or \"::\"",
    ),
    (
        "[[listener]]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        2,
        19,
        "`trusted_proxies` is [\"10.0.0.0/33\"], which is not made of ranges of IP addresses",
        "a list of addresses and ranges of them, such as [\"10.0.0.0/8\", \"192.0.2.1\"]",
    ),
    (
        "[[listener]]\nmode = \"888\"",
        2,
        8,
        "`mode` is \"888\", which is not the mode of a file",
        "three octal digits in quotes, such as \"660\"",
    ),
    (
        "[log]\nlevel = \"loud\"",
        2,
        9,
        "`level` is \"loud\", which is not one of the words known here",
        "one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
    ),
    (
        "[server]\ndata_dir = \"\"",
        2,
        12,
        "`data_dir` is \"\", which is empty",
        "a string in quotes, 1 to 4096 bytes long",
    ),
    (
        "[[auth]]\nfile = \"users\"",
        1,
        1,
        "an [[auth]] without `kind`",
        "`kind`, one of \"password_file\", \"scram\", \"certificate\", \"jwt\", \"http\"",
    ),
    (
        "[[auth]]\nkind = \"password_file\"",
        2,
        1,
        "a provider of kind `password_file` without `file`",
        "`file = \"...\"`, a file of users; `dunlin passwd -c FILE USER` makes one",
    ),
    (
        "[[auth]]\nkind = \"scram\"\nfile = \"users\"\nurl = \"http://x\"",
        4,
        1,
        "`url` of a provider of kind `scram`",
        "`kind = \"http\"` with it",
    ),
    (
        "[[auth]]\nkind = \"jwt\"\nsecret = \"hush\"",
        3,
        10,
        "`secret` is a secret, which is too short",
        "a string in quotes, 16 to 65535 bytes long",
    ),
    (
        "[[auth]]\nkind = \"jwt\"\nsecret_file = \"a\"\njwks_file = \"b\"",
        2,
        1,
        "a provider of kind `jwt` with several kinds of keys",
        "one of `secret`, `secret_file`, `public_key_file`, `jwks_file`, `jwks_url`; there may be several [[auth]]",
    ),
    (
        "[[auth]]\nkind = \"certificate\"\n[[auth]]\nname = \"certificate\"\nkind = \"certificate\"",
        4,
        1,
        "a second provider with the name `certificate`",
        "a name of its own",
    ),
    (
        "[[listener]]\nauth = [\"user\"]\n[[auth]]\nname = \"users\"\nkind = \"certificate\"",
        2,
        9,
        "there is no provider `user`",
        "the name of an [[auth]]; did you mean `users`?",
    ),
    (
        "[[listener]]\nauth = \"users\"",
        2,
        8,
        "there is no provider `users`",
        "an [[auth]] with this name; there is none",
    ),
];

#[test]
fn providers_are_read_with_their_kinds_and_names() {
    let config = read(
        "[[auth]]\nkind = \"jwt\"\nsecret = \"a secret of the tests\"\nissuers = \"i\"\n\
         [[auth]]\nkind = \"http\"\nurl = \"http://x\"\non_failure = \"ignore\"\ncache_s = 0\n\
         [[auth]]\nkind = \"http\"\nurl = \"http://y\"\n\
         [[listener]]\nauth = [\"http_2\", \"jwt\"]\nallow_anonymous = true\n[[listener]]\nport = 1\n\
         [limits]\nfailed_logins_free = 3\n",
    );
    let names: Vec<_> = config.auths.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names, ["jwt", "http", "http_2"]);
    assert_eq!((config.auths[1].cache_s, config.auths[1].on_failure.word()), (Some(0), "ignore"));
    let [first, second] = &config.listeners[..] else { panic!("{:?}", config.listeners) };
    assert_eq!(first.auth.as_deref(), Some(&["http_2".to_owned(), "jwt".to_owned()][..]));
    assert_eq!((first.allow_anonymous, &second.auth, second.allow_anonymous), (Some(true), &None, None));
    assert_eq!(config.login.failed_logins_free, 3);
    assert!(!format!("{config:?}").contains("a secret of the tests"));
}

#[test]
fn a_line_with_a_secret_is_not_quoted() {
    for text in [
        "[[auth]]\nkind = \"jwt\"\nsecret = \"hush\"",
        "[[auth]]\n authorization = \"hush\n",
        "[[auth]]\nsecret = hush",
    ] {
        let error = parse(Path::new("test.toml"), text).unwrap_err().to_string();
        assert!(!error.contains("hush") && error.contains("test.toml:"), "{error}");
    }
}

#[test]
fn all_secrets_are_known_to_those_who_quote() {
    let settings = TABLES.iter().flat_map(|table| table.settings);
    let secrets: Vec<_> = settings.filter(|it| matches!(it.kind, Kind::Secret(_))).map(|it| it.key).collect();
    assert_eq!(secrets, SECRETS);
}

#[test]
fn mistakes_say_where_what_and_what_else() {
    for &(text, line, column, found, expected) in MISTAKES {
        assert_eq!(mistake(text), (line, column, found.to_owned(), expected.to_owned()), "{text}");
    }
}

#[test]
fn listeners_have_names_and_the_ports_of_their_kinds() {
    let tls = "kind = \"tls\"\ncertificate_file = [\"a\", \"b\"]\nkey_file = [\"c\", \"d\"]\n";
    let unix = "kind = \"unix\"\nname = \"file\"\npath = \"/run/mqtt\"\nmode = \"0600\"\n";
    let ws = "kind = \"ws\"\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n";
    let config = read(&format!(
        "[[listener]]\n[[listener]]\n{tls}[[listener]]\n{unix}[[listener]]\n{ws}[[listener]]\n"
    ));
    let listeners: Vec<_> =
        config.listeners.iter().map(|listener| (&*listener.name, listener.port)).collect();
    assert_eq!(listeners, [("tcp", 1883), ("tls", 8883), ("file", 1883), ("ws", 8083), ("tcp-2", 1883)]);
    assert_eq!(config.listeners[1].key_files, [Path::new("c"), Path::new("d")]);
    assert_eq!(config.listeners[2].mode, 0o600);
    assert_eq!(config.listeners[3].trusted_proxies.len(), 2);
}

#[test]
fn keys_of_a_listener_must_go_together() {
    const TLS: &str = "kind = \"tls\"\ncertificate_file = \"a\"\nkey_file = \"b\"\n";
    for (text, line, found) in [
        ("kind = \"tls\"\n", 2, "a listener of kind `tls` without `certificate_file`"),
        ("kind = \"any\"\ncertificate_file = \"a\"\n", 1, "1 of `certificate_file` and 0 of `key_file`"),
        (
            "certificate_file = \"a\"\nkey_file = \"b\"\n",
            2,
            "`certificate_file` of a listener of kind `tcp`, which is without TLS",
        ),
        (
            "tls_version_min = \"1.3\"\n",
            2,
            "`tls_version_min` of a listener of kind `tcp`, which is without TLS",
        ),
        (
            &format!("{TLS}client_certificates = \"required\"\n"),
            5,
            "`client_certificates` without `client_ca_file`",
        ),
        (
            &format!("{TLS}client_ca_file = \"a\"\n"),
            5,
            "`client_ca_file`, but Clients are not asked for certificates",
        ),
        ("kind = \"unix\"\n", 2, "a listener of kind `unix` without `path`"),
        ("kind = \"unix\"\npath = \"a\"\nport = 1\n", 4, "a port of a listener of kind `unix`"),
        ("owner = \"root\"\n", 2, "`owner` of a listener of kind `tcp`"),
        ("websocket_paths = \"mqtt\"\n", 2, "the path `mqtt`"),
        ("proxy_protocol = true\n", 2, "`proxy_protocol` without `trusted_proxies`"),
        (
            "trusted_proxies = \"::1\"\n",
            2,
            "`trusted_proxies` of a listener of kind `tcp`, which are not asked",
        ),
        ("name = \"a\"\n[[listener]]\nname = \"a\"\n", 4, "a second listener with the name `a`"),
    ] {
        let mistake = mistake(&format!("[[listener]]\n{text}"));
        assert_eq!((mistake.0, &*mistake.2), (line, found), "{text}");
    }
}

#[test]
fn all_mistakes_are_told_in_the_order_of_the_file() {
    let all = mistakes(
        "[server]\nshards = 65\n[mqtt]\nx = 1\nreceive_maximum = 0\n[limits]\nconnections_max = 0.5\n",
    );
    assert_eq!(all.iter().map(|mistake| mistake.0).collect::<Vec<_>>(), [2, 4, 5, 7]);
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    let (line, _, _, expected) = mistake("[mqtt]\nreceive_maximum = \n");
    assert_eq!((line, &*expected), (2, NOT_TOML));
    let (line, _, _, expected) = mistake("[log]\nlevel = \"info\"\nlevel = \"warn\"\n");
    assert_eq!((line, &*expected), (3, "each key once"));
}

#[test]
fn flags_go_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dunlin.toml");
    fs::write(&file, "[server]\nshards = 3\n[[listener]]\nbind = \"::1\"\nport = 1885\n").unwrap();
    let flags = Flags { config: Some(file), ..Flags::default() };
    let config = load(&flags).unwrap();
    assert_eq!((config.server.shards, config.listeners[0].port), (3, 1885));
    let config = load(&Flags { port: Some(0), shards: Some(1), ..flags.clone() }).unwrap();
    assert_eq!((config.server.shards, config.listeners[0].port, config.listeners.len()), (1, 0, 1));
    let bind = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    let config = load(&Flags { bind, allow_anonymous: true, ..flags }).unwrap();
    assert_eq!(config.listeners.iter().map(|listener| listener.port).collect::<Vec<_>>(), [1883, 1883]);
    assert!(config.server.allow_anonymous_public);
    let level = |verbose| load(&Flags { verbose, ..Flags::default() }).unwrap().log.level;
    assert_eq!([0, 1, 2, 9].map(level), [Level::INFO, Level::DEBUG, Level::TRACE, Level::TRACE]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(&Flags { config: Some("/nowhere/dunlin.toml".into()), ..Flags::default() }).unwrap_err();
    assert!(error.to_string().contains("/nowhere/dunlin.toml"), "{error}");
}
