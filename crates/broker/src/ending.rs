//! How Network Connections and Sessions end, and what becomes of the Will (3.1.2.5, 3.14.4, 4.1).

use dunlin_packet::{qos::QoS, reason_code::ReasonCode, topic::filter::TopicFilter};
use dunlin_protocol::time::Instant;

use crate::{
    connection::{Connection, Flow},
    ids::ConnectionId,
    message::{Message, MessageFacts},
    output::Outbox,
    permissions::identity::Identity,
    publication::Publication,
    records::key::Key,
    reply::write_disconnect,
    routing::group_mail::{GroupMail, GroupName, Member},
    sessions::{queue::Delivery, session::Will},
    state::State,
    timers::Timer,
    topics::ids::SessionIndex,
};

/// What the end of a Network Connection means for the Will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WillFate {
    /// It is sent, after its delay. [MQTT-3.1.2-8] [MQTT3-3.1.2-8]
    Sent,
    /// It is forgotten: DISCONNECT with 0x00. [MQTT-3.14.4-3] [MQTT3-3.14.4-3]
    Discarded,
}

impl State {
    /// Ends a connection for a fault of the Client or at the Server's wish: a 5.0 Client is told why, then it is closed.
    /// [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT3-4.8.0-1]
    pub(crate) fn disconnect(
        &mut self,
        now: Instant,
        id: ConnectionId,
        reason_code: ReasonCode,
        reason: &str,
        out: &mut Outbox,
    ) -> Flow {
        let (connection, _) = self.both(id);
        write_disconnect(connection, id, reason_code, reason, out);
        self.tell_departure(now, id, &format_args!("{reason_code}: {reason}"));
        out.closings.push(id); // [MQTT-3.14.4-1] [MQTT-3.14.4-2]
        self.end_connection(now, id, WillFate::Sent, out);
        Flow::Ended
    }

    /// Ends a connection for a fault of the Client.
    pub(crate) fn fault(
        &mut self,
        now: Instant,
        id: ConnectionId,
        reason_code: ReasonCode,
        reason: &str,
        out: &mut Outbox,
    ) -> Flow {
        self.counters.protocol_errors += 1;
        self.disconnect(now, id, reason_code, reason, out)
    }

    /// The Network Connection is gone, or will be: what ends with it ends, the Session goes on or ends.
    pub(crate) fn end_connection(
        &mut self,
        now: Instant,
        id: ConnectionId,
        fate: WillFate,
        out: &mut Outbox,
    ) {
        let Some(connection) = self.connections[id.index()].take() else { return };
        self.connected -= 1;
        let Connection { session: index, keep_alive_at, serial, .. } = *connection;
        if let Some(at) = keep_alive_at {
            self.timers.cancel(at, Timer::KeepAlive(id));
        }
        self.forget_rates(id);
        self.forget_stay(id);
        self.tickets.forget(id);
        self.held.forget(id, serial);
        self.sessions[index].connection = None;
        self.sessions[index].is_filtered = false;
        if fate == WillFate::Discarded {
            self.take_will(index, out); // [MQTT-3.1.2-10] [MQTT3-3.1.2-10]
        }
        let session = &mut self.sessions[index];
        if session.expiry_s == 0 {
            self.end_session(now, index, out); // [MQTT-3.1.2-23] [MQTT3-3.1.2-6]
            return;
        }
        // What is under way stays with the Session. [MQTT-4.8.2-4]
        let returned = session.queue.leave_connection();
        session.outbound.release_memory();
        session.inbound.release_memory();
        self.file_session(now, index, out);
        self.arm_will(now, index, out);
        let session = &mut self.sessions[index];
        session.expires_at = Self::after(now, session.expiry_s); // [MQTT3-4.1.0-1]
        if let Some(at) = session.expires_at {
            self.timers.set(at, Timer::SessionExpiry(index));
        }
        self.tell_presence(now, index, false, out);
        let (member, owner) = (self.member(index), self.sessions[index].owner);
        for delivery in &returned {
            self.unfile_delivery(owner, delivery, None, out);
        }
        self.send_back(now, member, returned, out);
    }

    /// Starts the Will Delay Interval, or sends the Will if there is none.
    fn arm_will(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        let session = &mut self.sessions[index];
        let Some(will) = &mut session.will else { return };
        // The Session's end comes first if it is sooner. [MQTT-3.1.2-8]
        match Self::after(now, will.delay_s) {
            Some(at) if will.delay_s > 0 => {
                will.due_at = Some(at);
                self.timers.set(at, Timer::WillDelay(index));
            }
            Some(_) => self.send_will(now, index, out),
            None => {}
        }
    }

    /// Publishes the Will, if there is one, and forgets it. [MQTT-3.1.2-10] [MQTT3-3.1.2-10]
    pub(crate) fn send_will(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        if let Some(will) = self.take_will(index, out)
            && self.may_send_will(now, index, &will)
        {
            let publisher = self.identity_of(index);
            self.publish_will(now, &will, publisher, out);
        }
    }

