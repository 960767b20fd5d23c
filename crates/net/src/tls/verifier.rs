//! Whether a Server's certificate is to be believed.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::certificate::Certificate;

/// Asks the usual rules, and knows two exceptions.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) usual: Arc<WebPkiServerVerifier>,
    /// Certificates that the user has named. One of them is believed also if it is a Server's own: many people make one that signs
    /// itself, which the usual rules refuse.
    pub(super) named: Vec<CertificateDer<'static>>,
    /// The name of the Server does not matter.
    pub(super) skips_name: bool,
}

impl Verifier {
    fn verify_named(
        &self,
        own: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let invalid = |error| Err(Error::InvalidCertificate(error));
        let Some(read) = Certificate::read(own) else { return invalid(CertificateError::BadEncoding) };
        let at = UNIX_EPOCH + Duration::from_secs(now.as_secs());
        if at > read.not_after {
            return invalid(CertificateError::Expired);
        }
        if at < read.not_before {
            return invalid(CertificateError::NotValidYet);
        }
        match verify_server_name(&ParsedCertificate::try_from(own)?, name) {
            Err(error) if !(self.skips_name && is_about_name(&error)) => Err(error),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }
}

fn is_about_name(error: &Error) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(error, Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.named.iter().any(|named| named == own) {
            return self.verify_named(own, name, now);
        }
        match self.usual.verify_server_cert(own, others, name, ocsp, now) {
            // The name is looked at last: all else is well.
            Err(error) if self.skips_name && is_about_name(&error) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
