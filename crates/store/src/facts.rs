//! Facts about a store that are not carried to another one.

use std::path::Path;

use dunlin_broker::records::key::Key;

use crate::store::{Store, StoreError};

/// In which format an engine keeps its records.
pub(crate) const FORMAT: &str = "format";
/// Is there from the beginning of an import to its end.
pub(crate) const IMPORT: &str = "import";

/// Fails if an import into the store of this folder was begun and not finished: its records are only a part.
///
/// # Errors
/// [`StoreError::Folder`] if so, and others if that cannot be found out.
pub fn refuse_unfinished_import(store: &dyn Store, folder: &Path) -> Result<(), StoreError> {
    if !has_unfinished_import(store)? {
        return Ok(());
    }
    let what =
        "an import into it was not finished, so that only a part is there: `dunlin store import` begins anew";
    Err(StoreError::Folder { folder: folder.to_owned(), what: what.into() })
}

pub(crate) fn has_unfinished_import(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.find(&Key::Fact(IMPORT).to_bytes())?.is_some())
}
