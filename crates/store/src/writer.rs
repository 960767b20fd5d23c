//! The one thread that writes, around any engine.
//!
//! While a group of changes is on its way to the disk, the next one gathers: the slower the disk, the larger the groups.
//! A shard hands its changes over with [`Writer::submit`] and never waits; what has become of them is told to the callback
//! that the writer was started with.

mod pages;
mod pending;
pub mod statistics;

use std::{
    io, iter,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use dunlin_broker::{
    ids::ShardId,
    input::Page,
    output::{PageReader, PageRequest},
    records::batch::{Batch, Change},
};

use crate::{
    store::{Store, StoreError},
    writer::{
        pending::{Pending, cancel_transit, ordered},
        statistics::Statistics,
    },
};

/// How often the space is looked at while there is little.
const SPACE_INTERVAL: Duration = Duration::from_millis(500);

/// What "committed" means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// On the disk: it survives a loss of power.
    #[default]
    Sync,
    /// Handed to the system, which has it on the disk after at most this time. It survives the end of the process; a loss
    /// of power loses what came after the last time.
    Interval(Duration),
    /// Handed to the system. It survives the end of the process.
    None,
}

/// How a writer works.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// How many shards submit.
    pub shards: u8,
    /// What "committed" means.
    pub durability: Durability,
    /// Bytes of one shard that may wait for a commit before the shard is to take no more input. Default 16 MiB.
    pub pending_max: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { shards: 1, durability: Durability::Sync, pending_max: 16 << 20 }
    }
}

/// Whether more changes are welcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Room {
    /// They are.
    Left,
    /// So many wait already that the shard should take no more input until [`Report::HasRoom`]. What it has submitted is
    /// accepted nevertheless.
    Full,
}

/// Told to a shard.
#[derive(Debug)]
pub enum Report {
    /// All batches up to this number are durable.
    Committed {
        /// The number.
        number: u64,
    },
    /// Storage has failed for good: nothing more will ever be committed.
    Failed(StoreError),
    /// Space has become little, or ample again.
    Space {
        /// Whether it is little.
        is_low: bool,
    },
    /// After [`Room::Full`]: more changes are welcome again.
    HasRoom,
    /// What [`Writer::read`] asked for.
    Read(Page),
    /// It cannot be read now.
    Unreadable {
        /// What it was wanted for.
        reader: PageReader,
        /// Why not.
        error: StoreError,
    },
}

/// Called with each report, in order for each shard, in the writer's thread: it should only pass them on.
pub type Reporter = dyn Fn(ShardId, Report) + Send + Sync;

