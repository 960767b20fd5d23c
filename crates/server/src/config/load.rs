//! Puts a configuration together: defaults, then the file, then those of `conf.d`, then the environment, then the flags of the
//! command line; later ones go over earlier ones.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use tracing::Level;

use super::{
    environment::{Environment, Variable, Wrong},
    error::{ConfigError, Mistake, Place, Spot, nearest},
    files::{Source, read_all},
    model::{Config, ListenerConfig, ListenerKind, MQTT_PORT, loopback_listeners},
    origin::{Origin, Origins},
    settings::{
        TABLES,
        setting::{Draft, Objection, Table},
    },
    sheet::{At, Block, Entry, Sheet},
    value::{Kind, Value},
};

/// What the command line and the environment say; they go over what the files say.
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
    /// The variables of the environment.
    pub environment: Environment,
}

/// A configuration, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where its values come from.
    pub origins: Origins,
    /// The files that were read, in their order.
    pub files: Vec<PathBuf>,
}

/// Reads the file that `flags` name, if any, and those of `conf.d` beside it, and puts the environment and the flags over them.
///
/// # Errors
/// [`ConfigError::Read`] and [`ConfigError::Mistakes`].
pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
    load_with_origins(flags).map(|loaded| loaded.config)
}

/// The same, with where each value comes from.
///
/// # Errors
/// [`ConfigError::Read`] and [`ConfigError::Mistakes`].
pub fn load_with_origins(flags: &Flags) -> Result<Loaded, ConfigError> {
    let sources = match &flags.config {
        None => Vec::new(),
        Some(file) => read_all(file)?,
    };
    let (mut config, mut origins) = put_together(&sources, &flags.environment)?;
    apply(flags, &mut config, &mut origins);
    let files = sources.iter().map(|source| source.file.to_path_buf()).collect();
    Ok(Loaded { config, origins, files })
}

/// Reads the `text` of `file`; the name is for messages only.
///
/// # Errors
/// [`ConfigError::Mistakes`] with all of them; of a text that is not TOML only the first one.
pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
    let source = Source { file: file.into(), text: text.to_owned() };
    put_together(&[source], &Environment::default()).map(|(config, _)| config)
}

fn put_together(sources: &[Source], environment: &Environment) -> Result<(Config, Origins), ConfigError> {
    let mut reader = Reader { sources, sheet: Sheet::default(), mistakes: Vec::new() };
    for (number, source) in sources.iter().enumerate() {
        reader.source(number, &source.text);
    }
    for variable in environment.read() {
        reader.variable(variable);
    }
    let (mut draft, origins) = reader.take();
    let mut mistakes = std::mem::take(&mut reader.mistakes);
    if !mistakes.is_empty() {
        // A stable sort: variables stay as they are, at the end.
        mistakes.sort_by_key(|mistake| rank(mistake, sources));
        return Err(ConfigError::Mistakes(mistakes));
    }
    if draft.listeners.is_empty() {
        draft.listeners = loopback_listeners(MQTT_PORT);
    }
    Ok((draft.into_config(), origins))
}

/// Puts the flags over the rest.
fn apply(flags: &Flags, config: &mut Config, origins: &mut Origins) {
    if !flags.bind.is_empty() {
        let listener = |(number, &bind): (usize, &IpAddr)| {
            let name = if number == 0 { "tcp".to_owned() } else { format!("tcp-{}", number + 1) };
            ListenerConfig { bind, name, ..ListenerConfig::default() }
        };
        config.listeners = flags.bind.iter().enumerate().map(listener).collect();
        origins.forget("listener");
        (0..flags.bind.len())
            .for_each(|number| origins.put("listener", number, "bind", Origin::Flag("--bind")));
    }
    if let Some(port) = flags.port {
        for (number, listener) in config.listeners.iter_mut().enumerate() {
            if listener.kind == ListenerKind::Tcp {
                listener.port = port;
                origins.put("listener", number, "port", Origin::Flag("--port"));
            }
        }
    }
    if let Some(data_dir) = &flags.data_dir {
        config.server.data_dir = Some(data_dir.clone());
        origins.put("server", 0, "data_dir", Origin::Flag("--data-dir"));
    }
    if let Some(shards) = flags.shards {
        config.server.shards = shards;
        origins.put("server", 0, "shards", Origin::Flag("--shards"));
    }
    let level = match flags.verbose {
        0 => config.log.level,
        1 => config.log.level.max(Level::DEBUG),
        2.. => Level::TRACE,
    };
    if level != config.log.level {
        config.log.level = level;
        origins.put("log", 0, "level", Origin::Flag("--verbose"));
    }
    if flags.allow_anonymous {
        config.server.allow_anonymous_public = true;
        origins.put("server", 0, "allow_anonymous_public", Origin::Flag("--allow-anonymous"));
    }
}

/// What is expected where there is something else, such as a configuration of mosquitto.
const NOT_TOML: &str = "TOML: `key = value`, one in each line, below the [table] of the key";

struct Reader<'a> {
    sources: &'a [Source],
    sheet: Sheet,
    mistakes: Vec<Mistake>,
}

