//! What of another configuration counts at once, and what only after a restart.

use toml::de::DeValue;

use super::{
    model::{Config, ListenerConfig, ListenerKind},
    settings::{
        TABLES,
        setting::{Draft, Setting, Table},
    },
};

/// The way from the configuration in force to a wanted one.
#[derive(Debug)]
pub(crate) struct Step {
    /// What is to be in force: what is wanted, as far as it can be had without a restart.
    pub(crate) config: Config,
    /// What is another then, in words.
    pub(crate) now: Vec<String>,
    /// What would need a restart.
    pub(crate) restart: Vec<String>,
}

/// The keys whose values count at once, by table; all others need a restart. Those of a listener count for one that has stayed where
/// it is, and TLS only if it had TLS.
pub(super) const AT_ONCE: [(&str, &[&str]); 7] = [
    ("server", &["allow_anonymous_public"]),
    (
        "listener",
        &[
            "auth",
            "allow_anonymous",
            "certificate_file",
            "key_file",
            "client_certificates",
            "client_ca_file",
            "client_crl_file",
            "tls_version_min",
        ],
    ),
    ("tls", &["handshakes_max"]),
    (
        "mqtt",
        &[
            "receive_maximum",
            "in_flight_max",
            "topic_alias_maximum",
            "server_keep_alive_s",
            "keep_alive_min_s",
            "keep_alive_max_s",
            "session_expiry_max_s",
            "response_information",
            "allow_empty_client_id",
            "client_id_bytes_max",
            "queue_messages_max",
            "queue_bytes_max",
            "queue_memory_bytes_max",
            "queue_overflow",
            "close_refused_3x",
        ],
    ),
    ("rights", &["rules_file", "acl_file", "close_denied_3x", "bind_client_id"]),
    (
        "limits",
        &[
            "connect_timeout_s",
            "connect_packet_size_max",
            "half_open_max",
            "half_open_per_address_max",
            "connections_max",
            "messages_per_s",
            "messages_burst",
            "bytes_per_s",
            "bytes_burst",
            "on_excess",
            "subscriptions_max",
            "topic_levels_max",
            "user_properties_max",
            "sessions_max",
            "retained_messages_max",
            "retained_bytes_max",
            "hashing_threads",
            "hashing_memory_bytes_max",
            "failed_logins_free",
            "failed_login_delay_max_s",
            "failed_login_entries_max",
        ],
    ),
    ("log", &["level"]),
];

/// The way from `running` to `wanted`.
pub(crate) fn step(running: &Config, wanted: &Config) -> Step {
    let mut step = Step { config: running.clone(), now: Vec::new(), restart: Vec::new() };
    step.tables(running, wanted);
    step.lists(running, wanted);
    step.listeners(running, wanted);
    step
}

fn is_at_once(table: &str, key: &str) -> bool {
    AT_ONCE.iter().any(|(other, keys)| *other == table && keys.contains(&key))
}

impl Step {
    /// Tables that there are once.
    fn tables(&mut self, running: &Config, wanted: &Config) {
        let (mut draft, other) = (Draft::of(running), Draft::of(wanted));
        for table in TABLES.iter().filter(|table| table.list.is_none()) {
            for setting in changed(table, &draft, &other) {
                let name = format!("[{}] {}", table.name, setting.key);
                if is_at_once(table.name, setting.key) {
                    copy(setting, &other, &mut draft);
                    self.now.push(name);
                } else {
                    self.restart.push(name);
                }
            }
        }
        // No file at all is a value as well.
        draft.rights.clone_from(&other.rights);
        draft.put_into(&mut self.config);
    }

