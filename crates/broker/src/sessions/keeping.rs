//! Which records a Session has, and when they change. Whatever is told to a Client about them waits for the batch.

use dunlin_packet::{
    packet_identifier::PacketId,
    qos::QoS,
    topic::{filter::TopicFilter, name::TopicName},
};
use dunlin_protocol::time::Instant;

use crate::{
    input::Storage,
    message::View,
    output::{Outbox, PageReader, PageRequest},
    publication::Publication,
    records::{
        content::{InFlightState, MessageParts, SessionContent},
        key::{Key, Owner},
    },
    sessions::{
        queue::{Delivery, Filed, Queue},
        session::Session,
    },
    state::State,
    subscriptions::subscription::Subscription,
    topics::ids::SessionIndex,
};

impl State {
    /// Files what a Session is when it gets or loses its Network Connection. One that ends with it has a record only
    /// as long as it has a Will.
    pub(crate) fn file_session(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        if !self.settings.is_durable {
            return;
        }
        let session = &mut self.sessions[index];
        if session.owner.uid == 0 {
            if session.expiry_s == 0 && session.will.is_none() {
                return;
            }
            session.owner.uid = self.filing.next_number(now);
        }
        session.was_kept |= session.expiry_s > 0;
        let left_at = session.connection.is_none().then_some(now);
        self.file_session_as(index, left_at, out);
    }

    /// The same, for a Session that has lost its Network Connection at some time.
    pub(crate) fn file_session_as(
        &mut self,
        index: SessionIndex,
        left_at: Option<Instant>,
        out: &mut Outbox,
    ) {
        let session = &self.sessions[index];
        let content = SessionContent {
            client_id: &session.client_id,
            expiry_s: session.expiry_s,
            left_at,
            owner: session.has_owner.then(|| session.permissions.identity()),
        };
        out.batch.put_session(session.owner, &content);
    }

    /// Files the Will of a CONNECT.
    pub(crate) fn file_will(&mut self, index: SessionIndex, out: &mut Outbox) {
        let session = &self.sessions[index];
        if let (true, Some(will)) = (session.has_records(), &session.will) {
            out.batch.put_will(session.owner, will.delay_s, will.expiry_s, &will.message);
        }
    }

    /// Files a Subscription, or the one that replaces it.
    pub(crate) fn file_subscription(
        &mut self,
        index: SessionIndex,
        filter: TopicFilter<'_>,
        subscription: &Subscription,
        out: &mut Outbox,
    ) {
        let session = &self.sessions[index];
        if session.is_kept() {
            out.batch.put_subscription(session.owner, filter.as_str(), subscription);
        }
    }

    /// Takes the record of a Subscription away.
    pub(crate) fn unfile_subscription(&mut self, index: SessionIndex, filter: &str, out: &mut Outbox) {
        let session = &self.sessions[index];
        if session.is_kept() {
            out.batch.delete_record(Key::Subscription(session.owner, filter));
        }
    }

    /// Tells all shards that messages of this filter are to be kept here, if they are.
    pub(crate) fn add_kept(&mut self, filter: TopicFilter<'_>, was_kept: bool, subscription: &Subscription) {
        if was_kept && subscription.options.qos > QoS::AtMostOnce {
            self.own_kept.add(filter.without_share());
        }
    }

    /// Takes that back.
    pub(crate) fn remove_kept(
        &mut self,
        filter: TopicFilter<'_>,
        was_kept: bool,
        subscription: &Subscription,
    ) {
        if was_kept && subscription.options.qos > QoS::AtMostOnce {
            self.own_kept.remove(filter.without_share());
        }
    }

    /// Files a message for a kept Session, queued or, with its identifier, sent.
    pub(crate) fn file_delivery(
        &mut self,
        index: SessionIndex,
        delivery: &Delivery,
        packet_id: Option<PacketId>,
        out: &mut Outbox,
    ) {
        let Delivery { filed, qos, retain, .. } = *delivery;
        if filed.number == 0 {
            return;
        }
        let parts = MessageParts {
            qos,
            retain,
            packet_id,
            identifiers: delivery.identifiers.as_slice(),
            group: delivery.group.as_ref().map_or("", |group| group.as_str()),
            message: delivery.message.view(),
            is_shared: filed.is_shared,
        };
        self.file_message(index, filed.number, &parts, out);
    }

    /// The same, with the message in its parts.
    pub(crate) fn file_message(
        &mut self,
        index: SessionIndex,
        number: u64,
        parts: &MessageParts<'_>,
        out: &mut Outbox,
    ) {
        if parts.is_shared && self.filing.share_body(number) {
            out.batch.put_body(self.id, number, &parts.message);
        }
        out.batch.put_message(self.sessions[index].owner, number, parts);
    }