/// A handle to the thread that writes. Dropping it stops the thread as [`stop`](Self::stop) does.
pub struct Writer {
    shared: Arc<Shared>,
    wake: Thread,
    thread: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

struct Shared {
    shards: Box<[Mutex<Pending>]>,
    reads: Mutex<Vec<(ShardId, PageRequest)>>,
    pending_max: usize,
    has_work: AtomicBool,
    is_stopping: AtomicBool,
    has_failed: AtomicBool,
    statistics: Statistics,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        store: Arc<dyn Store>,
        options: WriterOptions,
        report: impl Fn(ShardId, Report) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            shards: (0..options.shards).map(|_| Mutex::default()).collect(),
            reads: Mutex::default(),
            pending_max: options.pending_max,
            has_work: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            statistics: Statistics::default(),
        });
        let work = Work {
            shared: Arc::clone(&shared),
            store,
            report: Box::new(report),
            durability: options.durability,
            group: (0..options.shards).map(|_| Pending::default()).collect(),
            reads: Vec::new(),
            is_low: false,
            looked_at: None,
            unsynced_since: None,
        };
        let thread = thread::Builder::new().name("dunlin-writer".into()).spawn(move || work.run())?;
        Ok(Self { shared, wake: thread.thread().clone(), thread: Mutex::new(Some(thread)) })
    }

    /// Hands over the changes of a shard's batch, and empties it. [`Report::Committed`] with its number, or a later one,
    /// tells when they are durable. Numbers of a shard rise.
    pub fn submit(&self, shard: ShardId, number: u64, batch: &mut Batch) -> Room {
        if self.shared.has_failed.load(Ordering::Acquire) {
            batch.clear();
            return Room::Full;
        }
        let room = {
            let mut pending = lock(&self.shared.shards[shard.index()]);
            pending.merge(number, batch);
            if pending.cost() < self.shared.pending_max {
                Room::Left
            } else {
                pending.is_awaited = true;
                Room::Full
            }
        };
        self.wake();
        room
    }

    /// Asks for records; [`Report::Read`] brings them as they are after everything that was submitted before.
    pub fn read(&self, shard: ShardId, request: PageRequest) {
        lock(&self.shared.reads).push((shard, request));
        self.wake();
    }

    fn wake(&self) {
        if !self.shared.has_work.swap(true, Ordering::AcqRel) {
            self.wake.unpark();
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.shared.statistics
    }

    /// Commits what was submitted, on the disk whatever the durability, and ends the thread. Later batches are not
    /// committed.
    ///
    /// # Errors
    /// If not everything that was submitted is durable.
    pub fn stop(&self) -> Result<(), StoreError> {
        let Some(thread) = lock(&self.thread).take() else { return Ok(()) };
        self.shared.is_stopping.store(true, Ordering::Release);
        self.wake.unpark();
        thread.join().unwrap_or_else(|_| Err(StoreError::Failed { what: "the writer has panicked".into() }))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "not everything was made durable");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's own.
struct Work {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    report: Box<Reporter>,
    durability: Durability,
    /// What is being committed, by shard.
    group: Vec<Pending>,
    reads: Vec<(ShardId, PageRequest)>,
    is_low: bool,
    looked_at: Option<Instant>,
    unsynced_since: Option<Instant>,
}

impl Work {
    fn run(mut self) -> Result<(), StoreError> {
        let result = self.work_until_stopped();
        if let Err(error) = &result {
            tracing::error!(%error, "nothing is made durable any more");
            self.shared.has_failed.store(true, Ordering::Release);
            self.tell_all(|| Report::Failed(error.clone()));
            self.refuse(error);
        }
        result
    }

    fn work_until_stopped(&mut self) -> Result<(), StoreError> {
        loop {
            // Read before anything is taken: what was submitted before is in the last group.
            let is_stopping = self.shared.is_stopping.load(Ordering::Acquire);
            let has_work = self.shared.has_work.swap(false, Ordering::AcqRel);
            if has_work || is_stopping {
                self.take_group();
            }
            if self.look_is_due() || has_work {
                self.look_at_space()?;
            }
            if has_work || is_stopping {
                self.commit_group()?;
                self.answer_reads();
            }
            if is_stopping {
                return self.sync_if(|_| true);
            }
            if let Durability::Interval(interval) = self.durability {
                self.sync_if(|since| since.elapsed() >= interval)?;
            }
            if !self.shared.has_work.load(Ordering::Acquire) {
                self.wait();
            }
        }
    }

    /// Takes everything that waits: a cut through all shards at one moment.
    fn take_group(&mut self) {
        // Reads first: whatever was submitted before them is then in this group, or already committed.
        std::mem::swap(&mut *lock(&self.shared.reads), &mut self.reads);
        let mut shards: Vec<_> = self.shared.shards.iter().map(lock).collect();
        for (theirs, ours) in shards.iter_mut().zip(&mut self.group) {
            std::mem::swap(&mut **theirs, ours);
        }
        drop(shards);
        for (shard, pending) in (0..).zip(&self.group) {
            if pending.is_awaited {
                (self.report)(ShardId(shard), Report::HasRoom);
            }
        }
    }

    fn commit_group(&mut self) -> Result<(), StoreError> {
        if self.group.iter().all(|it| it.newest().is_none()) {
            return Ok(());
        }
        cancel_transit(&mut self.group);
        // When all changes were needless there is nothing to wait for: what they were to follow is committed already.
        if ordered(&self.group).next().is_some() {
            self.commit_with_patience()?;
        }
        let cancelled: usize = self.group.iter().map(Pending::cancelled).sum();
        self.shared.statistics.note_cancelled(cancelled as u64);
        for (shard, pending) in (0..).zip(&mut self.group) {
            if let Some(number) = pending.newest() {
                (self.report)(ShardId(shard), Report::Committed { number });
            }
            pending.clear();
        }
        Ok(())
    }

    /// Commits the group; while the disk is full, again and again.
    fn commit_with_patience(&mut self) -> Result<(), StoreError> {
        loop {
            match self.commit_once() {
                Err(error @ StoreError::Full { .. }) => {
                    if self.shared.is_stopping.load(Ordering::Acquire) {
                        return Err(error);
                    }
                    self.note_space(true);
                    self.looked_at = Some(Instant::now());
                    thread::park_timeout(SPACE_INTERVAL);
                    // Whatever it says: only a commit shows that it goes on. But it may give up the reserve.
                    self.store.space()?;
                }
                result => return result,
            }
        }
    }

    fn commit_once(&mut self) -> Result<(), StoreError> {
        let (mut changes, mut bytes) = (0, 0);
        let mut counted = ordered(&self.group).inspect(|change| {
            let size = match change {
                Change::PutNew { key, value } | Change::Put { key, value } => key.len() + value.len(),
                Change::Delete { key } => key.len(),
            };
            changes += 1;
            bytes += size as u64;
        });
        let is_synced = self.durability == Durability::Sync;
        let started = Instant::now();
        self.store.commit(&mut counted, is_synced)?;
        drop(counted);
        self.shared.statistics.note_commit(changes, bytes);
        if is_synced {
            self.shared.statistics.note_sync(started.elapsed());
        } else {
            self.unsynced_since.get_or_insert(started);
        }
        Ok(())
    }

    /// Waits for the disk, if something is not there and is due.
    fn sync_if(&mut self, is_due: impl FnOnce(Instant) -> bool) -> Result<(), StoreError> {
        if !self.unsynced_since.is_some_and(is_due) {
            return Ok(());
        }
        let started = Instant::now();
        match self.store.commit(&mut iter::empty(), true) {
            Ok(()) => {
                self.shared.statistics.note_sync(started.elapsed());
                self.unsynced_since = None;
            }
            Err(StoreError::Full { .. }) if !self.shared.is_stopping.load(Ordering::Acquire) => {
                // Tried again after another interval.
                self.note_space(true);
                (self.looked_at, self.unsynced_since) = (Some(started), Some(started));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn answer_reads(&mut self) {
        for (shard, request) in self.reads.drain(..) {
            let reader = request.reader;
            let report = match pages::read(&*self.store, shard, request) {
                Ok(page) => Report::Read(page),
                Err(error) => Report::Unreadable { reader, error },
            };
            (self.report)(shard, report);
        }
    }

    /// Nothing of what waits will be committed, and nothing is read any more.
    fn refuse(&mut self, error: &StoreError) {
        for pending in &self.shared.shards {
            lock(pending).clear();
        }
        self.reads.append(&mut lock(&self.shared.reads));
        for (shard, request) in self.reads.drain(..) {
            (self.report)(shard, Report::Unreadable { reader: request.reader, error: error.clone() });
        }
    }

    fn look_is_due(&self) -> bool {
        self.looked_at.is_none_or(|at| self.is_low && at.elapsed() >= SPACE_INTERVAL)
    }

    fn look_at_space(&mut self) -> Result<(), StoreError> {
        self.looked_at = Some(Instant::now());
        let space = self.store.space()?;
        self.note_space(space.is_low);
        Ok(())
    }

    fn note_space(&mut self, is_low: bool) {
        if self.is_low != is_low {
            self.is_low = is_low;
            if is_low {
                tracing::warn!(
                    "there is little space on the disk: what would have to be kept is refused until there is more"
                );
            } else {
                tracing::info!(
                    "there is enough space on the disk again: nothing is refused any more for want of it"
                );
            }
            self.tell_all(|| Report::Space { is_low });
        }
    }

    fn tell_all(&self, report: impl Fn() -> Report) {
        for shard in (0..).take(self.group.len()) {
            (self.report)(ShardId(shard), report());
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&self) {
        let until_sync = match (self.durability, self.unsynced_since) {
            (Durability::Interval(interval), Some(since)) => Some(interval.saturating_sub(since.elapsed())),
            _ => None,
        };
        let until_look = self.is_low.then_some(SPACE_INTERVAL);
        match until_sync.into_iter().chain(until_look).min() {
            Some(time) => thread::park_timeout(time),
            None => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests;
