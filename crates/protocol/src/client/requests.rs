//! What the owner of a Client asks it to send (3.3, 3.8, 3.10, 3.12, 3.14, 3.15).

use dunlin_packet::auth::Auth;
use dunlin_packet::disconnect::Disconnect;
use dunlin_packet::packet::{Packet, PacketType};
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::property::identifier::PropertyId;
use dunlin_packet::property::list::PropertyList;
use dunlin_packet::qos::QoS;
use dunlin_packet::reason_code::ReasonCode;
use dunlin_packet::subscribe::{Subscribe, SubscriptionFilters, SubscriptionRequest};
use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::unsubscribe::{TopicFilters, Unsubscribe};

use crate::client::Client;
use crate::client::config::OUTPUT_BYTES_MAX;
use crate::client::connection::{Connection, Request, State};
use crate::client::event::{CloseCause, Message};
use crate::error::RequestError;
use crate::time::Instant;

impl Client {
    /// Sends `message`. With QoS 1 and 2 it returns the Packet Identifier, and
    /// [`Event::Published`](crate::client::event::Event::Published) follows when the message is the Server's; until then
    /// the message is kept, over reconnects too. With QoS 0 it returns nothing and nothing follows.
    ///
    /// # Errors
    /// `message` is dropped. [`RequestError::QuotaUsedUp`] and [`RequestError::OutputFull`] pass: ask
    /// [`Client::can_publish`] first. [`RequestError::NotConnected`], [`RequestError::InvalidTopicName`],
    /// [`RequestError::PacketTooLarge`], [`RequestError::QoSNotSupported`], [`RequestError::RetainNotSupported`],
    /// [`RequestError::NoProperties`], [`RequestError::PropertyNotAllowed`], [`RequestError::Encode`].
    pub fn publish(&mut self, now: Instant, message: Message) -> Result<Option<PacketId>, RequestError> {
        let connection = connected(&mut self.connection, now)?;
        connection.check(&message)?;
        if connection.output.pending().len() >= OUTPUT_BYTES_MAX {
            return Err(RequestError::OutputFull);
        }
        if message.qos == QoS::AtMostOnce {
            connection.publish(None, false, &message)?; // DUP 0 [MQTT-4.3.1-1] [MQTT3-4.3.1-1]
            return Ok(None);
        }
        let outbound = &mut self.session.outbound;
        // A free identifier, DUP 0. [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2]
        let packet_id = outbound.send(message.qos, message).ok_or(RequestError::QuotaUsedUp)?;
        let message = outbound.message(packet_id).ok_or(RequestError::QuotaUsedUp)?;
        connection.publish(Some(packet_id), false, message)?;
        Ok(Some(packet_id))
    }

