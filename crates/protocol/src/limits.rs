//! What the other end said it can take, in its CONNECT or CONNACK, with the specification's defaults (3.1.2.11, 3.2.2.3).

use dunlin_packet::connack::Connack;
use dunlin_packet::connect::Connect;
use dunlin_packet::property::list::PropertyList;
use dunlin_packet::property::value::Property;
use dunlin_packet::qos::QoS;

/// What the other end can take; this end must keep to it while the Network Connection lasts.
///
/// In versions 3.1 and 3.1.1, and where the other end said nothing, the defaults of 5.0 hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Unacknowledged PUBLISH packets with QoS 1 and 2 it takes at a time: 1 to 65,535. [MQTT-3.3.4-7] [MQTT-3.3.4-9]
    pub receive_maximum: u16,
    /// Bytes of the largest packet it takes, fixed header included. [MQTT-3.1.2-24] [MQTT-3.2.2-15]
    pub maximum_packet_size: u32,
    /// The highest Topic Alias it takes; 0: none. [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.2.2-17] [MQTT-3.2.2-18]
    pub topic_alias_maximum: u16,
    /// The highest QoS a Server takes in PUBLISH. [MQTT-3.2.2-11]
    pub maximum_qos: QoS,
    /// Whether a Server takes Retained Messages. [MQTT-3.2.2-14]
    pub is_retain_available: bool,
    /// Whether a Server takes Topic Filters with wildcards.
    pub is_wildcard_subscription_available: bool,
    /// Whether a Server takes Subscription Identifiers.
    pub is_subscription_identifier_available: bool,
    /// Whether a Server takes Shared Subscriptions.
    pub is_shared_subscription_available: bool,
    /// Whether a Client wants Reason String and User Properties on other packets than PUBLISH, CONNACK and
    /// DISCONNECT. [MQTT-3.1.2-29]
    pub wants_problem_information: bool,
    /// Whether a Client asks for Response Information. [MQTT-3.1.2-28]
    pub wants_response_information: bool,
    /// Seconds the Session lives on after the connection, where the packet says so; 0xFFFFFFFF is for ever.
    pub session_expiry_interval_s: Option<u32>,
    /// Seconds of Keep Alive a Server asks for in place of the Client's. [MQTT-3.1.2-21]
    pub server_keep_alive_s: Option<u16>,
}

/// No packet can be larger: fixed header of 5 bytes and the largest Remaining Length.
pub const PACKET_SIZE_LARGEST: u32 = 268_435_460;

impl Default for Limits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_packet_size: PACKET_SIZE_LARGEST,
            topic_alias_maximum: 0,
            maximum_qos: QoS::ExactlyOnce,
            is_retain_available: true,
            is_wildcard_subscription_available: true,
            is_subscription_identifier_available: true,
            is_shared_subscription_available: true,
            wants_problem_information: true,
            wants_response_information: false,
            session_expiry_interval_s: None,
            server_keep_alive_s: None,
        }
    }
}

impl Limits {
    /// What a Client can take.
    #[must_use]
    pub fn from_connect(connect: &Connect<'_>) -> Self {
        Self::from_properties(&connect.properties)
    }

    /// What a Server can take.
    #[must_use]
    pub fn from_connack(connack: &Connack<'_>) -> Self {
        Self::from_properties(&connack.properties)
    }

    fn from_properties(properties: &PropertyList<'_>) -> Self {
        let mut limits = Self::default();
        for property in properties.iter() {
            limits.set(property);
        }
        limits
    }

    fn set(&mut self, property: Property<'_>) {
        match property {
            Property::ReceiveMaximum(count) => self.receive_maximum = count,
            Property::MaximumPacketSize(bytes) => self.maximum_packet_size = bytes.min(PACKET_SIZE_LARGEST),
            Property::TopicAliasMaximum(maximum) => self.topic_alias_maximum = maximum,
            Property::MaximumQoS(qos) => self.maximum_qos = qos,
            Property::RetainAvailable(is) => self.is_retain_available = is,
            Property::WildcardSubscriptionAvailable(is) => self.is_wildcard_subscription_available = is,
            Property::SubscriptionIdentifierAvailable(is) => self.is_subscription_identifier_available = is,
            Property::SharedSubscriptionAvailable(is) => self.is_shared_subscription_available = is,
            Property::RequestProblemInformation(wants) => self.wants_problem_information = wants,
            Property::RequestResponseInformation(wants) => self.wants_response_information = wants,
            Property::SessionExpiryInterval(s) => self.session_expiry_interval_s = Some(s),
            Property::ServerKeepAlive(s) => self.server_keep_alive_s = Some(s),
            _ => {}
        }
    }
}
