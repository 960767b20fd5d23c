//! How a message gets into a Session: sent at once, or queued (4.3, 4.9).

use std::num::NonZeroU32;

use dunlin_packet::qos::QoS;
use dunlin_packet::{acks::Ack, packet::PacketType};
use dunlin_protocol::{outbound::Resend, time::Instant};

use crate::{
    fanout::{Hop, Publication, write_publish},
    ids::ConnectionId,
    message::View,
    output::Outbox,
    routing::target::Target,
    sessions::queue::{Delivery, Waiting},
    state::State,
    topics::ids::SessionIndex,
};

impl State {
    /// Gives a live message to one Session. `is_one_of_many` says that other Sessions get it as well.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        publication: &mut Publication<'_>,
        target: &Target,
        is_one_of_many: bool,
        out: &mut Outbox,
    ) {
        let facts = publication.view.facts;
        let qos = facts.qos.min(target.qos); // [MQTT-3.8.4-8] [MQTT3-3.8.4-6]
        let retain = facts.retain && target.retain_as_published; // [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT3-3.3.1-9]
        let output_bytes_max = self.settings.output_bytes_max as usize;
        let session = &mut self.sessions[target.session];
        let Some(id) = session.connection else {
            return self.offer_offline(now, publication, target, qos, retain);
        };
        let has_room = out.backlog(id) < output_bytes_max;
        if qos == QoS::AtMostOnce {
            if !has_room {
                self.counters.dropped_slow += 1;
                return;
            }
            if !session.queue.holds_at_most_once() {
                let hop = Hop { qos, retain, dup: false, packet_id: None };
                self.write_live(now, publication, target, id, hop, is_one_of_many, out);
                return;
            }
        } else if has_room && session.queue.is_empty() && session.outbound.can_send() {
            let delivery = delivery(publication, target, qos, retain);
            // [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT3-4.3.2-1]
            let packet_id = session.outbound.send(qos, delivery).expect("there is quota");
            let hop = Hop { qos, retain, dup: false, packet_id: Some(packet_id) };
            if !self.write_live(now, publication, target, id, hop, is_one_of_many, out) {
                self.forget_unsent(target.session, hop);
            }
            return;
        }
        let delivery = delivery(publication, target, qos, retain);
        self.enqueue(now, target.session, delivery);
        if !has_room {
            out.ask_drained(id);
        }
    }

    /// A Session without Network Connection keeps QoS 1 and 2 (4.1); QoS 0 is not kept.
    fn offer_offline(
        &mut self,
        now: Instant,
        publication: &mut Publication<'_>,
        target: &Target,
        qos: QoS,
        retain: bool,
    ) {
        if qos == QoS::AtMostOnce {
            self.counters.dropped_offline += 1;
            return;
        }
        let delivery = delivery(publication, target, qos, retain);
        self.enqueue(now, target.session, delivery); // [MQTT-4.5.0-1] [MQTT3-3.1.2-5] [MQTT3-4.5.0-1]
    }

    /// Writes a live message; `false` if the Client cannot take it, which counts as done. [MQTT-3.1.2-25]
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one hop; a struct for one call would hide them"
    )]
    fn write_live(
        &mut self,
        now: Instant,
        publication: &Publication<'_>,
        target: &Target,
        id: ConnectionId,
        hop: Hop,
        is_one_of_many: bool,
        out: &mut Outbox,
    ) -> bool {
        let connection = self.connections[id.index()].as_deref_mut().expect("a connected Client");
        let is_plain = target.identifiers.is_empty() && !connection.has_outbound_aliases();
        let is_written = if is_one_of_many && is_plain {
            self.scratch.frames.write(connection, id, &publication.view, hop, now, out)
        } else {
            write_publish(connection, id, &publication.view, hop, target.identifiers.as_slice(), now, out)
        };
        self.count_sent(is_written);
        is_written
    }

    fn count_sent(&mut self, is_written: bool) {
        if is_written {
            self.counters.publishes_sent += 1;
        } else {
            self.counters.dropped_too_large += 1;
        }
    }

    /// Frees the identifier of a message that was too large to send. [MQTT-3.1.2-25]
    fn forget_unsent(&mut self, session: SessionIndex, hop: Hop) {
        let Some(packet_id) = hop.packet_id else { return };
        let outbound = &mut self.sessions[session].outbound;
        let is_freed = match hop.qos {
            QoS::ExactlyOnce => outbound.pubrec(packet_id, true).is_ok(),
            _ => outbound.puback(packet_id).is_ok(),
        };
        debug_assert!(is_freed, "a message just taken is in flight");
    }

    /// Puts a delivery behind the others; if there is no room, the oldest gives way.
    pub(crate) fn enqueue(&mut self, now: Instant, session: SessionIndex, delivery: Delivery) {
        let (messages_max, bytes_max) = (self.settings.queue_messages_max, self.settings.queue_bytes_max);
        let size = delivery.message.size();
        let queue = &mut self.sessions[session].queue;
        if queue.is_full(size, messages_max, bytes_max) {
            self.counters.dropped_expired += queue.drop_expired(now);
            while queue.is_full(size, messages_max, bytes_max) && queue.drop_oldest().is_some() {
                self.counters.dropped_queue_full += 1;
            }
        }
        queue.push(delivery);
    }

    /// Sends what waits for a Client, as far as its quota and its socket allow: first what was sent before
    /// [MQTT-4.4.0-1], then the queue, in order, as for every topic. [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5]
    /// [MQTT3-4.6.0-6]
    pub(crate) fn pump(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) {
        let session = self.connection(id).session;
        loop {
            if out.backlog(id) >= self.settings.output_bytes_max as usize {
                out.ask_drained(id);
                return;
            }
            if self.sessions[session].outbound.is_resending() {
                if !self.resend_one(now, session, id, out) {
                    return;
                }
            } else if !self.send_one(now, session, id, out) {
                return;
            }
        }
    }

    /// Sends one packet again; `false` if it has to wait for quota.
    fn resend_one(
        &mut self,
        now: Instant,
        session: SessionIndex,
        id: ConnectionId,
        out: &mut Outbox,
    ) -> bool {
        let connection = self.connections[id.index()].as_deref_mut().expect("a connected Client");
        let outbound = &mut self.sessions[session].outbound;
        let (hop, is_written) = match outbound.resend() {
            // Nothing more to send again: the queue is next. Otherwise the rest waits for quota.
            None => return !outbound.is_resending(),
            Some(Resend::Pubrel { packet_id }) => {
                let ack = Ack::success(packet_id);
                ack.encode(PacketType::Pubrel, connection.version, out.buffer(id)).expect("a short packet");
                return true;
            }
            Some(Resend::Publish { packet_id, qos, message }) => {
                // Whether it has expired is not asked. [MQTT-4.3.3-7]
                let hop = Hop { qos, retain: message.retain, dup: true, packet_id: Some(packet_id) };
                let identifiers = message.identifiers.as_slice();
                let view = message.message.view();
                (hop, write_publish(connection, id, &view, hop, identifiers, now, out))
            }
        };
        self.count_sent(is_written);
        if !is_written {
            self.forget_unsent(session, hop);
        }
        true
    }

    /// Sends the front of the queue; `false` if there is none, or it has to wait for quota.
    fn send_one(&mut self, now: Instant, index: SessionIndex, id: ConnectionId, out: &mut Outbox) -> bool {
        let session = &mut self.sessions[index];
        let can_send = session.outbound.can_send();
        match session.queue.front() {
            None => false,
            Some(Waiting::Delivery(delivery)) => {
                if delivery.message.has_expired(now) {
                    self.counters.dropped_expired += 1; // [MQTT-3.3.2-5]
                    session.queue.pop();
                    return true;
                }
                if delivery.qos != QoS::AtMostOnce && !can_send {
                    return false;
                }
                if let Some(Waiting::Delivery(delivery)) = session.queue.pop() {
                    self.send_delivery(now, index, id, delivery, out);
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
                if message.has_expired(now) {
                    return true;
                }
                // RETAIN is 1 for what a new Subscription called for, whatever it asked for (3.3.1.3). [MQTT3-3.3.1-8]
                let delivery = Delivery { message, qos, retain: true, identifiers, group: None };
                self.send_delivery(now, index, id, delivery, out);
                true
            }
        }
    }

    fn send_delivery(
        &mut self,
        now: Instant,
        index: SessionIndex,
        id: ConnectionId,
        delivery: Delivery,
        out: &mut Outbox,
    ) {
        let connection = self.connections[id.index()].as_deref_mut().expect("a connected Client");
        let outbound = &mut self.sessions[index].outbound;
        let Delivery { qos, retain, .. } = delivery;
        let identifiers: smallvec::SmallVec<[NonZeroU32; 2]> = delivery.identifiers.as_slice().into();
        let message = delivery.message.clone();
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            _ => Some(outbound.send(qos, delivery).expect("there is quota")),
        };
        let hop = Hop { qos, retain, dup: false, packet_id };
        let view: View<'_> = message.view();
        let is_written = write_publish(connection, id, &view, hop, &identifiers, now, out);
        self.count_sent(is_written);
        if !is_written {
            self.forget_unsent(index, hop);
        }
    }
}

fn delivery(publication: &mut Publication<'_>, target: &Target, qos: QoS, retain: bool) -> Delivery {
    Delivery {
        message: publication.keep(),
        qos,
        retain,
        identifiers: target.identifiers.clone(),
        group: target.group.clone(),
    }
}
