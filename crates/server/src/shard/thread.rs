//! The thread of one shard: turns without end, until the Server shuts down.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use dunlin_broker::{ids::ShardId, output::Outbox, shard::Shard};
use tokio::sync::Notify;

use super::{
    poller::Poller,
    recovery,
    storage::Ready,
    turn::{Surroundings, Turns},
};

/// Starts the thread of `shard`: it restores what is stored of it and says so, and then takes turns. If it cannot go on, it
/// says so in the log and to `failed`.
///
/// # Errors
/// If the operating system gives no thread.
pub(crate) fn start(
    shard: ShardId,
    mut machine: Shard,
    poller: Poller,
    around: Surroundings,
    failed: Arc<Notify>,
) -> io::Result<JoinHandle<()>> {
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
        let mut turns = Turns::new(shard, machine, outbox, poller, around);
        turns.flush();
        turns.around.tell_startup(Ready::Restored);
        let mut panics_in_a_row = 0;
        loop {
            // What the broker does is caught where it is called; this is for the server's own faults.
            match catch_unwind(AssertUnwindSafe(|| turns.turn())) {
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

/// After so many panics without a whole turn between them the shard gives up.
const PANICS_IN_A_ROW_MAX: u32 = 10;
