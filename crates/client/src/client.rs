//! The handle of a Client.

use std::sync::{Arc, OnceLock};

use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::client::event::Message;
use dunlin_protocol::client::properties::Properties;
use tokio::sync::{mpsc, oneshot};

use crate::command::{Command, Disconnect, Subscribe, Unsubscribe};
use crate::driver::{Driver, Inboxes};
use crate::error::{ConnectionError, Error, RequestError};
use crate::exchange::Asker;
use crate::messages::Messages;
use crate::options::{Options, Subscription};

pub use dunlin_protocol::client::event::Connected;

/// A Client that is connected, or connecting again. Clones are handles of the same Client; when the last one is
/// dropped, it disconnects.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    disconnect: mpsc::Sender<Disconnect>,
    reauthenticate: mpsc::Sender<Asker>,
    end: Arc<OnceLock<ConnectionError>>,
    connected: Arc<Connected>,
}

/// A message on its way.
#[derive(Debug)]
pub struct Delivery {
    outcome: oneshot::Receiver<Result<ReasonCode, Error>>,
    end: Arc<OnceLock<ConnectionError>>,
}

impl Client {
    /// Connects, and returns once the Server has accepted the connection. Needs a tokio runtime.
    ///
    /// # Errors
    /// Why the first attempt failed; there is no second.
    pub async fn connect(options: Options) -> Result<(Self, Messages), ConnectionError> {
        let (commands, command_receiver) = mpsc::channel(COMMANDS_MAX);
        let (disconnect, disconnect_receiver) = mpsc::channel(1);
        let (reauthenticate, reauthentications) = mpsc::channel(1);
        let (message_sender, receiver) = mpsc::channel(options.messages_max.max(1));
        let (started, start) = oneshot::channel();
        let end = Arc::new(OnceLock::new());
        let inboxes =
            Inboxes { commands: command_receiver, disconnects: disconnect_receiver, reauthentications };
        let driver = Driver::new(options, inboxes, message_sender, Arc::clone(&end));
        tokio::spawn(driver.run(started));
        let connected = match start.await {
            Ok(result) => Arc::new(result?),
            Err(_) => return Err(ended(&end)),
        };
        let client = Self { commands, disconnect, reauthenticate, end: Arc::clone(&end), connected };
        Ok((client, Messages { receiver, end }))
    }

    /// What the Server said when the first connection was accepted.
    #[must_use]
    pub fn connected(&self) -> &Connected {
        &self.connected
    }

    /// Publishes `message`. With QoS 0 it returns when the message is about to be written, with QoS 1 and 2 when the
    /// Server has acknowledged it for good, over reconnects if need be.
    ///
    /// # Errors
    /// Each [`Error`].
    pub async fn publish(&self, message: Message) -> Result<ReasonCode, Error> {
        self.send(message).await?.acknowledged().await
    }

    /// Hands over `message` without waiting for the Server; waits while too much is on its way.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn send(&self, message: Message) -> Result<Delivery, Error> {
        let (reply, outcome) = oneshot::channel();
        self.command(Command::Publish { message, reply }).await?;
        Ok(Delivery { outcome, end: Arc::clone(&self.end) })
    }

    /// Subscribes, and returns what the Server says to each Topic Filter: a granted QoS or an error. The Subscriptions
    /// are made again if a reconnect finds them lost.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Ended`].
    pub async fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<Vec<ReasonCode>, Error> {
        self.subscribe_with(subscriptions, Properties::EMPTY).await
    }

    /// Subscribes with properties of SUBSCRIBE.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Ended`].
    pub async fn subscribe_with(
        &self,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    ) -> Result<Vec<ReasonCode>, Error> {
        let (reply, outcome) = oneshot::channel();
        self.command(Command::Subscribe(Subscribe { subscriptions, properties, reply: Some(reply) })).await?;
        received(outcome.await, &self.end)
    }

    /// Unsubscribes, and returns what the Server says to each Topic Filter; before version 5.0 it says nothing.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Ended`].
    pub async fn unsubscribe(
        &self,
        topic_filters: Vec<String>,
        properties: Properties,
    ) -> Result<Vec<ReasonCode>, Error> {
        let (reply, outcome) = oneshot::channel();
        self.command(Command::Unsubscribe(Unsubscribe { topic_filters, properties, reply })).await?;
        received(outcome.await, &self.end)
    }

    /// Sends DISCONNECT and waits until the connection is closed. What was not acknowledged stays so.
    pub async fn disconnect(&self) {
        if self.disconnect.send(Disconnect::normal()).await.is_ok() {
            self.disconnect.closed().await;
        }
    }

    /// Sends DISCONNECT with a Reason Code and properties, and waits until the connection is closed.
    ///
    /// # Errors
    /// Each [`RequestError`] that a DISCONNECT can have; the connection then goes on.
    pub async fn disconnect_with(
        &self,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> Result<(), RequestError> {
        let (refused, refusal) = oneshot::channel();
        let wish = Disconnect { reason_code, properties, refused: Some(refused) };
        // Either it is taken, or the Client has ended already.
        if self.disconnect.send(wish).await.is_ok() {
            if let Ok(error) = refusal.await {
                return Err(error);
            }
            self.disconnect.closed().await;
        }
        Ok(())
    }

    /// Authenticates anew by the method of [`Options::authentication`], on the connection that is there (4.12.1), and returns once the
    /// Server has accepted it. If the connection is lost meanwhile, the authentication of the next one counts; a Server that refuses
    /// ends the connection.
    ///
    /// # Errors
    /// [`Error::Request`] without such a method, [`Error::Authentication`], [`Error::Ended`].
    pub async fn reauthenticate(&self) -> Result<(), Error> {
        let (asker, outcome) = oneshot::channel();
        self.reauthenticate.send(asker).await.map_err(|_| Error::Ended(ended(&self.end)))?;
        received(outcome.await, &self.end)
    }

    /// Waits until the Client has ended and returns why.
    pub async fn ended(&self) -> ConnectionError {
        self.commands.closed().await;
        ended(&self.end)
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Ended(ended(&self.end)))
    }
}

impl Delivery {
    /// Waits until the Server has acknowledged the message for good, or with QoS 0 until it is about to be written.
    ///
    /// # Errors
    /// Each [`Error`].
    pub async fn acknowledged(self) -> Result<ReasonCode, Error> {
        match received(self.outcome.await, &self.end)? {
            reason_code if reason_code.is_error() => Err(Error::Refused(reason_code)),
            reason_code => Ok(reason_code),
        }
    }
}

fn received<T>(
    outcome: Result<Result<T, Error>, oneshot::error::RecvError>,
    end: &OnceLock<ConnectionError>,
) -> Result<T, Error> {
    outcome.unwrap_or_else(|_| Err(Error::Ended(ended(end))))
}

/// Why the driver has gone; it says so before it goes.
fn ended(end: &OnceLock<ConnectionError>) -> ConnectionError {
    end.get().cloned().unwrap_or(ConnectionError::Lost)
}

/// Requests that wait for the driver before the next one has to wait for a place.
const COMMANDS_MAX: usize = 64;
