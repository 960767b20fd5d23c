//! One setting, one table of them, and what a file is read into.

use dunlin_broker::limits::{OverflowRule, Settings};

use crate::config::{
    authentication::{AuthConfig, LoginConfig},
    bans::{BanConfig, BansConfig},
    limit::LimitConfig,
    model::{
        AdminConfig, Config, ListenerConfig, LobbyConfig, LogConfig, RightsConfig, ServerConfig,
        StorageConfig, TlsConfig,
    },
    value::{Kind, Value},
};

/// What a file is read into.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Draft {
    pub(in crate::config) server: ServerConfig,
    /// The one that is being read.
    pub(in crate::config) listener: ListenerConfig,
    /// Its port, if it was given.
    pub(in crate::config) port: Option<u16>,
    pub(in crate::config) listeners: Vec<ListenerConfig>,
    /// The one that is being read.
    pub(in crate::config) queue: OverflowRule,
    /// The one that is being read.
    pub(in crate::config) limit: LimitConfig,
    pub(in crate::config) limits: Vec<LimitConfig>,
    pub(in crate::config) broker: Settings,
    pub(in crate::config) lobby: LobbyConfig,
    /// The one that is being read.
    pub(in crate::config) ban: BanConfig,
    pub(in crate::config) bans: BansConfig,
    /// The one that is being read.
    pub(in crate::config) auth: AuthConfig,
    pub(in crate::config) auths: Vec<AuthConfig>,
    pub(in crate::config) login: LoginConfig,
    pub(in crate::config) tls: TlsConfig,
    pub(in crate::config) storage: StorageConfig,
    pub(in crate::config) admin: AdminConfig,
    pub(in crate::config) rights: RightsConfig,
    pub(in crate::config) log: LogConfig,
}

impl Draft {
    /// What `config` has of the tables that there are once.
    pub(in crate::config) fn of(config: &Config) -> Self {
        let Config { server, broker, lobby, bans, tls, login, rights, storage, admin, log, .. } =
            config.clone();
        Self { server, broker, lobby, bans, tls, login, rights, storage, admin, log, ..Self::default() }
    }

    /// Puts that back into a configuration.
    pub(in crate::config) fn put_into(self, config: &mut Config) {
        let (listeners, auths) = (std::mem::take(&mut config.listeners), std::mem::take(&mut config.auths));
        let limits = std::mem::take(&mut config.limits);
        *config = Self { listeners, auths, limits, ..self }.into_config();
    }

    /// A configuration of all that was read.
    pub(in crate::config) fn into_config(self) -> Config {
        let Self { server, listeners, limits, broker, lobby, bans, .. } = self;
        let Self { tls, auths, login, rights, storage, admin, log, .. } = self;
        Config {
            server,
            listeners,
            limits,
            broker,
            lobby,
            bans,
            tls,
            auths,
            login,
            rights,
            storage,
            admin,
            log,
        }
    }
}

/// One table of the file.
pub(in crate::config) struct Table {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) settings: &'static [Setting],
    /// There may be several such tables.
    pub(in crate::config) list: Option<List>,
}

/// How a table of which there may be several is read.
pub(in crate::config) struct List {
    /// Sets the defaults before its keys are read.
    pub(in crate::config) begin: fn(&mut Draft),
    /// Puts it to the others, or says why its keys do not go together.
    pub(in crate::config) end: fn(&mut Draft) -> Result<(), Objection>,
    /// Takes the one with this number out of a configuration, as if it was being read; `false` if there are not so many.
    pub(in crate::config) pick: fn(&mut Draft, &Config, usize) -> bool,
}

/// Why the keys of one table do not go together.
pub(in crate::config) struct Objection {
    /// The key at which it is shown; the table if it has no such key.
    pub(in crate::config) key: &'static str,
    pub(in crate::config) found: String,
    pub(in crate::config) expected: String,
}

/// One key of one table.
pub(in crate::config) struct Setting {
    pub(in crate::config) key: &'static str,
    pub(in crate::config) kind: Kind,
    pub(in crate::config) unit: &'static str,
    pub(in crate::config) about: &'static str,
    pub(in crate::config) set: fn(&mut Draft, Value),
    /// The value in a draft, as it would be written in TOML.
    pub(in crate::config) show: fn(&Draft) -> String,
}

impl Table {
    /// As its heading stands in the file.
    pub(in crate::config) fn heading(&self) -> String {
        let name = self.name;
        if self.list.is_some() { format!("[[{name}]]") } else { format!("[{name}]") }
    }

    /// The setting with this key.
    pub(in crate::config) fn find(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// All keys, in the order of the handbook.
    pub(in crate::config) fn keys(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.settings.iter().map(|setting| setting.key)
    }
}

macro_rules! setting {
    ($key:literal, $kind:expr, $unit:literal, $($path:ident).+ => $take:ident $show:expr,
     $about:literal) => {
        $crate::config::settings::setting::Setting {
            key: $key,
            kind: $kind,
            unit: $unit,
            about: $about,
            set: |draft, value| draft.$($path).+ = value.$take(),
            show: |draft| $show(&draft.$($path).+),
        }
    };
}

macro_rules! integer {
    ($key:literal, $bounds:expr, $unit:literal, $($path:ident).+, $about:literal) => {
        $crate::config::settings::setting::setting!($key, $crate::config::value::Kind::Integer($bounds), $unit, $($path).+ => integer ($crate::config::settings::setting::plain), $about)
    };
}

macro_rules! boolean {
    ($key:literal, $($path:ident).+, $about:literal) => {
        $crate::config::settings::setting::setting!($key, $crate::config::value::Kind::Boolean, "", $($path).+ => boolean ($crate::config::settings::setting::plain), $about)
    };
}

pub(super) use {boolean, integer, setting};

/// As it stands.
pub(super) fn plain(value: &impl ToString) -> String {
    value.to_string()
}

/// In quotes, as TOML has it.
pub(in crate::config) fn quoted(value: &impl ToString) -> String {
    let mut text = String::from("\"");
    for c in value.to_string().chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text += &format!("\\u{:04x}", u32::from(c)),
            c => text.push(c),
        }
    }
    text + "\""
}

/// In quotes, in brackets.
pub(super) fn listed<T: ToString>(values: &[T]) -> String {
    format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// What does not go together, at one of the keys.
pub(super) fn object(key: &'static str, found: &str, expected: &str) -> Result<(), Objection> {
    Err(Objection { key, found: found.to_owned(), expected: expected.to_owned() })
}

/// As it stands, or these words.
pub(super) fn shown_or<T: ToString>(otherwise: &str, value: &Option<T>) -> String {
    value.as_ref().map_or(otherwise.to_owned(), plain)
}

/// In quotes, or `none`.
pub(super) fn shown_path(path: &Option<std::path::PathBuf>) -> String {
    quoted_or_none(&path.as_ref().map(|path| path.display()))
}

/// In quotes, or `none`.
pub(super) fn quoted_or_none<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or("none".to_owned(), quoted)
}

/// In quotes, or `all`.
pub(super) fn shown_text(text: &Option<String>) -> String {
    text.as_ref().map_or("all".to_owned(), quoted)
}
