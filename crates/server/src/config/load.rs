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
use tracing::Level;

use super::{
    error::{ConfigError, Mistake, nearest},
    model::{Config, ListenerConfig, ListenerKind, MQTT_PORT, loopback_listeners},
    settings::{
        TABLES,
        setting::{Draft, Objection, Table},
    },
    value::Kind,
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
    /// How often `--verbose`.
    pub verbose: u8,
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
    config.log.level = match flags.verbose {
        0 => config.log.level,
        1 => config.log.level.max(Level::DEBUG),
        2.. => Level::TRACE,
    };
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
        Ok(document) => {
            reader.document(document.get_ref());
            reader.names_of_providers(document.get_ref());
        }
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
    let Draft {
        server, mut listeners, broker, lobby, tls, auths, login, rights, storage, admin, log, ..
    } = draft;
    if listeners.is_empty() {
        listeners = loopback_listeners(MQTT_PORT);
    }
    Ok(Config { server, listeners, broker, lobby, tls, auths, login, rights, storage, admin, log })
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

    /// Listeners name only providers that there are.
    fn names_of_providers(&mut self, document: &DeTable<'_>) {
        let listeners = document.get("listener").and_then(|listeners| listeners.get_ref().as_array());
        for listener in listeners.into_iter().flatten() {
            let auth = listener.get_ref().as_table().and_then(|listener| listener.get("auth"));
            let names = match auth.map(|auth| (auth, auth.get_ref())) {
                Some((_, DeValue::Array(names))) => names.iter().collect(),
                Some((name, _)) => vec![name],
                None => Vec::new(),
            };
            for name in names {
                let Some(text) = name.get_ref().as_str() else { continue };
                let known = || self.draft.auths.iter().map(|provider| &*provider.name);
                if known().any(|known| known == text) {
                    continue;
                }
                let expected = match (known().next(), nearest(text, known())) {
                    (None, _) => "an [[auth]] with this name; there is none".to_owned(),
                    (_, Some(nearest)) => format!("the name of an [[auth]]; did you mean `{nearest}`?"),
                    _ => format!("one of the names {}", known().collect::<Vec<_>>().join(", ")),
                };
                self.mistake(name.span(), format!("there is no provider `{text}`"), expected);
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
                    let excerpt = match setting.kind {
                        Kind::Secret(_) => "a secret".to_owned(),
                        _ => self.excerpt(value.span()),
                    };
                    let found = format!("`{name}` is {excerpt}, which is {what}");
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
mod tests;
