//! One Network Connection: what ends with it (4.2).

use std::sync::Arc;

use dunlin_packet::version::ProtocolVersion;
use dunlin_protocol::{
    keep_alive::KeepAlive,
    time::Instant,
    topic_aliases::{InboundAliases, OutboundAliases},
};

use crate::{entry::Entry, topics::ids::SessionIndex};

/// A connected Client: what was agreed for this Network Connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: SessionIndex,
    pub(crate) version: ProtocolVersion,
    /// Whether Reason Strings and User Properties may go with any packet (3.1.2.11.7).
    pub(crate) wants_problem_information: bool,
    /// The Client's Maximum Packet Size in bytes.
    pub(crate) maximum_packet_size: u32,
    pub(crate) last_packet: Instant,
    /// What the Keep Alive timer is set to.
    pub(crate) keep_alive_at: Option<Instant>,
    /// What only Clients of 5.0 have; a connection at rest is small without it.
    pub(crate) extras: Option<Box<Extras>>,
    /// Where the Client comes from.
    pub(crate) peer: Box<str>,
    /// How it got in.
    pub(crate) entry: Option<Arc<Entry>>,
    /// The user name it was authenticated with.
    pub(crate) user_name: Option<Box<str>>,
    pub(crate) connected_at: Instant,
    /// When the Client last acknowledged something, or nothing was in flight to it.
    pub(crate) progress_at: Instant,
    /// Keep Alive in seconds, as agreed.
    pub(crate) keep_alive_s: u16,
    /// Tells it from others that have had the same number.
    pub(crate) serial: u32,
    /// Packets that are held back.
    pub(crate) held: u32,
    /// PUBLISH packets among them.
    pub(crate) held_publishes: u32,
    /// The beginning of a packet whose end has not come.
    pub(crate) unfinished: Unfinished,
}

/// The beginning of a packet whose end has not come; of a connection at rest no more than a pointer.
#[derive(Debug, Default)]
pub(crate) struct Unfinished(Option<Box<Beginning>>);

#[derive(Debug, Default)]
struct Beginning {
    bytes: Vec<u8>,
}

impl Unfinished {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |beginning| &beginning.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.0.get_or_insert_default().bytes.extend_from_slice(bytes);
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn drop_front(&mut self, count: usize) {
        if let Some(beginning) = &mut self.0 {
            beginning.bytes.drain(..count);
        }
    }

    /// Bytes of memory.
    pub(crate) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |beginning| beginning.bytes.capacity())
    }
}

/// The parts of a connection that only version 5.0 knows.
#[derive(Debug)]
pub(crate) struct Extras {
    pub(crate) inbound_aliases: InboundAliases,
    pub(crate) outbound_aliases: OutboundAliases,
    /// The Authentication Method, if the Client connected with one (4.12).
    pub(crate) authentication: Option<Box<str>>,
    /// Whether AUTH is under way.
    pub(crate) is_reauthenticating: bool,
}

impl Connection {
    /// The Topic Aliases that the Client accepts, if it accepts any.
    pub(crate) fn outbound_aliases(&mut self) -> Option<&mut OutboundAliases> {
        let extras = self.extras.as_deref_mut()?;
        extras.outbound_aliases.is_on().then_some(&mut extras.outbound_aliases)
    }

    /// Whether PUBLISH packets to this Client may carry Topic Aliases.
    pub(crate) fn has_outbound_aliases(&self) -> bool {
        self.extras.as_deref().is_some_and(|extras| extras.outbound_aliases.is_on())
    }

    /// When it has been silent for too long, if that has a bound (3.1.2.10).
    pub(crate) fn silent_until(&self) -> Option<Instant> {
        KeepAlive { interval_s: self.keep_alive_s }.server_deadline(self.last_packet)
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
