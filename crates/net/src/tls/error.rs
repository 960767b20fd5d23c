//! What goes wrong with TLS, in words for the person who has to mend it.

use std::{io, path::PathBuf};

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use thiserror::Error as ThisError;

/// Why certificates cannot be used; every variant names the file.
#[derive(Debug, ThisError)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is nothing of what it should hold.
    #[error("{} holds no {what}; a file in PEM is expected, with lines of -----BEGIN {begin}-----", .file.display())]
    Empty {
        /// Which file.
        file: PathBuf,
        /// What is missing.
        what: &'static str,
        /// How it would begin.
        begin: &'static str,
    },
    /// It holds something that cannot be read.
    #[error("{} cannot be used: {what}", .file.display())]
    Invalid {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Certificate and key are not a pair.
    #[error("the certificate in {} does not belong to the key in {}", .certificate.display(), .key.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate is over or has not begun.
    #[error("the certificate in {} {what}", .file.display())]
    NotValid {
        /// Which file.
        file: PathBuf,
        /// Since when or from when on.
        what: String,
    },
}

/// Says what happened in a connection, seen from the Server.
#[must_use]
pub fn describe(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => format!("the Client ended TLS: {}", alert_text(*alert)),
        Error::NoCertificatesPresented => {
            "the Client has shown no certificate, and this listener requires one".to_owned()
        }
        Error::InvalidCertificate(error) => {
            format!("the certificate of the Client {}", certificate_text(error))
        }
        Error::PeerIncompatible(what) => incompatible_text(what),
        Error::NoApplicationProtocol => {
            "the Client offers other protocols in TLS (ALPN) than this listener has".to_owned()
        }
        Error::DecryptError | Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            format!("the Client does not keep to TLS: {error}")
        }
        _ => format!("TLS: {error}"),
    }
}

fn alert_text(alert: AlertDescription) -> String {
    let name = format!("{alert:?}");
    match alert {
        AlertDescription::UnknownCA => {
            "it does not know the CA of this listener's certificate (alert UnknownCA)".to_owned()
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            format!(
                "it does not accept this listener's certificate; is it made for the name that the Client uses? (alert {name})"
            )
        }
        AlertDescription::CertificateExpired => {
            "it says that this listener's certificate has expired (alert CertificateExpired)".to_owned()
        }
        _ => format!("alert {name}"),
    }
}

fn certificate_text(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet".to_owned()
        }
        CertificateError::Revoked => "is revoked".to_owned(),
        CertificateError::UnknownIssuer => "is of a CA that is not in client_ca_file".to_owned(),
        CertificateError::BadSignature => {
            "is of another CA than that of the same name in client_ca_file".to_owned()
        }
        CertificateError::UnknownRevocationStatus => {
            "is of a CA whose list of revoked certificates is not in client_crl_file".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not made for Clients (its extended key usage)".to_owned()
        }
        _ => format!("is not valid: {error}"),
    }
}

fn incompatible_text(what: &PeerIncompatible) -> String {
    match what {
        PeerIncompatible::SupportedVersionsExtensionRequired | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            "the Client speaks an older version of TLS than this listener allows".to_owned()
        }
        _ => format!("the Client and this listener have no way of TLS in common: {what:?}"),
    }
}
