//! Settings in variables of the environment: `DUNLIN__SERVER__SHARDS=2`, `DUNLIN__LISTENER__0__PORT=1884`.

use std::{env, ffi::OsString, fmt, path::Path};

use super::{
    error::nearest,
    files::read_bounded,
    settings::{
        TABLES,
        setting::{Setting, Table},
    },
    value::{Kind, Value},
};

/// The variables that mean settings, with their values.
#[derive(Clone, Default)]
pub struct Environment {
    variables: Vec<(String, OsString)>,
}

/// What one variable sets.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) table: &'static Table,
    /// Its place among the tables of this name, from 0.
    pub(super) number: usize,
    pub(super) setting: &'static Setting,
    pub(super) value: Value,
}

/// What is wrong with a variable.
pub(super) struct Wrong {
    pub(super) name: String,
    pub(super) found: String,
    pub(super) expected: String,
}

impl Environment {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        // A name that is no text is none of ours.
        Self::new(env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))))
    }

    /// Of `variables` those whose names begin with `DUNLIN__`.
    pub fn new(variables: impl IntoIterator<Item = (String, OsString)>) -> Self {
        let mut variables: Vec<_> =
            variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        variables.sort();
        Self { variables }
    }

    /// The names of the variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|(name, _)| &**name)
    }

    /// What each of them sets, in the order of the tables, or what is wrong with it.
    pub(super) fn read(&self) -> Vec<Result<Variable, Wrong>> {
        let mut all: Vec<_> = self.variables.iter().map(|(name, value)| read(name, value)).collect();
        all.sort_by_key(|variable| match variable {
            Ok(Variable { number, .. }) => *number,
            Err(_) => usize::MAX,
        });
        all
    }
}

/// Values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

fn read(name: &str, value: &OsString) -> Result<Variable, Wrong> {
    let wrong = |found: String, expected: String| Wrong { name: name.to_owned(), found, expected };
    let target = target(name).ok_or_else(|| wrong("there is no such setting".to_owned(), meant(name)))?;
    let Target { table, number, setting, is_file } = target;
    let mut text = value
        .clone()
        .into_string()
        .map_err(|_| wrong("it is not text in UTF-8".to_owned(), setting.kind.expected_text()))?;
    if is_file {
        let file = text;
        text = read_bounded(Path::new(&file)).map_err(|error| {
            wrong(format!("cannot read {file:?}: {error}"), "the path of a file".to_owned())
        })?;
        let line = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
        text.truncate(line.map_or(text.len(), str::len));
    }
    let value = setting.kind.read_text(&text).map_err(|what| {
        let shown = match setting.kind {
            Kind::Secret(_) => "a secret".to_owned(),
            // It may be a secret for all we know.
            _ if is_file => "what stands in the file".to_owned(),
            _ => format!("{:?}", text.chars().take(CHARACTERS_MAX).collect::<String>()),
        };
        wrong(format!("`{}` is {shown}, which is {what}", setting.key), setting.kind.expected_text())
    })?;
    Ok(Variable { name: name.to_owned(), table, number, setting, value })
}

/// What a name means.
struct Target {
    table: &'static Table,
    number: usize,
    setting: &'static Setting,
    /// Whether the variable names a file with the value.
    is_file: bool,
}

fn target(name: &str) -> Option<Target> {
    let (table, rest) = name.strip_prefix(PREFIX)?.split_once("__")?;
    let table = TABLES.iter().find(|known| known.name.to_uppercase() == table)?;
    let (number, key) = match &table.list {
        None => (0, rest),
        Some(_) => {
            let (number, key) = rest.split_once("__")?;
            // One way to write a number, or there would be two names for one setting.
            let parsed: usize = number.parse().ok().filter(|parsed: &usize| parsed.to_string() == number)?;
            (parsed, key)
        }
    };
    let find = |key: &str| table.settings.iter().find(|setting| setting.key.to_uppercase() == key);
    let (setting, is_file) = match find(key) {
        Some(setting) => (setting, false),
        None => (find(key.strip_suffix(FILE_SUFFIX)?)?, true),
    };
    Some(Target { table, number, setting, is_file })
}

/// Which name may be meant.
fn meant(name: &str) -> String {
    let number = name.split("__").find(|part| part.parse::<usize>().is_ok()).unwrap_or("0");
    let names: Vec<String> =
        TABLES.iter().flat_map(|table| table.keys().map(move |key| full_name(table, number, key))).collect();
    let (stem, suffix) = match name.strip_suffix(FILE_SUFFIX) {
        Some(stem) if !names.iter().any(|known| known == name) => (stem, FILE_SUFFIX),
        _ => (name, ""),
    };
    let rest = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let (word, known): (String, Vec<String>) = (rest(stem), names.iter().map(|name| rest(name)).collect());
    // The key alone tells where it belongs.
    let has_key = |known: &&str| known.rsplit("__").next() == word.rsplit("__").next();
    let known = || known.iter().map(String::as_str);
    let with_key = nearest(&word, known().filter(has_key)).or(known().find(has_key));
    match with_key.or_else(|| nearest(&word, known())) {
        Some(nearest) => format!("the name of a setting; did you mean `{PREFIX}{nearest}{suffix}`?"),
        None => {
            let tables = TABLES.map(|table| match table.list {
                Some(_) => format!("{}__0", table.name.to_uppercase()),
                None => table.name.to_uppercase(),
            });
            format!("`{PREFIX}TABLE__KEY`, where TABLE is one of {}", tables.join(", "))
        }
    }
}

fn full_name(table: &Table, number: &str, key: &str) -> String {
    let number = if table.list.is_some() { format!("{number}__") } else { String::new() };
    format!("{PREFIX}{}__{number}{}", table.name.to_uppercase(), key.to_uppercase())
}

/// How the names begin.
const PREFIX: &str = "DUNLIN__";

/// How the name of a variable ends that has the path of a file with the value.
const FILE_SUFFIX: &str = "_FILE";

/// Characters of a wrong value that are shown.
const CHARACTERS_MAX: usize = 40;
