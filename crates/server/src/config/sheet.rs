//! What files and variables say, put together before any of it counts.

use std::{collections::BTreeMap, ops::Range};

use super::{files::Source, origin::Origin, value::Value};
use crate::config::error::{Place, Spot, line_of};

/// What is said, by table. Of a table that there is once, there is one block.
#[derive(Default)]
pub(super) struct Sheet {
    tables: BTreeMap<&'static str, Vec<Block>>,
}

/// One table.
pub(super) struct Block {
    /// Where it was first named.
    pub(super) at: At,
    /// Whether all that stands in it could be read.
    pub(super) is_whole: bool,
    pub(super) entries: BTreeMap<&'static str, Entry>,
}

/// One key.
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) at: At,
}

/// Where something was said.
#[derive(Clone)]
pub(super) enum At {
    File {
        /// Which of the sources.
        source: usize,
        key: Range<usize>,
        value: Range<usize>,
        /// The parts of the value, if it is a list.
        items: Vec<Range<usize>>,
    },
    Variable(String),
}

impl Sheet {
    /// The blocks of this table, in their order.
    pub(super) fn blocks(&mut self, table: &'static str) -> &mut Vec<Block> {
        self.tables.entry(table).or_default()
    }
}

impl Block {
    pub(super) fn new(at: At) -> Self {
        Self { at, is_whole: true, entries: BTreeMap::new() }
    }
}

impl At {
    /// For whoever asks where a value comes from.
    pub(super) fn origin(&self, sources: &[Source]) -> Origin {
        match self {
            Self::Variable(name) => Origin::Variable(name.clone()),
            Self::File { source, key, .. } => {
                let Source { file, text } = &sources[*source];
                Origin::File { file: file.clone(), line: line_of(text, key.start) }
            }
        }
    }

    /// The key, for a mistake.
    pub(super) fn key(&self, sources: &[Source]) -> Place {
        self.place(sources, |key, _, _| key)
    }

    /// The part `number` of the value, for a mistake; the whole value if it has no parts.
    pub(super) fn item(&self, sources: &[Source], number: usize) -> Place {
        self.place(sources, |_, value, items| items.get(number).unwrap_or(value))
    }

    fn place(
        &self,
        sources: &[Source],
        choose: impl for<'a> Fn(&'a Range<usize>, &'a Range<usize>, &'a [Range<usize>]) -> &'a Range<usize>,
    ) -> Place {
        match self {
            Self::Variable(name) => Place::Variable(name.clone()),
            Self::File { source, key, value, items } => {
                let Source { file, text } = &sources[*source];
                Place::File(Spot::new(file, text, choose(key, value, items).clone()))
            }
        }
    }
}
