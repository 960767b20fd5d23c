//! Where Sessions and messages are kept: opening the data folder, and what is known of the last run.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dunlin_admin_api::place::default_data_dir;
use dunlin_broker::records::{batch::Batch, key::Key, record::Record};
use dunlin_protocol::time::Instant;
use dunlin_store::{
    disk::{Disk, DiskOptions},
    store::{Store, StoreError},
    writer::{self, WriterOptions},
};

use crate::{
    config::{
        durability::Durability,
        model::{Config, StorageConfig},
    },
    shard::storage::{ALIVE, SHARDS},
};

/// The data folder: the one that is configured, or the user's.
#[must_use]
pub fn data_dir(config: &Config) -> PathBuf {
    config.server.data_dir.clone().unwrap_or_else(|| default_data_dir(&|name| env::var_os(name)))
}

/// Opens the store of a data folder, which is made if it is not there.
///
/// # Errors
/// If the folder cannot be used, another process uses it, or what is in it cannot be read.
pub fn open(folder: &Path, config: &StorageConfig) -> Result<Arc<Disk>, StoreError> {
    let options =
        DiskOptions { reserve: config.reserve_bytes, cache: config.cache_bytes, ..DiskOptions::new(folder) };
    Ok(Arc::new(Disk::open(&options)?))
}

/// How the writer is to work.
pub(crate) fn writer_options(config: &StorageConfig) -> WriterOptions {
    let durability = match config.durability {
        Durability::Sync => writer::Durability::Sync,
        Durability::Interval => {
            writer::Durability::Interval(Duration::from_millis(u64::from(config.interval_ms)))
        }
        Durability::None => writer::Durability::None,
    };
    WriterOptions { durability, pending_max: config.pending_bytes_max as usize, ..WriterOptions::default() }
}

/// The last moment at which a Server is known to have run with this store, and among how many shards its records are
/// parted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastRun {
    pub(crate) alive: Option<Instant>,
    pub(crate) shards: Option<u8>,
}

impl LastRun {
    /// Reads it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let alive = fact(store, ALIVE)?.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
        let shards = fact(store, SHARDS)?.and_then(|value| value.first().copied());
        Ok(Self { alive: alive.map(Instant::from_ms), shards: shards.filter(|&shards| shards > 0) })
    }
}

fn fact(store: &dyn Store, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let key = Key::Fact(name).to_bytes();
    let Some(value) = store.find(&key)? else { return Ok(None) };
    match Record::decode(&key, &value) {
        Ok(Record::Fact { value, .. }) => Ok(Some(value.to_vec())),
        Ok(_) => Ok(None),
        Err(error) => Err(StoreError::Damaged {
            file: PathBuf::from("the data folder"),
            place: None,
            what: format!("the fact `{name}`: {error}"),
        }),
    }
}

/// Notes among how many shards the records are parted from now on.
///
/// # Errors
/// If that cannot be made durable.
pub(crate) fn note_shards(store: &dyn Store, shards: u8) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put_fact(SHARDS, &[shards]);
    store.commit(&mut batch.changes(), true)
}
