//! What a handle asks of the task that drives the connection.

use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::client::event::Message;
use dunlin_protocol::client::properties::Properties;
use dunlin_protocol::error::RequestError;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::options::Subscription;

/// Where the outcome of a request goes. Who asked may have gone away meanwhile.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

#[derive(Debug)]
pub(crate) enum Command {
    Publish { message: Message, reply: Reply<ReasonCode> },
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
}

#[derive(Debug)]
pub(crate) struct Subscribe {
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) properties: Properties,
    /// Nothing if the library itself subscribes again.
    pub(crate) reply: Option<Reply<Vec<ReasonCode>>>,
}

#[derive(Debug)]
pub(crate) struct Unsubscribe {
    pub(crate) topic_filters: Vec<String>,
    pub(crate) properties: Properties,
    pub(crate) reply: Reply<Vec<ReasonCode>>,
}

/// The last wish: DISCONNECT with these properties.
#[derive(Debug)]
pub(crate) struct Disconnect {
    pub(crate) reason_code: ReasonCode,
    pub(crate) properties: Properties,
    /// Told if the packet cannot be sent; the connection then goes on.
    pub(crate) refused: Option<oneshot::Sender<RequestError>>,
}

impl Disconnect {
    /// Without properties.
    pub(crate) fn with_reason(reason_code: ReasonCode) -> Self {
        Self { reason_code, properties: Properties::EMPTY, refused: None }
    }

    pub(crate) fn normal() -> Self {
        Self::with_reason(ReasonCode::NORMAL_DISCONNECTION)
    }
}