/// Something that stands in a file.
type Span = std::ops::Range<usize>;

impl Reader<'_> {
    /// Reads the text of the source `number`.
    fn source(&mut self, number: usize, text: &str) {
        match DeTable::parse(text) {
            Ok(document) => self.document(number, document.get_ref()),
            Err(error) => {
                let found = error.message().to_owned();
                let expected = match &*found {
                    "duplicate key" => "each key once".to_owned(),
                    _ => NOT_TOML.to_owned(),
                };
                self.mistake(number, error.span().unwrap_or(0..0), found, expected);
            }
        }
    }

    fn document(&mut self, source: usize, document: &DeTable<'_>) {
        for (key, value) in document {
            let name = &**key.get_ref();
            let Some(table) = TABLES.iter().find(|table| table.name == name) else {
                self.unknown_table(source, name, key.span());
                continue;
            };
            match (&table.list, value.get_ref()) {
                (Some(_), DeValue::Array(tables)) => {
                    tables.iter().for_each(|it| self.one_of(source, table, it))
                }
                (Some(_), _) => {
                    let expected = format!("{}, in two brackets", table.heading());
                    self.mistake(source, key.span(), format!("`{name}` is not a list of tables"), expected);
                }
                (None, DeValue::Table(values)) => {
                    let blocks = self.sheet.blocks(table.name);
                    let mut block = blocks.pop().unwrap_or_else(|| Block::new(at(source, key.span(), value)));
                    self.table(source, table, values, &mut block);
                    self.sheet.blocks(table.name).push(block);
                }
                (None, _) => {
                    self.mistake(source, key.span(), format!("`{name}` is not a table"), table.heading());
                }
            }
        }
    }

    fn one_of(&mut self, source: usize, table: &'static Table, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(values) = value.get_ref() else {
            let keys: Vec<_> = table.keys().collect();
            let expected = format!("{} with {}", table.heading(), keys.join(", "));
            let found = format!("this {} is not a table", table.name);
            return self.mistake(source, value.span(), found, expected);
        };
        let mut block = Block::new(at(source, value.span(), value));
        self.table(source, table, values, &mut block);
        self.sheet.blocks(table.name).push(block);
    }

    fn table(&mut self, source: usize, table: &'static Table, values: &DeTable<'_>, block: &mut Block) {
        for (key, value) in values {
            let name = &**key.get_ref();
            let Some(setting) = table.find(name) else {
                self.unknown_key(source, table, name, key.span());
                block.is_whole = false;
                continue;
            };
            match setting.kind.read(value.get_ref()) {
                Ok(read) => {
                    let at = at(source, key.span(), value);
                    block.entries.insert(setting.key, Entry { value: read, at });
                }
                Err(what) => {
                    let excerpt = match setting.kind {
                        Kind::Secret(_) => "a secret".to_owned(),
                        _ => excerpt(&self.sources[source].text, value.span()),
                    };
                    let found = format!("`{name}` is {excerpt}, which is {what}");
                    self.mistake(source, value.span(), found, setting.kind.expected());
                    block.is_whole = false;
                }
            }
        }
    }

    fn variable(&mut self, variable: Result<Variable, Wrong>) {
        let (name, found, expected) = match variable {
            Err(Wrong { name, found, expected }) => (name, found, expected),
            Ok(Variable { name, table, number, setting, value }) => {
                let blocks = self.sheet.blocks(table.name);
                if number == blocks.len() {
                    blocks.push(Block::new(At::Variable(name.clone())));
                }
                let count = blocks.len();
                let entry = Entry { value, at: At::Variable(name.clone()) };
                let block = blocks.get_mut(number);
                match block.map(|block| block.entries.insert(setting.key, entry)) {
                    Some(Some(Entry { at: At::Variable(other), .. })) => {
                        (name, format!("`{other}` sets the same"), "one of them".to_owned())
                    }
                    Some(_) => return,
                    None => {
                        let found = format!("there are {count} of {}", table.heading());
                        (name, found, format!("a number up to {count}, which adds another one"))
                    }
                }
            }
        };
        self.mistakes.push(Mistake { place: Place::Variable(name), found, expected });
    }

    /// Takes all that was said, table by table.
    fn take(&mut self) -> (Draft, Origins) {
        let (mut draft, mut origins) = (Draft::default(), Origins::default());
        let (mut asked, mut meant) = (Vec::new(), Vec::new());
        for table in &TABLES {
            for (number, block) in std::mem::take(self.sheet.blocks(table.name)).into_iter().enumerate() {
                if let Some(list) = &table.list {
                    (list.begin)(&mut draft);
                }
                let Block { at, is_whole, entries } = block;
                let mut places = Vec::new();
                for (key, Entry { value, at }) in entries {
                    let setting = table.find(key).expect("entries have keys of their table");
                    if let (("listener", "auth"), Value::Texts(names)) = ((table.name, key), &value) {
                        asked.push((names.clone(), at.clone()));
                    }
                    if let (("limit", "listeners"), Value::Texts(names)) = ((table.name, key), &value) {
                        meant.push((names.clone(), at.clone()));
                    }
                    (setting.set)(&mut draft, value);
                    origins.put(table.name, number, setting.key, at.origin(self.sources));
                    places.push((key, at));
                }
                let end = table.list.as_ref().filter(|_| is_whole).map(|list| list.end);
                if let Some(Err(Objection { key, found, expected })) = end.map(|end| end(&mut draft)) {
                    let of_key = places.iter().find(|(other, _)| *other == key);
                    let place = of_key.map_or(&at, |(_, at)| at).key(self.sources);
                    self.mistakes.push(Mistake { place, found, expected });
                }
            }
        }
        asked.iter().for_each(|(names, at)| self.names_of_providers(names, at, &draft));
        meant.iter().for_each(|(names, at)| self.names_of_listeners(names, at, &draft));
        (draft, origins)
    }

    /// Listeners name only providers that there are.
    fn names_of_providers(&mut self, names: &[String], at: &At, draft: &Draft) {
        let known = || draft.auths.iter().map(|provider| &*provider.name);
        for (number, text) in names.iter().enumerate() {
            if known().any(|known| known == text) {
                continue;
            }
            let expected = match (known().next(), nearest(text, known())) {
                (None, _) => "an [[auth]] with this name; there is none".to_owned(),
                (_, Some(nearest)) => format!("the name of an [[auth]]; did you mean `{nearest}`?"),
                _ => format!("one of the names {}", known().collect::<Vec<_>>().join(", ")),
            };
            let (place, found) = (at.item(self.sources, number), format!("there is no provider `{text}`"));
            self.mistakes.push(Mistake { place, found, expected });
        }
    }

    /// Limits name only listeners that there are.
    fn names_of_listeners(&mut self, names: &[String], at: &At, draft: &Draft) {
        let known: Vec<&str> = match &*draft.listeners {
            [] => vec!["tcp", "tcp-2"],
            listeners => listeners.iter().map(|listener| &*listener.name).collect(),
        };
        for (number, text) in names.iter().enumerate().filter(|(_, text)| !known.contains(&text.as_str())) {
            let expected = match nearest(text, known.iter().copied()) {
                Some(nearest) => format!("the name of a [[listener]]; did you mean `{nearest}`?"),
                None => format!("one of the names {}", known.join(", ")),
            };
            let (place, found) = (at.item(self.sources, number), format!("there is no listener `{text}`"));
            self.mistakes.push(Mistake { place, found, expected });
        }
    }

    fn unknown_key(&mut self, source: usize, table: &Table, key: &str, span: Span) {
        let expected = match (nearest(key, table.keys()), table_of(key)) {
            (_, Some(other)) => format!("`{key}` in {}, where it belongs", other.heading()),
            (Some(nearest), None) => format!("a key of this table; did you mean `{nearest}`?"),
            (None, None) => format!("one of {}", table.keys().collect::<Vec<_>>().join(", ")),
        };
        self.mistake(source, span, format!("unknown key `{key}` in [{}]", table.name), expected);
    }

    fn unknown_table(&mut self, source: usize, name: &str, span: Span) {
        let names = || TABLES.iter().map(|table| table.name);
        let expected = match (table_of(name), nearest(name, names())) {
            (Some(table), _) => format!("`{name}` in {}, where it belongs", table.heading()),
            (None, Some(nearest)) => format!("a table known here; did you mean `{nearest}`?"),
            (None, None) => format!("one of the tables {}", names().collect::<Vec<_>>().join(", ")),
        };
        self.mistake(source, span, format!("unknown name `{name}`"), expected);
    }

    fn mistake(&mut self, source: usize, span: Span, found: String, expected: String) {
        let Source { file, text } = &self.sources[source];
        self.mistakes.push(Mistake { place: Place::File(Spot::new(file, text, span)), found, expected });
    }
}

/// The order of mistakes: files as they were read, and within each by line.
fn rank(mistake: &Mistake, sources: &[Source]) -> (usize, usize, usize) {
    match &mistake.place {
        Place::Variable(_) => (usize::MAX, 0, 0),
        Place::File(Spot { file, line, column, .. }) => {
            let number = sources.iter().position(|source| *source.file == **file);
            (number.unwrap_or(usize::MAX), *line, *column)
        }
    }
}

fn at(source: usize, key: Span, value: &Spanned<DeValue<'_>>) -> At {
    let items = match value.get_ref() {
        DeValue::Array(items) => items.iter().map(Spanned::span).collect(),
        _ => Vec::new(),
    };
    At::File { source, key, value: value.span(), items }
}

/// What stands in the file, shortened.
fn excerpt(text: &str, span: Span) -> String {
    const CHARACTERS_MAX: usize = 40;
    let line = text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
    match line.char_indices().nth(CHARACTERS_MAX) {
        None => line.to_owned(),
        Some((end, _)) => format!("{}...", &line[..end]),
    }
}

/// The first table that has such a key.
fn table_of(key: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.find(key).is_some())
}

#[cfg(test)]
mod precedence_tests;
#[cfg(test)]
mod tests;
