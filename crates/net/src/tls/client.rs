//! How a Client speaks TLS: whom it believes, who it is itself, and what these are made into.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use rustls::{
    ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::{ResolvesClientCert, Resumption, WebPkiServerVerifier},
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::CertificateDer,
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{
    error::FileError,
    files::{KeyFiles, certificates, revocation_lists},
    verifier::Verifier,
};

/// How a Client speaks TLS. By default it believes the CAs that the system believes, and has no certificate of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientTls {
    /// Files with certificates (PEM) of the CAs to believe; a Server's own certificate in them is believed as well.
    pub ca_files: Vec<PathBuf>,
    /// Folders of such files; other files in them do not matter.
    pub ca_folders: Vec<PathBuf>,
    /// The CAs of the system are believed beside these; without any file or folder they always are.
    pub uses_system_cas: bool,
    /// Lists of revoked certificates. Each CA needs one then, and its Servers' certificates must not be on it.
    pub crl_files: Vec<PathBuf>,
    /// The Client's own certificate and its key, for a Server that asks.
    pub identity: Option<KeyFiles>,
    /// Whether TLS 1.2 is refused.
    pub is_1_3_only: bool,
    /// The protocol that is named within TLS (ALPN), if it is to be another than `mqtt`, or `http/1.1` for WebSocket.
    pub protocol: Option<String>,
    /// Any name in the Server's certificate will do: whoever has some certificate of these CAs is believed to be the Server.
    pub skips_name: bool,
    /// Each connection begins anew, with a whole handshake.
    pub never_resumes: bool,
}

/// What a [`ClientTls`] was made into, for many connections.
#[derive(Clone, Debug)]
pub struct LoadedClientTls {
    /// For new connections.
    pub config: Arc<ClientConfig>,
    identity: Arc<Identity>,
}

/// Why files and system give nothing to speak TLS with.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder cannot be read.
    #[error("cannot read the folder {}: {source}", .folder.display())]
    Folder {
        /// Which one.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A folder holds nothing of use.
    #[error("no file in {} holds a certificate of a CA", .0.display())]
    EmptyFolder(PathBuf),
    /// The system believes nobody.
    #[error("this system has no certificates of CAs{0}; install the package ca-certificates, or name a file")]
    NoSystemCas(String),
    /// Lists of revoked certificates cannot be used.
    #[error("{0}")]
    Lists(String),
}

/// The Client's certificate, and whether a Server has asked for one.
#[derive(Debug)]
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    was_asked: AtomicBool,
}

impl ClientTls {
    /// Reads all files. `protocol` is named within TLS (ALPN), unless the settings name another.
    ///
    /// # Errors
    /// Each [`ClientTlsError`], for the first file that cannot be used.
    pub fn load(&self, protocol: &str) -> Result<LoadedClientTls, ClientTlsError> {
        let provider = Arc::new(default_provider());
        let named = self.named()?;
        let verifier =
            Verifier { usual: self.usual_verifier(&provider, &named)?, named, skips_name: self.skips_name };
        let key = match &self.identity {
            None => None,
            Some(files) => Some(Arc::new(files.load(&provider, SystemTime::now())?.0)),
        };
        let identity = Arc::new(Identity { key, was_asked: AtomicBool::new(false) });
        let versions = if self.is_1_3_only { NEW_VERSIONS } else { ALL_VERSIONS };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider knows both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::clone(&identity) as Arc<dyn ResolvesClientCert>);
        let protocol = self.protocol.as_deref().unwrap_or(protocol);
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        if self.never_resumes {
            config.resumption = Resumption::disabled();
        }
        Ok(LoadedClientTls { config: Arc::new(config), identity })
    }

    /// All files and folders that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let own = self.identity.iter().flat_map(|files| [&files.certificate, &files.key]);
        self.ca_files.iter().chain(&self.ca_folders).chain(&self.crl_files).chain(own)
    }

    /// The certificates that the user has named.
    fn named(&self) -> Result<Vec<CertificateDer<'static>>, ClientTlsError> {
        let mut named = Vec::new();
        for file in &self.ca_files {
            named.extend(certificates(file)?);
        }
        for folder in &self.ca_folders {
            let before = named.len();
            named.extend(files_of(folder)?.into_iter().filter_map(|file| certificates(&file).ok()).flatten());
            if named.len() == before {
                return Err(ClientTlsError::EmptyFolder(folder.clone()));
            }
        }
        Ok(named)
    }

    fn usual_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        named: &[CertificateDer<'static>],
    ) -> Result<Arc<WebPkiServerVerifier>, ClientTlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in named {
            roots.add(certificate.clone()).map_err(|error| {
                let file = self.ca_files.first().or(self.ca_folders.first()).cloned().unwrap_or_default();
                let what = format!("a certificate of it cannot be used as a CA: {error}");
                FileError::Invalid { file, what }
            })?;
        }
        if named.is_empty() || self.uses_system_cas {
            add_system_cas(&mut roots)?;
        }
        let mut builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        for file in &self.crl_files {
            builder = builder.with_crls(revocation_lists(file)?);
        }
        let builder = builder.only_check_end_entity_revocation();
        builder.build().map_err(|error| ClientTlsError::Lists(error.to_string()))
    }
}

impl LoadedClientTls {
    /// Whether a Server has asked for a certificate and was given none.
    #[must_use]
    pub fn was_asked_in_vain(&self) -> bool {
        self.identity.key.is_none() && self.identity.was_asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _cas: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        self.key.clone().filter(|key| key.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, ClientTlsError> {
    let error = |source| ClientTlsError::Folder { folder: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(error)?;
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry.map_err(error)?.path());
    }
    // Always in the same order, so that mistakes are told alike.
    files.sort();
    Ok(files)
}

fn add_system_cas(roots: &mut RootCertStore) -> Result<(), ClientTlsError> {
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or(String::new(), |error| format!(" ({error})"));
        return Err(ClientTlsError::NoSystemCas(why));
    }
    Ok(())
}

static NEW_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];
static ALL_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
