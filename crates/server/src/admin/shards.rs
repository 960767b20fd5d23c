//! Questions to the shards: they go into the mailboxes, so that no lock lies on a packet's path.

use std::{sync::Arc, time::Duration};

use dunlin_broker::{
    ids::ShardId,
    inspect::{answer::Answer, question::Question},
    slot::home_of,
};
use tokio::{sync::oneshot, time::timeout};

use crate::shard::{
    asking::{Asking, Reply},
    mailbox::Post,
};

/// All shards, as somebody who may ask them.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    post: Arc<Post>,
}

/// Why a shard has not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoAnswer {
    /// It shuts down, or has failed.
    Gone,
    /// It has too much else to do.
    Late,
}

impl Shards {
    pub(crate) fn new(post: Arc<Post>) -> Self {
        Self { post }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u8 {
        self.post.shards()
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.count()).map(ShardId)
    }

    /// The home of a Session.
    pub(crate) fn home_of(&self, client_id: &str) -> ShardId {
        home_of(client_id, self.count())
    }

    /// Asks one shard.
    ///
    /// # Errors
    /// Each [`NoAnswer`].
    pub(crate) async fn ask(&self, shard: ShardId, question: Question) -> Result<Answer, NoAnswer> {
        Ok(self.inquire(shard, question).await?.answer)
    }

    /// The same, with what the shard's thread has moved.
    ///
    /// # Errors
    /// Each [`NoAnswer`].
    pub(crate) async fn inquire(&self, shard: ShardId, question: Question) -> Result<Reply, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.post.ask(shard, Asking { question, reply });
        match timeout(ANSWER_TIME, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(NoAnswer::Gone),
            Err(_) => Err(NoAnswer::Late),
        }
    }
}

/// How long a shard may take for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);
