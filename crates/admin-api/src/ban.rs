//! Bans: who may not come in.

use serde::{Deserialize, Serialize};

/// One ban: whoever fits all that it names may not come in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ban {
    /// Tells it from the others.
    pub id: u64,
    /// A user name, or its beginning and `*`.
    pub user: Option<String>,
    /// A Client Identifier, or its beginning and `*`.
    pub client_id: Option<String>,
    /// An address, or a range of them such as `192.0.2.0/24`.
    pub address: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: u64,
    /// When it is over, in milliseconds since 1970; nothing is never.
    pub expires_at_ms: Option<u64>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a ban comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// An operator has made it.
    Operator,
    /// It stands in the configuration.
    Configuration,
    /// The Client has come too often.
    Flapping,
}
