//! `[[limit]]`, as it is written.

use dunlin_broker::limits::exceptions::Exceptional;
use dunlin_net::ip_network::IpNetwork;

/// Whom an exception is about, and what it lays down, as they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitConfig {
    /// The names of listeners.
    pub listeners: Vec<String>,
    /// Groups of users.
    pub groups: Vec<String>,
    /// User names, or beginnings of them and `*`.
    pub users: Vec<String>,
    /// Client Identifiers, or beginnings of them and `*`.
    pub client_ids: Vec<String>,
    /// Addresses and ranges of them.
    pub addresses: Vec<IpNetwork>,
    /// What it lays down.
    pub limits: Exceptional,
}
