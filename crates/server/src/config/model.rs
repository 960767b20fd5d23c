//! Everything that can be configured, with its defaults.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use dunlin_broker::limits::Settings;
use tracing::Level;

use super::durability::Durability;

/// Everything that can be configured, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<ListenerConfig>,
    /// `[mqtt]` and what `[limits]` has for the broker.
    pub broker: Settings,
    /// What `[limits]` has for the lobby.
    pub lobby: LobbyConfig,
    /// `[rights]`, but for what the broker needs to know.
    pub rights: RightsConfig,
    /// `[storage]`
    pub storage: StorageConfig,
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
    /// Bytes of one shard that may wait to be written.
    pub pending_bytes_max: u32,
}

/// The process as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerConfig {
    /// Number of shards, 1 to 64; 0 is one for each core.
    pub shards: u8,
    /// The folder that belongs to this Server.
    pub data_dir: Option<PathBuf>,
    /// Whether strangers may connect from other machines without saying who they are.
    pub allow_anonymous_public: bool,
}

/// Where Clients come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The address of this machine, or an unspecified one for all of them.
    pub bind: IpAddr,
    /// The TCP port; 0 is any free one.
    pub port: u16,
    /// Connections that the operating system keeps until they are accepted.
    pub backlog: u32,
    /// Whether the Server starts without it if this machine has no such address.
    pub is_optional: bool,
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
}

/// The log, on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// What is logged: this and all that is more urgent.
    pub level: Level,
    /// One JSON object a line instead of text.
    pub is_json: bool,
}

impl Default for Config {
    /// This machine only, port 1883.
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            listeners: loopback_listeners(MQTT_PORT),
            broker: Settings::default(),
            lobby: LobbyConfig::default(),
            rights: RightsConfig::default(),
            storage: StorageConfig::default(),
            log: LogConfig::default(),
        }
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
            pending_bytes_max: 16 << 20,
        }
    }
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self { bind: IpAddr::V4(Ipv4Addr::LOCALHOST), port: MQTT_PORT, backlog: 4_096, is_optional: false }
    }
}

impl Default for LobbyConfig {
    fn default() -> Self {
        Self {
            connect_timeout_s: 10,
            half_open_max: 16_384,
            half_open_per_address_max: 4_096,
            connections_max: 1_000_000,
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
    let v4 = ListenerConfig { port, ..ListenerConfig::default() };
    let v6 = ListenerConfig { bind: IpAddr::V6(Ipv6Addr::LOCALHOST), is_optional: true, ..v4.clone() };
    vec![v4, v6]
}

/// The port IANA gave to MQTT.
pub const MQTT_PORT: u16 = 1_883;
