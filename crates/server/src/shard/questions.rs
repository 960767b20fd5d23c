//! Questions of operators to a shard: what is to be asked, and what is not answered yet.

use std::collections::{HashMap, VecDeque};

use dunlin_broker::inspect::{answer::Answered, question::Asked};
use tokio::sync::oneshot;

use super::asking::{Asking, Reply, Traffic};

/// The questions of one shard. Their number is bounded by that of those who may ask.
#[derive(Debug, Default)]
pub(super) struct Questions {
    waiting: VecDeque<Asking>,
    asked: HashMap<u64, oneshot::Sender<Reply>>,
    tickets: u64,
}

impl Questions {
    pub(super) fn add(&mut self, asking: impl Iterator<Item = Asking>) {
        self.waiting.extend(asking);
    }

    /// Whether there is something to ask.
    pub(super) fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next question for the broker.
    pub(super) fn next(&mut self) -> Option<Asked> {
        let Asking { question, reply } = self.waiting.pop_front()?;
        // Who asked may have gone without waiting for the answer.
        self.asked.retain(|_, reply| !reply.is_closed());
        self.tickets += 1;
        self.asked.insert(self.tickets, reply);
        Some(Asked { ticket: self.tickets, question })
    }

    /// Hands on what the broker says.
    pub(super) fn answered(&mut self, answered: Answered, traffic: Traffic) {
        if let Some(reply) = self.asked.remove(&answered.ticket) {
            // Nobody may wait for it any more.
            drop(reply.send(Reply { answer: answered.answer, traffic }));
        }
    }
}
