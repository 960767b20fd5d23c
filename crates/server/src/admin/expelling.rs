//! Clients that have to go: asked of all shards.

use std::{sync::Arc, time::Duration};

use dunlin_broker::{
    inspect::{answer::Answer, question::Question},
    permissions::who::Who,
};
use dunlin_packet::reason_code::ReasonCode;
use tokio::time::sleep;

use super::shards::{NoAnswer, Shards};

/// Disconnects them, and soon after once more: some may have been on their way from the lobby. Returns how many there were at
/// first.
///
/// # Errors
/// If a shard does not answer; those in the others before it are disconnected.
pub(crate) async fn expel(
    shards: &Shards,
    whom: &Arc<Who>,
    code: ReasonCode,
    reason: &str,
) -> Result<u32, NoAnswer> {
    let count = expel_now(shards, whom, code, reason).await;
    let (shards, whom, reason) = (shards.clone(), Arc::clone(whom), reason.to_owned());
    tokio::spawn(async move {
        sleep(WAY_TIME).await;
        if let Err(error) = expel_now(&shards, &whom, code, &reason).await {
            tracing::debug!(?error, "a shard did not disconnect late ones");
        }
    });
    count
}

async fn expel_now(
    shards: &Shards,
    whom: &Arc<Who>,
    code: ReasonCode,
    reason: &str,
) -> Result<u32, NoAnswer> {
    let mut expelled = 0;
    for shard in shards.all() {
        let mut place = Some(0);
        while let Some(from) = place.take() {
            let question = Question::Expel { whom: Arc::clone(whom), code, reason: reason.into(), from };
            if let Answer::Expelled { count, next } = shards.ask(shard, question).await? {
                expelled += count;
                place = next;
            }
        }
    }
    Ok(expelled)
}

/// How long the way from the lobby to a shard may take.
const WAY_TIME: Duration = Duration::from_secs(2);
