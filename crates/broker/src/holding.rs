//! What is said to Clients about durable things waits until they are durable (4.1, 4.3).

use dunlin_packet::{packet::PacketType, packet_identifier::PacketId, reason_code::ReasonCode};
use dunlin_protocol::time::Instant;

use crate::{
    held::{Held, HeldPacket},
    ids::ConnectionId,
    input::Storage,
    inspect::answer::Deletion,
    output::Outbox,
    reply::write_ack,
    state::State,
};

impl State {
    /// Answers PUBACK, PUBREC, PUBREL or PUBCOMP: now, or, if `is_filed` says that the current batch has to be durable
    /// first, then. No answer overtakes another one on its connection. [MQTT-4.6.0-2] [MQTT-4.6.0-3]
    pub(crate) fn answer_ack(
        &mut self,
        id: ConnectionId,
        packet_type: PacketType,
        packet_id: PacketId,
        reason_code: ReasonCode,
        is_filed: bool,
        out: &mut Outbox,
    ) {
        let (connection, session) = self.both(id);
        if packet_type == PacketType::Puback {
            // What only waits for the disk does not count: many Clients send more at a time than the Receive Maximum.
            session.inbound.acknowledged(packet_id);
        }
        if is_filed || connection.held > 0 {
            return self.hold(id, HeldPacket::Ack(packet_type, packet_id, reason_code), is_filed, out);
        }
        write_ack(connection, id, packet_type, packet_id, reason_code, out);
    }

    /// The same for SUBACK and UNSUBACK, in bytes.
    pub(crate) fn answer_bytes(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        batch: Option<u64>,
        out: &mut Outbox,
    ) {
        let batch = batch.filter(|&batch| batch > self.filing.committed);
        if batch.is_none() && self.connection(id).held == 0 {
            return out.buffer(id).extend_from_slice(bytes);
        }
        self.hold_until(batch.unwrap_or(0), id, HeldPacket::Bytes(bytes.into()));
    }

    /// Holds back the PUBLISH of a message in flight until it is filed.
    pub(crate) fn hold_publish(&mut self, id: ConnectionId, packet_id: PacketId, out: &mut Outbox) {
        self.connection(id).held_publishes += 1;
        self.hold(id, HeldPacket::Publish(packet_id), true, out);
    }

    /// Holds back CONNACK and all that follows until `batch` is durable.
    pub(crate) fn hold_connack(&mut self, id: ConnectionId, batch: u64, out: &mut Outbox) {
        out.block(id);
        self.hold_until(batch, id, HeldPacket::Connack);
    }

    fn hold(&mut self, id: ConnectionId, packet: HeldPacket, is_filed: bool, out: &mut Outbox) {
        let batch = if is_filed { out.batch_number() } else { 0 };
        self.hold_until(batch, id, packet);
    }

    fn hold_until(&mut self, batch: u64, id: ConnectionId, packet: HeldPacket) {
        let connection = self.connection(id);
        connection.held += 1;
        let serial = connection.serial;
        if self.filing.storage == Storage::Failed {
            // It would wait for ever.
            return self.doomed.push((id, serial));
        }
        self.held.push(batch, id, serial, packet);
    }

    /// The batches up to `batch` are durable: what was said about them may be said.
    pub(crate) fn committed(&mut self, now: Instant, batch: u64, out: &mut Outbox) {
        self.filing.is_committed(batch);
        if !self.owed_answers.is_empty() {
            self.answer_owed(batch, Deletion::Done, out);
        }
        while let Some(held) = self.held.pop(batch) {
            let Held { connection: id, serial, packet, .. } = held;
            let Some(connection) = self.find_connection(id).filter(|it| it.serial == serial) else {
                continue;
            };
            connection.held -= 1;
            match packet {
                HeldPacket::Ack(packet_type, packet_id, reason_code) => {
                    write_ack(connection, id, packet_type, packet_id, reason_code, out);
                }
                HeldPacket::Bytes(bytes) => out.buffer(id).extend_from_slice(&bytes),
                HeldPacket::Connack => out.unblock(id),
                HeldPacket::Publish(packet_id) => {
                    if self.held.is_stalled(id, serial) || self.has_backlog(id, out) {
                        self.held.stall(id, serial, packet_id);
                    } else {
                        self.connection(id).held_publishes -= 1;
                        if !self.send_filed(now, id, packet_id, out) {
                            self.pump(now, id, out);
                        }
                    }
                }
            }
        }
    }

    /// Sends what could have left before, had the Client read; `false` if it still does not.
    pub(crate) fn send_stalled(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) -> bool {
        let serial = self.connection(id).serial;
        while self.held.is_stalled(id, serial) {
            if self.has_backlog(id, out) {
                return false;
            }
            if let Some(packet_id) = self.held.pop_stalled(id, serial) {
                self.connection(id).held_publishes -= 1;
                self.send_filed(now, id, packet_id, out);
            }
        }
        true
    }

    /// How it stands with the storage. If it has failed, what waits never becomes true, and no Session can be kept: these
    /// Clients are disconnected and learn it so.
    pub(crate) fn storage_is(&mut self, now: Instant, storage: Storage, out: &mut Outbox) {
        if self.filing.storage == Storage::Failed {
            return;
        }
        self.filing.storage = storage;
        if storage != Storage::Failed {
            return;
        }
        self.held.clear();
        self.answer_owed(u64::MAX, Deletion::NotDurable, out);
        for number in 0..self.connections.len() as u32 {
            let id = ConnectionId(number);
            let Some(connection) = self.find_connection(id) else { continue };
            let (session, is_waiting) = (connection.session, connection.held > 0);
            if is_waiting || self.sessions[session].is_kept() {
                let (code, reason) = STORAGE_FAILED;
                self.disconnect(now, id, code, reason, out);
            }
        }
    }
}

/// Why a Client is disconnected that waits for what can never become true.
pub(crate) const STORAGE_FAILED: (ReasonCode, &str) =
    (ReasonCode::ImplementationSpecificError, "the Server cannot keep messages any more");
