//! Who a Client is, as far as rules may ask.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Who a Client is: fixed when it is authenticated, shared by its connection, its Session and what it publishes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Subject {
    /// The user name that was proved; `None` for a Client that proved none.
    pub user_name: Option<Box<str>>,
    /// The Client Identifier.
    pub client_id: Box<str>,
    /// The groups that the provider knows the user to be in.
    pub groups: Box<[Box<str>]>,
    /// The address it comes from, an IPv4 address never as an IPv6 one.
    pub address: IpAddr,
    /// What its certificate says, if it showed one.
    pub certificate: Option<Arc<CertificateFacts>>,
}

/// What a Client's certificate says, once it is verified.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct CertificateFacts {
    /// The subject as RFC 4514 writes it, such as `CN=ann,O=Example`.
    pub subject: Box<str>,
    /// The last common name of the subject.
    pub common_name: Option<Box<str>>,
    /// The DNS names among the alternative names, in their order.
    pub dns_names: Box<[Box<str>]>,
    /// The URIs among the alternative names, in their order.
    pub uri_names: Box<[Box<str>]>,
    /// The mail addresses among the alternative names, in their order.
    pub mail_names: Box<[Box<str>]>,
    /// The issuer as RFC 4514 writes it.
    pub issuer: Box<str>,
    /// The serial number in lower-case hexadecimal digits, two for each byte.
    pub serial: Box<str>,
    /// The SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
}

impl Subject {
    /// A Client of whom nothing is known but its Client Identifier and its address.
    #[must_use]
    pub fn anonymous(client_id: &str, address: IpAddr) -> Self {
        Self {
            user_name: None,
            client_id: client_id.into(),
            groups: Box::default(),
            address: address.to_canonical(),
            certificate: None,
        }
    }

    /// Whether `other` is the same identity: the same user name, or none as well. A Session belongs to one.
    #[must_use]
    pub fn is_same_identity(&self, other: &Self) -> bool {
        self.user_name == other.user_name
    }
}

impl Default for Subject {
    fn default() -> Self {
        Self::anonymous("", Ipv4Addr::UNSPECIFIED.into())
    }
}