    /// Tables of which there may be several, but for listeners.
    fn lists(&mut self, running: &Config, wanted: &Config) {
        for table in TABLES.iter().filter(|table| !["listener", "auth", "queue"].contains(&table.name)) {
            if table.list.is_some() && shown(table, running) != shown(table, wanted) {
                self.restart.push(table.heading());
            }
        }
        let (rules, other) = (&running.broker.queue_overflow_rules, &wanted.broker.queue_overflow_rules);
        if rules != other {
            self.config.broker.queue_overflow_rules.clone_from(other);
            self.now.push("[[queue]]".to_owned());
        }
        if running.auths != wanted.auths {
            let all = running.auths.iter().chain(&wanted.auths);
            let is_other = |name: &str| {
                let find = |config: &Config| config.auths.iter().find(|it| it.name == name).cloned();
                find(running) != find(wanted)
            };
            let mut names: Vec<&str> = all.map(|it| &*it.name).filter(|name| is_other(name)).collect();
            names.sort_unstable();
            names.dedup();
            // The order counts as well.
            let names = if names.is_empty() { "their order".to_owned() } else { names.join(", ") };
            self.now.push(format!("[[auth]] {names}"));
            self.config.auths.clone_from(&wanted.auths);
        }
    }

    fn listeners(&mut self, running: &Config, wanted: &Config) {
        for (number, listener) in running.listeners.iter().enumerate() {
            let name = &listener.name;
            let same = wanted.listeners.iter().position(|other| other.name == *name);
            match same.map(|same| (same, &wanted.listeners[same])) {
                Some((same, other)) if has_same_place(listener, other) => {
                    self.listener((running, number), (wanted, same));
                }
                moved => {
                    let what = if moved.is_some() { "moves" } else { "goes" };
                    self.restart.push(format!("[[listener]] {name} {what}"));
                    self.config.listeners[number].auth = Some(asked(listener, running, wanted));
                    if self.is_shut(number, listener, running) {
                        self.config.listeners[number].allow_anonymous = Some(false);
                        self.now.push(format!("[[listener]] {name} lets nobody in any more"));
                    }
                }
            }
        }
        let is_known = |name: &str| running.listeners.iter().any(|listener| listener.name == name);
        for listener in wanted.listeners.iter().filter(|listener| !is_known(&listener.name)) {
            self.restart.push(format!("[[listener]] {} comes", listener.name));
        }
    }

    /// Whether a listener that asked somebody would ask nobody now, because its providers are gone.
    fn is_shut(&self, number: usize, listener: &ListenerConfig, running: &Config) -> bool {
        let asked_before = listener.auth.as_ref().map_or(running.auths.len(), Vec::len);
        let asks_now = self.config.listeners[number].auth.as_ref().map_or(0, Vec::len);
        asks_now < asked_before
    }

    fn listener(&mut self, (running, number): (&Config, usize), (wanted, same): (&Config, usize)) {
        let table = TABLES.iter().find(|table| table.name == "listener").expect("there is this table");
        let pick = table.list.as_ref().expect("there are several").pick;
        let (mut draft, mut other) = (Draft::default(), Draft::default());
        if !(pick(&mut draft, running, number) && pick(&mut other, wanted, same)) {
            return;
        }
        let (before, after) = (&draft.listener, &other.listener);
        let keeps_tls = before.certificate_files.is_empty() == after.certificate_files.is_empty();
        let listener = &mut self.config.listeners[number];
        for setting in changed(table, &draft, &other) {
            let name = format!("[[listener]] {}: {}", before.name, setting.key);
            let is_tls = !["auth", "allow_anonymous"].contains(&setting.key);
            let is_at_once = is_at_once("listener", setting.key) && (keeps_tls || !is_tls);
            if is_at_once { &mut self.now } else { &mut self.restart }.push(name);
        }
        listener.auth.clone_from(&after.auth);
        listener.allow_anonymous = after.allow_anonymous;
        if keeps_tls {
            listener.certificate_files.clone_from(&after.certificate_files);
            listener.key_files.clone_from(&after.key_files);
            listener.client_certificates = after.client_certificates;
            listener.client_ca_files.clone_from(&after.client_ca_files);
            listener.client_crl_files.clone_from(&after.client_crl_files);
            listener.is_tls_1_3_only = after.is_tls_1_3_only;
        }
    }
}

