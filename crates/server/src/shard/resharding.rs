//! Another number of shards opens the same data: what depends on the old number is brought to an end first.

use std::{
    collections::{BTreeSet, VecDeque},
    ops::ControlFlow,
    sync::Arc,
};

use dunlin_broker::{
    ids::ShardId,
    input::Input,
    limits::Settings,
    output::Outbox,
    records::{
        batch::{Batch, Change},
        key::{Key, kind},
        writing,
    },
    routing::{interests::Interests, mail::Mail},
    shard::Shard,
};
use dunlin_store::store::{Store, StoreError};

use crate::{
    clock::{ALIVE_TIME, Clock},
    storage::LastRun,
};

use super::recovery::{Progress, RecoveryError, body, restore};

/// Delivers the mail that was under way between the `before` shards, and gives each message that several of them share a
/// body of its own, so that nothing depends on the number of shards any more.
///
/// # Errors
/// If the store cannot be read or written.
pub(crate) fn reshard(
    store: &dyn Store,
    settings: &Arc<Settings>,
    before: u8,
    last_run: LastRun,
) -> Result<(), RecoveryError> {
    tracing::info!(before, "the number of shards has changed: the data is adapted");
    deliver_transits(store, settings, before, last_run)?;
    unshare_bodies(store, before)
}

fn has_transits(store: &dyn Store) -> Result<bool, StoreError> {
    let mut has_any = false;
    store.scan(&[kind::TRANSIT], &[kind::TRANSIT + 1], &mut |_, _| {
        has_any = true;
        ControlFlow::Break(())
    })?;
    Ok(has_any)
}

/// Lets as many shards as before restore and settle, without Clients.
fn deliver_transits(
    store: &dyn Store,
    settings: &Arc<Settings>,
    before: u8,
    last_run: LastRun,
) -> Result<(), RecoveryError> {
    if !has_transits(store)? {
        return Ok(());
    }
    let now = Clock::start_after(last_run.alive).now();
    let interests = Interests::new(before);
    let progress = Progress::default();
    let mut shards = Vec::new();
    for id in (0..before).map(ShardId) {
        let mut shard = Shard::new(id, before, Arc::clone(settings), &interests);
        let mut outbox = Outbox::new(before);
        restore(store, &progress, &mut shard, id, before, &mut outbox)?;
        shard.restored(now, &mut outbox);
        shards.push((shard, outbox));
    }
    exchange(store, now, &mut shards)?;
    let last_alive = last_run.alive.map_or(now, |alive| alive + ALIVE_TIME);
    shards.iter_mut().for_each(|(shard, outbox)| shard.settle(now, last_alive, outbox));
    exchange(store, now, &mut shards)?;
    Ok(())
}

/// Carries mail between the shards until there is none, and commits all that comes of it.
fn exchange(
    store: &dyn Store,
    now: dunlin_protocol::time::Instant,
    shards: &mut [(Shard, Outbox)],
) -> Result<(), StoreError> {
    let mut letters: VecDeque<(ShardId, ShardId, Mail)> = VecDeque::new();
    loop {
        for (from, (_, outbox)) in (0..).map(ShardId).zip(shards.iter_mut()) {
            if let Some((_, batch)) = outbox.take_batch() {
                store.commit(&mut batch.changes(), false)?;
                batch.clear();
            }
            outbox.pages.clear();
            for (to, mail) in (0..).map(ShardId).zip(&mut outbox.routes) {
                letters.extend(mail.drain(..).map(|mail| (from, to, mail)));
            }
        }
        let Some((from, to, mail)) = letters.pop_front() else {
            return store.commit(&mut std::iter::empty::<Change<'_>>(), true);
        };
        let (shard, outbox) = &mut shards[to.index()];
        shard.handle(now, Input::Routed { from, mail }, outbox);
    }
}

fn unshare_bodies(store: &dyn Store, before: u8) -> Result<(), RecoveryError> {
    let mut bodies: BTreeSet<Vec<u8>> = BTreeSet::new();
    store.scan(&[kind::BODY], &[kind::BODY + 1], &mut |key, _| {
        bodies.insert(key.to_vec());
        ControlFlow::Continue(())
    })?;
    if bodies.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new();
    let mut result = Ok(());
    store.scan(&[kind::MESSAGE], &[kind::MESSAGE + 1], &mut |key, value| {
        result = unshare(store, before, key, value, &mut batch);
        match &result {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    result?;
    // Only when every message has its own body are the shared ones taken away.
    store.commit(&mut batch.changes(), true)?;
    batch.clear();
    bodies.iter().for_each(|key| batch.delete(key));
    store.commit(&mut batch.changes(), true)?;
    Ok(())
}

/// Writes one message with its body inside, if it shares one.
fn unshare(
    store: &dyn Store,
    before: u8,
    key: &[u8],
    value: &[u8],
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let Some(Key::Message(owner, number)) = Key::decode(key) else { return Ok(()) };
    let shard = ShardId((owner.slot % u16::from(before)) as u8);
    writing::unshare(key, value, || body(store, shard, number), batch);
    if batch.size() > BATCH_BYTES {
        store.commit(&mut batch.changes(), false)?;
        batch.clear();
    }
    Ok(())
}

/// Bytes of changes that are committed together.
const BATCH_BYTES: usize = 4 << 20;
