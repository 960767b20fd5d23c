//! Where a Client connects, as whom, and how.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_packet::connect::{Connect, Will};
use dunlin_packet::packet_type::PacketType;
use dunlin_packet::property::identifier::PropertyPlace;
use dunlin_packet::property::value::Property;
use dunlin_packet::subscribe::SubscriptionRequest;
use dunlin_packet::topic::name::TopicName;
use dunlin_protocol::error::RequestError;

use crate::authentication::Authentication;
use crate::error::ConnectionError;

pub use dunlin_net::address::{Address, AddressError, Scheme};
pub use dunlin_net::tls::client::ClientTls;
pub use dunlin_net::tls::files::KeyFiles;
pub use dunlin_packet::qos::QoS;
pub use dunlin_packet::subscribe::{RetainHandling, SubscriptionOptions};
pub use dunlin_packet::version::ProtocolVersion;
pub use dunlin_protocol::client::event::Message;
pub use dunlin_protocol::client::properties::Properties;

/// Everything a [`Client`](crate::client::Client) needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host and port of the Server, and whether TLS, WebSocket or a socket file is the way there.
    pub address: Address,
    /// Whom to believe in TLS, and the Client's own certificate. By default the CAs of the system, and none.
    pub tls: ClientTls,
    /// 5.0 by default.
    pub version: ProtocolVersion,
    /// Empty by default: the Server chooses one, and in version 5.0 it is kept for reconnects.
    pub client_id: String,
    /// Begin with a new Session on the first connection; `true` by default. With `false` a Session that an earlier
    /// process left is taken over; messages that process had not finished sending are its own matter. Reconnects always ask for the Session they
    /// had, if it outlives a connection: in version 5.0 with a Session Expiry Interval, before that with `false` here.
    pub clean_start: bool,
    /// Seconds; 60 by default, 0 for none.
    pub keep_alive_s: u16,
    /// User Name.
    pub user_name: Option<String>,
    /// Password; any bytes.
    pub password: Option<Vec<u8>>,
    /// How to prove who the Client is, beyond User Name and Password (4.12); needs version 5.0.
    pub authentication: Option<Authentication>,
    /// Published by the Server when the connection ends without DISCONNECT; its properties are Will Properties.
    pub will: Option<Message>,
    /// Properties of CONNECT.
    pub properties: Properties,
    /// Topic Aliases used for sending, if the Server takes so many; 16 by default.
    pub topic_aliases_max: u16,
    /// The local address to connect from; any by default.
    pub bind: Option<IpAddr>,
    /// For opening the stream, and again for CONNACK; 10 seconds by default.
    pub connect_time_max: Duration,
    /// What to do when the connection is lost. The first connection is tried once.
    pub reconnect: Reconnect,
    /// Messages received that wait for [`Messages::recv`](crate::messages::Messages::recv); 100 by default. When they
    /// are so many, no more is read from the Server.
    pub messages_max: usize,
    /// Is told what happens on the wire.
    pub observer: Option<Observer>,
}

/// What to do when the connection is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reconnect {
    /// End.
    Never,
    /// Try again until it succeeds or the Server says that it is pointless: after `first`, then after twice that and so
    /// on up to `max`, each cut by chance to between a half and all of it.
    Always {
        /// The first delay.
        first: Duration,
        /// The longest delay.
        max: Duration,
    },
}

/// A Topic Filter with its options, to subscribe to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The Topic Filter.
    pub topic_filter: String,
    /// Its options; before version 5.0 only the QoS counts.
    pub options: SubscriptionOptions,
}

/// Is called with everything worth knowing on the wire, from the task that drives the connection: it must not block.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Observation<'_>) + Send + Sync>);

