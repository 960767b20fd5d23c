//! A whole Client end, for versions 3.1, 3.1.1 and 5.0, as one pure machine (3, 4).
//!
//! The owner has the socket and the clock. It opens a Network Connection, says so with
//! [`Client::connection_opened`], hands what it reads to [`Client::handle`], writes what [`Client::poll_output`] has,
//! wakes it at [`Client::next_timeout`], and learns from [`Client::poll_event`] what has happened. When the stream
//! ends, [`Client::connection_lost`] keeps the Session for the next connection.

pub mod config;
pub mod event;
pub mod properties;

mod connection;
mod receive;
mod requests;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use dunlin_packet::connect::Connect;
use dunlin_packet::disconnect::Disconnect;
use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet::{Packet, PacketType};
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;

use crate::client::config::{Config, EVENTS_MAX, INPUT_BYTES_KEPT, OUTPUT_BYTES_MAX};
use crate::client::connection::{Connection, State};
use crate::client::event::{CloseCause, Event, Message, NotPublished};
use crate::error::{RequestError, ServerError};
use crate::inbound::Inbound;
use crate::keep_alive::KeepAliveAction;
use crate::outbound::{Outbound, Pubrec, Resend};
use crate::time::Instant;

/// A Client: its Session, and its Network Connection while it has one.
#[derive(Debug)]
pub struct Client {
    config: Config,
    session: Session,
    connection: Option<Connection>,
    events: VecDeque<Event>,
}

/// What outlives the Network Connection (4.1).
#[derive(Debug)]
struct Session {
    outbound: Outbound<Message>,
    inbound: Inbound,
    /// The Server should know this Session.
    exists: bool,
}

