//! What a shard is told.

use std::{fmt, sync::Arc, time::Duration};

use dunlin_packet::version::ProtocolVersion;

use crate::{
    entry::Entry,
    ids::{ConnectionId, ShardId},
    inspect::question::Asked,
    limits::Settings,
    message::Message,
    output::PageReader,
    permissions::{Permissions, rule_set::RuleSet},
    pressure::Pressure,
    routing::mail::Mail,
};

/// Something that happened; see [`Shard::handle`](crate::shard::Shard::handle).
#[derive(Debug)]
pub enum Input<'a> {
    /// A Client has passed the [`Handshake`](crate::handshake::Handshake) and this shard is its home.
    Arrived(Box<Arrival>),
    /// Bytes from the Client, cut anywhere. An unfinished packet is kept.
    Received {
        /// From whom.
        connection: ConnectionId,
        /// What came, at least one byte.
        bytes: &'a [u8],
    },
    /// The Network Connection is gone, and the broker had not asked for that.
    Left {
        /// Whose.
        connection: ConnectionId,
        /// Why.
        cause: Cause,
    },
    /// The socket has taken everything, after [`Outbox::wants_drained`](crate::output::Outbox::wants_drained).
    Drained {
        /// Whose.
        connection: ConnectionId,
    },
    /// The answer to an entry of [`Outbox::authentications`](crate::output::Outbox::authentications).
    Authenticated {
        /// Whose.
        connection: ConnectionId,
        /// What the providers said.
        decision: Decision,
    },
    /// Mail from another shard.
    Routed {
        /// Which shard.
        from: ShardId,
        /// What it sent, in the order it was put into [`Outbox::routes`](crate::output::Outbox::routes).
        mail: Mail,
    },
    /// The batches up to this number are durable; see [`Outbox::take_batch`](crate::output::Outbox::take_batch).
    Committed {
        /// The number.
        batch: u64,
    },
    /// What an entry of [`Outbox::pages`](crate::output::Outbox::pages) asked for.
    Page(Page),
    /// What an entry of [`Outbox::pages`](crate::output::Outbox::pages) asked for cannot be read now.
    Unreadable {
        /// What it was wanted for.
        reader: PageReader,
        /// Why not, for the log.
        what: &'a str,
    },
    /// How it stands with the storage.
    Storage(Storage),
    /// New rules are in force, in the place of those with the same name. They count for living Sessions at once.
    Rules(Arc<RuleSet>),
    /// Other limits are in force: for what happens from now on. What a Client was told at CONNECT must stay as it is: whether
    /// there are features, how large packets may be, and whether anything is durable.
    Settings(Arc<Settings>),
    /// How short memory is now.
    Memory(Pressure),
    /// An operator asks something, or wants something done; answered in
    /// [`Outbox::answers`](crate::output::Outbox::answers).
    Asked(Box<Asked>),
    /// The Server shuts down: all Clients are told and disconnected.
    Stop,
    /// [`Shard::next_timeout`](crate::shard::Shard::next_timeout) has come.
    Timeout,
}

/// Records of a queue, read from the disk.
#[derive(Debug)]
pub struct Page {
    /// As asked.
    pub reader: PageReader,
    /// Keys and values in order, and with each the value of the
    /// [shared body](crate::records::record::shared_body) that it asks for.
    pub records: Vec<PageRecord>,
    /// Whether there are no more up to the end of what was asked for.
    pub is_last: bool,
}

/// One record of a [`Page`].
#[derive(Debug)]
pub struct PageRecord {
    /// Its key.
    pub key: Vec<u8>,
    /// Its bytes.
    pub value: Vec<u8>,
    /// The bytes of the body that it shares with others.
    pub body: Option<Vec<u8>>,
}

/// How it stands with what makes batches durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// All is well.
    Ready,
    /// There is little room left: messages that must be kept are refused until there is more.
    Low,
    /// It has failed for good: nothing that must be kept is acknowledged any more.
    Failed,
}

/// Why a Network Connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The Client closed it without DISCONNECT.
    Closed,
    /// The socket failed.
    Failed,
    /// Handling its input panicked; only this connection ends.
    Panicked,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed by the Client without DISCONNECT",
            Self::Failed => "the connection failed",
            Self::Panicked => "a fault of the Server",
        })
    }
}

