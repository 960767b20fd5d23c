//! The messages a Client receives.

use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use crate::error::ConnectionError;

pub use dunlin_protocol::client::event::ReceivedMessage;

/// The messages of all Subscriptions, in order of arrival.
///
/// Take them without delay: when [`Options::messages_max`](crate::options::Options::messages_max) of them wait, nothing
/// is read from the Server any more, acknowledgements of your own messages included. Dropping this throws all messages
/// away.
#[derive(Debug)]
pub struct Messages {
    pub(crate) receiver: mpsc::Receiver<ReceivedMessage>,
    pub(crate) end: Arc<OnceLock<ConnectionError>>,
}

impl Messages {
    /// The next message, or nothing once the Client has ended. Cancel it when you like; no message is lost.
    pub async fn recv(&mut self) -> Option<ReceivedMessage> {
        self.receiver.recv().await
    }

    /// A message that is here already.
    pub fn try_recv(&mut self) -> Option<ReceivedMessage> {
        self.receiver.try_recv().ok()
    }

    /// Why the Client has ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<&ConnectionError> {
        self.end.get()
    }
}
