//! The engine that keeps records in a data folder.

mod compact;
mod engine;
mod folder;
mod journal;
mod keys;
mod reserve;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use dunlin_broker::records::{
    batch::{Batch, Change},
    key::Key,
    record::Record,
};

use crate::{
    disk::{
        engine::{Engine, Memory, Trouble, is_want_of_room},
        folder::{FORMAT, Folder},
        reserve::{Limits, Reserve, disk_of},
    },
    store::{Each, Space, Store, StoreError},
};

/// The fact that says in which format the records are.
const FORMAT_FACT: &str = "format";

/// How a [`Disk`] is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskOptions {
    /// The data folder. It is made if it is not there; if it is, it must be empty or one of ours.
    pub folder: PathBuf,
    /// Bytes of memory for what was read. Default 16 MiB.
    pub cache: u64,
    /// Bytes of memory for what was written and is in the journal only, for each of three groups of records; for moments
    /// it may be three times as much. Default 16 MiB; 4 MiB is enough for small machines.
    pub memtable: u64,
    /// Bytes of older journals above which they are made superfluous: more means fewer writes, and a longer start after a
    /// crash. At least, and by default, 64 MiB; the newest journal of about 64 MiB comes on top.
    pub journals: u64,
    /// Bytes of the file that holds space in reserve. Default 64 MiB, but no more than a 32nd of the file system.
    pub reserve: u64,
    /// With fewer bytes left on the file system besides the reserve, space is low. Default 128 MiB, but no more than a 16th
    /// of the file system.
    pub low: u64,
}

impl DiskOptions {
    /// The defaults, with this data folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            cache: 16 << 20,
            memtable: 16 << 20,
            journals: 64 << 20,
            reserve: 64 << 20,
            low: 128 << 20,
        }
    }
}

/// Records in a data folder, which belongs to this process while it is open.
///
/// Opening it sets the process's file mode mask to 077: the engine makes files at any time, and nobody else is to read
/// them.
pub struct Disk {
    folder: Folder,
    memory: Memory,
    engine: RwLock<Option<Engine>>,
    reserve: Mutex<Reserve>,
    state: Mutex<State>,
}

/// Held while there is a commit: there is one at a time.
#[derive(Debug, Default)]
struct State {
    /// Final (P9): what every further commit is answered.
    failure: Option<StoreError>,
    /// A write found no room. The engine takes no more until it is opened again.
    is_stuck: bool,
    /// Whether the folder says that commits are made without waiting for the disk.
    is_unsynced: bool,
}

impl Disk {
    /// Opens the data folder.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it open, [`StoreError::Newer`] if a newer version of the program has
    /// written it, [`StoreError::Damaged`] if it is not as it was written. A commit that was under way when the process or
    /// the machine stopped is no damage: it is gone, and was never acknowledged.
    pub fn open(options: &DiskOptions) -> Result<Self, StoreError> {
        let folder = Folder::open(&options.folder)?;
        let memory = Memory {
            cache: options.cache,
            memtable: options.memtable.max(1 << 20),
            journals: options.journals.max(64 << 20),
        };
        let failed = |error: io::Error| StoreError::Failed { what: error.to_string() };
        let space = disk_of(folder.path()).map_err(failed)?;
        let limits = Limits { reserve: options.reserve, low: options.low };
        let reserve = Reserve::new(folder.reserve(), limits, space);
        let format = folder.format()?;
        if let Some(found) = format.filter(|it| *it > FORMAT) {
            return Err(StoreError::Newer { folder: folder.path().to_owned(), found, known: FORMAT });
        }
        let engine = open_engine(&folder, memory, format.is_none())?;
        if format.is_none() {
            // The engine does not wait for the disk to have the folders of its keyspaces.
            sync_tree(&folder.records()).map_err(failed)?;
            folder.set_format().map_err(failed)?;
        }
        let disk = Self {
            folder,
            memory,
            engine: RwLock::new(Some(engine)),
            reserve: Mutex::new(reserve),
            state: Mutex::default(),
        };
        // What may have been torn is cut off now.
        disk.folder.set_unsynced(false).map_err(failed)?;
        disk.space()?;
        disk.check_format()?;
        Ok(disk)
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let key = Key::Fact(FORMAT_FACT).to_bytes();
        let what = match self.find(&key)? {
            None if self.engine()?.as_ref().is_some_and(Engine::is_empty) => return self.put_format(),
            None => "it has records, but none of their format".to_owned(),
            Some(value) => match Record::decode(&key, &value) {
                Ok(Record::Fact { value, .. }) if value == FORMAT.to_be_bytes() => return Ok(()),
                Ok(_) => "the record of its format is not readable".to_owned(),
                Err(error) => format!("the record of its format: {error}"),
            },
        };
        Err(StoreError::Damaged { file: self.folder.records(), place: None, what })
    }

