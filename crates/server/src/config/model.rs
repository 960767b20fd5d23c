//! Everything that can be configured, with its defaults.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use dunlin_broker::limits::Settings;
use dunlin_net::{ip_network::IpNetwork, tls::server::ClientCertificates};
use tracing::Level;

use crate::memory::machine::available_bytes;

use super::{
    authentication::{AuthConfig, LoginConfig},
    bans::BansConfig,
    durability::Durability,
    limit::LimitConfig,
};

/// Everything that can be configured, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<ListenerConfig>,
    /// `[[limit]]`, as they are written; the broker has them as exceptions.
    pub limits: Vec<LimitConfig>,
    /// `[mqtt]` and what `[limits]` has for the broker.
    pub broker: Settings,
    /// What `[limits]` has for the lobby.
    pub lobby: LobbyConfig,
    /// `[[ban]]` and what `[limits]` has about Clients that connect again and again.
    pub bans: BansConfig,
    /// `[tls]`
    pub tls: TlsConfig,
    /// `[[auth]]`
    pub auths: Vec<AuthConfig>,
    /// What `[limits]` has about passwords.
    pub login: LoginConfig,
    /// `[rights]`, but for what the broker needs to know.
    pub rights: RightsConfig,
    /// `[storage]`
    pub storage: StorageConfig,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[log]`
    pub log: LogConfig,
}

/// Where the rules stand: in one file or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RightsConfig {
    /// Our own rules.
    pub rules_file: Option<PathBuf>,
    /// An ACL file of mosquitto.
    pub acl_file: Option<PathBuf>,
}

/// Where and how Sessions and messages are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// Whether they are kept in memory only.
    pub is_memory_only: bool,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Milliseconds between two writes to the disk with [`Durability::Interval`].
    pub interval_ms: u32,
    /// Bytes of the reserve that is given up when the disk is full.
    pub reserve_bytes: u64,
    /// Bytes of memory for what was read from the disk.
    pub cache_bytes: u64,
    /// Bytes of memory for what was written and is in the journal only, for each of three groups of records.
    pub memtable_bytes: u64,
    /// Bytes of one shard that may wait to be written.
    pub pending_bytes_max: u32,
}

/// The process as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Number of shards, 1 to 64; 0 is one for each core.
    pub shards: u8,
    /// The folder that belongs to this Server.
    pub data_dir: Option<PathBuf>,
    /// The user that a Server becomes that root starts; nothing for the usual one.
    pub user: Option<String>,
    /// Whether strangers may connect from other machines without saying who they are.
    pub allow_anonymous_public: bool,
    /// Seconds between two publications of the topics below `$SYS`; 0 is none.
    pub sys_interval_s: u32,
}

/// The operator's door.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminConfig {
    /// The path of the socket; empty for none, nothing for the usual place.
    pub socket: Option<PathBuf>,
}

/// Where Clients come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Tells it from the others, in logs and for providers.
    pub name: String,
    /// What is spoken there.
    pub kind: ListenerKind,
    /// The address of this machine, or an unspecified one for all of them.
    pub bind: IpAddr,
    /// The TCP port; 0 is any free one.
    pub port: u16,
    /// Connections that the operating system keeps until they are accepted.
    pub backlog: u32,
    /// Whether the Server starts without it if this machine has no such address.
    pub is_optional: bool,
    /// The socket file, instead of address and port, with [`ListenerKind::Unix`].
    pub path: Option<PathBuf>,
    /// Who owns the socket file: a name or a number.
    pub owner: Option<String>,
    /// The group of the socket file: a name or a number.
    pub group: Option<String>,
    /// The mode of the socket file.
    pub mode: u32,
    /// Certificates, one for each of `key_files`.
    pub certificate_files: Vec<PathBuf>,
    /// Private keys, one for each of `certificate_files`.
    pub key_files: Vec<PathBuf>,
    /// Whether Clients show certificates.
    pub client_certificates: ClientCertificates,
    /// Who issues the certificates of Clients.
    pub client_ca_files: Vec<PathBuf>,
    /// Which of them are revoked.
    pub client_crl_files: Vec<PathBuf>,
    /// Whether TLS 1.2 is refused.
    pub is_tls_1_3_only: bool,
    /// Where MQTT over WebSocket is; each begins with a slash.
    pub websocket_paths: Vec<String>,
    /// The origins of web pages that may connect; none for all.
    pub websocket_origins: Vec<String>,
    /// Whether proxies tell with the PROXY protocol where their connections come from.
    pub proxy_protocol: bool,
    /// Who is believed when it tells where a connection comes from.
    pub trusted_proxies: Vec<IpNetwork>,
    /// The names of the providers that are asked, in their order; all of them if there is nothing here.
    pub auth: Option<Vec<String>>,
    /// Whether Clients may connect that do not say who they are; if no provider is asked if there is nothing here.
    pub allow_anonymous: Option<bool>,
}

/// What is spoken at a listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ListenerKind {
    /// MQTT over TCP.
    #[default]
    Tcp,
    /// MQTT over TLS.
    Tls,
    /// MQTT over WebSocket.
    Ws,
    /// MQTT over WebSocket over TLS.
    Wss,
    /// MQTT over a socket of this machine.
    Unix,
    /// All of them but the last, told apart by their first bytes.
    Any,
}

/// TLS of all listeners together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// TLS handshakes that are under way.
    pub handshakes_max: u32,
    /// Seconds between two looks at the files; 0 for none.
    pub watch_interval_s: u32,
    /// Days before the end of a certificate from which on it is told.
    pub expiry_warning_days: u16,
}

/// How strangers are treated until they are Clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LobbyConfig {
    /// Seconds from the TCP connection to the end of CONNECT and authentication.
    pub connect_timeout_s: u16,
    /// Network Connections that are not authenticated yet.
    pub half_open_max: u32,
    /// The same, from one address (IPv6: from one /64).
    pub half_open_per_address_max: u32,
    /// Network Connections of authenticated Clients.
    pub connections_max: u32,
    /// The same, from one address (IPv6: from one /64); 0 is no bound.
    pub connections_per_address_max: u32,
    /// New connections a second at one listener; 0 is no bound.
    pub connections_per_s: u32,
    /// The same, from one address; 0 is no bound.
    pub connections_per_address_per_s: u32,
    /// MiB that the process may use; 0 is no bound, nothing a share of what the machine or the control group has.
    pub memory_max_mib: Option<u32>,
    /// Seconds that one waits at most who comes in a fight for a Client Identifier.
    pub takeover_delay_max_s: u16,
}

/// The log, on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// What is logged: this and all that is more urgent.
    pub level: Level,
    /// One JSON object a line instead of text.
    pub is_json: bool,
}

impl Config {
    /// The files that it names and that are read again while the Server runs.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let rules = [&self.rights.rules_file, &self.rights.acl_file].into_iter().flatten();
        let of_listeners = self.listeners.iter().flat_map(ListenerConfig::files);
        let of_providers = self.auths.iter().flat_map(AuthConfig::files);
        of_listeners.chain(of_providers).chain(rules).map(PathBuf::as_path)
    }
}

impl ListenerConfig {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { certificate_files, key_files, client_ca_files, client_crl_files, .. } = self;
        [certificate_files, key_files, client_ca_files, client_crl_files].into_iter().flatten()
    }
}

impl Default for Config {
    /// This machine only, port 1883.
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            listeners: loopback_listeners(MQTT_PORT),
            limits: Vec::new(),
            broker: Settings::default(),
            lobby: LobbyConfig::default(),
            bans: BansConfig::default(),
            tls: TlsConfig::default(),
            auths: Vec::new(),
            login: LoginConfig::default(),
            rights: RightsConfig::default(),
            storage: StorageConfig::default(),
            admin: AdminConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { shards: 0, data_dir: None, user: None, allow_anonymous_public: false, sys_interval_s: 10 }
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            is_memory_only: false,
            durability: Durability::Sync,
            interval_ms: 1_000,
            reserve_bytes: 64 << 20,
            cache_bytes: 32 << 20,
            memtable_bytes: 16 << 20,
            pending_bytes_max: 16 << 20,
        }
    }
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: ListenerKind::Tcp,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: MQTT_PORT,
            backlog: 4_096,
            is_optional: false,
            path: None,
            owner: None,
            group: None,
            mode: 0o660,
            certificate_files: Vec::new(),
            key_files: Vec::new(),
            client_certificates: ClientCertificates::Off,
            client_ca_files: Vec::new(),
            client_crl_files: Vec::new(),
            is_tls_1_3_only: false,
            websocket_paths: vec!["/mqtt".to_owned(), "/".to_owned()],
            websocket_origins: Vec::new(),
            proxy_protocol: false,
            trusted_proxies: Vec::new(),
            auth: None,
            allow_anonymous: None,
        }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { handshakes_max: 4_096, watch_interval_s: 5, expiry_warning_days: 30 }
    }
}

impl ListenerKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Unix, Self::Any];

    /// As it is written in a configuration file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
            Self::Any => "any",
        }
    }

    /// Whether it cannot be without certificates.
    #[must_use]
    pub fn needs_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether it may have certificates.
    #[must_use]
    pub fn may_have_tls(self) -> bool {
        self.needs_tls() || self == Self::Any
    }

    /// The port where it is looked for.
    #[must_use]
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Tcp | Self::Unix | Self::Any => MQTT_PORT,
            Self::Tls => 8_883,
            Self::Ws => 8_083,
            Self::Wss => 8_084,
        }
    }
}

impl LobbyConfig {
    /// Bytes that the process may use; 0 is no bound.
    #[must_use]
    pub fn memory_bytes_max(&self) -> u64 {
        match self.memory_max_mib {
            Some(mib) => u64::from(mib) << 20,
            None => available_bytes().unwrap_or(0) / 100 * MEMORY_PERCENT,
        }
    }
}

/// How much of what there is the process may use if nothing else is said.
const MEMORY_PERCENT: u64 = 80;

impl Default for LobbyConfig {
    fn default() -> Self {
        Self {
            connect_timeout_s: 10,
            half_open_max: 16_384,
            half_open_per_address_max: 4_096,
            connections_max: 1_000_000,
            connections_per_address_max: 0,
            connections_per_s: 0,
            connections_per_address_per_s: 0,
            memory_max_mib: None,
            takeover_delay_max_s: 5,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: Level::INFO, is_json: false }
    }
}

/// Both loopback addresses, the second one if there is IPv6.
#[must_use]
pub fn loopback_listeners(port: u16) -> Vec<ListenerConfig> {
    let v4 = ListenerConfig { port, name: "tcp".to_owned(), ..ListenerConfig::default() };
    let bind = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let v6 = ListenerConfig { bind, is_optional: true, name: "tcp-2".to_owned(), ..v4.clone() };
    vec![v4, v6]
}

/// The most listeners.
pub const LISTENERS_MAX: usize = 255;

/// The port IANA gave to MQTT.
pub const MQTT_PORT: u16 = 1_883;
