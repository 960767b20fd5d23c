//! What goes wrong with TLS, seen from the Client, in words for the person who has to mend it.

use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible, pki_types::UnixTime};
use thiserror::Error as ThisError;

use crate::first_bytes::{self, Speech};

/// Why there is no connection in TLS, or no more.
#[derive(Clone, PartialEq, Eq, Debug, ThisError)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The certificate of the Server is over, since how long.
    #[error("the certificate of the Server has expired{0}")]
    Expired(String),
    /// It has not begun.
    #[error("the certificate of the Server is not valid yet{0}; is the clock of this machine right?")]
    NotValidYet(String),
    /// It is for other names.
    #[error("the certificate of the Server is not for `{wanted}`, but for {}", named(.names))]
    WrongName {
        /// Where the Client wanted to go.
        wanted: String,
        /// What stands in the certificate.
        names: Vec<String>,
    },
    /// Nobody who is believed has signed it.
    #[error("the certificate of the Server is of a CA that is not trusted here")]
    UnknownCa,
    /// Its CA has the name of one that is believed, and another key.
    #[error(
        "the certificate of the Server is of a CA that is not trusted here, though one of the same name is"
    )]
    OtherCa,
    /// It is on a list.
    #[error("the certificate of the Server is revoked")]
    Revoked,
    /// Anything else about it.
    #[error("the certificate of the Server cannot be accepted: {0}")]
    BadCertificate(String),
    /// The Server speaks something else than TLS.
    #[error("the Server does not speak TLS at this port, but {0}")]
    NotTls(&'static str),
    /// The Server has gone at the first words.
    #[error("the Server closed the connection at the first words of TLS; it may be a port without TLS")]
    ClosedAtOnce,
    /// The Server has gone in the midst of the handshake.
    #[error("the Server closed the connection during the TLS handshake")]
    Closed,
    /// Server and Client have no version or algorithm in common.
    #[error("the Server and this Client have no way of TLS in common: {0}")]
    Incompatible(String),
    /// The Server wants a certificate, and was given none.
    #[error("the Server requires a certificate of this Client, and none was given")]
    CertificateWanted,
    /// The Server does not accept the certificate of this Client.
    #[error("the Server does not accept the certificate of this Client: {0}")]
    CertificateRefused(&'static str),
    /// The Server has ended it for another reason.
    #[error("the Server ended TLS: {0}")]
    Alert(String),
    /// Anything else.
    #[error("TLS failed: {0}")]
    Other(String),
}

impl TlsFailure {
    /// What `error` means to a Client. `first` is what came first from the Server, `has_none` that it has asked for a certificate
    /// and was given none.
    #[must_use]
    pub fn of(error: &Error, first: &[u8], has_none: bool) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::AlertReceived(alert) => Self::of_alert(*alert, has_none),
            Error::InvalidMessage(_) if !is_tls(first) => Self::NotTls(spoken(first)),
            Error::PeerIncompatible(what) => Self::Incompatible(incompatible(what)),
            Error::NoApplicationProtocol => Self::Incompatible("no protocol by ALPN".into()),
            error => Self::Other(error.to_string()),
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired => Self::Expired(String::new()),
            CertificateError::ExpiredContext { time, not_after } => {
                Self::Expired(format!(" {} ago", between(*not_after, *time)))
            }
            CertificateError::NotValidYet => Self::NotValidYet(String::new()),
            CertificateError::NotValidYetContext { time, not_before } => {
                Self::NotValidYet(format!(", it begins in {}", between(*time, *not_before)))
            }
            CertificateError::NotValidForNameContext { expected, presented } => Self::WrongName {
                wanted: expected.to_str().into_owned(),
                names: presented.iter().map(|name| plain_name(name)).collect(),
            },
            CertificateError::UnknownIssuer => Self::UnknownCa,
            CertificateError::BadSignature => Self::OtherCa,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::UnknownRevocationStatus => {
                Self::BadCertificate("there is no list of revoked certificates of its CA".into())
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::BadCertificate("it is not made for Servers (its extended key usage)".into())
            }
            error if format!("{error:?}").contains("CaUsedAsEndEntity") => Self::BadCertificate(
                "it is the certificate of a CA; name it as the one to trust, or give the Server another"
                    .into(),
            ),
            error => Self::BadCertificate(error.to_string()),
        }
    }

    fn of_alert(alert: AlertDescription, has_none: bool) -> Self {
        use AlertDescription as Alert;
        match alert {
            Alert::CertificateRequired => Self::CertificateWanted,
            // TLS 1.2 has no alert of its own for that.
            Alert::HandshakeFailure | Alert::BadCertificate | Alert::AccessDenied if has_none => {
                Self::CertificateWanted
            }
            Alert::UnknownCA => Self::CertificateRefused("it is of a CA that the Server does not know"),
            Alert::CertificateExpired => Self::CertificateRefused("it has expired, or is not valid yet"),
            Alert::CertificateRevoked => Self::CertificateRefused("it is revoked"),
            Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
                Self::CertificateRefused("the Server does not say why")
            }
            Alert::DecryptError => Self::Alert(
                "a signature does not fit; is the certificate of another CA with the same name?".into(),
            ),
            Alert::ProtocolVersion => Self::Incompatible("no version".into()),
            Alert::HandshakeFailure | Alert::InsufficientSecurity => {
                Self::Incompatible("no algorithm that both accept".into())
            }
            Alert::NoApplicationProtocol => {
                Self::Incompatible("the Server does not know the protocol that was named (ALPN)".into())
            }
            Alert::UnrecognisedName => Self::Alert("it does not know this name (SNI)".into()),
            alert => Self::Alert(format!("alert {alert:?}")),
        }
    }
}

/// Whether a record of TLS begins so.
#[must_use]
pub fn is_tls(first: &[u8]) -> bool {
    matches!(first, [20..=23, 3, ..] | [20..=23] | [])
}

fn spoken(first: &[u8]) -> &'static str {
    match first_bytes::tell(first) {
        _ if first.starts_with(b"HTTP/") => "HTTP",
        Some(Speech::Http) => "HTTP",
        // CONNACK and DISCONNECT.
        _ if matches!(first, [0x20 | 0xE0, ..]) => "plain MQTT",
        _ => "something else",
    }
}

fn incompatible(what: &PeerIncompatible) -> String {
    match what {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "no version; the Server's is older than this Client allows".into()
        }
        what => format!("{what:?}"),
    }
}

/// `DnsName("localhost")` is `localhost`.
fn plain_name(presented: &str) -> String {
    let inner = presented.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
    let ip = || presented.strip_prefix("IpAddress(").and_then(|rest| rest.strip_suffix(')'));
    inner.or_else(ip).unwrap_or(presented).to_owned()
}

fn named(names: &[String]) -> String {
    match names {
        [] => "no name at all (a common name does not count)".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

fn between(from: UnixTime, to: UnixTime) -> String {
    let time = Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()));
    match time.as_secs() / SECONDS_A_DAY {
        0 => format!("{} s", time.as_secs()),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

const SECONDS_A_DAY: u64 = 86_400;
