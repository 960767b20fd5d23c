//! What can go wrong, by blame: the request, the Server, the network.

use std::io;
use std::sync::Arc;

use dunlin_net::address::Scheme;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::client::event::CloseCause;
use dunlin_protocol::client::properties::Properties;
use thiserror::Error;

use crate::authentication::AuthenticationError;

pub use dunlin_net::connect::ConnectError;
pub use dunlin_net::outgoing::Failure;
pub use dunlin_net::tls::failure::TlsFailure;
pub use dunlin_protocol::error::{RequestError, ServerError};

/// Why a request failed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be sent; the connection goes on.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The Server refused the message.
    #[error("the Server refused the message: {0}")]
    Refused(ReasonCode),
    /// The Server has lost the Session while a QoS 2 message was under way: whether it has the message is not known, and
    /// sending it again might double it.
    #[error("the Server lost the Session; whether it has the message is not known")]
    SessionLost,
    /// The Authentication Method cannot begin.
    #[error("cannot authenticate: {0}")]
    Authentication(AuthenticationError),
    /// The Client has ended.
    #[error("the connection has ended: {0}")]
    Ended(ConnectionError),
}

/// Why a connection could not be made, or ended.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// No stream could be opened.
    #[error("{0}")]
    Network(Arc<ConnectError>),
    /// What lies below MQTT failed after CONNECT was sent; in TLS 1.3 that is when a Server says what is wrong with the Client's
    /// certificate.
    #[error("{0}")]
    Below(Failure),
    /// The Server closed the connection before it said a word of MQTT.
    #[error("the Server closed the connection instead of answering CONNECT; {}", closed_hint(*.0))]
    ClosedAtOnce(Scheme),
    /// The Server answers CONNECT in another language.
    #[error("the Server speaks {} at this port, not plain MQTT{}", .0, speech_hint(.0))]
    NotMqtt(&'static str),
    /// The options make no CONNECT.
    #[error("{0}")]
    Options(RequestError),
    /// CONNACK refused the connection. Before version 5.0 the return code is given as the Reason Code that says the same.
    #[error("the Server refuses the connection: {reason_code}{}", explained(.reason))]
    Refused {
        /// Why.
        reason_code: ReasonCode,
        /// The Server's own words.
        reason: Option<String>,
    },
    /// The Server sent DISCONNECT.
    #[error("the Server ended the connection: {reason_code}{}", explained(.reason))]
    ByServer {
        /// Why.
        reason_code: ReasonCode,
        /// The Server's own words.
        reason: Option<String>,
    },
    /// The Server broke a rule.
    #[error("{0}")]
    Server(ServerError),
    /// The stream opened, but no CONNACK came: it may be no MQTT Server.
    #[error("the Server did not answer CONNECT; check that the port is one for what is spoken there")]
    NoConnack,
    /// The Server stopped answering.
    #[error("the Server does not answer PINGREQ any more")]
    NoPingresp,
    /// The stream ended without a word.
    #[error("the connection was closed by the other side")]
    Lost,
    /// Reading or writing failed.
    #[error("the connection failed: {0}")]
    Io(Arc<io::Error>),
    /// The Authentication Method does not go on: the Server has not proved who it is, for instance.
    #[error("authentication failed: {0}")]
    Authentication(AuthenticationError),
    /// The Server asks for enhanced authentication, and the options have no Authentication Method that has begun.
    #[error("the Server asks to continue an authentication that has not begun")]
    AuthenticationAsked,
    /// The owner ended it.
    #[error("disconnected")]
    ByClient,
}

impl ConnectionError {
    /// Whether another attempt may succeed without a change of the options.
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Network(_)
            | Self::Below(_)
            | Self::ClosedAtOnce(_)
            | Self::NotMqtt(_)
            | Self::Lost
            | Self::Io(_)
            | Self::NoConnack
            | Self::NoPingresp => true,
            Self::Refused { reason_code, .. } => matches!(
                reason_code,
                ReasonCode::ServerUnavailable
                    | ReasonCode::ServerBusy
                    | ReasonCode::ConnectionRateExceeded
                    | ReasonCode::QuotaExceeded
                    | ReasonCode::UnspecifiedError
            ),
            // Whoever took the Session over would lose it again, and so on for ever.
            Self::ByServer { reason_code, .. } => !matches!(
                reason_code,
                ReasonCode::SessionTakenOver | ReasonCode::UseAnotherServer | ReasonCode::ServerMoved
            ),
            Self::Server(_)
            | Self::Options(_)
            | Self::Authentication(_)
            | Self::AuthenticationAsked
            | Self::ByClient => false,
        }
    }
}

impl From<CloseCause> for ConnectionError {
    fn from(cause: CloseCause) -> Self {
        match cause {
            CloseCause::ByClient => Self::ByClient,
            CloseCause::Refused { reason_code, properties } => {
                Self::Refused { reason_code, reason: reason_of(&properties) }
            }
            CloseCause::ByServer { reason_code, properties } => {
                Self::ByServer { reason_code, reason: reason_of(&properties) }
            }
            CloseCause::ServerError(error) => Self::Server(error),
            CloseCause::NoConnack => Self::NoConnack,
            CloseCause::NoPingresp => Self::NoPingresp,
            _ => Self::Lost,
        }
    }
}

fn reason_of(properties: &Properties) -> Option<String> {
    let list = properties.list();
    let reference = list.server_reference().map(|reference| format!("go to {reference}"));
    list.reason_string().map(String::from).or(reference)
}

fn explained(reason: &Option<String>) -> String {
    reason.as_ref().map_or(String::new(), |reason| format!(" ({reason:?})"))
}

fn closed_hint(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Mqtt => "a port for TLS or WebSocket does so: use mqtts:// or ws://",
        Scheme::Mqtts => {
            "its log may say why, for instance a certificate of this Client that it does not accept"
        }
        Scheme::Ws | Scheme::Wss | Scheme::Unix => "its log may say why",
    }
}

fn speech_hint(speech: &str) -> &'static str {
    match speech {
        "TLS" => "; use mqtts://, or wss:// for WebSocket",
        "HTTP" => "; for MQTT over WebSocket use ws://",
        _ => "",
    }
}
