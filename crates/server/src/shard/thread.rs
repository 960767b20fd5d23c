//! The thread of one shard: turns without end, until the Server shuts down.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::{Builder, JoinHandle},
};

use dunlin_broker::{ids::ShardId, output::Outbox, shard::Shard};
use tokio::sync::Notify;

use super::{
    neighbours::Sleeper, poller::Poller, recovery, storage::Ready, surroundings::Surroundings, turn::Turns,
};

/// Starts the thread of `shard`: it restores what is stored of it and says so, and then takes turns. If it cannot go on, it
/// says so in the log and to `failed`.
///
/// # Errors
/// If the operating system gives no thread or no descriptor.
pub(crate) fn start(
    shard: ShardId,
    mut machine: Shard,
    mut poller: Poller,
    around: Surroundings,
    failed: Arc<Notify>,
) -> io::Result<JoinHandle<()>> {
    let registrar = poller.registrar()?;
    Builder::new().name(format!("shard-{}", shard.0)).spawn(move || {
        let counts = Arc::clone(&around.counts);
        let mut outbox = Outbox::new(around.post.shards());
        if let Some(storage) = &around.storage {
            let shards = around.post.shards();
            let restored = recovery::restore(
                storage.store(),
                storage.progress(),
                &mut machine,
                shard,
                shards,
                &mut outbox,
            );
            if let Err(error) = restored {
                return around.tell_startup(Ready::Failed(error));
            }
        }
        machine.restored(around.clock.now(), &mut outbox);
        let neighbours = Arc::clone(&around.neighbours);
        let turns = Arc::new(Mutex::new(Turns::new(shard, machine, outbox, registrar, around)));
        begin(&turns);
        let sleeper: Weak<Mutex<Turns<Shard>>> = Arc::downgrade(&turns);
        neighbours.introduce(shard, sleeper);
        let mut panics_in_a_row = 0;
        loop {
            // What the broker does is caught where it is called; this is for the server's own faults.
            match catch_unwind(AssertUnwindSafe(|| wait_and_turn(&turns, &mut poller))) {
                Ok(Ok(true)) => panics_in_a_row = 0,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::error!(shard = shard.0, %error, "a shard cannot ask for ready sockets and ends");
                    return failed.notify_one();
                }
                Err(_) => {
                    counts.panicked();
                    panics_in_a_row += 1;
                    tracing::error!(shard = shard.0, "a shard panicked: this is a fault of the program");
                    if panics_in_a_row == PANICS_IN_A_ROW_MAX {
                        return failed.notify_one();
                    }
                }
            }
        }
    })
}

/// Does what the restoring has left to do, and says that it is over.
fn begin(turns: &Mutex<Turns<Shard>>) {
    let mut turns = own(turns);
    turns.flush();
    turns.around.tell_startup(Ready::Restored);
}

/// Waits for something to do and does it; while it waits, a neighbour may do it. Returns whether there will be another turn.
fn wait_and_turn(turns: &Mutex<Turns<Shard>>, poller: &mut Poller) -> io::Result<bool> {
    let timeout = own(turns).time_to_wait();
    poller.wait(timeout)?;
    Ok(own(turns).turn(poller))
}

impl Sleeper for Mutex<Turns<Shard>> {
    fn help(&self) -> bool {
        // Nobody waits for a lock here: two shards may be about to help each other.
        self.try_lock().is_ok_and(|mut turns| turns.turn_for_a_sleeper())
    }
}

/// After a panic the shard goes on with what it has.
fn own(turns: &Mutex<Turns<Shard>>) -> MutexGuard<'_, Turns<Shard>> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

/// After so many panics without a whole turn between them the shard gives up.
const PANICS_IN_A_ROW_MAX: u32 = 10;
