//! A question on its way to a shard, and what comes back.

use dunlin_broker::inspect::{answer::Answer, question::Question};
use tokio::sync::oneshot;

/// A question, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) question: Question,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What comes back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// What the broker says.
    pub(crate) answer: Answer,
    /// What the thread has moved by then.
    pub(crate) traffic: Traffic,
}

/// What the thread of a shard has moved since its start. It alone writes it, and copies it out when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes read from Clients, without CONNECT.
    pub(crate) bytes_received: u64,
    /// Bytes written to Clients.
    pub(crate) bytes_sent: u64,
}
