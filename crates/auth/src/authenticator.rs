//! The interface of a provider that says who a Client is and what it may do (3.1.4, 4.12).

use std::{future::Future, net::SocketAddr, pin::Pin};

use dunlin_broker::{handshake::Credentials, permissions::Permissions};
use dunlin_packet::reason_code::ReasonCode;

/// Knows some of the Clients, or one Authentication Method.
pub trait Authenticator: Send + Sync {
    /// Short name for logs, such as `password-file`.
    fn name(&self) -> &str;

    /// Judges a CONNECT, or the AUTH that begins a re-authentication (4.12.1).
    ///
    /// It may wait for others; the caller limits the time of the whole exchange and drops the future when
    /// that is over.
    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a>;
}

/// The rest of an exchange with several steps (4.12), kept by the caller between a challenge and its answer.
/// It owns what the method must remember; dropping it ends the exchange.
pub trait NextStep: Send {
    /// Judges the Client's answer, which is in the Authentication Data of `question`.
    fn judge<'a>(self: Box<Self>, question: &'a Question) -> VerdictFuture<'a>;
}

/// A verdict that may take time.
pub type VerdictFuture<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// What a provider is asked: who the Client says it is, and where it comes from.
#[derive(Clone, Debug)]
pub struct Question {
    /// User name, password, Authentication Method and data.
    pub credentials: Credentials,
    /// The Client's address.
    pub peer: SocketAddr,
    /// The address of the Server that the Client has come to.
    pub listener: SocketAddr,
    /// Whether the Client is connected and authenticates again (4.12.1).
    pub is_reauthentication: bool,
}

/// What a provider says.
pub enum Verdict {
    /// The Client is who it says.
    Grant {
        /// What it may do.
        permissions: Permissions,
        /// Authentication Data for the last packet of the exchange; empty for none.
        data: Vec<u8>,
    },
    /// The Client must answer this Authentication Data first.
    Challenge {
        /// What the Client is asked.
        data: Vec<u8>,
        /// Who judges the answer.
        next: Box<dyn NextStep>,
    },
    /// Refused, with a Reason Code of 0x80 or greater.
    Deny(ReasonCode),
    /// This provider does not know such Clients: the next one is asked.
    NotMine,
}
