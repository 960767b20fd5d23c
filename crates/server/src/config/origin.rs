//! Where the value of a setting comes from.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

/// Where one value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has said anything else.
    #[default]
    Default,
    /// A line of a file.
    File {
        /// Which file.
        file: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

/// Where all values come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// By table, place among the tables of this name, and key.
    known: BTreeMap<(&'static str, usize, &'static str), Origin>,
}

impl Origins {
    /// Where the value of `key` comes from, in the table `number` (from 0) of this name.
    #[must_use]
    pub fn of(&self, table: &'static str, number: usize, key: &'static str) -> Origin {
        self.known.get(&(table, number, key)).cloned().unwrap_or_default()
    }

    /// Whether anybody has said anything about tables of this name.
    #[must_use]
    pub fn has(&self, table: &str) -> bool {
        self.known.keys().any(|(other, _, _)| *other == table)
    }

    pub(super) fn put(&mut self, table: &'static str, number: usize, key: &'static str, origin: Origin) {
        self.known.insert((table, number, key), origin);
    }

    /// Nobody has said anything about tables of this name.
    pub(super) fn forget(&mut self, table: &str) {
        self.known.retain(|(other, _, _), _| *other != table);
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}
