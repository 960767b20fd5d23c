//! The same Client for programs without async: each call waits until it is done.

use std::io;

use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::client::event::Message;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use crate::client;
use crate::error::{ConnectionError, Error};
use crate::messages::{self, ReceivedMessage};
use crate::options::{Options, Subscription};

/// A Client whose calls wait. One thread of its own drives the connection.
#[derive(Debug)]
pub struct Client {
    client: client::Client,
    messages: messages::Messages,
    runtime: Runtime,
}

/// Why a [`Client`] could not be made.
#[derive(Debug, Error)]
pub enum StartError {
    /// The operating system gives no thread.
    #[error("cannot start the thread of the client: {0}")]
    Thread(#[from] io::Error),
    /// There is no connection.
    #[error("{0}")]
    Connection(#[from] ConnectionError),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn connect(options: Options) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (client, messages) = runtime.block_on(client::Client::connect(options))?;
        Ok(Self { client, messages, runtime })
    }

    /// See [`client::Client::publish`].
    ///
    /// # Errors
    /// Each [`Error`](enum@Error).
    pub fn publish(&self, message: Message) -> Result<ReasonCode, Error> {
        self.runtime.block_on(self.client.publish(message))
    }

    /// See [`client::Client::subscribe`].
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Ended`].
    pub fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<Vec<ReasonCode>, Error> {
        self.runtime.block_on(self.client.subscribe(subscriptions))
    }

    /// See [`client::Client::reauthenticate`].
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Authentication`], [`Error::Ended`].
    pub fn reauthenticate(&self) -> Result<(), Error> {
        self.runtime.block_on(self.client.reauthenticate())
    }

    /// The next message, or nothing once the Client has ended.
    pub fn recv(&mut self) -> Option<ReceivedMessage> {
        self.runtime.block_on(self.messages.recv())
    }

    /// Sends DISCONNECT and waits until the connection is closed.
    pub fn disconnect(self) {
        self.runtime.block_on(self.client.disconnect());
    }
}
