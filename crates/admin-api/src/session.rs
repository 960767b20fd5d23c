//! Sessions, Subscriptions and Retained Messages.

use serde::{Deserialize, Serialize};

use crate::status::{Drops, Queue};

/// One Session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its Client Identifier.
    pub client_id: String,
    /// Its Network Connection, if it has one.
    pub connection: Option<Connection>,
    /// Whether it survives the end of the program.
    pub is_kept: bool,
    /// Session Expiry Interval in seconds; nothing is no end.
    pub expiry_s: Option<u32>,
    /// When it ends, in milliseconds since 1970, while there is no Network Connection.
    pub expires_at_ms: Option<u64>,
    /// Subscriptions, Shared ones included.
    pub subscriptions: u64,
    /// What waits for it.
    pub queue: Queue,
    /// Messages sent to the Client and not acknowledged by it.
    pub in_flight: u64,
    /// QoS 1 and 2 messages of the Client that the Server has not acknowledged to the end.
    pub in_flight_from_client: u64,
    /// Whether a Will waits.
    pub has_will: bool,
    /// Messages that it did not get since it began, or since the start of the Server.
    pub drops: Drops,
    /// What its Client was denied since then.
    pub denials: Denials,
}

/// What a Client wanted and may not, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Denials {
    /// PUBLISH packets.
    pub publish: u64,
    /// Topic Filters.
    pub subscribe: u64,
    /// Messages that a Subscription matched.
    pub receive: u64,
    /// Wills.
    pub will: u64,
}

impl Denials {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.publish + self.subscribe + self.receive + self.will
    }
}

/// One Network Connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// Where the Client comes from.
    pub address: String,
    /// The listener it has come to.
    #[serde(default)]
    pub listener: Option<String>,
    /// The provider that knew it; nothing if no proof was needed.
    #[serde(default)]
    pub provider: Option<String>,
    /// The user name it was authenticated with.
    pub user_name: Option<String>,
    /// The version it speaks: `3.1`, `3.1.1` or `5.0`.
    pub version: String,
    /// When it came, in milliseconds since 1970.
    pub connected_at_ms: u64,
    /// When its last packet came, in milliseconds since 1970.
    pub last_packet_at_ms: u64,
    /// Keep Alive in seconds; 0 is off.
    pub keep_alive_s: u16,
    /// Bytes that wait for its socket.
    pub output_bytes: u64,
}

/// One Subscription.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// Whose.
    pub client_id: String,
    /// Whether the Client is connected.
    pub is_connected: bool,
    /// The Topic Filter, with `$share/name/` if it is shared.
    pub topic_filter: String,
    /// The greatest QoS.
    pub qos: u8,
    /// The Client's own messages do not come back.
    pub no_local: bool,
    /// RETAIN comes as it was published.
    pub retain_as_published: bool,
    /// What SUBSCRIBE brings of Retained Messages: 0 all, 1 all if it is new, 2 none.
    pub retain_handling: u8,
    /// The Subscription Identifier.
    pub identifier: Option<u32>,
}

/// A group of Shared Subscriptions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// The whole Topic Filter, `$share/name/filter`.
    pub topic_filter: String,
    /// How many Sessions share it.
    pub members: u64,
    /// How many of them are connected.
    pub connected: u64,
}

/// One Retained Message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retained {
    /// The Topic Name.
    pub topic: String,
    /// The QoS it was published with.
    pub qos: u8,
    /// Bytes of the payload.
    pub payload_bytes: u64,
    /// The beginning of the payload as text; what is no UTF-8 is replaced.
    pub payload_start: String,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}
