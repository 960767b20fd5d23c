//! PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7, 4.3).

use dunlin_packet::{acks::Ack, packet::PacketType, reason_code::ReasonCode};
use dunlin_protocol::{
    outbound::{AckError, Pubrec},
    time::Instant,
};

use crate::{connection::Flow, ids::ConnectionId, output::Outbox, reply::write_ack, state::State};

impl State {
    pub(crate) fn receive_puback(
        &mut self,
        now: Instant,
        id: ConnectionId,
        ack: &Ack<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let (_, session) = self.both(id);
        // A refusal counts as well: the message is not sent again, nor to another member. [MQTT-4.4.0-2] [MQTT-4.8.2-6]
        match session.outbound.puback(ack.packet_id) {
            Ok(_) | Err(AckError::UnknownPacketId) => self.go_on(now, id, out),
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
        let code = match session.outbound.pubrec(ack.packet_id, ack.reason_code.is_error()) {
            Ok(Pubrec::Refused(_)) => return self.go_on(now, id, out),
            Ok(Pubrec::Release(_) | Pubrec::AlreadyReleased) => ReasonCode::Success, // [MQTT-4.3.3-4] [MQTT3-4.3.3-1]
            Err(AckError::UnknownPacketId) => ReasonCode::PacketIdentifierNotFound,
            Err(AckError::WrongPacket) => return self.wrong_ack(now, id, "PUBREC for a QoS 1 message", out),
        };
        // Never held back by the quota. [MQTT-3.3.4-10] [MQTT-4.9.0-3]
        write_ack(connection, id, PacketType::Pubrel, ack.packet_id, code, out);
        Flow::Open
    }

    pub(crate) fn receive_pubrel(&mut self, id: ConnectionId, ack: &Ack<'_>, out: &mut Outbox) -> Flow {
        let (connection, session) = self.both(id);
        let code = match session.inbound.pubrel(ack.packet_id) {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound, // 3.6.2.1
        };
        write_ack(connection, id, PacketType::Pubcomp, ack.packet_id, code, out); // [MQTT-4.3.3-11] [MQTT3-4.3.3-2]
        Flow::Open
    }

    pub(crate) fn receive_pubcomp(
        &mut self,
        now: Instant,
        id: ConnectionId,
        ack: &Ack<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let (_, session) = self.both(id);
        match session.outbound.pubcomp(ack.packet_id) {
            Ok(()) | Err(AckError::UnknownPacketId) => self.go_on(now, id, out),
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
