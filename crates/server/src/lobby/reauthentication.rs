//! Connected Clients that authenticate again (4.12.1): the shards ask here, the answers go to their
//! mailboxes.

use std::{sync::Arc, time::Duration};

use dunlin_auth::{authenticator::Question, chain::Exchange, chains::Chains};
use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::Decision,
};
use dunlin_packet::reason_code::ReasonCode;
use tokio::{sync::mpsc, time::timeout};

use crate::shard::mailbox::{Answer, Post};

/// One step of one Client.
pub(crate) struct Reauthentication {
    /// Where it lives.
    pub(crate) shard: ShardId,
    /// Which connection.
    pub(crate) connection: ConnectionId,
    /// Tells it from others that have had the same number.
    pub(crate) serial: u32,
    /// What to ask.
    pub(crate) question: Question,
    /// What is remembered of the steps before.
    pub(crate) exchange: Exchange,
}

/// Questions that wait; beyond that a Client is told that the Server is busy.
pub(crate) const WAITING_MAX: usize = 1_024;

/// Answers `requests` until all shards have gone. A provider has `time_limit` for each.
pub(crate) async fn serve(
    mut requests: mpsc::Receiver<Reauthentication>,
    chains: Arc<Chains>,
    post: Arc<Post>,
    time_limit: Duration,
) {
    while let Some(request) = requests.recv().await {
        let (chains, post) = (Arc::clone(&chains), Arc::clone(&post));
        tokio::spawn(async move {
            let Reauthentication { shard, connection, serial, question, mut exchange } = request;
            let decision = timeout(time_limit, chains.authenticate(&question, &mut exchange)).await;
            let decision = decision.unwrap_or(Decision::Deny(ReasonCode::ServerUnavailable));
            post.answer(shard, Answer { connection, serial, decision, exchange });
        });
    }
}
