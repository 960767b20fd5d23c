//! The database in the data folder: `fjall`, a log-structured engine with one journal for all keyspaces.

use std::{
    fs, io,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use dunlin_broker::records::{batch::Change, key::kind};
use fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, compaction::Leveled,
    config::BlockSizePolicy,
};
use xxhash_rust::xxh3::Xxh3Default;

use crate::{
    disk::keys,
    store::{Each, StoreError},
};

/// The keyspaces. Records that live for moments are apart from those that stay: compacting the ones never rewrites the
/// others.
const NAMES: [&str; 3] = ["queues", "retained", "sessions"];

/// Which of them has the records of a kind.
const fn keyspace_of(kind: u8) -> usize {
    match kind {
        kind::MESSAGE | kind::IN_FLIGHT | kind::RECEIVED | kind::TRANSIT | kind::BODY => 0,
        kind::RETAINED => 1,
        _ => 2,
    }
}

/// With so many memtables waiting to be written, or tables to be compacted, a commit waits. The engine waits by itself a
/// little later, but without noticing that its own threads have failed.
const SEALED_MAX: usize = 2;
const TABLES_MAX: usize = 18;
/// Bytes of a table. Smaller than usual: compacting needs less free space at a time.
const TABLE_SIZE: u64 = 32 << 20;
/// Bytes that are read from a table at a time. Larger than usual: most reading is of many records in a row.
const BLOCK_SIZE: u32 = 16 << 10;

/// Memory to use, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) cache: u64,
    pub(super) memtable: u64,
    pub(super) journals: u64,
}

/// Where it went wrong, which decides what it means.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Handing bytes to the system: they can be handed over again.
    Write(fjall::Error),
    /// Getting them onto the disk: nobody knows what is there now.
    Sync(fjall::Error),
}

pub(super) struct Engine {
    folder: PathBuf,
    database: Database,
    /// Bytes from which a memtable is written to a table.
    memtable: u64,
    pub(super) keyspaces: [Keyspace; NAMES.len()],
}

impl Engine {
    pub(super) fn open(folder: &Path, memory: Memory, is_new: bool) -> Result<Self, StoreError> {
        if !is_new {
            check_files(folder)?;
        }
        // Asked to read damaged files, the engine may panic.
        guard(folder, || Self::open_unguarded(folder, memory, is_new))
    }