    /// Files that a queued message is sent with this identifier.
    pub(crate) fn file_sent(
        &mut self,
        index: SessionIndex,
        filed: Filed,
        packet_id: PacketId,
        out: &mut Outbox,
    ) {
        let owner = self.sessions[index].owner;
        out.batch.put_in_flight(owner, packet_id, InFlightState::Sent, filed.number);
    }

    /// The Client has taken a QoS 2 message over: only its identifier stays.
    pub(crate) fn file_released(
        &mut self,
        owner: Owner,
        delivery: &Delivery,
        packet_id: PacketId,
        out: &mut Outbox,
    ) {
        if delivery.filed.number == 0 || owner.uid == 0 {
            return;
        }
        out.batch.put_in_flight(owner, packet_id, InFlightState::Released, delivery.filed.number);
        self.unfile_delivery(owner, delivery, None, out);
    }

    /// Takes the records of a message away that is done with; `packet_id` is the one it was sent with.
    pub(crate) fn unfile_delivery(
        &mut self,
        owner: Owner,
        delivery: &Delivery,
        packet_id: Option<PacketId>,
        out: &mut Outbox,
    ) {
        let filed = delivery.filed;
        if filed.number == 0 || owner.uid == 0 {
            return;
        }
        out.batch.delete_record(Key::Message(owner, filed.number));
        if let (true, Some(packet_id)) = (filed.has_state, packet_id) {
            out.batch.delete_record(Key::InFlight(owner, packet_id));
        }
        if filed.is_shared {
            self.unfile_body(filed.number, out);
        }
    }

    /// One delivery less shares a body.
    pub(crate) fn unfile_body(&mut self, number: u64, out: &mut Outbox) {
        if self.filing.leave_body(number) {
            out.batch.delete_record(Key::Body(self.id, number));
        }
    }

    /// How a delivery to this Session is to be filed.
    pub(crate) fn filed_as(
        &mut self,
        now: Instant,
        index: SessionIndex,
        qos: QoS,
        publication: &mut Publication<'_>,
        is_for_group: bool,
    ) -> Filed {
        if qos == QoS::AtMostOnce || !self.sessions[index].is_kept() {
            return Filed::default();
        }
        if is_for_group {
            return Filed { number: self.filing.next_number(now), ..Filed::default() };
        }
        if publication.number == 0 {
            publication.number = self.filing.next_number(now);
        }
        Filed { number: publication.number, is_shared: publication.is_body_shared, has_state: false }
    }

    /// Takes away the records of a Session that has ended.
    pub(crate) fn unfile_session(&mut self, session: &mut Session, out: &mut Outbox) {
        if !session.has_records() {
            return;
        }
        let mut queue = std::mem::take(&mut session.queue);
        self.unfile_messages(session, &queue, out);
        if let Some(tail) = queue.take_tail() {
            self.purge(session.owner, tail.from, out);
        }
        session.queue = queue;
    }

    /// Takes away the records of the Session itself and of all its messages in memory.
    fn unfile_messages(&mut self, session: &mut Session, queue: &Queue, out: &mut Outbox) {
        let owner = session.owner;
        out.batch.delete_record(Key::Session(owner));
        if session.will.is_some() {
            out.batch.delete_record(Key::Will(owner));
        }
        for packet_id in session.inbound.awaiting_pubrel() {
            out.batch.delete_record(Key::Received(owner, packet_id));
        }
        for flying in session.outbound.iter() {
            match flying.message {
                Some(delivery) => self.unfile_delivery(owner, delivery, Some(flying.packet_id), out),
                None => out.batch.delete_record(Key::InFlight(owner, flying.packet_id)),
            }
        }
        for delivery in queue.deliveries() {
            self.unfile_delivery(owner, delivery, None, out);
        }
    }

    /// Has the rest of a queue on the disk deleted, piece by piece.
    pub(crate) fn purge(&mut self, owner: Owner, from: u64, out: &mut Outbox) {
        out.pages.push(PageRequest {
            reader: PageReader::Purge(owner),
            from: Key::Message(owner, from).to_bytes(),
            to: Key::Message(owner, u64::MAX).to_bytes(),
            bytes_max: PURGE_BYTES,
        });
    }

    /// Whether a message may not be taken now, because it would have to be kept and cannot be.
    pub(crate) fn cannot_keep(&self, topic_name: TopicName<'_>, qos: QoS, retain: bool) -> bool {
        self.filing.storage != Storage::Ready
            && qos > QoS::AtMostOnce
            && (retain || self.interests.kept.look_up(topic_name) != 0)
    }
}

/// Whether a message is large enough to be worth a record of its own when several Sessions get it.
pub(crate) fn is_worth_sharing(message: &View<'_>) -> bool {
    message.size() >= SHARED_BYTES_MIN
}

/// From so many bytes on, a message for several kept Sessions of a shard is filed once.
const SHARED_BYTES_MIN: usize = 128;

/// Bytes of records that are read at a time to be deleted.
const PURGE_BYTES: usize = 256 << 10;
