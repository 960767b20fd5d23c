//! How much room a data folder takes.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

/// How much of the disk a data folder takes, in bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    /// What is kept.
    pub(super) records: u64,
    /// Held in reserve, for when the disk is full.
    pub(super) reserve: u64,
}

/// Looks at all files.
pub(super) fn size_of(folder: &Path) -> io::Result<Size> {
    let mut size = Size::default();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        if facts.is_dir() {
            size.records += size_of(&entry.path())?.records;
        } else if entry.file_name() == "reserve" {
            size.reserve += facts.blocks() * BLOCK;
        } else {
            size.records += facts.blocks() * BLOCK;
        }
    }
    Ok(size)
}

/// Bytes of the blocks in which the system counts.
const BLOCK: u64 = 512;
