//! After a restart: what is stored becomes the state of the shards again.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
};

use dunlin_broker::{
    ids::ShardId,
    message::Message,
    output::Outbox,
    records::{key::Key, record::Record},
    restore::ranges_to_restore,
    shard::Shard,
};
use dunlin_store::store::{Store, StoreError};

use crate::process::make_room;

/// How far the restoring has come, for the log.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    records: AtomicU64,
}

impl Progress {
    /// Records restored by all shards.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
}

/// Why a shard cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is not what was written.
    #[error(
        "the record of {key} is damaged: {what}; `dunlin store check` tells what is lost, and `dunlin store check \
         --repair` goes on without it"
    )]
    Record {
        /// What the record is about.
        key: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Puts everything back that `id` of `shards` shards owns.
///
/// # Errors
/// If the store cannot be read, or holds anything but records.
pub(crate) fn restore(
    store: &dyn Store,
    progress: &Progress,
    shard: &mut Shard,
    id: ShardId,
    shards: u8,
    outbox: &mut Outbox,
) -> Result<(), RecoveryError> {
    let (mut failed, mut failed_body) = (None, None);
    for (from, to) in ranges_to_restore(id, shards) {
        let mut count = 0;
        store.scan(&from, &to, &mut |key, value| {
            count += 1;
            if count % RECORDS_BETWEEN_COUNTS == 0 {
                make_room();
                progress.records.fetch_add(RECORDS_BETWEEN_COUNTS, Ordering::Relaxed);
            }
            let find_body = &mut |number| {
                body(store, id, number).unwrap_or_else(|error| {
                    failed_body = Some(error);
                    None
                })
            };
            if let Err(error) = shard.restore(key, value, find_body, outbox) {
                failed = Some(RecoveryError::Record { key: name_of(key), what: error.to_string() });
            }
            if failed.is_some() || failed_body.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        progress.records.fetch_add(count % RECORDS_BETWEEN_COUNTS, Ordering::Relaxed);
        if let Some(error) = failed.take().or(failed_body.take()) {
            return Err(error);
        }
    }
    Ok(())
}

/// The message of a shared body, if there is such a record.
///
/// # Errors
/// If the store cannot be read, or the record is damaged.
pub(super) fn body(store: &dyn Store, id: ShardId, number: u64) -> Result<Option<Message>, RecoveryError> {
    let key = Key::Body(id, number).to_bytes();
    let Some(value) = store.find(&key)? else { return Ok(None) };
    match Record::decode(&key, &value) {
        Ok(Record::Body(_, _, message)) => Ok(Some(message)),
        Ok(_) => Ok(None),
        Err(error) => Err(RecoveryError::Record { key: name_of(&key), what: error.to_string() }),
    }
}

/// A key in words.
fn name_of(key: &[u8]) -> String {
    match Key::decode(key) {
        Some(key) => format!("{key:?}"),
        None => format!("{key:02x?}"),
    }
}

/// So many records are counted at a time; many have some hundred bytes.
const RECORDS_BETWEEN_COUNTS: u64 = 1_024;
