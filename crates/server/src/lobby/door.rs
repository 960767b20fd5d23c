//! One listener as its strangers meet it: what is spoken there, and who is believed.

use std::{
    net::IpAddr,
    sync::{Arc, RwLock, RwLockReadGuard},
};

use dunlin_net::{
    ip_network::IpNetwork,
    tls::{
        certificate::RevocationList,
        error::FileError,
        files::KeyFiles,
        server::{Expiry, LoadedTls, TlsSettings},
    },
    websocket::upgrade::UpgradeRules,
};

use crate::config::model::{ListenerConfig, ListenerKind};

/// One listener.
#[derive(Debug)]
pub(crate) struct Door {
    /// Tells it from the others.
    pub(crate) name: Arc<str>,
    /// Its place among the listeners, from 0.
    pub(crate) number: u8,
    /// What is spoken.
    pub(crate) kind: ListenerKind,
    /// TLS, if it has a certificate.
    pub(crate) tls: Option<DoorTls>,
    /// Which requests for a WebSocket are accepted.
    pub(crate) upgrade: UpgradeRules,
    /// Bytes of the longest WebSocket message.
    pub(crate) message_bytes_max: u64,
    /// Whether trusted proxies begin with a PROXY header.
    takes_proxy_headers: bool,
    /// Who is believed about where a connection comes from.
    pub(crate) trusted_proxies: Vec<IpNetwork>,
}

/// TLS of a listener: its files, and what was made of them last.
#[derive(Debug)]
pub(crate) struct DoorTls {
    read: RwLock<ReadTls>,
}

/// The files of TLS, and what was made of them.
#[derive(Debug)]
pub(crate) struct ReadTls {
    settings: Arc<TlsSettings>,
    loaded: LoadedTls,
}

impl Door {
    /// Reads the files of TLS, if there are any.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub(crate) fn new(number: u8, config: &ListenerConfig, packet_bytes_max: u32) -> Result<Self, FileError> {
        let tls = if config.certificate_files.is_empty() {
            None
        } else {
            Some(DoorTls { read: RwLock::new(ReadTls::read(config)?) })
        };
        Ok(Self {
            name: config.name.as_str().into(),
            number,
            kind: config.kind,
            tls,
            upgrade: UpgradeRules {
                paths: config.websocket_paths.clone(),
                origins: config.websocket_origins.clone(),
            },
            message_bytes_max: u64::from(packet_bytes_max) + MESSAGE_BYTES_MORE,
            takes_proxy_headers: config.proxy_protocol,
            trusted_proxies: config.trusted_proxies.clone(),
        })
    }

    /// Whether `address` may say that a connection comes from elsewhere.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }

    /// Whether a connection from `address` must begin with a PROXY header.
    pub(super) fn wants_proxy_header(&self, address: IpAddr) -> bool {
        self.takes_proxy_headers && (self.kind == ListenerKind::Unix || self.trusts(address))
    }

    /// Whether MQTT is all there is, from the first byte on.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.kind, ListenerKind::Tcp | ListenerKind::Unix)
    }
}

impl ReadTls {
    /// Reads the files that a listener names.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub(crate) fn read(config: &ListenerConfig) -> Result<Self, FileError> {
        let pair = |(certificate, key): (&_, &_)| KeyFiles {
            certificate: Clone::clone(certificate),
            key: Clone::clone(key),
        };
        let settings = TlsSettings {
            keys: config.certificate_files.iter().zip(&config.key_files).map(pair).collect(),
            client_certificates: config.client_certificates,
            client_ca_files: config.client_ca_files.clone(),
            client_crl_files: config.client_crl_files.clone(),
            is_1_3_only: config.is_tls_1_3_only,
            protocols: match config.kind {
                ListenerKind::Tls => vec!["mqtt"],
                ListenerKind::Wss => vec!["http/1.1"],
                _ => vec!["mqtt", "http/1.1"],
            },
        };
        let loaded = settings.load()?;
        Ok(Self { settings: Arc::new(settings), loaded })
    }
}

impl DoorTls {
    /// For a new connection.
    pub(super) fn config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.read().loaded.config)
    }

    /// Reads the files again; connections that are there stay as they are. Nothing changes if a file cannot be used.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub(crate) fn reload(&self) -> Result<(), FileError> {
        let settings = self.settings();
        let loaded = settings.load()?;
        self.change(ReadTls { settings, loaded });
        Ok(())
    }

    /// For new connections from now on.
    pub(crate) fn change(&self, read: ReadTls) {
        *self.read.write().expect("nobody panics while holding the lock") = read;
    }

    /// What of it will be over, and when.
    pub(crate) fn ends(&self) -> Vec<Expiry> {
        self.read().loaded.ends.clone()
    }

    /// The certificates of Clients that are revoked, with their issuers.
    pub(crate) fn revoked(&self) -> Arc<[RevocationList]> {
        Arc::clone(&self.read().loaded.revoked)
    }

    /// The files it is made of.
    pub(crate) fn settings(&self) -> Arc<TlsSettings> {
        Arc::clone(&self.read().settings)
    }

    fn read(&self) -> RwLockReadGuard<'_, ReadTls> {
        self.read.read().expect("nobody panics while holding the lock")
    }
}

/// A WebSocket message may hold the largest packet, and so many bytes of others.
const MESSAGE_BYTES_MORE: u64 = 64 << 10;
