//! One Network Connection: what ends with it (4.2).

use dunlin_packet::version::ProtocolVersion;
use dunlin_protocol::{
    time::Instant,
    topic_aliases::{InboundAliases, OutboundAliases},
};

use crate::{permissions::Permissions, topics::ids::SessionIndex};

/// A connected Client: what was agreed for this Network Connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: SessionIndex,
    pub(crate) version: ProtocolVersion,
    /// Whether Reason Strings and User Properties may go with any packet (3.1.2.11.7).
    pub(crate) wants_problem_information: bool,
    /// Whether AUTH is under way; the method stands in `authentication`.
    pub(crate) is_reauthenticating: bool,
    /// The Client's Maximum Packet Size in bytes.
    pub(crate) maximum_packet_size: u32,
    /// The longest silence in milliseconds: 1.5 times the Keep Alive; 0 is no bound (3.1.2.10).
    pub(crate) silence_max_ms: u32,
    pub(crate) last_packet: Instant,
    /// What the Keep Alive timer is set to.
    pub(crate) keep_alive_at: Option<Instant>,
    pub(crate) inbound_aliases: InboundAliases,
    pub(crate) outbound_aliases: OutboundAliases,
    /// The Authentication Method, if the Client connected with one (4.12).
    pub(crate) authentication: Option<Box<str>>,
    pub(crate) permissions: Permissions,
    /// The beginning of a packet whose end has not come.
    pub(crate) unfinished: Vec<u8>,
}

impl Connection {
    /// The longest silence; meaningless if there is no bound.
    pub(crate) fn silence_max(&self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::from(self.silence_max_ms))
    }
}

/// Whether a connection goes on after a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// It goes on.
    Open,
    /// It has been ended; nothing it sent is looked at any more.
    Ended,
}
