//! Connected Clients that authenticate again (4.12.1): the shards ask here, the answers go to their
//! mailboxes.

use std::sync::Arc;

use dunlin_auth::{authenticator::Question, chain::Exchange};
use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::Decision,
};
use dunlin_packet::reason_code::ReasonCode;
use tokio::{sync::mpsc, time::timeout};

use crate::{counts::PanicWatch, shard::mailbox::Answer};

use super::desk::Desk;

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

/// Answers `requests` until all shards have gone. A provider has as long for each as for a CONNECT.
pub(crate) async fn serve(mut requests: mpsc::Receiver<Reauthentication>, desk: Arc<Desk>) {
    while let Some(request) = requests.recv().await {
        let (terms, post) = (desk.terms(), Arc::clone(&desk.post));
        let watch = PanicWatch(Arc::clone(&desk.counts));
        tokio::spawn(async move {
            let Reauthentication { shard, connection, serial, question, mut exchange } = request;
            let judged = tokio::spawn(async move {
                let _watch = watch;
                let judging = terms.chains.authenticate(&question, &mut exchange);
                let decision = timeout(terms.connect_timeout, judging).await;
                (decision.unwrap_or(Decision::Deny(ReasonCode::ServerUnavailable)), exchange)
            });
            // A panic costs this Client its connection, and nobody else anything.
            let panicked = |_| (Decision::Deny(ReasonCode::UnspecifiedError), Exchange::default());
            let (decision, exchange) = judged.await.unwrap_or_else(panicked);
            let decision = in_words_of_disconnect(decision);
            post.answer(shard, Answer { connection, serial, decision, exchange });
        });
    }
}

/// Reason Codes that only CONNACK has, in those of DISCONNECT (3.14.2.1).
fn in_words_of_disconnect(decision: Decision) -> Decision {
    match decision {
        Decision::Deny(ReasonCode::ServerUnavailable) => Decision::Deny(ReasonCode::ServerBusy),
        Decision::Deny(
            ReasonCode::BadUserNameOrPassword
            | ReasonCode::BadAuthenticationMethod
            | ReasonCode::ClientIdentifierNotValid
            | ReasonCode::Banned,
        ) => Decision::Deny(ReasonCode::NotAuthorized),
        decision => decision,
    }
}