    fn open_unguarded(folder: &Path, memory: Memory, is_new: bool) -> Result<Self, StoreError> {
        let database = Database::builder(folder)
            .cache_size(memory.cache)
            .max_journaling_size(memory.journals)
            .manual_journal_persist(true)
            .worker_threads(1) // docs/decisions/0011
            .open()
            .map_err(|error| error_of(folder, error))?;
        if !is_new && let Some(missing) = NAMES.iter().find(|name| !database.keyspace_exists(name)) {
            let what = format!("the keyspace `{missing}` is missing");
            return Err(StoreError::Damaged { file: folder.to_owned(), place: None, what });
        }
        let options = || {
            let compaction = Leveled::default().with_table_target_size(TABLE_SIZE);
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .max_memtable_size(u64::MAX) // We say when: see `rotate`.
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_SIZE))
                .compaction_strategy(Arc::new(compaction))
        };
        let open = |name: &str| database.keyspace(name, options).map_err(|error| error_of(folder, error));
        let [queues, retained, sessions] = NAMES;
        let keyspaces = [open(queues)?, open(retained)?, open(sessions)?];
        Ok(Self { folder: folder.to_owned(), database, memtable: memory.memtable, keyspaces })
    }

    /// Applies changes; they are with the system, and if `is_synced` on the disk, when it returns.
    pub(super) fn commit<'a>(
        &self,
        changes: &mut dyn Iterator<Item = Change<'a>>,
        is_synced: bool,
    ) -> Result<(), Trouble> {
        let mut batch = self.database.batch();
        for change in changes {
            match change {
                Change::PutNew { key, value } | Change::Put { key, value } => {
                    let (key_filed, value) = keys::filed(key, value);
                    batch.insert(&self.keyspaces[keyspace_of(key[0])], &*key_filed, &*value);
                }
                Change::Delete { key } => {
                    batch.remove(&self.keyspaces[keyspace_of(key[0])], &*keys::filed_key(key));
                }
            }
        }
        self.wait_for_threads().map_err(Trouble::Write)?;
        batch.commit().map_err(Trouble::Write)?;
        // First to the system and then to the disk, so that it is known which of them failed. The size of the file is part
        // of its data: syncing these is enough.
        self.database.persist(PersistMode::Buffer).map_err(Trouble::Write)?;
        if is_synced {
            self.database.persist(PersistMode::SyncData).map_err(Trouble::Sync)?;
        }
        self.rotate().map_err(Trouble::Write)
    }

    /// Has large memtables written. The engine would do it by itself, but with a message to its thread for each commit until
    /// that comes to it; with so many that there is no room for more, the thread would wait for itself.
    fn rotate(&self) -> fjall::Result<()> {
        for keyspace in &self.keyspaces {
            if keyspace.tree.active_memtable().size() > self.memtable {
                keyspace.rotate_memtable()?;
            }
        }
        Ok(())
    }

    /// Lets the engine's threads catch up.
    fn wait_for_threads(&self) -> fjall::Result<()> {
        let is_behind =
            |it: &Keyspace| it.sealed_memtable_count() >= SEALED_MAX || it.l0_table_count() >= TABLES_MAX;
        while self.keyspaces.iter().any(is_behind) {
            // Tells if one of them has failed.
            self.database.persist(PersistMode::Buffer)?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(super) fn scan(&self, from: &[u8], to: &[u8], each: &mut Each<'_>) -> Result<(), StoreError> {
        // A panic of the caller's is not for us.
        let mut panic = None;
        let each = &mut |key: &[u8], value: &[u8]| {
            catch_unwind(AssertUnwindSafe(|| each(key, value))).unwrap_or_else(|it| {
                panic = Some(it);
                ControlFlow::Break(())
            })
        };
        let result = guard(&self.folder, || self.scan_unguarded(from, to, each));
        panic.map_or(result, |it| resume_unwind(it)).map_err(|error| self.locate(error))
    }

    fn scan_unguarded(&self, from: &[u8], to: &[u8], each: &mut Each<'_>) -> Result<(), StoreError> {
        let snapshot = self.database.snapshot();
        let first_byte = |key: &[u8]| key.first().map_or(0, |it| u16::from(*it));
        let (mut first, last) = (first_byte(from), first_byte(to));
        while first <= last {
            // As many kinds at a time as lie side by side in one keyspace.
            let index = keyspace_of(first as u8);
            let end = (first + 1..=last).find(|it| keyspace_of(*it as u8) != index).unwrap_or(last + 1);
            let (first_key, end_key) = ([first as u8], [end as u8]);
            let lower = from.max(&first_key);
            let upper = if end > last { to } else { &end_key };
            let keyspace = &self.keyspaces[index];
            if lower < upper && self.scan_keyspace(&snapshot, keyspace, (lower, upper), each)?.is_break() {
                break;
            }
            first = end;
        }
        Ok(())
    }

    fn scan_keyspace(
        &self,
        snapshot: &fjall::Snapshot,
        keyspace: &Keyspace,
        (from, to): (&[u8], &[u8]),
        each: &mut Each<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let (lower, upper) = keys::bounds(from, to);
        let is_exact = *lower == *from && *upper == *to;
        for record in snapshot.range::<&[u8], _>(keyspace, lower..&*upper) {
            let (key, value) = record.into_inner().map_err(|error| error_of(&self.folder, error))?;
            let (key, value) = self.record(&key, &value)?;
            let is_inside = is_exact || (*key >= *from && *key < *to);
            if is_inside && each(&key, value).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn record<'k>(
        &self,
        key: &'k [u8],
        value: &'k [u8],
    ) -> Result<(std::borrow::Cow<'k, [u8]>, &'k [u8]), StoreError> {
        keys::record(key, value).ok_or_else(|| damaged(&self.folder, "a record lacks a part of its key"))
    }

    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let filed = keys::filed_key(key);
        let find = || {
            let found = self.keyspaces[keyspace_of(key[0])].get(&*filed);
            let Some(value) = found.map_err(|error| error_of(&self.folder, error))? else { return Ok(None) };
            Ok(Some(self.record(&filed, &value)?.1.to_vec()))
        };
        guard(&self.folder, find).map_err(|error| self.locate(error))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keyspaces.iter().all(|it| it.first_key_value().is_none())
    }

    /// Names the file that is damaged. It reads everything, but only once all is lost anyway.
    fn locate(&self, error: StoreError) -> StoreError {
        let StoreError::Damaged { what, .. } = &error else { return error };
        for keyspace in &self.keyspaces {
            for table in keyspace.tree.current_version().iter_tables() {
                let file = &**table.path;
                if checksum(file).ok() != Some(table.checksum().into_u128()) {
                    let what = format!("its checksum is wrong ({what})");
                    return StoreError::Damaged { file: file.to_owned(), place: None, what };
                }
            }
        }
        error
    }
}

fn checksum(file: &Path) -> io::Result<u128> {
    let mut file = fs::File::open(file)?;
    let mut sum = Xxh3Default::new();
    let mut block = vec![0; 64 << 10];
    loop {
        match io::Read::read(&mut file, &mut block)? {
            0 => return Ok(sum.digest128()),
            count => sum.update(&block[..count]),
        }
    }
}

/// What the engine would take for leftovers, and delete.
fn check_files(folder: &Path) -> Result<(), StoreError> {
    let failed =
        |path: &Path, error: io::Error| StoreError::Failed { what: format!("{}: {error}", path.display()) };
    let keyspaces = folder.join("keyspaces");
    let mut needed = vec![folder.join("version")];
    for entry in fs::read_dir(&keyspaces).map_err(|error| failed(&keyspaces, error))? {
        needed.push(entry.map_err(|error| failed(&keyspaces, error))?.path().join("current"));
    }
    for file in needed {
        if !file.try_exists().map_err(|error| failed(&file, error))? {
            return Err(StoreError::Damaged { file, place: None, what: "it is missing".into() });
        }
    }
    Ok(())
}

fn guard<T>(folder: &Path, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let text =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(damaged(folder, text.unwrap_or("the engine cannot read it")))
    })
}

fn damaged(folder: &Path, what: &str) -> StoreError {
    StoreError::Damaged { file: folder.to_owned(), place: None, what: what.to_owned() }
}

/// What an error of the engine means while reading.
pub(super) fn error_of(folder: &Path, error: fjall::Error) -> StoreError {
    use fjall::{Error, LsmError};
    let io = match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => error,
        Error::Locked => return StoreError::InUse { folder: folder.to_owned() },
        Error::Poisoned => return StoreError::Failed { what: "a thread of the engine has failed".into() },
        error => return damaged(folder, &error.to_string()),
    };
    match io.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound | io::ErrorKind::InvalidData => {
            damaged(folder, &io.to_string())
        }
        _ if is_full(&io) => StoreError::Full { folder: folder.to_owned() },
        _ => StoreError::Failed { what: io.to_string() },
    }
}

/// Whether it says that there is no room: on the disk, of the user's share, or up to the limit for files.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Whether a write has failed for want of room.
pub(super) fn is_want_of_room(error: &fjall::Error) -> bool {
    use fjall::{Error, LsmError};
    matches!(error, Error::Io(error) | Error::Storage(LsmError::Io(error)) if is_full(error))
}
