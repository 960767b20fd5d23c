//! What waits for a Client goes out, as far as its quota and its socket allow (4.4, 4.6, 4.9).

use dunlin_packet::{
    acks::Ack, packet::PacketType, packet_identifier::PacketId, qos::QoS, reason_code::ReasonCode,
};
use dunlin_protocol::{
    outbound::{Pubrec, Resend},
    time::Instant,
};

use crate::{
    fanout::{Hop, write_publish},
    ids::ConnectionId,
    output::Outbox,
    sessions::{
        drops::DropCause,
        queue::{Delivery, Filed, Waiting},
    },
    state::State,
    topics::ids::SessionIndex,
};

impl State {
    /// Sends what waits for a Client: first what was sent before [MQTT-4.4.0-1], then the queue, in order.
    /// [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]
    pub(crate) fn pump(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) {
        let session = self.connection(id).session;
        if !self.send_stalled(now, id, out) {
            return;
        }
        loop {
            if self.has_backlog(id, out) {
                return;
            }
            if self.sessions[session].outbound.is_resending() {
                if !self.resend_one(now, session, id, out) {
                    return;
                }
            } else if !self.send_one(now, session, id, out) {
                self.accept_if_room(session, out);
                return self.refill(now, session, out);
            }
        }
    }

    /// Whether the Client has to read first; then the broker is told when it has.
    pub(crate) fn has_backlog(&self, id: ConnectionId, out: &mut Outbox) -> bool {
        let is_full = out.backlog(id) >= self.settings.output_bytes_max as usize;
        if is_full {
            out.ask_drained(id);
        }
        is_full
    }

    /// Sends one packet again; `false` if it has to wait for quota.
    fn resend_one(
        &mut self,
        now: Instant,
        session: SessionIndex,
        id: ConnectionId,
        out: &mut Outbox,
    ) -> bool {
        let outbound = &mut self.sessions[session].outbound;
        let (hop, message) = match outbound.resend() {
            // Nothing more to send again: the queue is next. Otherwise the rest waits for quota.
            None => return !outbound.is_resending(),
            Some(Resend::Pubrel { packet_id }) => {
                let (ack, version) = (Ack::success(packet_id), self.connection(id).version);
                ack.encode(PacketType::Pubrel, version, out.buffer(id)).expect("a short packet");
                return true;
            }
            Some(Resend::Publish { packet_id, qos, message }) => {
                // Whether it has expired is not asked. [MQTT-4.3.3-7]
                (Hop { qos, retain: message.retain, dup: true, packet_id: Some(packet_id) }, message.clone())
            }
        };
        let is_allowed = self.may_deliver(now, session, message.message.topic_name());
        let is_written = is_allowed && self.write_again(now, session, id, &message, hop, out);
        match (hop.qos, hop.packet_id) {
            _ if is_written => {}
            (QoS::ExactlyOnce, Some(packet_id)) => self.release_unsent(session, id, packet_id, out),
            _ => self.forget_unsent(session, hop, out),
        }
        true
    }

    fn write_again(
        &mut self,
        now: Instant,
        session: SessionIndex,
        id: ConnectionId,
        delivery: &Delivery,
        hop: Hop,
        out: &mut Outbox,
    ) -> bool {
        let connection = self.connections[id.index()].as_deref_mut().expect("a connected Client");
        let identifiers = delivery.identifiers.as_slice();
        let is_written = write_publish(connection, id, &delivery.message.view(), hop, identifiers, now, out);
        self.count_sent(now, session, delivery.message.payload().len(), is_written);
        is_written
    }

    /// A QoS 2 message is too large to be sent again, or not allowed any more, and the Client may have had it: it counts as sent [MQTT-3.1.2-25],
    /// and PUBREL frees its identifier on both sides. The next message under it would be taken for a duplicate otherwise.
    fn release_unsent(
        &mut self,
        index: SessionIndex,
        id: ConnectionId,
        packet_id: PacketId,
        out: &mut Outbox,
    ) {
        let session = &mut self.sessions[index];
        let owner = session.owner;
        let Ok(Pubrec::Release(delivery)) = session.outbound.pubrec(packet_id, false) else { return };
        let changes = out.batch.len();
        self.file_released(owner, &delivery, packet_id, out);
        let is_filed = out.batch.len() > changes;
        self.answer_ack(id, PacketType::Pubrel, packet_id, ReasonCode::Success, is_filed, out);
    }

