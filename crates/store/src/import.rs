//! The lines of an [`export`](crate::export::export) become records again.

use std::{
    io::{self, BufRead, Read},
    ops::ControlFlow,
};

use dunlin_broker::records::{
    batch::{Batch, Change},
    key::Key,
};

use crate::{
    facts::{FORMAT, IMPORT, has_unfinished_import},
    line::{self, Line},
    store::{Store, StoreError},
};

/// Why an import has ended early. Then the store counts as damaged until an import into it succeeds.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store holds records.
    #[error("there are records already: choose an empty folder")]
    NotEmpty,
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lines cannot be read.
    #[error("the export cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A newer version of the program has written the lines.
    #[error("the export has format {0}, and this program knows formats up to {known}: use a newer version", known = line::FORMAT)]
    Newer(u32),
    /// A line is none of an export.
    #[error("line {line}: {what}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// What the fact says that is there meanwhile.
const UNFINISHED: &[u8] = b"unfinished";
/// Bytes of changes that are committed together.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes that a line has at most: a message of the greatest size, with each byte of it written in six.
const LINE_MAX: u64 = 6 * 268_435_455 + (1 << 20);

/// Files the records of an export in an empty store. It counts as damaged until this returns successfully. A part that an
/// earlier import has left is taken away first. `progress` is called with the number of records after each of them.
///
/// Returns how many records there are.
///
/// # Errors
/// Each [`ImportError`].
pub fn import(
    store: &dyn Store,
    from: &mut dyn BufRead,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, ImportError> {
    prepare(store)?;
    let mut import = Import::new(store);
    let mut lines = Lines { from, number: 0, bytes: Vec::new() };
    match lines.next()? {
        Some(Line::Export { format, .. }) if format > line::FORMAT => return Err(ImportError::Newer(format)),
        Some(Line::Export { .. }) => {}
        _ => return Err(lines.wrong("the first line of an export is expected, which names its format")),
    }
    loop {
        match lines.next()? {
            Some(Line::End { records }) if records == import.records => break,
            Some(Line::End { records }) => {
                let what = format!("{records} records are announced, and {} were there", import.records);
                return Err(lines.wrong(what));
            }
            Some(line) => {
                let put = line.put(&mut import.one);
                put.map_err(|what| ImportError::Line { line: lines.number, what })?;
            }
            None => return Err(lines.wrong("the export ends too early: its last line is missing")),
        }
        match import.take_one()? {
            Some(what) => return Err(lines.wrong(what)),
            None => progress(import.records),
        }
    }
    if lines.next()?.is_some() {
        return Err(lines.wrong("there is more after the last line"));
    }
    import.finish()
}

/// Makes sure that there are no records, and that there is the marker.
fn prepare(store: &dyn Store) -> Result<(), ImportError> {
    let (marker, format) = (Key::Fact(IMPORT).to_bytes(), Key::Fact(FORMAT).to_bytes());
    let was_unfinished = has_unfinished_import(store)?;
    let mut batch = Batch::new();
    if !was_unfinished {
        batch.put_fact(IMPORT, UNFINISHED);
    }
    loop {
        let mut is_more = false;
        store.scan(b"", b"\xff", &mut |key, _| {
            if key == marker || key == format {
                return ControlFlow::Continue(());
            }
            is_more = !was_unfinished || batch.size() > BATCH_BYTES;
            if is_more {
                return ControlFlow::Break(());
            }
            batch.delete(key);
            ControlFlow::Continue(())
        })?;
        if is_more && !was_unfinished {
            return Err(ImportError::NotEmpty);
        }
        store.commit(&mut batch.changes(), true)?;
        batch.clear();
        if !is_more {
            return Ok(());
        }
    }
}

struct Import<'s> {
    store: &'s dyn Store,
    /// Not committed yet.
    pending: Batch,
    /// The record of the last line.
    one: Batch,
    /// The greatest key of each kind so far: a greater one was not there before.
    greatest: Vec<Vec<u8>>,
    records: u64,
}

impl<'s> Import<'s> {
    fn new(store: &'s dyn Store) -> Self {
        let greatest = vec![Vec::new(); 256];
        Self { store, pending: Batch::new(), one: Batch::new(), greatest, records: 0 }
    }

    /// Takes over the record of one line. Returns what is wrong with it, if anything is.
    fn take_one(&mut self) -> Result<Option<&'static str>, StoreError> {
        let Some(Change::Put { key, value } | Change::PutNew { key, value }) = self.one.changes().next()
        else {
            return Ok(None);
        };
        if [FORMAT, IMPORT].iter().any(|name| key == Key::Fact(name).to_bytes()) {
            return Ok(Some("this fact belongs to another folder"));
        }
        let greatest = &mut self.greatest[usize::from(key[0])];
        if *key > **greatest {
            greatest.clear();
            greatest.extend_from_slice(key);
        } else {
            commit(self.store, &mut self.pending)?;
            if self.store.find(key)?.is_some() {
                return Ok(Some("there was a line about the same before"));
            }
        }
        self.pending.put(key, value);
        self.one.clear();
        self.records += 1;
        if self.pending.size() > BATCH_BYTES {
            commit(self.store, &mut self.pending)?;
        }
        Ok(None)
    }

    fn finish(mut self) -> Result<u64, ImportError> {
        commit(self.store, &mut self.pending)?;
        // Everything before is on the disk when the marker goes.
        self.store.commit(&mut std::iter::empty(), true)?;
        self.pending.delete(&Key::Fact(IMPORT).to_bytes());
        self.store.commit(&mut self.pending.changes(), true)?;
        Ok(self.records)
    }
}

fn commit(store: &dyn Store, batch: &mut Batch) -> Result<(), StoreError> {
    store.commit(&mut batch.changes(), false)?;
    batch.clear();
    Ok(())
}

struct Lines<'r> {
    from: &'r mut dyn BufRead,
    number: u64,
    bytes: Vec<u8>,
}

impl Lines<'_> {
    /// The next line that is not empty.
    fn next(&mut self) -> Result<Option<Line<'_>>, ImportError> {
        loop {
            self.bytes.clear();
            self.number += 1;
            let mut bounded = Read::take(&mut *self.from, LINE_MAX);
            if bounded.read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            if !self.bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let line = self.number;
        let wrong = |what: String| ImportError::Line { line, what };
        if self.bytes.len() as u64 == LINE_MAX {
            return Err(wrong(format!("it has more than {LINE_MAX} bytes")));
        }
        serde_json::from_slice(&self.bytes).map(Some).map_err(|error| wrong(words(&error)))
    }

    fn wrong(&self, what: impl Into<String>) -> ImportError {
        ImportError::Line { line: self.number, what: what.into() }
    }
}

/// An error without its place: there is one line only.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, place)) => {
            let column = place.rsplit_once("column ").map_or("0", |(_, column)| column);
            if column == "0" { what.to_owned() } else { format!("{what} (column {column})") }
        }
        None => text,
    }
}
