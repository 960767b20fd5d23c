//! What an engine must do, and no more.

use std::{ops::ControlFlow, path::PathBuf};

use dunlin_broker::records::batch::Change;

/// Called with each record of a scan, key and value, until it answers `Break`.
pub type Each<'f> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'f;

/// Keeps records, ordered by key. Synchronous: each call returns when it is done. A key has at least one byte.
///
/// One thread commits; others may read meanwhile, and see each commit wholly or not at all.
pub trait Store: Send + Sync {
    /// Applies `changes` in order, all of them or none. If `is_synced`, it returns only once they, and everything that
    /// was committed before, are on the disk; no changes at all are a way to wait for what was committed before.
    ///
    /// # Errors
    /// After [`StoreError::Full`] nothing of `changes` counts as done, and the same changes may be committed again. After
    /// any other error every further commit fails: what is on the disk is known only when it is opened again.
    fn commit<'a>(
        &self,
        changes: &mut dyn Iterator<Item = Change<'a>>,
        is_synced: bool,
    ) -> Result<(), StoreError>;

    /// Calls `each` with all records with `from <= key < to`, in order of keys, until it breaks off.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Failed`] if a record cannot be read.
    fn scan(&self, from: &[u8], to: &[u8], each: &mut Each<'_>) -> Result<(), StoreError>;

    /// The record with this key.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Looks how much room there is, and gives up or takes back what is held in reserve. To be called before each commit,
    /// and about every second while there is little.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if it cannot be found out.
    fn space(&self) -> Result<Space, StoreError>;
}

/// How much room a store has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Whether messages that would have to be kept should be refused, so that deletions still have room.
    pub is_low: bool,
    /// Bytes that are left, without those held in reserve; nothing if there is no bound.
    pub free: Option<u64>,
}

impl Space {
    /// Room without bound.
    pub const AMPLE: Self = Self { is_low: false, free: None };
}

/// Why a store could not do what it was asked to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no space left. The same commit may be tried again later.
    #[error("the disk of {} is full: free some space, then the Server goes on by itself", folder.display())]
    Full {
        /// The data folder.
        folder: PathBuf,
    },
    /// Reading or writing failed, and it is not known what is on the disk: final.
    #[error(
        "storage has failed: {what}; check the disk, then restart the Server: it keeps all it has acknowledged"
    )]
    Failed {
        /// What the system said.
        what: String,
    },
    /// What was read is not what was written.
    #[error(
        "{} is damaged{}: {what}; restore the data folder from a backup, or move it away to start empty",
        file.display(),
        place.map(|it| format!(" at byte {it}")).unwrap_or_default()
    )]
    Damaged {
        /// The file, or the folder if it is not known which.
        file: PathBuf,
        /// Where in the file, in bytes from its beginning, if that is known.
        place: Option<u64>,
        /// What is wrong there.
        what: String,
    },
    /// Another process uses the data folder.
    #[error("another process uses the data folder {}: stop it, or choose another folder", folder.display())]
    InUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// A newer version of the program has written the data folder.
    #[error(
        "the data folder {} has format {found}, and this program knows formats up to {known}: use a newer version",
        folder.display()
    )]
    Newer {
        /// The data folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {what}", folder.display())]
    Folder {
        /// The data folder.
        folder: PathBuf,
        /// What the system said.
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sentences() {
        let folder = PathBuf::from("/data");
        let damaged =
            StoreError::Damaged { file: "/data/0.jnl".into(), place: Some(17), what: "bad sum".into() };
        assert_eq!(
            damaged.to_string(),
            "/data/0.jnl is damaged at byte 17: bad sum; \
             restore the data folder from a backup, or move it away to start empty"
        );
        assert_eq!(
            StoreError::InUse { folder }.to_string(),
            "another process uses the data folder /data: stop it, or choose another folder"
        );
    }
}
