//! What a shard's thread needs of the rest of the Server.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    counts::Counts,
    husks::Husks,
    lobby::{fights::Fights, reauthentication::Reauthentication},
    memory::gauge::Gauge,
    seats::Seats,
};

use super::{
    mailbox::Post,
    neighbours::Neighbours,
    storage::{Ready, StorageLink},
};

/// What a shard's thread needs of the rest of the Server.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// The mailboxes.
    pub(crate) post: Arc<Post>,
    /// The other shards, for the time when they sleep.
    pub(crate) neighbours: Arc<Neighbours>,
    /// The time.
    pub(crate) clock: Clock,
    /// What goes back to the lobby.
    pub(crate) husks: Arc<Husks>,
    /// Where connections are counted.
    pub(crate) seats: Arc<Seats>,
    /// How short memory is.
    pub(crate) memory: Arc<Gauge>,
    /// Where fights for Client Identifiers are noticed.
    pub(crate) fights: Arc<Fights>,
    /// Who asks the providers.
    pub(crate) providers: mpsc::Sender<Reauthentication>,
    /// What happened that should not.
    pub(crate) counts: Arc<Counts>,
    /// Bytes a Client may leave unread before it is not read itself.
    pub(crate) backlog_max: usize,
    /// What makes batches durable, if anything does.
    pub(crate) storage: Option<Arc<StorageLink>>,
    /// Who waits for the shards to be ready.
    pub(crate) startup: std::sync::mpsc::Sender<Ready>,
}

impl Surroundings {
    /// Tells who waits for the shards; nobody may wait any more.
    pub(super) fn tell_startup(&self, ready: Ready) {
        // Only the start listens; later there is nobody to tell.
        drop(self.startup.send(ready));
    }
}