    /// Sends SUBSCRIBE. [`Event::Subscribed`](crate::client::event::Event::Subscribed) with the identifier returned
    /// follows, unless the connection ends first.
    ///
    /// # Errors
    /// [`RequestError::TooManyRequests`] passes. [`RequestError::NotConnected`], [`RequestError::InvalidTopicFilter`],
    /// [`RequestError::WildcardSubscriptionsNotSupported`] and its like, [`RequestError::PacketTooLarge`],
    /// [`RequestError::NoProperties`], [`RequestError::Encode`], also if there is no filter. [MQTT-3.8.3-2]
    pub fn subscribe(
        &mut self,
        now: Instant,
        filters: &[SubscriptionRequest<'_>],
        properties: &PropertyList<'_>,
    ) -> Result<PacketId, RequestError> {
        let connection = connected(&mut self.connection, now)?;
        check_filters(connection, filters)?;
        let has_identifier = properties.find(PropertyId::SubscriptionIdentifier).is_some();
        if has_identifier && !connection.server.is_subscription_identifier_available {
            return Err(RequestError::SubscriptionIdentifiersNotSupported);
        }
        self.request(PacketType::Suback, filters.len(), properties, |packet_id| {
            let filters = SubscriptionFilters::from_slice(filters);
            Packet::Subscribe(Subscribe { packet_id, properties: *properties, filters })
        })
    }

    /// Sends UNSUBSCRIBE. [`Event::Unsubscribed`](crate::client::event::Event::Unsubscribed) with the identifier
    /// returned follows, unless the connection ends first.
    ///
    /// # Errors
    /// [`RequestError::TooManyRequests`] passes. [`RequestError::NotConnected`], [`RequestError::InvalidTopicFilter`],
    /// [`RequestError::PacketTooLarge`], [`RequestError::NoProperties`], [`RequestError::Encode`], also if there is no
    /// filter. [MQTT-3.10.3-2]
    pub fn unsubscribe(
        &mut self,
        now: Instant,
        filters: &[&str],
        properties: &PropertyList<'_>,
    ) -> Result<PacketId, RequestError> {
        connected(&mut self.connection, now)?;
        for (index, filter) in filters.iter().enumerate() {
            TopicFilter::parse(filter).map_err(|error| RequestError::InvalidTopicFilter { index, error })?;
        }
        self.request(PacketType::Unsuback, filters.len(), properties, |packet_id| {
            let filters = TopicFilters::from_slice(filters);
            Packet::Unsubscribe(Unsubscribe { packet_id, properties: *properties, filters })
        })
    }

    /// Sends AUTH: Continue authentication as the answer to an AUTH, or Re-authenticate once connected.
    /// [MQTT-4.12.0-3] [MQTT-4.12.1-1]
    ///
    /// # Errors
    /// [`RequestError::NotConnected`]; [`RequestError::AuthenticationMethod`] if `properties` do not repeat the
    /// method of CONNECT, or it had none [MQTT-4.12.0-7]; [`RequestError::PacketTooLarge`], [`RequestError::Encode`].
    pub fn auth(
        &mut self,
        now: Instant,
        reason_code: ReasonCode,
        properties: &PropertyList<'_>,
    ) -> Result<(), RequestError> {
        let connection = open(&mut self.connection, now)?;
        let method = properties.authentication_method();
        if method.is_none() || method != connection.authentication_method.as_deref() {
            return Err(RequestError::AuthenticationMethod); // [MQTT-4.12.0-5]
        }
        if reason_code == ReasonCode::ReAuthenticate && connection.state != State::Connected {
            return Err(RequestError::NotConnected);
        }
        connection.write(&Packet::Auth(Auth { reason_code, properties: *properties }))
    }

    /// Sends DISCONNECT and ends the connection: write the rest of the output, then close it. [MQTT-3.14.4-1]
    /// [MQTT-3.14.4-2] [MQTT3-3.14.4-1] [MQTT3-3.14.4-2]
    ///
    /// # Errors
    /// [`RequestError::NotConnected`], [`RequestError::SessionExpiryRaised`], [`RequestError::NoProperties`],
    /// [`RequestError::PacketTooLarge`], [`RequestError::Encode`]; the connection then goes on.
    pub fn disconnect(
        &mut self,
        now: Instant,
        reason_code: ReasonCode,
        properties: &PropertyList<'_>,
    ) -> Result<(), RequestError> {
        let connection = open(&mut self.connection, now)?;
        connection.check_properties(properties)?;
        if let Some(session_expiry_interval_s) = properties.session_expiry_interval_s() {
            if session_expiry_interval_s > 0 && connection.own.session_expiry_interval_s.unwrap_or(0) == 0 {
                return Err(RequestError::SessionExpiryRaised);
            }
            connection.session_expiry_interval_s = session_expiry_interval_s;
        }
        connection.write(&Packet::Disconnect(Disconnect { reason_code, properties: *properties }))?;
        self.close(CloseCause::ByClient);
        Ok(())
    }

    /// Sends PINGREQ now, whatever the Keep Alive says.
    ///
    /// # Errors
    /// [`RequestError::NotConnected`].
    pub fn ping(&mut self, now: Instant) -> Result<(), RequestError> {
        connected(&mut self.connection, now)?.ping();
        Ok(())
    }

    fn request<'p>(
        &mut self,
        answer: PacketType,
        filters: usize,
        properties: &PropertyList<'_>,
        packet: impl FnOnce(PacketId) -> Packet<'p>,
    ) -> Result<PacketId, RequestError> {
        let connection = self.connection.as_mut().ok_or(RequestError::NotConnected)?;
        connection.check_properties(properties)?;
        connection.check_request_room()?;
        // [MQTT-2.2.1-3] [MQTT3-2.3.1-2]
        let packet_id = self.session.outbound.reserve().ok_or(RequestError::TooManyRequests)?;
        if let Err(error) = connection.write(&packet(packet_id)) {
            self.session.outbound.release(packet_id);
            return Err(error);
        }
        connection.requests.push(Request { packet_id, answer, filters });
        Ok(packet_id)
    }
}

fn open(connection: &mut Option<Connection>, now: Instant) -> Result<&mut Connection, RequestError> {
    match connection {
        Some(connection) if connection.state != State::Closed => {
            connection.now = now;
            Ok(connection)
        }
        _ => Err(RequestError::NotConnected),
    }
}

/// A Client may send before CONNACK; this one waits for what the Server can take.
fn connected(connection: &mut Option<Connection>, now: Instant) -> Result<&mut Connection, RequestError> {
    match open(connection, now)? {
        connection if connection.state == State::Connected => Ok(connection),
        _ => Err(RequestError::NotConnected),
    }
}

fn check_filters(connection: &Connection, filters: &[SubscriptionRequest<'_>]) -> Result<(), RequestError> {
    let server = &connection.server;
    for (index, request) in filters.iter().enumerate() {
        let filter = request.filter().map_err(|error| RequestError::InvalidTopicFilter { index, error })?;
        if filter.has_wildcard() && !server.is_wildcard_subscription_available {
            return Err(RequestError::WildcardSubscriptionsNotSupported);
        }
        if filter.share().is_some() && !server.is_shared_subscription_available {
            return Err(RequestError::SharedSubscriptionsNotSupported);
        }
    }
    Ok(())
}
