//! All records as lines of text, which people and programs can read and [`import`](crate::import::import) takes back.

use std::io::{self, Write};

use dunlin_broker::records::{
    key::{Key, kind},
    record::Record,
};

use crate::{
    facts,
    line::{self, Line},
    scanning::scan_what_can_be_read,
    sessions::{Sessions, owner_of},
    store::{Store, StoreError},
};

/// Why an export has ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lines cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// What an export has done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Exported {
    /// Records that were written.
    pub records: u64,
    /// Records that are damaged, and were passed over.
    pub damaged: u64,
    /// Ranges of records that the engine cannot read, and that were passed over.
    pub unreadable: u64,
}

/// The kinds in the order of their lines: that of a restore, and then what is between Sessions and between shards.
const ORDER: [u8; 10] = [
    kind::FACT,
    kind::SESSION,
    kind::SUBSCRIPTION,
    kind::WILL,
    kind::IN_FLIGHT,
    kind::MESSAGE,
    kind::RECEIVED,
    kind::RETAINED,
    kind::BODY,
    kind::TRANSIT,
];

/// Writes all records: a line that names the format, a line a record in a fixed order, and a line that says how many there
/// are. It needs memory for one record. `progress` is called with the number of records after each of them.
///
/// # Errors
/// Each [`ExportError`]. What was written then has no last line. Damage is no error: what cannot be read is counted.
pub fn export(
    store: &dyn Store,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<Exported, ExportError> {
    let mut exported = Exported::default();
    let program = concat!("dunlin ", env!("CARGO_PKG_VERSION")).into();
    write_line(out, &Line::Export { format: line::FORMAT, program })?;
    let mut sessions = Sessions::new(store);
    for kind in ORDER {
        let skipped = scan_what_can_be_read(store, kind, &mut |key, value| {
            export_one(key, value, &mut sessions, out, &mut exported)?;
            progress(exported.records);
            Ok::<(), ExportError>(())
        })?;
        exported.unreadable += skipped.len() as u64;
    }
    write_line(out, &Line::End { records: exported.records })?;
    out.flush()?;
    Ok(exported)
}

fn export_one(
    key: &[u8],
    value: &[u8],
    sessions: &mut Sessions<'_>,
    out: &mut dyn Write,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let Ok(record) = Record::decode(key, value) else {
        exported.damaged += 1;
        return Ok(());
    };
    if matches!(record, Record::Fact { name: facts::FORMAT | facts::IMPORT, .. }) {
        return Ok(());
    }
    let client_id = match Key::decode(key).and_then(owner_of) {
        Some(owner) => sessions.client_id(owner)?,
        None => None,
    };
    write_line(out, &Line::of(&record, client_id))?;
    exported.records += 1;
    Ok(())
}

fn write_line(out: &mut dyn Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests;
