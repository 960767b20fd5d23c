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
        let expiry_max_s = self.settings.session_expiry_max_s;
        let (_, session) = self.both(id);
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
        out.closings.push(id);
        self.end_connection(now, id, fate, out);
        Flow::Ended
    }
}
