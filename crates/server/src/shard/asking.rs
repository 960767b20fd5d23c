//! A question on its way to a shard.

use dunlin_broker::inspect::{answer::Answer, question::Question};
use tokio::sync::oneshot;

/// A question, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) question: Question,
    pub(crate) reply: oneshot::Sender<Answer>,
}