/// A Client at the door of its home shard: who it is and what it asked for in CONNECT.
#[derive(Debug)]
pub struct Arrival {
    /// Chosen by the owner of the sockets.
    pub connection: ConnectionId,
    /// CONNECT, checked and authenticated.
    pub request: ConnectRequest,
    /// Bytes that came behind CONNECT (3.1.4: Clients need not wait for CONNACK).
    pub unread: Vec<u8>,
}

/// CONNECT (3.1) after checks and authentication.
#[derive(Debug)]
pub struct ConnectRequest {
    /// The version the Client speaks.
    pub version: ProtocolVersion,
    /// Never empty: an empty one has been replaced.
    pub client_id: Box<str>,
    /// Whether the Server chose the Client Identifier.
    pub is_assigned: bool,
    /// Clean Start, or Clean Session of 3.x.
    pub clean_start: bool,
    /// Keep Alive in seconds as the Client asked for; 0 is off.
    pub keep_alive_s: u16,
    /// Session Expiry Interval in seconds; 3.x with Clean Session 0 has 4,294,967,295.
    pub session_expiry_s: u32,
    /// The Client's Receive Maximum.
    pub receive_maximum: u16,
    /// The Client's Maximum Packet Size in bytes.
    pub maximum_packet_size: u32,
    /// The Client's Topic Alias Maximum.
    pub topic_alias_maximum: u16,
    /// Whether it asked for Response Information.
    pub request_response_information: bool,
    /// Whether Reason Strings and User Properties may be sent with any packet.
    pub request_problem_information: bool,
    /// The Will Message.
    pub will: Option<WillRequest>,
    /// The user name it was authenticated with.
    pub user_name: Option<Box<str>>,
    /// What it may do.
    pub permissions: Permissions,
    /// For how long it may stay; without end if there is nothing here.
    pub valid_for: Option<Duration>,
    /// Extended authentication, if it took place (4.12).
    pub authentication: Option<Authentication>,
    /// Where it comes from, for the log.
    pub peer: Box<str>,
    /// How it got in, if whoever has let it in says so.
    pub entry: Option<Arc<Entry>>,
}

impl ConnectRequest {
    /// That of a Client which says no more than who it is: a Session that ends with the Network Connection, no Will, no Keep
    /// Alive, and what holds without Properties (3.1.2.11).
    #[must_use]
    pub fn new(version: ProtocolVersion, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            is_assigned: false,
            clean_start: true,
            keep_alive_s: 0,
            session_expiry_s: 0,
            receive_maximum: u16::MAX,
            maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            will: None,
            user_name: None,
            permissions: Permissions::default(),
            valid_for: None,
            authentication: None,
            peer: "nowhere".into(),
            entry: None,
        }
    }
}

/// The Will of a CONNECT.
#[derive(Debug)]
pub struct WillRequest {
    /// What to publish.
    pub message: Message,
    /// Will Delay Interval in seconds.
    pub delay_s: u32,
    /// Message Expiry Interval in seconds, from the moment it is published.
    pub expiry_s: Option<u32>,
}

/// Extended authentication that took place.
#[derive(Debug)]
pub struct Authentication {
    /// The Authentication Method.
    pub method: Box<str>,
    /// Authentication Data for CONNACK; empty for none.
    pub data: Vec<u8>,
}

/// On which terms a Client is let in. The default is: with the Client Identifier it has, for as long as it likes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The only Client Identifier it may have; one that came without is given this one.
    pub client_id: Option<Box<str>>,
    /// How long until it is disconnected, unless it authenticates again in time.
    pub valid_for: Option<Duration>,
    /// How it got in.
    pub entry: Option<Arc<Entry>>,
}

/// What the providers say about a Client.
#[derive(Debug)]
pub enum Decision {
    /// It is who it says.
    Grant {
        /// What it may do.
        permissions: Permissions,
        /// Authentication Data of the last step; empty for none.
        data: Vec<u8>,
        /// On which terms.
        terms: Terms,
    },
    /// The exchange goes on: AUTH 0x18 with this Authentication Data.
    Challenge(Vec<u8>),
    /// Refused with this Reason Code, 0x80 or greater.
    Deny(dunlin_packet::reason_code::ReasonCode),
}
