//! One shard: the face of the broker.

use std::sync::Arc;

use dunlin_packet::{
    fixed_header::Frame,
    packet::{Packet, PacketType},
    reason_code::ReasonCode,
};
use dunlin_protocol::time::Instant;

use crate::{
    connection::Flow,
    ending::WillFate,
    ids::{ConnectionId, ShardId},
    input::Input,
    limits::Settings,
    metrics::Counters,
    output::Outbox,
    permissions::rule_set::RuleSet,
    publication::Publication,
    routing::{interests::Interests, mail::Mail},
    state::State,
    timers::Timer,
};

/// Owns a part of the Sessions, of the Retained Messages and of the Shared Subscriptions, and decides all about them.
#[derive(Debug)]
pub struct Shard {
    pub(crate) state: State,
}

impl Shard {
    /// An empty shard, number `shard` of `shards` (1 to 64).
    #[must_use]
    pub fn new(shard: ShardId, shards: u8, settings: Arc<Settings>, interests: &Interests) -> Self {
        Self { state: State::new(shard, shards, settings, interests) }
    }

    /// Puts rules in force, before the first record is restored and the first Client comes; later ones come as
    /// [`Input::Rules`].
    pub fn put_rules(&mut self, rules: Arc<RuleSet>) {
        self.state.put_rules(rules);
    }

    /// Takes one input and adds to `out` what is to be done.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Outbox) {
        let state = &mut self.state;
        match input {
            Input::Received { connection, bytes } => state.receive(now, connection, bytes, out),
            Input::Routed { from, mail } => state.take_mail(now, from, mail, out),
            Input::Drained { connection } => {
                if state.find_connection(connection).is_some() {
                    state.pump(now, connection, out);
                }
            }
            Input::Arrived(arrival) => {
                let connection = arrival.connection;
                let unread = state.arrive(now, *arrival, out);
                if !unread.is_empty() {
                    state.receive(now, connection, &unread, out);
                }
            }
            Input::Left { connection, cause } => {
                if state.find_connection(connection).is_some() {
                    state.tell_departure(now, connection, &cause);
                    state.end_connection(now, connection, WillFate::Sent, out);
                }
                state.held.forget_closing(connection);
            }
            Input::Authenticated { connection, decision } => {
                state.authenticated(now, connection, decision, out)
            }
            Input::Committed { batch } => state.committed(now, batch, out),
            Input::Page(page) => state.take_page(now, page, out),
            Input::Unreadable { reader, what } => state.page_is_unreadable(now, reader, what, out),
            Input::Storage(storage) => state.storage_is(now, storage, out),
            Input::Rules(rules) => state.change_rules(now, rules, out),
            Input::Settings(settings) => state.change_settings(settings),
            Input::Memory(pressure) => state.pressure = pressure,
            Input::Asked(asked) => state.asked(now, *asked, out),
            Input::Stop => state.stop(now, out),
            Input::Timeout => state.timeout(now, out),
        }
        if !state.doomed.is_empty() {
            state.disconnect_doomed(now, out);
        }
    }

    /// When [`Input::Timeout`] is due, if ever.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.state.timers.next()
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.state.counters
    }
}

/// From so many bytes on, the parts of an unfinished packet keep a connection alive.
const LARGE_PACKET_BYTES: usize = 1_000;

impl State {
    /// Takes bytes from a Client, cut anywhere. [MQTT-4.2.0-1]
    fn receive(&mut self, now: Instant, id: ConnectionId, bytes: &[u8], out: &mut Outbox) {
        if !self.spendings.is_empty() && self.spendings.contains_key(&id) {
            return self.receive_paced(now, id, bytes, out);
        }
        let Some(connection) = self.find_connection(id) else { return };
        if connection.unfinished.is_empty() {
            let rest = self.receive_packets(now, id, bytes, out);
            self.keep_unfinished(now, id, rest);
            return;
        }
        let mut buffer = std::mem::take(&mut connection.unfinished);
        buffer.extend(bytes);
        let Some(rest) = self.receive_packets(now, id, buffer.bytes(), out) else { return };
        if rest.len() == buffer.bytes().len() {
            self.connection(id).unfinished = buffer;
            self.touch_if_large(now, id);
        } else {
            self.keep_unfinished(now, id, Some(rest));
        }
    }

    /// Keeps the beginning of a packet; memory grows with what came, never with what was announced.
    fn keep_unfinished(&mut self, now: Instant, id: ConnectionId, rest: Option<&[u8]>) {
        let Some(rest) = rest else { return };
        if !rest.is_empty() {
            self.connection(id).unfinished.extend(rest);
            self.touch_if_large(now, id);
        }
    }

    /// A large packet on a slow line takes its time: what comes of it counts for the Keep Alive.
    pub(crate) fn touch_if_large(&mut self, now: Instant, id: ConnectionId) {
        let connection = self.connection(id);
        if connection.unfinished.bytes().len() >= LARGE_PACKET_BYTES {
            connection.last_packet = now;
        }
    }