    /// Sends the front of the queue; `false` if there is none, or it has to wait for quota.
    fn send_one(&mut self, now: Instant, index: SessionIndex, id: ConnectionId, out: &mut Outbox) -> bool {
        let session = &mut self.sessions[index];
        let can_send = session.outbound.can_send();
        match session.queue.front() {
            None => false,
            Some(Waiting::Delivery(delivery)) => {
                let has_expired = delivery.message.has_expired(now);
                if !has_expired && delivery.qos != QoS::AtMostOnce && !can_send {
                    return false;
                }
                let Some(Waiting::Delivery(delivery)) = session.queue.pop() else { return true };
                if has_expired {
                    let owner = session.owner;
                    self.note_drop(now, index, DropCause::Expired); // [MQTT-3.3.2-5]
                    self.unfile_delivery(owner, &delivery, None, out);
                } else if self.may_deliver(now, index, delivery.message.topic_name()) {
                    self.send_delivery(now, index, id, delivery, out);
                } else {
                    // The right was there when it was queued. Another member of a group may have it.
                    self.give_up(now, index, delivery, out);
                }
                true
            }
            Some(Waiting::Replay(replay)) => {
                let Some(message) = replay.messages.as_slice().first() else {
                    session.queue.pop();
                    return true;
                };
                let qos = message.facts().qos.min(replay.qos); // [MQTT-3.8.4-8]
                if qos != QoS::AtMostOnce && !can_send {
                    return false;
                }
                let identifiers = replay.identifiers.clone(); // [MQTT-3.3.4-3]
                let message = replay.messages.next().expect("it was looked at");
                if message.has_expired(now) || !self.may_deliver(now, index, message.topic_name()) {
                    return true;
                }
                // RETAIN is 1 for what a new Subscription called for, whatever it asked for (3.3.1.3). [MQTT3-3.3.1-8]
                let filed = Filed::default();
                let delivery = Delivery { message, qos, retain: true, identifiers, group: None, filed };
                self.send_delivery(now, index, id, delivery, out);
                true
            }
        }
    }

    /// Sends a message that waited. If the Session is kept, first its identifier is filed: sent again after a crash, it
    /// has the same one.
    fn send_delivery(
        &mut self,
        now: Instant,
        index: SessionIndex,
        id: ConnectionId,
        mut delivery: Delivery,
        out: &mut Outbox,
    ) {
        let qos = delivery.qos;
        if qos == QoS::AtMostOnce {
            self.write_delivery(now, id, &delivery, None, out);
            return;
        }
        let is_kept = self.sessions[index].is_kept();
        let was_filed = delivery.filed.number != 0;
        if is_kept {
            if !was_filed {
                delivery.filed.number = self.filing.next_number(now);
            }
            delivery.filed.has_state = was_filed;
        }
        let kept = delivery.clone();
        self.note_first_in_flight(now, index, id);
        let packet_id = self.sessions[index].outbound.send(qos, kept).expect("there is quota");
        if is_kept {
            if was_filed {
                self.file_sent(index, delivery.filed, packet_id, out);
            } else {
                self.file_delivery(index, &delivery, Some(packet_id), out);
            }
            return self.hold_publish(id, packet_id, out);
        }
        if !self.write_delivery(now, id, &delivery, Some(packet_id), out) {
            let hop = Hop { qos, retain: delivery.retain, dup: false, packet_id: Some(packet_id) };
            self.forget_unsent(index, hop, out);
        }
    }

    fn write_delivery(
        &mut self,
        now: Instant,
        id: ConnectionId,
        delivery: &Delivery,
        packet_id: Option<PacketId>,
        out: &mut Outbox,
    ) -> bool {
        let connection = self.connections[id.index()].as_deref_mut().expect("a connected Client");
        let hop = Hop { qos: delivery.qos, retain: delivery.retain, dup: false, packet_id };
        let identifiers = delivery.identifiers.as_slice();
        let view = delivery.message.view();
        let index = connection.session;
        let is_written = write_publish(connection, id, &view, hop, identifiers, now, out);
        self.count_sent(now, index, view.payload.len(), is_written);
        is_written
    }

    /// Sends a message in flight that waited until it was filed; `false` if the Client cannot take it.
    pub(crate) fn send_filed(
        &mut self,
        now: Instant,
        id: ConnectionId,
        packet_id: PacketId,
        out: &mut Outbox,
    ) -> bool {
        let index = self.connection(id).session;
        let Some(delivery) = self.sessions[index].outbound.message(packet_id).cloned() else { return true };
        let has_expired = delivery.message.has_expired(now); // [MQTT-3.3.2-5]
        if has_expired {
            self.note_drop(now, index, DropCause::Expired);
        }
        let is_written = !has_expired
            && self.may_deliver(now, index, delivery.message.topic_name())
            && self.write_delivery(now, id, &delivery, Some(packet_id), out);
        if !is_written {
            let Delivery { qos, retain, .. } = delivery;
            let hop = Hop { qos, retain, dup: false, packet_id: Some(packet_id) };
            self.forget_unsent(index, hop, out);
        }
        is_written
    }
}
