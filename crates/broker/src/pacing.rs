//! Clients that may only send so much in a second: the rest waits, first here, then in their sockets.

use std::time::Duration;

use dunlin_packet::{fixed_header::Frame, reason_code::ReasonCode};
use dunlin_protocol::time::Instant;
use thin_vec::ThinVec;

use crate::{
    connection::Flow, ids::ConnectionId, limits::excess::Excess, output::Outbox, state::State, timers::Timer,
};

impl State {
    /// Takes bytes from a Client whose rates have bounds.
    pub(crate) fn receive_paced(&mut self, now: Instant, id: ConnectionId, bytes: &[u8], out: &mut Outbox) {
        let connection = self.connection(id);
        connection.unfinished.extend_from_slice(bytes);
        if connection.spending.as_ref().is_some_and(|spending| spending.waits_until.is_none()) {
            self.look_at_paced(now, id, out);
        }
    }

    /// The time to wait is over: what has come before is looked at, and if that was all, the socket is read again.
    pub(crate) fn wait_is_over(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) {
        let Some(spending) = self.find_connection(id).and_then(|connection| connection.spending.as_mut())
        else {
            return;
        };
        spending.waits_until = None;
        self.look_at_paced(now, id, out);
        let spending = self.find_connection(id).and_then(|connection| connection.spending.as_ref());
        if spending.is_some_and(|spending| spending.waits_until.is_none()) {
            out.readings.push((id, true));
        }
    }

    /// Handles packets as long as they are paid for.
    fn look_at_paced(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) {
        let connection = self.connection(id);
        let maximum = connection.packet_size_max;
        let mut buffer = std::mem::take(&mut connection.unfinished);
        if let Some(spending) = &mut connection.spending {
            spending.fill(now);
        }
        let mut done = 0;
        loop {
            let frame = match Frame::split(&buffer[done..], maximum) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.fault(now, id, error.reason_code(), &error.to_string(), out);
                    return;
                }
            };
            let spending = self.connection(id).spending.as_mut().expect("a connection keeps its spending");
            if let Err(wait) = spending.pay(&frame) {
                if self.exceed(now, id, wait, out) == Flow::Ended {
                    return;
                }
                break;
            }
            done += frame.encoded_len;
            if self.receive_packet(now, id, frame, out) == Flow::Ended {
                return;
            }
        }
        buffer.drain(..done);
        if buffer.is_empty() {
            // A connection at rest owns no buffer.
            buffer = ThinVec::new();
        }
        let connection = self.connection(id);
        connection.unfinished = buffer;
        if done > 0 {
            connection.last_packet = connection.last_packet.max(now); // [MQTT-3.1.2-22]
        }
        self.touch_if_large(now, id);
    }

    /// More has come than may come: it waits, or that was its last.
    fn exceed(&mut self, now: Instant, id: ConnectionId, wait: Duration, out: &mut Outbox) -> Flow {
        let (_, session) = self.both(id);
        if session.limits.on_excess == Excess::Disconnect {
            self.counters.rate_disconnects += 1;
            let reason = "more messages or bytes than this Client may send in a second";
            return self.disconnect(now, id, ReasonCode::MessageRateTooHigh, reason, out);
        }
        self.counters.rate_delays += 1;
        let until = now + wait;
        let connection = self.connection(id);
        if let Some(spending) = &mut connection.spending {
            spending.waits_until = Some(until);
        }
        // It is not the Client that is silent. [MQTT-3.1.2-22]
        connection.last_packet = until;
        self.timers.set(until, Timer::Pace(id));
        out.readings.push((id, false));
        Flow::Open
    }
}