    fn put_format(&self) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put_fact(FORMAT_FACT, &FORMAT.to_be_bytes());
        self.commit(&mut batch.changes(), true)
    }

    /// For reading. It is missing only while it is opened again.
    fn engine(&self) -> Result<RwLockReadGuard<'_, Option<Engine>>, StoreError> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        if engine.is_none() {
            return Err(StoreError::Full { folder: self.folder.path().to_owned() });
        }
        Ok(engine)
    }

    /// After a full disk: opens the engine again as after a crash, if there is room now.
    fn open_again(&self) -> Result<(), StoreError> {
        let full = || StoreError::Full { folder: self.folder.path().to_owned() };
        if !self
            .lock_reserve()
            .has_some_room(|| disk_of(self.folder.path()))
            .map_err(|it| self.failed(&it))?
        {
            return Err(full());
        }
        let mut engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        drop(engine.take());
        match open_engine(&self.folder, self.memory, false) {
            Ok(opened) => {
                tracing::info!(folder = %self.folder.path().display(), "there is space again: storage goes on");
                *engine = Some(opened);
                Ok(())
            }
            // Its threads may not have let go of it yet.
            Err(StoreError::InUse { .. }) => Err(full()),
            Err(error) => Err(error),
        }
    }

    /// What it means that a commit has failed.
    fn judge(&self, trouble: Trouble) -> StoreError {
        let full = || StoreError::Full { folder: self.folder.path().to_owned() };
        match trouble {
            Trouble::Write(error) if is_want_of_room(&error) => full(),
            // One of the engine's threads has failed, and does not say why; everything it had to do is in the journals.
            Trouble::Write(fjall::Error::Poisoned) if self.space().is_ok_and(|space| space.is_low) => full(),
            Trouble::Write(fjall::Error::Poisoned) => {
                StoreError::Failed { what: "a thread of the engine could not read or write".into() }
            }
            Trouble::Write(error) => StoreError::Failed { what: format!("writing: {error}") },
            Trouble::Sync(error) => StoreError::Failed { what: format!("syncing: {error}") },
        }
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        StoreError::Failed { what: format!("{}: {error}", self.folder.path().display()) }
    }

    fn lock_reserve(&self) -> MutexGuard<'_, Reserve> {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_with<'a>(
        &self,
        state: &mut State,
        changes: &mut dyn Iterator<Item = Change<'a>>,
        is_synced: bool,
    ) -> Result<(), StoreError> {
        if state.is_stuck {
            self.open_again()?;
            state.is_stuck = false;
        }
        if !is_synced && !state.is_unsynced {
            self.folder.set_unsynced(true).map_err(|error| self.failed(&error))?;
            state.is_unsynced = true;
        }
        let engine = self.engine()?;
        let Some(engine) = engine.as_ref() else { return Ok(()) };
        engine.commit(changes, is_synced).map_err(|trouble| self.judge(trouble))
    }
}

impl Store for Disk {
    fn commit<'a>(
        &self,
        changes: &mut dyn Iterator<Item = Change<'a>>,
        is_synced: bool,
    ) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let result = self.commit_with(&mut state, changes, is_synced);
        match &result {
            Ok(()) => {}
            Err(StoreError::Full { .. }) => state.is_stuck = true,
            Err(error) => state.failure = Some(error.clone()),
        }
        result
    }

    fn scan(&self, from: &[u8], to: &[u8], each: &mut Each<'_>) -> Result<(), StoreError> {
        self.engine()?.as_ref().map_or(Ok(()), |engine| engine.scan(from, to, each))
    }

    fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine()?.as_ref().map_or(Ok(None), |engine| engine.find(key))
    }

    fn space(&self) -> Result<Space, StoreError> {
        self.lock_reserve().look(|| disk_of(self.folder.path())).map_err(|error| self.failed(&error))
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

fn open_engine(folder: &Folder, memory: Memory, is_new: bool) -> Result<Engine, StoreError> {
    let records = folder.records();
    let failed = |error: io::Error| StoreError::Failed { what: format!("{}: {error}", records.display()) };
    if !is_new {
        journal::check(&records, folder.was_unsynced())?;
    } else if records.try_exists().map_err(failed)? {
        // Making it was never finished, so nothing was ever committed.
        if journal::is_any_written(&records).map_err(failed)? {
            let what = "it is missing, but there are records".into();
            return Err(StoreError::Damaged { file: folder.path().join("format"), place: None, what });
        }
        fs::remove_dir_all(&records).map_err(failed)?;
    }
    Engine::open(&records, memory, is_new)
}

/// Waits until the disk has everything below a path, and all names.
fn sync_tree(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
