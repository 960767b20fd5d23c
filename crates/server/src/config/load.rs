//! Reads a configuration file; the flags of the command line go over it.

use std::{
    fs,
    net::IpAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::{ConfigError, Mistake, nearest},
    model::{Config, ListenerConfig, ListenerKind, MQTT_PORT, loopback_listeners},
    settings::{
        TABLES,
        setting::{Draft, Objection, Table},
    },
};

/// What the command line says; it goes over what the file says.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--bind`, as often as given; these addresses replace the listeners of the file.
    pub bind: Vec<IpAddr>,
    /// `--port`, for each listener of kind `tcp`.
    pub port: Option<u16>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--shards`
    pub shards: Option<u8>,
    /// `--allow-anonymous`
    pub allow_anonymous: bool,
}

/// Reads the file that `flags` name, if any, and puts the flags over it.
///
/// # Errors
/// [`ConfigError::Read`] and [`ConfigError::Mistakes`].
pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
    let mut config = match &flags.config {
        None => Config::default(),
        Some(file) => {
            let text = fs::read_to_string(file)
                .map_err(|source| ConfigError::Read { file: file.clone(), source })?;
            parse(file, &text)?
        }
    };
    if !flags.bind.is_empty() {
        let listener = |(number, &bind): (usize, &IpAddr)| {
            let name = if number == 0 { "tcp".to_owned() } else { format!("tcp-{}", number + 1) };
            ListenerConfig { bind, name, ..ListenerConfig::default() }
        };
        config.listeners = flags.bind.iter().enumerate().map(listener).collect();
    }
    if let Some(port) = flags.port {
        let plain = |listener: &&mut ListenerConfig| listener.kind == ListenerKind::Tcp;
        config.listeners.iter_mut().filter(plain).for_each(|listener| listener.port = port);
    }
    if let Some(data_dir) = &flags.data_dir {
        config.server.data_dir = Some(data_dir.clone());
    }
    if let Some(shards) = flags.shards {
        config.server.shards = shards;
    }
    config.server.allow_anonymous_public |= flags.allow_anonymous;
    Ok(config)
}

/// Reads the `text` of `file`; the name is for messages only.
///
/// # Errors
/// [`ConfigError::Mistakes`] with all of them, or with the first one if it is not TOML.
pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
    let mut reader = Reader { file, text, draft: Draft::default(), mistakes: Vec::new() };
    match DeTable::parse(text) {
        Ok(document) => reader.document(document.get_ref()),
        Err(error) => {
            let found = error.message().to_owned();
            let expected = match &*found {
                "duplicate key" => "each key once".to_owned(),
                _ => NOT_TOML.to_owned(),
            };
            reader.mistake(error.span().unwrap_or(0..0), found, expected);
        }
    }
    let Reader { draft, mut mistakes, .. } = reader;
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        return Err(ConfigError::Mistakes(mistakes));
    }
    let Draft { server, mut listeners, broker, lobby, tls, storage, log, .. } = draft;
    if listeners.is_empty() {
        listeners = loopback_listeners(MQTT_PORT);
    }
    Ok(Config { server, listeners, broker, lobby, tls, storage, log })
}

/// What is expected where there is something else, such as a configuration of mosquitto.
const NOT_TOML: &str = "TOML: `key = value`, one in each line, below the [table] of the key";

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    draft: Draft,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            let name = &**key.get_ref();
            let Some(table) = TABLES.iter().find(|table| table.name == name) else {
                self.unknown_table(name, key.span());
                continue;
            };
            match (&table.list, value.get_ref()) {
                (Some(_), DeValue::Array(tables)) => tables.iter().for_each(|it| self.one_of(table, it)),
                (Some(_), _) => {
                    let expected = format!("{}, in two brackets", table.heading());
                    self.mistake(key.span(), format!("`{name}` is not a list of tables"), expected);
                }
                (None, DeValue::Table(values)) => self.table(table, values),
                (None, _) => self.mistake(key.span(), format!("`{name}` is not a table"), table.heading()),
            }
        }
    }

    fn one_of(&mut self, table: &Table, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(values) = value.get_ref() else {
            let keys: Vec<_> = table.keys().collect();
            let expected = format!("{} with {}", table.heading(), keys.join(", "));
            return self.mistake(value.span(), format!("this {} is not a table", table.name), expected);
        };
        let list = table.list.as_ref().expect("there may be several of this table");
        (list.begin)(&mut self.draft);
        let mistakes = self.mistakes.len();
        self.table(table, values);
        if self.mistakes.len() > mistakes {
            return;
        }
        if let Err(Objection { key, found, expected }) = (list.end)(&mut self.draft) {
            let span = values.iter().find(|(other, _)| &**other.get_ref() == key).map(|(key, _)| key.span());
            self.mistake(span.unwrap_or(value.span()), found, expected);
        }
    }

    fn table(&mut self, table: &Table, values: &DeTable<'_>) {
        for (key, value) in values {
            let name = &**key.get_ref();
            let Some(setting) = table.find(name) else {
                self.unknown_key(table, name, key.span());
                continue;
            };
            match setting.kind.read(value.get_ref()) {
                Ok(value) => (setting.set)(&mut self.draft, value),
                Err(what) => {
                    let found = format!("`{name}` is {}, which is {what}", self.excerpt(value.span()));
                    self.mistake(value.span(), found, setting.kind.expected());
                }
            }
        }
    }

    fn unknown_key(&mut self, table: &Table, key: &str, span: Range<usize>) {
        let expected = match (nearest(key, table.keys()), table_of(key)) {
            (_, Some(other)) => format!("`{key}` in {}, where it belongs", other.heading()),
            (Some(nearest), None) => format!("a key of this table; did you mean `{nearest}`?"),
            (None, None) => format!("one of {}", table.keys().collect::<Vec<_>>().join(", ")),
        };
        self.mistake(span, format!("unknown key `{key}` in [{}]", table.name), expected);
    }

    fn unknown_table(&mut self, name: &str, span: Range<usize>) {
        let names = || TABLES.iter().map(|table| table.name);
        let expected = match (table_of(name), nearest(name, names())) {
            (Some(table), _) => format!("`{name}` in {}, where it belongs", table.heading()),
            (None, Some(nearest)) => format!("a table known here; did you mean `{nearest}`?"),
            (None, None) => format!("one of the tables {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.mistake(span, format!("unknown name `{name}`"), expected);
    }

    fn mistake(&mut self, span: Range<usize>, found: String, expected: String) {
        self.mistakes.push(Mistake::new(self.file, self.text, span, found, expected));
    }

    /// What stands in the file, shortened.
    fn excerpt(&self, span: Range<usize>) -> String {
        const CHARACTERS_MAX: usize = 40;
        let line = self.text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
        match line.char_indices().nth(CHARACTERS_MAX) {
            None => line.to_owned(),
            Some((end, _)) => format!("{}...", &line[..end]),
        }
    }
}

/// The first table that has such a key.
fn table_of(key: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.find(key).is_some())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use dunlin_broker::limits::Settings;
    use dunlin_packet::qos::QoS;
    use tracing::Level;

    use super::*;

    fn read(text: &str) -> Config {
        parse(Path::new("test.toml"), text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Line, column, what was found, what was expected.
    fn mistakes(text: &str) -> Vec<(usize, usize, String, String)> {
        match parse(Path::new("test.toml"), text) {
            Err(ConfigError::Mistakes(mistakes)) => mistakes
                .into_iter()
                .map(|mistake| (mistake.line, mistake.column, mistake.found, mistake.expected))
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
        for (table, setting) in
            TABLES.iter().flat_map(|table| table.settings.iter().map(move |it| (table, it)))
        {
            let super::super::value::Kind::Integer(bounds) = &setting.kind else { continue };
            let text = |number: u64| format!("{}\n{} = {number}\n", table.heading(), setting.key);
            for number in [*bounds.start(), *bounds.end()] {
                parse(Path::new("t"), &text(number)).unwrap_or_else(|error| panic!("{error}"));
            }
            let (line, _, found, _) = mistake(&text(bounds.end() + 1));
            assert_eq!(line, 2);
            assert!(found.ends_with("which is out of bounds"), "{found}");
        }
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
            "one of the tables server, listener, tls, mqtt, queue, limits, storage, log",
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
             websocket_origins, proxy_protocol, trusted_proxies",
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
    ];

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
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error =
            load(&Flags { config: Some("/nowhere/dunlin.toml".into()), ..Flags::default() }).unwrap_err();
        assert!(error.to_string().contains("/nowhere/dunlin.toml"), "{error}");
    }
}