impl Client {
    /// A Client without connection.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let session =
            Session { outbound: Outbound::new(), inbound: Inbound::new(), exists: config.has_session };
        Self { config, session, connection: None, events: VecDeque::new() }
    }

    /// Starts on a Network Connection just opened, with `connect` as its first packet. [MQTT-3.1.0-1] [MQTT3-3.1.0-1]
    ///
    /// Receive Maximum, Maximum Packet Size and Topic Alias Maximum in its properties are what this end then holds the
    /// Server to.
    ///
    /// # Errors
    /// [`RequestError::SecondConnect`] if there is a connection, [`RequestError::Encode`] for a bad packet,
    /// [`RequestError::NoProperties`] for properties before version 5.0.
    pub fn connection_opened(&mut self, now: Instant, connect: &Connect<'_>) -> Result<(), RequestError> {
        if self.connection.is_some() {
            return Err(RequestError::SecondConnect);
        }
        let mut connection = Connection::new(now, connect, &self.config);
        connection.check_properties(&connect.properties)?;
        if let Some(will) = &connect.will {
            connection.check_properties(&will.properties)?;
        }
        connection.write(&Packet::Connect(*connect))?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Says that the Network Connection is gone. Unanswered SUBSCRIBE and UNSUBSCRIBE packets are forgotten; messages
    /// are kept until the next CONNACK tells what has become of the Session.
    pub fn connection_lost(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if connection.is_accepted {
            self.session.exists = connection.keeps_session();
        }
        if connection.state != State::Closed {
            self.events.push_back(Event::Closed(CloseCause::Lost));
        }
    }

    /// Takes bytes from the Server, cut anywhere.
    ///
    /// At most [`EVENTS_MAX`] events wait; bytes beyond are kept until [`Client::poll_event`] has made room. So hand in
    /// no more while [`Client::wants_bytes`] is false.
    pub fn handle(&mut self, now: Instant, bytes: &[u8]) {
        let Some(connection) = &mut self.connection else { return };
        connection.now = now;
        if connection.state == State::Closed {
            return;
        }
        if !connection.input.is_empty() {
            connection.input.extend_from_slice(bytes);
            return self.handle_kept();
        }
        let used = self.handle_packets(bytes);
        if let Some(connection) = &mut self.connection {
            connection.input.extend_from_slice(&bytes[used..]);
        }
    }

    /// Whether [`Client::handle`] should be given more bytes now.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| {
            let has_room = self.events.is_empty() && connection.output.pending().len() < OUTPUT_BYTES_MAX;
            connection.state != State::Closed && has_room
        })
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.handle_kept();
        }
        self.events.pop_front()
    }

    /// Bytes to write to the Network Connection; empty if there are none. Say with [`Client::output_written`] how many
    /// were written.
    pub fn poll_output(&mut self) -> &[u8] {
        if self.connection.as_ref().is_some_and(|connection| connection.output.pending().is_empty()) {
            self.resend();
        }
        self.connection.as_ref().map_or(&[], |connection| connection.output.pending())
    }

    /// Says that the first `len` bytes of [`Client::poll_output`] were written.
    pub fn output_written(&mut self, len: usize) {
        if let Some(connection) = &mut self.connection {
            connection.output.written(len);
        }
    }

    /// When to call [`Client::handle_timeout`]; ask again after each other call.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let connection = self.connection.as_ref()?;
        match connection.state {
            State::AwaitingConnack => Some(connection.opened + self.config.connack_time_max),
            State::Connected => connection.keep_alive.next_timeout(),
            State::Closed => None,
        }
    }

    /// Does what is due at `now`: pings, or gives up a Server that does not answer.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(connection) = &mut self.connection else { return };
        connection.now = now;
        match connection.state {
            State::AwaitingConnack if now >= connection.opened + self.config.connack_time_max => {
                self.close(CloseCause::NoConnack);
            }
            State::Connected => match connection.keep_alive.action(now) {
                KeepAliveAction::Wait => {}
                KeepAliveAction::SendPingreq => connection.ping(), // [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
                KeepAliveAction::Close => self.close(CloseCause::NoPingresp),
            },
            State::AwaitingConnack | State::Closed => {}
        }
    }

    /// Says that the owner leaves bytes of the Server unread, as when it has no room for messages: a PINGRESP that does
    /// not come is then no reason to give up.
    pub fn not_reading(&mut self, now: Instant) {
        if let Some(connection) = &mut self.connection {
            connection.keep_alive.not_reading(now);
        }
    }

    /// Whether requests can be made: CONNACK has come and the connection is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.state == State::Connected)
    }

    /// Whether [`Client::publish`] would take a message with `qos` now, as far as quota and output go.
    #[must_use]
    pub fn can_publish(&self, qos: QoS) -> bool {
        let has_quota = qos == QoS::AtMostOnce || self.session.outbound.can_send();
        self.connection.as_ref().is_some_and(|connection| {
            connection.state == State::Connected
                && has_quota
                && connection.output.pending().len() < OUTPUT_BYTES_MAX
        })
    }

    /// Messages with QoS 1 and 2 that the Server has not acknowledged for good.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.session.outbound.in_flight()
    }

    fn handle_kept(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if connection.input.is_empty() {
            return;
        }
        let mut input = mem::take(&mut connection.input);
        let used = self.handle_packets(&input);
        if let Some(connection) = &mut self.connection {
            if used == input.len() && input.capacity() > INPUT_BYTES_KEPT {
                input = Vec::new();
            }
            input.drain(..used.min(input.len()));
            connection.input = input;
        }
    }

    /// Handles whole packets while there is room for events and returns how many bytes they took.
    fn handle_packets(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.events.len() < EVENTS_MAX {
            let Some(connection) = &self.connection else { return bytes.len() };
            if connection.state == State::Closed {
                return bytes.len();
            }
            let version = connection.version;
            let result = match Frame::split(&bytes[used..], connection.own.maximum_packet_size) {
                Ok(None) => return used,
                Ok(Some(frame)) => {
                    used += frame.encoded_len;
                    Packet::decode(version, frame)
                        .map_err(ServerError::from)
                        .and_then(|packet| self.receive(&packet))
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = result {
                self.fail(error);
            }
        }
        used
    }

    /// Sends unacknowledged packets again after a reconnect, as far as the quota goes and a bit of output at a time.
    /// [MQTT-4.4.0-1] [MQTT3-4.4.0-1]
    fn resend(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if connection.state != State::Connected {
            return;
        }
        while connection.output.pending().len() < OUTPUT_BYTES_MAX {
            let unsendable = match self.session.outbound.resend() {
                None => return,
                Some(Resend::Pubrel { packet_id }) => {
                    connection.acknowledge(PacketType::Pubrel, packet_id, ReasonCode::Success);
                    None
                }
                Some(Resend::Publish { packet_id, qos, message }) => {
                    let result = connection.check(message);
                    // DUP tells that it was sent before. [MQTT-3.3.1-1] [MQTT3-3.3.1-1]
                    let result = result.and_then(|()| connection.publish(Some(packet_id), true, message));
                    result.err().map(|error| (packet_id, qos, error))
                }
            };
            if let Some((packet_id, qos, error)) = unsendable {
                self.events.extend(give_up(&mut self.session, packet_id, qos, error));
            }
        }
    }

    /// Tells a Server of version 5.0 what it did, and closes.
    fn fail(&mut self, error: ServerError) {
        if let Some(connection) = &mut self.connection
            && connection.version.has_properties()
        {
            let disconnect = Packet::Disconnect(Disconnect::with_reason(error.reason_code()));
            // A Server that takes no packet of three bytes is closed without a word.
            let _ = connection.write(&disconnect);
        }
        self.close(CloseCause::ServerError(error));
    }

    fn close(&mut self, cause: CloseCause) {
        let Some(connection) = &mut self.connection else { return };
        connection.state = State::Closed;
        connection.input = Vec::new();
        self.events.push_back(Event::Closed(cause));
    }
}

/// Forgets a message that the Server would not take any more.
fn give_up(session: &mut Session, packet_id: PacketId, qos: QoS, error: RequestError) -> Option<Event> {
    let message = match qos {
        QoS::ExactlyOnce => match session.outbound.pubrec(packet_id, true) {
            Ok(Pubrec::Refused(message)) => Some(message),
            _ => None,
        },
        _ => session.outbound.puback(packet_id).ok(),
    };
    let reason = NotPublished::Unsendable(error);
    message.map(|message| Event::NotPublished { packet_id, message, reason })
}