/// The providers of `running` that a listener asks, as far as `wanted` has them as well.
fn asked(listener: &ListenerConfig, running: &Config, wanted: &Config) -> Vec<String> {
    let all = || running.auths.iter().map(|provider| provider.name.clone()).collect();
    let mut names: Vec<String> = listener.auth.clone().unwrap_or_else(all);
    names.retain(|name| wanted.auths.iter().any(|provider| provider.name == *name));
    names
}

fn has_same_place(listener: &ListenerConfig, other: &ListenerConfig) -> bool {
    let place = |listener: &ListenerConfig| {
        let ListenerConfig { kind, bind, port, path, .. } = listener;
        let is_file = *kind == ListenerKind::Unix;
        (*kind, path.clone(), (!is_file).then_some((*bind, *port)))
    };
    place(listener) == place(other)
}

fn changed(table: &'static Table, draft: &Draft, other: &Draft) -> Vec<&'static Setting> {
    table.settings.iter().filter(|setting| (setting.show)(draft) != (setting.show)(other)).collect()
}

/// All tables of this name, as they are shown.
fn shown(table: &Table, config: &Config) -> Vec<Vec<String>> {
    let Some(list) = &table.list else { return Vec::new() };
    let mut draft = Draft::of(config);
    let mut all = Vec::new();
    while (list.pick)(&mut draft, config, all.len()) {
        all.push(table.settings.iter().map(|setting| (setting.show)(&draft)).collect());
        (list.begin)(&mut draft);
    }
    all
}

/// Takes the value of a setting over; one that cannot be written stays.
fn copy(setting: &Setting, from: &Draft, to: &mut Draft) {
    let text = (setting.show)(from);
    if let Ok(value) = DeValue::parse(&text)
        && let Ok(value) = setting.kind.read(value.get_ref())
    {
        (setting.set)(to, value);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{load::parse, value::Kind};

    fn read(text: &str) -> Config {
        parse(Path::new("test.toml"), text).unwrap_or_else(|error| panic!("{error}"))
    }

    const TLS: &str = "kind = \"tls\"\ncertificate_file = \"a\"\nkey_file = \"b\"\n";

    #[test]
    fn every_key_that_counts_at_once_is_one_and_is_copied() {
        for (table, keys) in AT_ONCE {
            let table = TABLES.iter().find(|known| known.name == table).unwrap();
            for key in keys {
                let setting = table.find(key).unwrap_or_else(|| panic!("there is no {key}"));
                if table.list.is_some() || setting.key.ends_with("_file") {
                    continue;
                }
                // Some other value, which the wanted configuration has.
                let value = match &setting.kind {
                    Kind::Integer(bounds) => bounds.start().to_string(),
                    Kind::Boolean if (setting.show)(&Draft::default()) == "true" => "false".to_owned(),
                    Kind::Boolean => "true".to_owned(),
                    Kind::Choice(words) => format!("\"{}\"", words.last().unwrap()),
                    _ => "\"other\"".to_owned(),
                };
                let wanted = read(&format!("{}\n{key} = {value}\n", table.heading()));
                if (setting.show)(&Draft::of(&wanted)) == (setting.show)(&Draft::default()) {
                    continue;
                }
                let step = step(&Config::default(), &wanted);
                assert_eq!(
                    (&step.now[..], step.restart.len()),
                    (&[format!("[{}] {key}", table.name)][..], 0)
                );
                assert_eq!(format!("{:?}", step.config), format!("{wanted:?}"), "{key}");
            }
        }
    }

    #[test]
    fn what_needs_a_restart_stays_as_it_was() {
        let running = read("[server]\nshards = 1\n[log]\nformat = \"text\"\n");
        let wanted = read(
            "[server]\nshards = 2\n[log]\nformat = \"json\"\nlevel = \"warn\"\n[mqtt]\nmaximum_qos = 1\n[storage]\nmemory_only = true\n",
        );
        let step = step(&running, &wanted);
        assert_eq!(step.now, ["[log] level"]);
        assert_eq!(
            step.restart,
            ["[server] shards", "[mqtt] maximum_qos", "[storage] memory_only", "[log] format"]
        );
        assert_eq!((step.config.server.shards, step.config.log.is_json), (1, false));
        assert_eq!(step.config.log.level, tracing::Level::WARN);
    }

    #[test]
    fn lists_and_files_of_rules_are_taken_over_as_a_whole() {
        let running = read(
            "[[auth]]\nkind = \"jwt\"\nsecret = \"a secret of the tests\"\n[rights]\nacl_file = \"a\"\n[[auth]]\nkind = \"certificate\"\n",
        );
        let wanted = read(
            "[[auth]]\nkind = \"jwt\"\nsecret = \"another secret of the tests\"\n[[auth]]\nkind = \"certificate\"\n[[queue]]\n",
        );
        let step = step(&running, &wanted);
        assert_eq!(step.now, ["[rights] acl_file", "[[queue]]", "[[auth]] jwt"]);
        assert_eq!((step.config.rights, step.config.auths), (wanted.rights, wanted.auths));
        assert!(!format!("{:?}", step.now).contains("secret"));
    }

    #[test]
    fn a_listener_that_stays_takes_what_counts_at_once() {
        let running = read(&format!("[[listener]]\n{TLS}backlog = 7\n[[auth]]\nkind = \"certificate\"\n"));
        let other = TLS.replace("\"a\"", "\"c\"");
        let wanted = read(&format!(
            "[[listener]]\nport = 5\nname = \"new\"\n[[listener]]\n{other}backlog = 8\nauth = []\n[[auth]]\nkind = \"certificate\"\n"
        ));
        let step = step(&running, &wanted);
        assert_eq!(step.now, ["[[listener]] tls: certificate_file", "[[listener]] tls: auth"]);
        assert_eq!(step.restart, ["[[listener]] tls: backlog", "[[listener]] new comes"]);
        let [listener] = &step.config.listeners[..] else { panic!("{:?}", step.config.listeners) };
        assert_eq!((listener.backlog, &listener.auth), (7, &Some(Vec::new())));
        assert_eq!(listener.certificate_files, [Path::new("c")]);
    }

    #[test]
    fn a_listener_without_its_providers_lets_nobody_in() {
        let users = "[[auth]]\nname = \"users\"\nkind = \"password_file\"\nfile = \"f\"\n";
        let more = "[[auth]]\nkind = \"certificate\"\n";
        for (running, wanted, auth, anonymous) in [
            // It moves, and all that it asks is there.
            (
                format!("{users}[[listener]]\n"),
                format!("{users}[[listener]]\nport = 5\n"),
                vec!["users"],
                None,
            ),
            // It asked nobody before.
            ("[[listener]]\n".to_owned(), "[[listener]]\nport = 5\n".to_owned(), vec![], None),
            // What it asks is gone: it must not become an open one.
            (format!("{users}[[listener]]\n"), "[[listener]]\nport = 5\n".to_owned(), vec![], Some(false)),
            (
                format!("{users}{more}[[listener]]\nallow_anonymous = true\n"),
                format!("{more}[[listener]]\nname = \"other\"\n"),
                vec!["certificate"],
                Some(false),
            ),
        ] {
            let step = step(&read(&running), &read(&wanted));
            let listener = &step.config.listeners[0];
            assert_eq!(
                (listener.auth.clone().unwrap(), listener.allow_anonymous),
                (auth.into_iter().map(str::to_owned).collect(), anonymous),
                "{wanted}"
            );
            assert!(step.restart[0].starts_with("[[listener]] tcp "), "{:?}", step.restart);
        }
    }

    #[test]
    fn tls_does_not_come_or_go_without_a_restart() {
        let any = "[[listener]]\nkind = \"any\"\n";
        let wanted = format!("{any}certificate_file = \"a\"\nkey_file = \"b\"\n");
        let step = step(&read(any), &read(&wanted));
        assert_eq!(step.restart, ["[[listener]] any: certificate_file", "[[listener]] any: key_file"]);
        assert!(step.config.listeners[0].certificate_files.is_empty());
    }
}
