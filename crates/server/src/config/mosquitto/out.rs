//! Our own configuration while it is put together: only what a reader would take gets in.

use std::fmt::Write as _;

use toml::de::DeValue;

use super::outcome::Outcome;
use crate::config::settings::{TABLES, setting::quoted};

/// The tables, in their order.
#[derive(Debug, Default)]
pub(super) struct Out {
    blocks: Vec<Block>,
}

/// One table.
#[derive(Clone, Debug)]
pub(super) struct Block {
    table: &'static str,
    keys: Vec<(&'static str, String)>,
    /// Why it is written as a comment.
    pub(super) barred: Vec<String>,
}

impl Block {
    /// A table of which there may be several.
    pub(super) fn new(table: &'static str) -> Self {
        Self { table, keys: Vec::new(), barred: Vec::new() }
    }

    /// Sets a key to a value as it stands in TOML.
    ///
    /// # Errors
    /// What is wrong with the value, and what would be expected.
    pub(super) fn set(&mut self, key: &'static str, value: String) -> Result<(), String> {
        let table = TABLES.iter().find(|table| table.name == self.table);
        let setting = table.and_then(|table| table.find(key)).ok_or("there is no such setting")?;
        let expected = |what: &str| format!("{what}; expected {}", setting.kind.expected());
        let parsed = DeValue::parse(&value).map_err(|_| expected("it is no value"))?;
        setting.kind.read(parsed.get_ref()).map_err(|what| expected(&format!("it is {what}")))?;
        match self.keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.keys.push((key, value)),
        }
        Ok(())
    }

    /// Sets a key to a text.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub(super) fn set_text(&mut self, key: &'static str, text: &str) -> Result<(), String> {
        self.set(key, quoted(&text))
    }

    /// Sets a key to a list of texts.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub(super) fn set_texts(&mut self, key: &'static str, texts: &[String]) -> Result<(), String> {
        self.set(key, format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", ")))
    }

    /// Sets a key to a value as it stands in TOML, and tells what has become of its line.
    pub(super) fn put(&mut self, key: &'static str, value: String) -> Outcome {
        let done = format!("`{key} = {value}` in {}", heading(self.table));
        match self.set(key, value) {
            Ok(()) => Outcome::taken(&done),
            Err(why) => Outcome::not_supported(&format!("`{key}` in {}: {why}", heading(self.table))),
        }
    }

    /// The same for a text.
    pub(super) fn put_text(&mut self, key: &'static str, text: &str) -> Outcome {
        self.put(key, quoted(&text))
    }

    /// The same for a list with this text only.
    pub(super) fn put_texts(&mut self, key: &'static str, text: &str) -> Outcome {
        self.put(key, format!("[{}]", quoted(&text)))
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, key: &str) {
        self.keys.retain(|(known, _)| *known != key);
    }

    /// The text that a key is set to, as far as it is written without escapes.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.value_of(key)?.strip_prefix('"')?.strip_suffix('"')
    }

    /// The value that a key is set to, as it stands in TOML.
    pub(super) fn value_of(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(known, _)| *known == key).map(|(_, value)| &**value)
    }

    /// Whether this key is set.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(known, _)| *known == key)
    }
}

impl Out {
    /// The table of this name that there is once.
    pub(super) fn table(&mut self, name: &'static str) -> &mut Block {
        let at = self.blocks.iter().position(|block| block.table == name).unwrap_or_else(|| {
            self.blocks.push(Block::new(name));
            self.blocks.len() - 1
        });
        &mut self.blocks[at]
    }

    /// Adds one of several.
    pub(super) fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// All of it as a file.
    pub(super) fn text(mut self, first: &str) -> String {
        let place = |name: &str| TABLES.iter().position(|table| table.name == name);
        self.blocks.sort_by_key(|block| place(block.table));
        let mut text = first.to_owned();
        for Block { table, keys, barred } in self.blocks.iter().filter(|block| !block.keys.is_empty()) {
            let mark = if barred.is_empty() { "" } else { "# " };
            text.push('\n');
            for reason in barred {
                text += &format!("# Not open, for it would let in more than before: {}\n", one_line(reason));
            }
            writeln!(text, "{mark}{}", heading(table)).expect("a text takes everything");
            for (key, value) in keys {
                writeln!(text, "{mark}{key} = {value}").expect("a text takes everything");
            }
        }
        text
    }
}

fn heading(table: &str) -> String {
    TABLES.iter().find(|known| known.name == table).map_or(String::new(), |known| known.heading())
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
