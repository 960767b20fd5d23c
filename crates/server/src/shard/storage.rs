//! The shards' side of the storage: batches and questions go there, news come back by the mailboxes.

use std::sync::Arc;

use dunlin_broker::{ids::ShardId, input::Storage, output::Outbox, records::batch::Batch};
use dunlin_protocol::time::Instant;
use dunlin_store::{
    store::{Store, StoreError},
    writer::{Report, Room, Writer, WriterOptions, statistics::Statistics},
};

use super::{
    mailbox::{Post, StorageInput, StorageNews},
    recovery::{Progress, RecoveryError},
};

/// What a shard says while the Server starts.
#[derive(Debug)]
pub(crate) enum Ready {
    /// Everything that is stored of it is back.
    Restored,
    /// It has settled with its peers.
    Settled,
    /// It cannot be restored.
    Failed(RecoveryError),
}

/// The store and its writer, shared by all shards.
pub(crate) struct StorageLink {
    store: Arc<dyn Store>,
    writer: Writer,
    /// The writer's place for what belongs to no shard.
    own: ShardId,
    progress: Progress,
}

impl StorageLink {
    /// Starts the writer for `shards` shards, whose mailboxes get its news.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        options: WriterOptions,
        shards: u8,
        post: &Arc<Post>,
    ) -> std::io::Result<Self> {
        let own = ShardId(shards);
        let post = Arc::clone(post);
        let options = WriterOptions { shards: shards + 1, ..options };
        let writer = Writer::start(Arc::clone(&store), options, move |shard, report| {
            if shard != own {
                tell(&post, shard, report);
            }
        })?;
        Ok(Self { store, writer, own, progress: Progress::default() })
    }

    /// Hands over what a shard wants to become durable and to read. Returns whether it may go on taking input: if not, it
    /// is told when there is room.
    pub(crate) fn submit(&self, shard: ShardId, outbox: &mut Outbox) -> bool {
        let room = match outbox.take_batch() {
            Some((number, batch)) => self.writer.submit(shard, number, batch),
            None => Room::Left,
        };
        for page in outbox.pages.drain(..) {
            self.writer.read(shard, page);
        }
        room == Room::Left
    }

    /// Notes that the Server runs now, so that after a crash it is known how long it was down.
    pub(crate) fn note_alive(&self, number: u64, now: Instant) {
        let mut batch = Batch::new();
        batch.put_fact(ALIVE, &now.as_ms().to_be_bytes());
        // These few bytes need no room of their own.
        let _room = self.writer.submit(self.own, number, &mut batch);
    }

    /// The engine, for reading.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// How far the restoring has come.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What the writer has done.
    pub(crate) fn statistics(&self) -> &Statistics {
        self.writer.statistics()
    }

    /// Tells the log what the writer has done.
    pub(crate) fn tell_figures(&self) {
        let figures = self.statistics().figures();
        tracing::info!(
            changes = figures.changes,
            cancelled = figures.cancelled,
            bytes = figures.bytes,
            fsyncs = figures.syncs,
            fsync_p50_us = figures.time.p50.as_micros(),
            fsync_p99_us = figures.time.p99.as_micros(),
            "what was made durable"
        );
    }

    /// Makes everything durable that was handed over.
    ///
    /// # Errors
    /// If that is not possible.
    pub(crate) fn stop(&self) -> Result<(), StoreError> {
        self.writer.stop()
    }
}

impl std::fmt::Debug for StorageLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageLink").finish_non_exhaustive()
    }
}

fn tell(post: &Post, shard: ShardId, report: Report) {
    let input = match report {
        Report::HasRoom => return post.tell_storage(shard, StorageNews::HasRoom),
        Report::Committed { number } => StorageInput::Committed(number),
        Report::Read(page) => StorageInput::Page(page),
        Report::Unreadable { reader, error } => StorageInput::Unreadable(reader, error),
        Report::Space { is_low: true } => StorageInput::State(Storage::Low),
        Report::Space { is_low: false } => StorageInput::State(Storage::Ready),
        Report::Failed(_) => StorageInput::State(Storage::Failed),
    };
    post.tell_storage(shard, StorageNews::Input(input));
}

/// The fact that says when the Server last ran.
pub(crate) const ALIVE: &str = "alive";
/// The fact that says among how many shards the records are parted.
pub(crate) const SHARDS: &str = "shards";
