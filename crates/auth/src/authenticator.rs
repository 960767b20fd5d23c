//! The interface of a provider that says who a Client is (3.1.4, 4.12).

use std::{collections::HashSet, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::SystemTime};

use dunlin_broker::{
    handshake::Credentials,
    permissions::{rule_set::RuleSet, subject::CertificateFacts},
};
use dunlin_packet::reason_code::ReasonCode;

/// Knows some of the Clients, or one Authentication Method.
pub trait Authenticator: Send + Sync {
    /// Its name in the configuration, for logs.
    fn name(&self) -> &str;

    /// Judges a CONNECT, or the AUTH that begins a re-authentication (4.12.1).
    ///
    /// It may wait for others; the caller limits the time of the whole exchange and drops the future when
    /// that is over.
    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a>;

    /// Reads its files again if they have changed; says whether they had. It may block. What it knew stays in force if they
    /// cannot be read.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn refresh(&self) -> Result<bool, ProviderError> {
        Ok(false)
    }

    /// The names of all users it knows, if it has a list of them.
    fn user_names(&self) -> Option<HashSet<Box<str>>> {
        None
    }
}

/// The rest of an exchange with several steps (4.12), kept by the caller between a challenge and its answer.
/// It owns what the method must remember; dropping it ends the exchange.
pub trait NextStep: Send {
    /// Judges the Client's answer, which is in the Authentication Data of `question`.
    fn judge<'a>(self: Box<Self>, question: &'a Question) -> VerdictFuture<'a>;

    /// The user that the exchange is about, if it is known by now.
    fn user_name(&self) -> Option<&str> {
        None
    }
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
    /// The name of the listener in the configuration; empty if it has none.
    pub listener_name: Arc<str>,
    /// What the Client's certificate says, if it showed one and it was verified.
    pub certificate: Option<Arc<CertificateFacts>>,
    /// Whether the Client is connected and authenticates again (4.12.1).
    pub is_reauthentication: bool,
}

/// Who a Client is, and what comes with it. The default is a Client that is let in and of whom nothing is known.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// The user name that was proved.
    pub user_name: Option<Box<str>>,
    /// The groups that the user is in.
    pub groups: Box<[Box<str>]>,
    /// Rules of its own, in the place of those of the listener.
    pub rules: Option<Arc<RuleSet>>,
    /// When the Client must go, unless it authenticates again.
    pub expires: Option<SystemTime>,
    /// The only Client Identifier it may have.
    pub client_id: Option<Box<str>>,
}

/// What a provider says.
pub enum Verdict {
    /// The Client is who it says.
    Grant {
        /// Who that is.
        grant: Grant,
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
    /// Refused, with a Reason Code of 0x80 or greater. A wrong password is Bad User Name or Password; with that, or with Not
    /// authorized by an Authentication Method, further tries are delayed.
    Deny(ReasonCode),
    /// This provider does not know such Clients: the next one is asked.
    NotMine,
}

/// Why a provider cannot work with what it was given; the text says what and where, and has no secret in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProviderError(pub String);

impl Verdict {
    /// Lets `user_name` in.
    #[must_use]
    pub fn user(user_name: &str) -> Self {
        Self::Grant {
            grant: Grant { user_name: Some(user_name.into()), ..Grant::default() },
            data: Vec::new(),
        }
    }
}
