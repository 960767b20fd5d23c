//! The exchange of enhanced authentication that is under way on a connection (4.12).

use std::future::pending;

use dunlin_packet::packet_type::PacketType;
use dunlin_packet::property::identifier::PropertyPlace;
use dunlin_packet::property::value::Property;
use dunlin_protocol::client::properties::Properties;
use dunlin_protocol::error::RequestError;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::authentication::{Authentication, AuthenticationError, Begun, Exchange};
use crate::error::Error;

/// Who asked to authenticate anew.
pub(crate) type Asker = oneshot::Sender<Result<(), Error>>;

/// An answer, and what made it.
type Answer = (Box<dyn Exchange>, Result<Option<Vec<u8>>, AuthenticationError>);

/// What is under way, if anything is.
#[derive(Default)]
pub(crate) struct Exchanges {
    exchange: Option<Box<dyn Exchange>>,
    /// An answer is being computed, by a thread that may take its time.
    answering: Option<JoinHandle<Answer>>,
    asker: Option<Asker>,
}

impl Exchanges {
    /// Begins, and gives the first Authentication Data.
    pub(crate) fn begin(
        &mut self,
        authentication: Option<&Authentication>,
    ) -> Result<Option<Vec<u8>>, AuthenticationError> {
        self.answering = None;
        self.exchange = None;
        let Some(Authentication(method)) = authentication else { return Ok(None) };
        let Begun { data, exchange } = method.begin()?;
        self.exchange = Some(exchange);
        Ok(data)
    }

    /// The Server asks to continue. False if nothing has begun.
    pub(crate) fn challenge(&mut self, data: Option<&[u8]>) -> bool {
        let Some(mut exchange) = self.exchange.take() else { return false };
        let data = data.map(<[u8]>::to_vec);
        self.answering = Some(spawn_blocking(move || {
            let answer = exchange.answer(data.as_deref());
            (exchange, answer)
        }));
        true
    }

    /// Waits for the answer to a challenge; without one, for ever.
    pub(crate) async fn answer(&mut self) -> Result<Option<Vec<u8>>, AuthenticationError> {
        let Some(answering) = &mut self.answering else { return pending().await };
        let answered = answering.await;
        self.answering = None;
        let (exchange, answer) = answered
            .map_err(|error| AuthenticationError(format!("the Authentication Method failed: {error}")))?;
        self.exchange = Some(exchange);
        answer
    }

    /// The Server says that all is well. True if an exchange was under way, and is done.
    pub(crate) fn succeed(&mut self, data: Option<&[u8]>) -> Result<bool, AuthenticationError> {
        match self.exchange.take() {
            None if self.answering.take().is_some() => {
                Err(AuthenticationError("the Server does not wait for the answer to its own question".into()))
            }
            None => Ok(false),
            Some(mut exchange) => exchange.finish(data).map(|()| true),
        }
    }

    /// Somebody waits for the end of what was begun.
    pub(crate) fn wait(&mut self, asker: Asker) {
        self.asker = Some(asker);
    }

    /// Whether nobody waits.
    pub(crate) fn is_free(&self) -> bool {
        self.asker.is_none() && self.exchange.is_none() && self.answering.is_none()
    }

    /// Tells who waits, if somebody does.
    pub(crate) fn tell(&mut self, outcome: Result<(), Error>) {
        if let Some(asker) = self.asker.take() {
            // Who asked may have stopped waiting.
            drop(asker.send(outcome));
        }
    }
}

/// The properties of an AUTH.
pub(crate) fn auth_properties(
    authentication: &Authentication,
    data: Option<&[u8]>,
) -> Result<Properties, RequestError> {
    let method = Property::AuthenticationMethod(authentication.0.name());
    let items: Vec<_> = [method].into_iter().chain(data.map(Property::AuthenticationData)).collect();
    Ok(Properties::new(PropertyPlace::Packet(PacketType::Auth), &items)?)
}
