//! Clients that may only send so much in a second: the rest waits, first here, then in their sockets.

use std::time::Duration;

use dunlin_packet::{fixed_header::Frame, reason_code::ReasonCode};
use dunlin_protocol::time::Instant;

use crate::{
    connection::{Flow, Unfinished},
    ids::ConnectionId,
    limits::{client::ClientLimits, excess::Excess},
    output::Outbox,
    spending::Spending,
    state::State,
    timers::Timer,
};

impl State {
    /// The connection begins with all that its rates allow at once, if they have bounds.
    pub(crate) fn limit_rates(&mut self, now: Instant, id: ConnectionId, limits: &ClientLimits) {
        if let Some(spending) = Spending::new(now, limits) {
            self.spendings.insert(id, spending);
        }
    }

    /// The connection has ended.
    pub(crate) fn forget_rates(&mut self, id: ConnectionId) {
        // Most often there is nothing to look up.
        if self.spendings.is_empty() {
            return;
        }
        if let Some(at) = self.spendings.remove(&id).and_then(|spending| spending.waits_until) {
            self.timers.cancel(at, Timer::Pace(id));
        }
    }

    fn is_waiting(&self, id: ConnectionId) -> bool {
        self.spendings.get(&id).is_some_and(|spending| spending.waits_until.is_some())
    }

    /// Takes bytes from a Client whose rates have bounds.
    pub(crate) fn receive_paced(&mut self, now: Instant, id: ConnectionId, bytes: &[u8], out: &mut Outbox) {
        self.connection(id).unfinished.extend(bytes);
        if !self.is_waiting(id) {
            self.look_at_paced(now, id, out);
        }
    }

    /// The time to wait is over: what has come before is looked at, and if that was all, the socket is read again.
    pub(crate) fn wait_is_over(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) {
        let Some(spending) = self.spendings.get_mut(&id) else { return };
        spending.waits_until = None;
        self.look_at_paced(now, id, out);
        if self.spendings.contains_key(&id) && !self.is_waiting(id) {
            out.readings.push((id, true));
        }
    }

    /// Handles packets as long as they are paid for.
    fn look_at_paced(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) {
        let (connection, session) = self.both(id);
        let maximum = session.limits.maximum_packet_size;
        let mut buffer = std::mem::take(&mut connection.unfinished);
        self.spendings.entry(id).and_modify(|spending| spending.fill(now));
        let mut done = 0;
        loop {
            let frame = match Frame::split(&buffer.bytes()[done..], maximum) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    self.fault(now, id, error.reason_code(), &error.to_string(), out);
                    return;
                }
            };
            let spending = self.spendings.get_mut(&id).expect("it has some as long as it is connected");
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
        buffer.drop_front(done);
        if buffer.is_empty() {
            // A connection at rest owns no buffer.
            buffer = Unfinished::default();
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
        self.spendings.entry(id).and_modify(|spending| spending.waits_until = Some(until));
        // It is not the Client that is silent. [MQTT-3.1.2-22]
        self.connection(id).last_packet = until;
        self.timers.set(until, Timer::Pace(id));
        out.readings.push((id, false));
        Flow::Open
    }
}
