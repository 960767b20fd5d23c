//! One setting, one table of them, and what a file is read into.

use dunlin_broker::limits::{OverflowRule, Settings};

use crate::config::{
    model::{ListenerConfig, LobbyConfig, LogConfig, RightsConfig, ServerConfig, StorageConfig},
    value::{Kind, Value},
};

/// What a file is read into.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Draft {
    pub(in crate::config) server: ServerConfig,
    /// The one that is being read.
    pub(in crate::config) listener: ListenerConfig,
    pub(in crate::config) listeners: Vec<ListenerConfig>,
    /// The one that is being read.
    pub(in crate::config) queue: OverflowRule,
    pub(in crate::config) broker: Settings,
    pub(in crate::config) lobby: LobbyConfig,
    pub(in crate::config) storage: StorageConfig,
    pub(in crate::config) rights: RightsConfig,
    pub(in crate::config) log: LogConfig,
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
    /// Puts it to the others.
    pub(in crate::config) end: fn(&mut Draft),
}

/// One key of one table.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "some of it is for the handbook only, which a test compares")
)]
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

/// In quotes.
pub(super) fn quoted(value: &impl ToString) -> String {
    format!("\"{}\"", value.to_string())
}

/// In quotes, or `all`.
pub(super) fn shown_text(text: &Option<String>) -> String {
    text.as_ref().map_or("all".to_owned(), quoted)
}
