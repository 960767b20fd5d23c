//! All settings of the Server: their names, units, defaults and bounds. One list feeds reader and handbook.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use dunlin_broker::limits::{Overflow, OverflowRule, Settings};
use dunlin_packet::qos::QoS;
use tracing::Level;

use super::{
    durability::Durability,
    value::{Kind, Value},
};

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
    /// `[storage]`
    pub storage: StorageConfig,
    /// `[log]`
    pub log: LogConfig,
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

/// What a file is read into.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) server: ServerConfig,
    pub(super) listener: ListenerConfig,
    pub(super) queue: OverflowRule,
    pub(super) broker: Settings,
    pub(super) lobby: LobbyConfig,
    pub(super) storage: StorageConfig,
    pub(super) log: LogConfig,
}

/// One key of one table.
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "some of it is for the handbook only, which a test compares")
)]
pub(super) struct Setting {
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
    pub(super) about: &'static str,
    pub(super) set: fn(&mut Draft, Value),
    /// The value in a draft, as it would be written in TOML.
    pub(super) show: fn(&Draft) -> String,
}

impl Default for Config {
    /// This machine only, port 1883.
    fn default() -> Self {
        let draft = Draft::default();
        Self {
            server: draft.server,
            listeners: loopback_listeners(MQTT_PORT),
            broker: draft.broker,
            lobby: draft.lobby,
            storage: draft.storage,
            log: draft.log,
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

/// The tables, in the order of the handbook.
pub(super) const TABLES: [&str; 7] = ["server", "listener", "mqtt", "queue", "limits", "storage", "log"];
/// Those of them that there may be several of.
pub(super) const LISTS: [&str; 2] = ["listener", "queue"];

macro_rules! setting {
    ($table:literal, $key:literal, $kind:expr, $unit:literal, $($path:ident).+ => $take:ident $show:expr,
     $about:literal) => {
        Setting {
            table: $table,
            key: $key,
            kind: $kind,
            unit: $unit,
            about: $about,
            set: |draft, value| draft.$($path).+ = value.$take(),
            show: |draft| $show(&draft.$($path).+),
        }
    };
}

macro_rules! integer {
    ($table:literal, $key:literal, $bounds:expr, $unit:literal, $($path:ident).+, $about:literal) => {
        setting!($table, $key, Kind::Integer($bounds), $unit, $($path).+ => integer plain, $about)
    };
}

macro_rules! boolean {
    ($table:literal, $key:literal, $($path:ident).+, $about:literal) => {
        setting!($table, $key, Kind::Boolean, "", $($path).+ => boolean plain, $about)
    };
}

fn plain(value: &impl ToString) -> String {
    value.to_string()
}

fn quoted(value: &impl ToString) -> String {
    format!("\"{}\"", value.to_string())
}

fn shown_text(text: &Option<String>) -> String {
    text.as_ref().map_or("all".to_owned(), quoted)
}

/// All settings, in the order of the handbook.
pub(super) const SETTINGS: &[Setting] = &[
    integer!(
        "server",
        "shards",
        0..=64,
        "threads",
        server.shards,
        "Threads that carry Clients; 0 is one for each core."
    ),
    setting!("server", "data_dir", Kind::Text(1..=4_096), "", server.data_dir => path
        |path: &Option<PathBuf>| path.as_ref().map_or("the user's".to_owned(), |path| quoted(&path.display())),
        "The folder in which Sessions and messages are kept, made with mode 0700 if it is not there. The user's is \
         `$XDG_DATA_HOME/dunlin` or `~/.local/share/dunlin`; root's is `/var/lib/dunlin`."),
    boolean!(
        "server",
        "allow_anonymous_public",
        server.allow_anonymous_public,
        "Whether anybody may connect from other machines without saying who it is. \
         Without it a listener that other machines reach does not start."
    ),
    setting!("listener", "bind", Kind::Address, "", listener.bind => address quoted,
        "An address of this machine; `0.0.0.0` or `::` for all of them."),
    integer!("listener", "port", 0..=65_535, "", listener.port, "The TCP port; 0 is any free one."),
    integer!(
        "listener",
        "backlog",
        1..=65_535,
        "connections",
        listener.backlog,
        "Connections that the operating system keeps until the Server accepts them; it may keep fewer."
    ),
    setting!("mqtt", "maximum_qos", Kind::Integer(0..=2), "", broker.maximum_qos => qos
        |qos: &QoS| qos.value().to_string(),
        "Greatest QoS that Clients may publish with (Maximum QoS)."),
    boolean!(
        "mqtt",
        "retain_available",
        broker.retain_available,
        "Whether Retained Messages are kept (Retain Available)."
    ),
    boolean!(
        "mqtt",
        "wildcard_subscription_available",
        broker.wildcard_subscription_available,
        "Whether Topic Filters may have wildcards (Wildcard Subscription Available)."
    ),
    boolean!(
        "mqtt",
        "subscription_identifier_available",
        broker.subscription_identifier_available,
        "Whether Subscription Identifiers are taken (Subscription Identifiers Available)."
    ),
    boolean!(
        "mqtt",
        "shared_subscription_available",
        broker.shared_subscription_available,
        "Whether Shared Subscriptions are taken (Shared Subscription Available)."
    ),
    integer!(
        "mqtt",
        "receive_maximum",
        1..=65_535,
        "messages",
        broker.receive_maximum,
        "QoS 1 and 2 messages that a 5.0 Client may have unacknowledged (Receive Maximum)."
    ),
    integer!(
        "mqtt",
        "in_flight_max",
        1..=65_535,
        "messages",
        broker.in_flight_max,
        "QoS 1 and 2 messages that the Server has unacknowledged at one Client, \
         even if that Client allows more."
    ),
    integer!(
        "mqtt",
        "maximum_packet_size",
        1_024..=268_435_460,
        "bytes",
        broker.maximum_packet_size,
        "Largest packet that a Client may send (Maximum Packet Size)."
    ),
    integer!(
        "mqtt",
        "topic_alias_maximum",
        0..=65_535,
        "aliases",
        broker.topic_alias_maximum,
        "Topic Aliases for each direction of a 5.0 connection (Topic Alias Maximum); 0 turns them off."
    ),
    integer!(
        "mqtt",
        "server_keep_alive_s",
        0..=65_535,
        "seconds",
        broker.server_keep_alive_s,
        "Keep Alive that the Server lays down (Server Keep Alive); 0 leaves it to the Client."
    ),
    integer!(
        "mqtt",
        "session_expiry_max_s",
        0..=4_294_967_295,
        "seconds",
        broker.session_expiry_max_s,
        "Longest Session Expiry Interval; 4294967295 has no end."
    ),
    setting!("mqtt", "response_information", Kind::Text(0..=65_535), "",
        broker.response_information => text quoted,
        "Given to Clients that ask for Response Information; empty gives none."),
    boolean!(
        "mqtt",
        "allow_empty_client_id",
        broker.allow_empty_client_id,
        "Whether a Client may come without a Client Identifier and be given one."
    ),
    integer!(
        "mqtt",
        "client_id_bytes_max",
        23..=65_535,
        "bytes",
        broker.client_id_bytes_max,
        "Longest Client Identifier."
    ),
    integer!(
        "mqtt",
        "queue_messages_max",
        1..=100_000_000,
        "messages",
        broker.queue_messages_max,
        "Messages that wait for one Session."
    ),
    integer!(
        "mqtt",
        "queue_bytes_max",
        1_024..=1_099_511_627_776,
        "bytes",
        broker.queue_bytes_max,
        "Topics, Properties and payloads that wait for one Session."
    ),
    integer!(
        "mqtt",
        "queue_memory_bytes_max",
        0..=1_099_511_627_776,
        "bytes",
        broker.queue_memory_bytes_max,
        "What of it is held in memory for a Session that is kept; the rest waits on the disk."
    ),
    setting!("mqtt", "queue_overflow", Kind::Choice(&OVERFLOWS), "", broker.queue_overflow => overflow
        |overflow: &Overflow| quoted(&OVERFLOWS[*overflow as usize]),
        "What happens when a queue is full: the oldest or the newest message is dropped, publishers are refused with \
         Quota exceeded, or the Client is disconnected. `[[queue]]` makes exceptions."),
    boolean!(
        "mqtt",
        "close_refused_3x",
        broker.close_refused_3x,
        "Whether a 3.x Client is disconnected, without acknowledgement, when its message is refused because it cannot \
         be kept; otherwise the message is acknowledged and dropped."
    ),
    integer!(
        "mqtt",
        "will_grace_s",
        0..=86_400,
        "seconds",
        broker.will_grace_s,
        "Time after a restart in which Clients may come back before their Wills are sent."
    ),
    setting!("queue", "client_id", Kind::Text(1..=65_535), "", queue.client_id => some_text shown_text,
        "Whose queues: a Client Identifier, or its beginning and `*`. Without it all."),
    setting!("queue", "topic_filter", Kind::Filter, "", queue.topic_filter => some_text shown_text,
        "Which messages: a Topic Filter. Without it all."),
    setting!("queue", "overflow", Kind::Choice(&OVERFLOWS), "", queue.overflow => overflow
        |overflow: &Overflow| quoted(&OVERFLOWS[*overflow as usize]),
        "What happens to them when the queue is full. The first table that fits counts, before `queue_overflow`."),
    integer!(
        "limits",
        "connect_timeout_s",
        1..=3_600,
        "seconds",
        lobby.connect_timeout_s,
        "Time from the TCP connection to the end of CONNECT and authentication."
    ),
    integer!(
        "limits",
        "connect_packet_size_max",
        256..=268_435_460,
        "bytes",
        broker.connect_packet_size_max,
        "Largest packet before the Client is authenticated."
    ),
    integer!(
        "limits",
        "half_open_max",
        1..=1_000_000,
        "connections",
        lobby.half_open_max,
        "Connections that are not authenticated yet; beyond it the oldest of them is closed."
    ),
    integer!(
        "limits",
        "half_open_per_address_max",
        1..=1_000_000,
        "connections",
        lobby.half_open_per_address_max,
        "The same for one address (IPv6: one /64); beyond it a new one is closed at once."
    ),
    integer!(
        "limits",
        "connections_max",
        1..=100_000_000,
        "connections",
        lobby.connections_max,
        "Connections of Clients; beyond it CONNECT is answered with Server busy. \
         The limit of open files may be lower."
    ),
    integer!(
        "limits",
        "output_bytes_max",
        4_096..=1_073_741_824,
        "bytes",
        broker.output_bytes_max,
        "Bytes that one Client has not read yet; beyond it QoS 1 and 2 wait in its queue \
         and QoS 0 is dropped."
    ),
    integer!(
        "limits",
        "subscriptions_max",
        1..=10_000_000,
        "Subscriptions",
        broker.subscriptions_max,
        "Subscriptions of one Session."
    ),
    integer!(
        "limits",
        "topic_levels_max",
        1..=65_536,
        "levels",
        broker.topic_levels_max,
        "Levels of a Topic Name or Topic Filter."
    ),
    integer!(
        "limits",
        "user_properties_max",
        0..=65_536,
        "Properties",
        broker.user_properties_max,
        "User Properties in one packet."
    ),
    integer!(
        "limits",
        "sessions_max",
        1..=100_000_000,
        "Sessions",
        broker.sessions_max,
        "Sessions of one shard."
    ),
    integer!(
        "limits",
        "retained_messages_max",
        0..=4_000_000_000,
        "messages",
        broker.retained_messages_max,
        "Retained Messages of one shard."
    ),
    integer!(
        "limits",
        "retained_bytes_max",
        0..=1_099_511_627_776,
        "bytes",
        broker.retained_bytes_max,
        "Topics, Properties and payloads of the Retained Messages of one shard."
    ),
    boolean!(
        "storage",
        "memory_only",
        storage.is_memory_only,
        "Whether nothing is kept on the disk: Sessions and Retained Messages end with the program, and an \
         acknowledgement promises nothing beyond it."
    ),
    setting!("storage", "durability", Kind::Choice(&DURABILITIES), "", storage.durability => durability
        |durability: &Durability| quoted(&DURABILITIES[*durability as usize]),
        "What an acknowledgement promises: `sync` that the disk has the message. UNSAFE when power is lost: \
         `interval` writes to the disk every `interval_ms`, `none` whenever the operating system likes."),
    integer!(
        "storage",
        "interval_ms",
        1..=3_600_000,
        "milliseconds",
        storage.interval_ms,
        "Time between two writes to the disk with `durability = \"interval\"`."
    ),
    integer!(
        "storage",
        "reserve_bytes",
        0..=1_099_511_627_776,
        "bytes",
        storage.reserve_bytes,
        "Size of a file that is given up when the disk is full, so that what is acknowledged can still be deleted. \
         Below this much free space messages that would have to be kept are refused with Quota exceeded."
    ),
    integer!(
        "storage",
        "cache_bytes",
        1_048_576..=1_099_511_627_776,
        "bytes",
        storage.cache_bytes,
        "Memory for what was read from the disk."
    ),
    integer!(
        "storage",
        "pending_bytes_max",
        65_536..=1_073_741_824,
        "bytes",
        storage.pending_bytes_max,
        "What one shard may have waiting for the disk before it reads no more from its Clients."
    ),
    setting!("log", "level", Kind::Choice(&LEVELS), "", log.level => level
        |level: &Level| quoted(&level.to_string().to_lowercase()),
        "What is logged: this and all that is more urgent."),
    setting!("log", "format", Kind::Choice(&FORMATS), "", log.is_json => json_chosen
        |is_json: &bool| quoted(&FORMATS[usize::from(*is_json)]),
        "Lines for people or one JSON object a line."),
];

/// In the order of [`Overflow`].
pub(super) const OVERFLOWS: [&str; 4] = ["drop-oldest", "drop-newest", "reject", "disconnect"];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// In the order of [`Durability`].
const DURABILITIES: [&str; 3] = ["sync", "interval", "none"];
const FORMATS: [&str; 2] = ["text", "json"];
