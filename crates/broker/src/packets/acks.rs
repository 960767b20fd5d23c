//! PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7, 4.3).

use dunlin_packet::{acks::Ack, packet::PacketType, reason_code::ReasonCode};
use dunlin_protocol::{
    outbound::{AckError, Pubrec},
    time::Instant,
};

use crate::{connection::Flow, ids::ConnectionId, output::Outbox, records::key::Key, state::State};

impl State {
    pub(crate) fn receive_puback(
        &mut self,
        now: Instant,
        id: ConnectionId,
        ack: &Ack<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let (connection, session) = self.both(id);
        connection.progress_at = now;
        // A refusal counts as well: the message is not sent again, nor to another member. [MQTT-4.4.0-2] [MQTT-4.8.2-6]
        let owner = session.owner;
        match session.outbound.puback(ack.packet_id) {
            Ok(delivery) => {
                self.unfile_delivery(owner, &delivery, Some(ack.packet_id), out);
                self.go_on(now, id, out)
            }
            Err(AckError::UnknownPacketId) => self.go_on(now, id, out),
            Err(AckError::WrongPacket) => self.wrong_ack(now, id, "PUBACK for a QoS 2 message", out),
        }
    }

    pub(crate) fn receive_pubrec(
        &mut self,
        now: Instant,
        id: ConnectionId,
        ack: &Ack<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let (connection, session) = self.both(id);
        connection.progress_at = now;
        let owner = session.owner;
        let changes = out.batch.len();
        let code = match session.outbound.pubrec(ack.packet_id, ack.reason_code.is_error()) {
            Ok(Pubrec::Refused(delivery)) => {
                self.unfile_delivery(owner, &delivery, Some(ack.packet_id), out);
                return self.go_on(now, id, out);
            }
            Ok(Pubrec::Release(delivery)) => {
                self.file_released(owner, &delivery, ack.packet_id, out);
                ReasonCode::Success // [MQTT-4.3.3-4] [MQTT3-4.3.3-1]
            }
            Ok(Pubrec::AlreadyReleased) => ReasonCode::Success,
            Err(AckError::UnknownPacketId) => ReasonCode::PacketIdentifierNotFound,
            Err(AckError::WrongPacket) => return self.wrong_ack(now, id, "PUBREC for a QoS 1 message", out),
        };
        // Never held back by the quota. [MQTT-3.3.4-10] [MQTT-4.9.0-3]
        let is_filed = out.batch.len() > changes;
        self.answer_ack(id, PacketType::Pubrel, ack.packet_id, code, is_filed, out);
        Flow::Open
    }

    pub(crate) fn receive_pubrel(&mut self, id: ConnectionId, ack: &Ack<'_>, out: &mut Outbox) -> Flow {
        let (_, session) = self.both(id);
        let is_known = session.inbound.pubrel(ack.packet_id);
        let is_filed = is_known && session.is_kept();
        if is_filed {
            out.batch.delete_record(Key::Received(session.owner, ack.packet_id));
        }
        let code = match is_known {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound, // 3.6.2.1
        };
        // [MQTT-4.3.3-11] [MQTT3-4.3.3-2]
        self.answer_ack(id, PacketType::Pubcomp, ack.packet_id, code, is_filed, out);
        Flow::Open
    }

    pub(crate) fn receive_pubcomp(
        &mut self,
        now: Instant,
        id: ConnectionId,
        ack: &Ack<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let (connection, session) = self.both(id);
        connection.progress_at = now;
        match session.outbound.pubcomp(ack.packet_id) {
            Ok(()) => {
                if session.has_records() {
                    out.batch.delete_record(Key::InFlight(session.owner, ack.packet_id));
                }
                self.go_on(now, id, out)
            }
            Err(AckError::UnknownPacketId) => self.go_on(now, id, out),
            Err(AckError::WrongPacket) => self.wrong_ack(now, id, "PUBCOMP before PUBREC", out),
        }
    }

    /// Sends what waited for the quota.
    fn go_on(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) -> Flow {
        let (_, session) = self.both(id);
        if !session.queue.is_empty() || session.outbound.is_resending() {
            self.pump(now, id, out);
        }
        Flow::Open
    }

    fn wrong_ack(&mut self, now: Instant, id: ConnectionId, reason: &str, out: &mut Outbox) -> Flow {
        self.fault(now, id, ReasonCode::ProtocolError, reason, out)
    }
}