    /// Takes the Will of a Session and stops its timer.
    pub(crate) fn take_will(&mut self, index: SessionIndex, out: &mut Outbox) -> Option<Box<Will>> {
        let session = &mut self.sessions[index];
        let will = session.will.take()?;
        if session.has_records() {
            out.batch.delete_record(Key::Will(session.owner));
        }
        if let Some(at) = will.due_at {
            self.timers.cancel(at, Timer::WillDelay(index));
        }
        Some(will)
    }

    fn publish_will(&mut self, now: Instant, will: &Will, publisher: Option<Identity>, out: &mut Outbox) {
        let dated = will.expiry_s.map(|seconds| dated(&will.message, now, seconds));
        let message = dated.as_ref().unwrap_or(&will.message);
        let mut publication = Publication::of_message(message);
        publication.publisher = publisher;
        self.publish(now, &mut publication, out); // [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17]
    }

    /// Ends a Session without Network Connection: its Will is sent, its Subscriptions and messages go.
    /// [MQTT-4.1.0-2] [MQTT-3.1.2-8]
    pub(crate) fn end_session(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        let will = self.take_will(index, out).filter(|will| self.may_send_will(now, index, will));
        let publisher = self.identity_of(index);
        let member = self.member(index);
        let Some(mut session) = self.sessions.remove(index) else { return };
        if let Some(at) = session.expires_at {
            self.timers.cancel(at, Timer::SessionExpiry(index));
        }
        if session.is_refusing {
            self.accept_again(member, out);
        }
        if session.was_kept && session.has_records() {
            self.filing.note_end(session.publisher, out.batch_number());
        }
        self.unfile_session(&mut session, out);
        let mut text = String::new();
        for filter_id in std::mem::take(&mut session.filters) {
            self.remove_filter(filter_id, index, session.was_kept, &mut text);
            if session.has_records() {
                out.batch.delete_record(Key::Subscription(session.owner, &text));
            }
        }
        for share in &session.shares {
            if session.has_records() {
                out.batch.delete_record(Key::Subscription(session.owner, share.group.as_str()));
            }
            self.send_to_group(now, GroupMail::Leave { group: share.group.clone(), member }, out);
        }
        // QoS 1 goes to another member of the group, QoS 2 to none (4.8.2). [MQTT-4.8.2-5]
        let unacknowledged: Vec<_> = session
            .outbound
            .drain()
            .filter(|(qos, delivery)| *qos == QoS::AtLeastOnce && delivery.group.is_some())
            .map(|(_, delivery)| delivery)
            .collect();
        self.send_back(now, member, unacknowledged, out);
        let waiting = session.queue.leave_connection();
        self.send_back(now, member, waiting, out);
        if let Some(will) = will {
            self.publish_will(now, &will, publisher, out);
        }
    }

    /// Who the Client of a Session is, if that is known.
    fn identity_of(&self, index: SessionIndex) -> Option<Identity> {
        let session = &self.sessions[index];
        session.has_owner.then(|| session.permissions.identity())
    }

    /// Gives up a message that waited for a Session: it goes to another member if it came by a group.
    pub(crate) fn give_up(
        &mut self,
        now: Instant,
        index: SessionIndex,
        delivery: Delivery,
        out: &mut Outbox,
    ) {
        self.unfile_delivery(self.sessions[index].owner, &delivery, None, out);
        self.send_back(now, self.member(index), vec![delivery], out);
    }

    /// Removes one Subscription; `text` is memory for the filter.
    pub(crate) fn remove_filter(
        &mut self,
        filter_id: crate::topics::ids::FilterId,
        index: SessionIndex,
        was_kept: bool,
        text: &mut String,
    ) {
        text.clear();
        self.subscriptions.filter_text(filter_id, text);
        let Some(removed) = self.subscriptions.remove(filter_id, index) else { return };
        let filter = TopicFilter::parse(text).expect("it was filed as a filter");
        self.remove_kept(filter, was_kept, &removed.subscription);
        if removed.was_last {
            self.remove_interest(filter);
        }
    }

    /// Tells the homes of its groups whether a member is connected.
    pub(crate) fn tell_presence(
        &mut self,
        now: Instant,
        index: SessionIndex,
        is_online: bool,
        out: &mut Outbox,
    ) {
        if self.sessions[index].shares.is_empty() {
            return;
        }
        let member = self.member(index);
        let groups: Vec<GroupName> =
            self.sessions[index].shares.iter().map(|share| share.group.clone()).collect();
        for group in groups {
            self.send_to_group(now, GroupMail::Presence { group, member, is_online }, out);
        }
    }

    fn send_back(&mut self, now: Instant, member: Member, returned: Vec<Delivery>, out: &mut Outbox) {
        for Delivery { message, group, filed, .. } in returned {
            let Some(group) = group else { continue };
            self.return_share(now, group, member, message, filed.number != 0, out);
        }
    }
}

/// The Will with its Message Expiry Interval, which begins when it is published (3.1.3.2.4).
fn dated(message: &Message, now: Instant, seconds: u32) -> Message {
    let view = message.view();
    let expires_at = Some(now + std::time::Duration::from_secs(u64::from(seconds)));
    let facts = MessageFacts { expires_at, ..view.facts };
    Message::from_parts(view.topic_name, view.properties, view.payload, facts)
}