/// What an [`Observer`] is told.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Observation<'a> {
    /// These bytes were written to the Server.
    Sent(&'a [u8]),
    /// These bytes were read from the Server.
    Received(&'a [u8]),
    /// A stream is open; CONNECT comes next.
    Opened {
        /// If TLS is spoken, its version, such as `TLSv1_3`, and whether secrets of an earlier connection were used.
        tls: Option<(&'static str, bool)>,
    },
    /// The Server has accepted a connection.
    Connected {
        /// It goes on with the Session.
        session_present: bool,
    },
    /// A connection could not be made, or was lost.
    Disconnected {
        /// Why.
        error: &'a ConnectionError,
        /// When it is tried again; never, if there is nothing.
        retry_in: Option<Duration>,
    },
    /// After a reconnect the Server refuses a Subscription it had granted before.
    NotResubscribed {
        /// The Topic Filter.
        topic_filter: &'a str,
        /// Why.
        reason: &'a dyn fmt::Display,
    },
}

impl Options {
    /// Options for the Server at `host` and `port`.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self::at(Address::new(host, port))
    }

    /// Options for `host`, `host:port` or `mqtt://user:password@host:port?client_id=...`; the scheme may also be `mqtts`, `ws`, `wss`
    /// or, with a path behind it, `unix`.
    ///
    /// # Errors
    /// Each [`AddressError`].
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        Address::parse(address).map(Self::at)
    }

    /// Options for the Server at `address`, as whom it says.
    #[must_use]
    pub fn at(mut address: Address) -> Self {
        Self {
            version: ProtocolVersion::V5_0,
            client_id: address.client_id.take().unwrap_or_default(),
            clean_start: true,
            tls: ClientTls::default(),
            keep_alive_s: 60,
            user_name: address.user_name.take(),
            password: address.password.take(),
            authentication: None,
            will: None,
            properties: Properties::EMPTY,
            topic_aliases_max: 16,
            bind: None,
            connect_time_max: Duration::from_secs(10),
            reconnect: Reconnect::Always { first: Duration::from_secs(1), max: Duration::from_secs(30) },
            messages_max: 100,
            observer: None,
            address,
        }
    }

    /// The properties of CONNECT, with the first Authentication Data.
    pub(crate) fn connect_properties(&self, data: Option<&[u8]>) -> Result<Properties, RequestError> {
        let Some(Authentication(method)) = &self.authentication else { return Ok(self.properties.clone()) };
        let list = self.properties.list();
        let own = [Property::AuthenticationMethod(method.name())];
        let items: Vec<_> = list.iter().chain(own).chain(data.map(Property::AuthenticationData)).collect();
        Ok(Properties::new(PropertyPlace::Packet(PacketType::Connect), &items)?)
    }

    /// The CONNECT packet; a reconnect asks for the Session it had.
    pub(crate) fn connect_packet<'a>(
        &'a self,
        is_reconnect: bool,
        properties: &'a Properties,
    ) -> Result<Connect<'a>, RequestError> {
        let properties = properties.list();
        let keeps_session = properties.session_expiry_interval_s().is_some_and(|s| s > 0);
        Ok(Connect {
            version: self.version,
            clean_start: self.clean_start && !(is_reconnect && keeps_session),
            keep_alive_s: self.keep_alive_s,
            client_id: &self.client_id,
            properties,
            will: self.will.as_ref().map(will_of).transpose()?,
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
            is_bridge: false,
        })
    }

    pub(crate) fn observe(&self, observation: Observation<'_>) {
        if let Some(Observer(observer)) = &self.observer {
            observer(observation);
        }
    }
}

fn will_of(message: &Message) -> Result<Will<'_>, RequestError> {
    let topic_name = TopicName::parse(&message.topic_name).map_err(RequestError::InvalidTopicName)?;
    let Message { qos, retain, payload, properties, .. } = message;
    Ok(Will { qos: *qos, retain: *retain, topic_name, payload, properties: properties.list() })
}

impl Subscription {
    /// A Subscription with `qos` and all else at its default.
    #[must_use]
    pub fn new(topic_filter: impl Into<String>, qos: QoS) -> Self {
        Self { topic_filter: topic_filter.into(), options: SubscriptionOptions::with_qos(qos) }
    }

    pub(crate) fn request(&self) -> SubscriptionRequest<'_> {
        SubscriptionRequest { topic_filter: &self.topic_filter, options: self.options }
    }
}

impl Observer {
    /// Calls `observer` for each [`Observation`].
    #[must_use]
    pub fn new(observer: impl Fn(Observation<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks_for_a_new_session(options: &Options, is_reconnect: bool) -> bool {
        options.connect_packet(is_reconnect, &options.properties).unwrap().clean_start
    }

    #[test]
    fn a_url_fills_in_who_the_client_is() {
        let options = Options::parse("mqtt://me:secret@host:1884?client_id=mine").unwrap();
        assert_eq!((options.address.host.as_str(), options.address.port), ("host", 1884));
        let connect = options.connect_packet(false, &options.properties).unwrap();
        assert_eq!(
            (connect.client_id, connect.user_name, connect.password),
            ("mine", Some("me"), Some(&b"secret"[..]))
        );
        assert!(!format!("{:?}", options.address).contains("secret"));
    }

    #[test]
    fn only_a_session_that_outlives_the_connection_is_asked_for_again() {
        let mut options = Options::new("host", 1883);
        assert!(asks_for_a_new_session(&options, false));
        assert!(asks_for_a_new_session(&options, true));
        let place = PropertyPlace::Packet(PacketType::Connect);
        options.properties = Properties::new(place, &[Property::SessionExpiryInterval(60)]).unwrap();
        assert!(asks_for_a_new_session(&options, false));
        assert!(!asks_for_a_new_session(&options, true));
        options.version = ProtocolVersion::V3_1_1;
        options.properties = Properties::EMPTY;
        options.clean_start = false;
        assert!(!asks_for_a_new_session(&options, true));
    }

    #[test]
    fn a_will_needs_a_topic_name() {
        let mut options = Options::new("host", 1883);
        options.will = Some(Message::new("a/+", QoS::AtMostOnce, "x"));
        assert!(matches!(
            options.connect_packet(false, &options.properties),
            Err(RequestError::InvalidTopicName(_))
        ));
    }
}