    /// Handles all whole packets; returns the bytes behind them, nothing if the connection has ended.
    fn receive_packets<'a>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        bytes: &'a [u8],
        out: &mut Outbox,
    ) -> Option<&'a [u8]> {
        let maximum = self.both(id).1.limits.maximum_packet_size;
        let mut rest = bytes;
        loop {
            match Frame::split(rest, maximum) {
                Ok(Some(frame)) => {
                    rest = &rest[frame.encoded_len..];
                    if self.receive_packet(now, id, frame, out) == Flow::Ended {
                        return None;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.fault(now, id, error.reason_code(), &error.to_string(), out);
                    return None;
                }
            }
        }
        if rest.len() < bytes.len() {
            self.connection(id).last_packet = now; // [MQTT-3.1.2-22]
        }
        Some(rest)
    }

    pub(crate) fn receive_packet(
        &mut self,
        now: Instant,
        id: ConnectionId,
        frame: Frame<'_>,
        out: &mut Outbox,
    ) -> Flow {
        self.counters.packets_received += 1;
        if frame.header.packet_type == PacketType::Publish {
            return self.receive_publish(now, id, frame, out);
        }
        let version = self.connection(id).version;
        let packet = match Packet::decode(version, frame) {
            Ok(packet) => packet,
            Err(error) => return self.fault(now, id, error.reason_code(), &error.to_string(), out),
        };
        match packet {
            Packet::Puback(ack) => self.receive_puback(now, id, &ack, out),
            Packet::Pubrec(ack) => self.receive_pubrec(now, id, &ack, out),
            Packet::Pubrel(ack) => self.receive_pubrel(id, &ack, out),
            Packet::Pubcomp(ack) => self.receive_pubcomp(now, id, &ack, out),
            Packet::Subscribe(packet) => self.receive_subscribe(now, id, &packet, out),
            Packet::Unsubscribe(packet) => self.receive_unsubscribe(now, id, &packet, out),
            Packet::Pingreq => {
                Packet::Pingresp.encode(version, out.buffer(id)).expect("two bytes"); // [MQTT-3.12.4-1] [MQTT3-3.12.4-1]
                Flow::Open
            }
            Packet::Disconnect(packet) => self.receive_disconnect(now, id, &packet, out),
            Packet::Auth(packet) => self.receive_auth(now, id, &packet, out),
            Packet::Connect(_) => {
                // [MQTT-3.1.0-2] [MQTT3-3.1.0-2]
                self.fault(now, id, ReasonCode::ProtocolError, "a second CONNECT", out)
            }
            Packet::Connack(_)
            | Packet::Publish(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp => {
                self.fault(now, id, ReasonCode::ProtocolError, "a packet that only the Server sends", out)
            }
        }
    }

    fn take_mail(&mut self, now: Instant, from: ShardId, mail: Mail, out: &mut Outbox) {
        match mail {
            Mail::Bundle(bundle) => {
                for mut publication in bundle.publications() {
                    self.publish_here(now, &mut publication, out);
                }
                bundle.retire(&mut out.spare_bundles);
            }
            Mail::Publish(message, receipt) => {
                self.take_receipt(from, receipt, out);
                self.publish_here(now, &mut Publication::of_message(&message), out);
            }
            Mail::Retain(message, publisher, receipt) => {
                self.take_receipt(from, receipt, out);
                self.keep_retained(now, message, publisher, out);
            }
            Mail::Fence { ask } => out.routes[from.index()].push(Mail::Fenced { ask }),
            Mail::Fenced { ask } => self.fenced(now, ask, out),
            Mail::AskRetained { ask, topic_filter } => {
                self.answer_retained(now, from, ask, &topic_filter, out)
            }
            Mail::Retained { ask, messages } => self.answered(now, ask, messages, out),
            Mail::Joined { ticket } => self.joined(ticket, out),
            Mail::Full { member, refusal } => self.refusing.add(member, *refusal),
            Mail::Room { member } => self.refusing.remove(member),
            Mail::Shares(shares) => self.receive_shares(now, *shares, out),
            Mail::Group(mail) => self.take_group_mail(now, from, *mail, out),
        }
    }

    fn timeout(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::KeepAlive(id) => self.check_keep_alive(now, id, out),
                Timer::StayOver(id) => self.end_stay(now, id, out),
                Timer::Pace(id) => self.wait_is_over(now, id, out),
                Timer::SessionExpiry(index) => {
                    self.counters.sessions_expired += 1;
                    self.sessions[index].expires_at = None;
                    self.end_session(now, index, out); // [MQTT-4.1.0-2]
                }
                Timer::WillDelay(index) => {
                    if let Some(will) = &mut self.sessions[index].will {
                        will.due_at = None;
                    }
                    self.send_will(now, index, out);
                }
                Timer::Purge => self.purge_again(out),
            }
        }
    }

    /// Tells all Clients that the Server goes down. What is filed of their Sessions, and their Wills, stays for the next
    /// start.
    fn stop(&mut self, now: Instant, out: &mut Outbox) {
        out.closings.extend(self.held.drain_closing());
        for index in 0..self.connections.len() as u32 {
            let id = ConnectionId(index);
            if self.find_connection(id).is_none() {
                continue;
            }
            let session = self.connection(id).session;
            let reason = "the Server shuts down";
            if self.settings.is_durable {
                self.leave_for_restart(now, id, reason, out);
            } else {
                self.take_will(session, out);
                self.disconnect(now, id, ReasonCode::ServerShuttingDown, reason, out);
            }
        }
    }
}
