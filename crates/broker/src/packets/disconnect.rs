//! DISCONNECT from a Client (3.14).

use dunlin_packet::{disconnect::Disconnect, reason_code::ReasonCode};
use dunlin_protocol::time::Instant;

use crate::{connection::Flow, ending::WillFate, ids::ConnectionId, output::Outbox, state::State};

impl State {
    pub(crate) fn receive_disconnect(
        &mut self,
        now: Instant,
        id: ConnectionId,
        packet: &Disconnect<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let (_, session) = self.both(id);
        let expiry_max_s = session.limits.session_expiry_max_s;
        if let Some(expiry_s) = packet.properties.session_expiry_interval_s() {
            if session.expiry_s == 0 && expiry_s != 0 {
                // 3.14.2.2.2: it cannot be raised from 0.
                let reason = "DISCONNECT raises the Session Expiry Interval from 0";
                return self.fault(now, id, ReasonCode::ProtocolError, reason, out);
            }
            session.expiry_s = expiry_s.min(expiry_max_s);
        }
        let fate = match packet.reason_code {
            ReasonCode::Success => WillFate::Discarded, // [MQTT-3.14.4-3] [MQTT3-3.14.4-3]
            _ => WillFate::Sent,
        };
        match packet.reason_code {
            ReasonCode::Success => self.tell_departure(now, id, &"DISCONNECT"),
            code => self.tell_departure(now, id, &format_args!("DISCONNECT with {code}")),
        }
        let (connection, session) = self.both(id);
        let serial = connection.serial;
        let is_deleted = fate == WillFate::Discarded && session.will.is_some() && session.has_records();
        self.end_connection(now, id, fate, out);
        if is_deleted {
            // The close says that the Will is not sent any more: that has to be true after a crash, too.
            self.hold_close(id, serial, out);
        } else {
            out.closings.push(id);
        }
        Flow::Ended
    }
}
