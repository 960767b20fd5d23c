//! How a message gets into a Session: sent at once, or queued (4.3, 4.9).

use dunlin_packet::qos::QoS;
use dunlin_protocol::{outbound::Pubrec, time::Instant};

use crate::{
    fanout::{Hop, write_publish},
    ids::ConnectionId,
    output::Outbox,
    publication::Publication,
    records::content::MessageParts,
    routing::target::Target,
    sessions::{
        drops::DropCause,
        queue::{Delivery, Filed},
    },
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
        if !self.may_deliver(now, target.session, publication.view.topic_name) {
            return;
        }
        let facts = publication.view.facts;
        let qos = facts.qos.min(target.qos); // [MQTT-3.8.4-8] [MQTT3-3.8.4-6]
        let retain = facts.retain && target.retain_as_published; // [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT3-3.3.1-9]
        let output_bytes_max = self.settings.output_bytes_max as usize;
        let session = &mut self.sessions[target.session];
        let Some(id) = session.connection else {
            return self.offer_offline(now, publication, target, qos, retain, out);
        };
        let has_room = out.backlog(id) < output_bytes_max;
        if qos == QoS::AtMostOnce {
            if !has_room {
                return self.note_drop(now, target.session, DropCause::Slow);
            }
            if !session.queue.holds_at_most_once() {
                let hop = Hop { qos, retain, dup: false, packet_id: None };
                self.write_live(now, publication, target, id, hop, is_one_of_many, out);
                return;
            }
        } else if has_room && session.queue.is_empty() && session.outbound.can_send() {
            return self.send_live(now, publication, target, id, (qos, retain), is_one_of_many, out);
        }
        let filed = self.filed_as(now, target.session, qos, publication, target.group.is_some());
        let delivery = delivery(publication, target, qos, retain, filed);
        self.enqueue(now, target.session, delivery, out);
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
        out: &mut Outbox,
    ) {
        if qos == QoS::AtMostOnce {
            return self.note_drop(now, target.session, DropCause::Offline);
        }
        let filed = self.filed_as(now, target.session, qos, publication, target.group.is_some());
        let delivery = delivery(publication, target, qos, retain, filed);
        self.enqueue(now, target.session, delivery, out); // [MQTT-4.5.0-1] [MQTT3-3.1.2-5] [MQTT3-4.5.0-1]
    }

    /// Sends a live message with QoS 1 or 2. What a kept Session gets with QoS 2 leaves when it is filed, so that it is
    /// never sent twice; QoS 1 need not wait, unless something before it does.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one hop; a struct for one call would hide them"
    )]
    fn send_live(
        &mut self,
        now: Instant,
        publication: &mut Publication<'_>,
        target: &Target,
        id: ConnectionId,
        (qos, retain): (QoS, bool),
        is_one_of_many: bool,
        out: &mut Outbox,
    ) {
        let filed = self.filed_as(now, target.session, qos, publication, target.group.is_some());
        let delivery = delivery(publication, target, qos, retain, filed);
        self.note_first_in_flight(now, target.session, id);
        let outbound = &mut self.sessions[target.session].outbound;
        let packet_id = outbound.send(qos, delivery).expect("there is quota"); // [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT3-4.3.2-1]
        if filed.number != 0 {
            let parts = MessageParts {
                qos,
                retain,
                packet_id: Some(packet_id),
                identifiers: target.identifiers.as_slice(),
                group: target.group.as_ref().map_or("", |group| group.as_str()),
                message: publication.view,
                is_shared: filed.is_shared,
            };
            self.file_message(target.session, filed.number, &parts, out);
            if qos == QoS::ExactlyOnce || self.connection(id).held_publishes > 0 {
                return self.hold_publish(id, packet_id, out);
            }
        }
        let hop = Hop { qos, retain, dup: false, packet_id: Some(packet_id) };
        if !self.write_live(now, publication, target, id, hop, is_one_of_many, out) {
            self.forget_unsent(target.session, hop, out);
        }
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
        self.count_sent(now, target.session, publication.view.payload.len(), is_written);
        is_written
    }

    /// Nothing was in flight until now: whoever waits for an acknowledgement waits from now on.
    #[inline]
    pub(crate) fn note_first_in_flight(&mut self, now: Instant, index: SessionIndex, id: ConnectionId) {
        if self.sessions[index].outbound.in_flight() == 0 {
            self.connection(id).progress_at = now;
        }
    }

    pub(crate) fn count_sent(
        &mut self,
        now: Instant,
        index: SessionIndex,
        payload_bytes: usize,
        is_written: bool,
    ) {
        if is_written {
            self.counters.publishes_sent += 1;
            self.counters.payload_bytes_sent += payload_bytes as u64;
        } else {
            self.note_drop(now, index, DropCause::TooLarge);
        }
    }

    /// Frees the identifier of a message that was too large to send. [MQTT-3.1.2-25]
    pub(crate) fn forget_unsent(&mut self, index: SessionIndex, hop: Hop, out: &mut Outbox) {
        let Some(packet_id) = hop.packet_id else { return };
        let session = &mut self.sessions[index];
        let owner = session.owner;
        let freed = match hop.qos {
            QoS::ExactlyOnce => match session.outbound.pubrec(packet_id, true) {
                Ok(Pubrec::Refused(delivery)) => Some(delivery),
                _ => None,
            },
            _ => session.outbound.puback(packet_id).ok(),
        };
        debug_assert!(freed.is_some(), "a message just taken is in flight");
        if let Some(delivery) = freed {
            self.unfile_delivery(owner, &delivery, Some(packet_id), out);
        }
    }

    /// Puts a delivery behind the others, if the policy for a full queue lets it in.
    pub(crate) fn enqueue(
        &mut self,
        now: Instant,
        index: SessionIndex,
        delivery: Delivery,
        out: &mut Outbox,
    ) {
        let memory_bytes_max = self.settings.queue_memory_bytes_max;
        let size = delivery.message.size();
        if !self.make_room(now, index, &delivery, out) {
            return;
        }
        self.file_delivery(index, &delivery, None, out);
        let queue = &mut self.sessions[index].queue;
        if delivery.filed.number != 0 && queue.is_for_tail(size, memory_bytes_max) {
            queue.push_tail(delivery.filed.number, delivery.message.view().size() as u64);
        } else {
            queue.push(delivery);
        }
        self.refuse_if_full(index, out);
    }
}

fn delivery(
    publication: &mut Publication<'_>,
    target: &Target,
    qos: QoS,
    retain: bool,
    filed: Filed,
) -> Delivery {
    Delivery {
        message: publication.keep(),
        qos,
        retain,
        identifiers: target.identifiers.clone(),
        group: target.group.clone(),
        filed,
    }
}
