//! Packets that must not leave before they are true: what they promise is not durable yet.

use std::collections::{BTreeMap, VecDeque};

use dunlin_packet::{packet::PacketType, packet_identifier::PacketId, reason_code::ReasonCode};

use crate::ids::ConnectionId;

/// A packet that waits.
#[derive(Debug)]
pub(crate) enum HeldPacket {
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(PacketType, PacketId, ReasonCode),
    /// A packet in its bytes.
    Bytes(Box<[u8]>),
    /// The PUBLISH of a message in flight.
    Publish(PacketId),
    /// CONNACK and all behind it, which are in the output already.
    Connack,
    /// No packet, but the end of the Network Connection: it tells the Client that DISCONNECT was taken.
    Close,
}

#[derive(Debug)]
pub(crate) struct Held {
    /// The batch that makes it true.
    batch: u64,
    pub(crate) connection: ConnectionId,
    /// Tells the connection from others that have had the same number.
    pub(crate) serial: u32,
    pub(crate) packet: HeldPacket,
}

/// All that waits for batches to become durable, in order. Bounded by what Clients may have unacknowledged.
#[derive(Debug, Default)]
pub(crate) struct HeldBack {
    waiting: VecDeque<Held>,
    /// PUBLISH packets that may leave, of connections whose Clients do not read fast enough.
    stalled: BTreeMap<(ConnectionId, u32), VecDeque<PacketId>>,
    /// Network Connections that have ended for the broker and wait to be closed, with their serials.
    closing: BTreeMap<ConnectionId, u32>,
}

impl HeldBack {
    /// Holds `packet` back until `batch`, or what another packet before it waits for, is durable.
    pub(crate) fn push(&mut self, batch: u64, connection: ConnectionId, serial: u32, packet: HeldPacket) {
        let batch = self.waiting.back().map_or(batch, |last| last.batch.max(batch));
        self.waiting.push_back(Held { batch, connection, serial, packet });
    }

    /// Holds the close of a Network Connection back.
    pub(crate) fn push_close(&mut self, batch: u64, connection: ConnectionId, serial: u32) {
        self.closing.insert(connection, serial);
        self.push(batch, connection, serial, HeldPacket::Close);
    }

    /// Whether the Network Connection still waits to be closed; then no longer.
    pub(crate) fn take_closing(&mut self, connection: ConnectionId, serial: u32) -> bool {
        let is_waiting = self.closing.get(&connection) == Some(&serial);
        if is_waiting {
            self.closing.remove(&connection);
        }
        is_waiting
    }

    /// The Client has closed by itself.
    pub(crate) fn forget_closing(&mut self, connection: ConnectionId) {
        self.closing.remove(&connection);
    }

    /// All Network Connections that wait to be closed.
    pub(crate) fn drain_closing(&mut self) -> impl Iterator<Item = ConnectionId> {
        std::mem::take(&mut self.closing).into_keys()
    }

    /// The next packet that may leave when `batch` is durable.
    pub(crate) fn pop(&mut self, batch: u64) -> Option<Held> {
        self.waiting.pop_front_if(|held| held.batch <= batch)
    }

    pub(crate) fn stall(&mut self, connection: ConnectionId, serial: u32, packet_id: PacketId) {
        self.stalled.entry((connection, serial)).or_default().push_back(packet_id);
    }

    pub(crate) fn is_stalled(&self, connection: ConnectionId, serial: u32) -> bool {
        !self.stalled.is_empty() && self.stalled.contains_key(&(connection, serial))
    }

    pub(crate) fn pop_stalled(&mut self, connection: ConnectionId, serial: u32) -> Option<PacketId> {
        let waiting = self.stalled.get_mut(&(connection, serial))?;
        let packet_id = waiting.pop_front();
        if waiting.is_empty() {
            self.stalled.remove(&(connection, serial));
        }
        packet_id
    }

    /// Forgets what stalled on a connection that is gone.
    pub(crate) fn forget(&mut self, connection: ConnectionId, serial: u32) {
        if !self.stalled.is_empty() {
            self.stalled.remove(&(connection, serial));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets everything: it can never become true.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
