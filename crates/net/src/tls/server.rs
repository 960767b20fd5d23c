//! How a listener speaks TLS: its files, and what they are made into.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{
        CryptoProvider,
        ring::{Ticketer, default_provider},
    },
    pki_types::CertificateDer,
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

use super::{
    certificate::{Certificate, RevocationList, next_update},
    error::FileError,
    files::{KeyFiles, certificates, revocation_lists},
    resolver::Resolver,
};

/// How a listener speaks TLS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsSettings {
    /// At least one; the first is for Clients that ask for no name.
    pub keys: Vec<KeyFiles>,
    /// Whether Clients show certificates.
    pub client_certificates: ClientCertificates,
    /// Who issues them.
    pub client_ca_files: Vec<PathBuf>,
    /// Which of them are revoked.
    pub client_crl_files: Vec<PathBuf>,
    /// Whether TLS 1.2 is refused.
    pub is_1_3_only: bool,
    /// The protocols that are named within TLS (ALPN); a Client that names others is refused.
    pub protocols: Vec<&'static str>,
}

/// Whether Clients show certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Off,
    /// They may; what they show must be valid.
    Optional,
    /// They must.
    Required,
}

/// What the files were made into.
#[derive(Clone, Debug)]
pub struct LoadedTls {
    /// For new connections.
    pub config: Arc<ServerConfig>,
    /// What will be over, and when: the name of the file and what it is.
    pub ends: Vec<Expiry>,
    /// The certificates of Clients that are revoked, with their issuers.
    pub revoked: Arc<[RevocationList]>,
}

/// Something that is valid only until a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// What it is, with its file.
    pub what: String,
    /// The moment.
    pub at: SystemTime,
}

impl TlsSettings {
    /// Reads all files. Session tickets of an earlier time, or of another listener, are worth nothing for what this makes: who
    /// comes back is looked at anew.
    ///
    /// # Errors
    /// Each [`FileError`], for the first file that cannot be used.
    pub fn load(&self) -> Result<LoadedTls, FileError> {
        let provider = Arc::new(default_provider());
        let now = SystemTime::now();
        let mut ends = Vec::new();
        let mut keys = Vec::new();
        for files in &self.keys {
            let (key, own) = files.load(&provider, now)?;
            let what = format!("the certificate {}", files.certificate.display());
            ends.push(Expiry { what, at: own.not_after });
            keys.push((key, own));
        }
        let mut revoked = Vec::new();
        let verifier = self.client_verifier(&provider, &mut ends, &mut revoked)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions())
            .expect("the provider knows both versions")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Resolver::new(keys.into_iter())));
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        // Without random bits there are no tickets, and TLS would fail anyway.
        if let Ok(ticketer) = Ticketer::new() {
            config.ticketer = ticketer;
        }
        config.send_tls13_tickets = 1;
        Ok(LoadedTls { config: Arc::new(config), ends, revoked: revoked.into() })
    }

    /// All files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let keys = self.keys.iter().flat_map(|files| [&files.certificate, &files.key]);
        keys.chain(&self.client_ca_files).chain(&self.client_crl_files)
    }

    fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        if self.is_1_3_only { NEW_VERSIONS } else { ALL_VERSIONS }
    }

    fn client_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        ends: &mut Vec<Expiry>,
        revoked: &mut Vec<RevocationList>,
    ) -> Result<Arc<dyn ClientCertVerifier>, FileError> {
        if self.client_certificates == ClientCertificates::Off {
            return Ok(Arc::new(NoClientAuth));
        }
        let roots = Arc::new(self.roots(ends)?);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let mut last_file = self.client_ca_files.last().cloned().unwrap_or_default();
        for file in &self.client_crl_files {
            let lists = revocation_lists(file)?;
            for at in lists.iter().filter_map(|list| next_update(list)) {
                ends.push(Expiry {
                    what: format!("the list of revoked certificates {}", file.display()),
                    at,
                });
            }
            for list in &lists {
                let what = || "a list of it cannot be read".to_owned();
                let invalid = || FileError::Invalid { file: file.clone(), what: what() };
                revoked.push(RevocationList::read(list).ok_or_else(invalid)?);
            }
            builder = builder.with_crls(lists);
            last_file.clone_from(file);
        }
        // As OpenSSL does it: the Client's own certificate must be on the list of its CA, or rather not on it.
        builder = builder.only_check_end_entity_revocation();
        if self.client_certificates == ClientCertificates::Optional {
            builder = builder.allow_unauthenticated();
        }
        let verifier: Arc<dyn ClientCertVerifier> = builder
            .build()
            .map_err(|error| FileError::Invalid { file: last_file, what: error.to_string() })?;
        Ok(verifier)
    }

    fn roots(&self, ends: &mut Vec<Expiry>) -> Result<RootCertStore, FileError> {
        let mut roots = RootCertStore::empty();
        for file in &self.client_ca_files {
            for certificate in certificates(file)? {
                if let Some(read) = Certificate::read(&certificate) {
                    let what = format!("the CA certificate {} in {}", read.subject, file.display());
                    ends.push(Expiry { what, at: read.not_after });
                }
                add_root(&mut roots, certificate)
                    .map_err(|what| FileError::Invalid { file: file.clone(), what })?;
            }
        }
        Ok(roots)
    }
}

fn add_root(roots: &mut RootCertStore, certificate: CertificateDer<'static>) -> Result<(), String> {
    roots.add(certificate).map_err(|error| format!("a certificate of it cannot be used as a CA: {error}"))
}

static NEW_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];
static ALL_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
