//! What the Server allows: limits and features, each with its unit and default.

mod choosing;
pub(crate) mod client;
pub mod exceptions;
pub mod excess;

use dunlin_packet::{
    qos::QoS,
    topic::{filter::TopicFilter, name::TopicName},
};

use self::{exceptions::Exception, excess::Excess};

/// All settings of the broker. Others are put in force by [`Input::Settings`](crate::input::Input::Settings).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Greatest QoS that Clients may publish with (3.2.2.3.4).
    pub maximum_qos: QoS,
    /// Whether Retained Messages are kept (3.2.2.3.5).
    pub retain_available: bool,
    /// Whether Topic Filters may have wildcards (3.2.2.3.11).
    pub wildcard_subscription_available: bool,
    /// Whether Subscription Identifiers are taken (3.2.2.3.12).
    pub subscription_identifier_available: bool,
    /// Whether Shared Subscriptions are taken (3.2.2.3.13).
    pub shared_subscription_available: bool,
    /// QoS 1 and 2 messages a 5.0 Client may have unacknowledged: 1 to 65,535 (3.2.2.3.3).
    pub receive_maximum: u16,
    /// QoS 1 and 2 messages the Server has unacknowledged at one Client, even if that allows more: 1 to 65,535.
    pub in_flight_max: u16,
    /// Bytes of the largest packet a Client may send, fixed header included (3.2.2.3.6).
    pub maximum_packet_size: u32,
    /// Bytes of the largest CONNECT or AUTH before the Client is authenticated.
    pub connect_packet_size_max: u32,
    /// Topic Aliases for each direction of a 5.0 connection; 0 turns them off (3.2.2.3.8).
    pub topic_alias_maximum: u16,
    /// Keep Alive in seconds that the Server lays down (3.2.2.3.14); 0 leaves it to the Client.
    pub server_keep_alive_s: u16,
    /// Seconds of the shortest Keep Alive that a Client may ask for; 0 turns it off, which it may ask for in any case.
    pub keep_alive_min_s: u16,
    /// Seconds of the longest Keep Alive that a Client may ask for; 0 is no bound.
    pub keep_alive_max_s: u16,
    /// Longest Session Expiry Interval in seconds; 4,294,967,295 has no end.
    pub session_expiry_max_s: u32,
    /// Given to Clients that ask for Response Information; empty gives none (3.2.2.3.15).
    pub response_information: String,
    /// Whether a Client may come without a Client Identifier and be given one (3.1.3.1).
    pub allow_empty_client_id: bool,
    /// Bytes of the longest Client Identifier: 23 to 65,535.
    pub client_id_bytes_max: u32,
    /// Messages that wait for one Session.
    pub queue_messages_max: u32,
    /// Bytes of topics, properties and payloads that wait for one Session.
    pub queue_bytes_max: u64,
    /// What happens when a queue is full.
    pub queue_overflow: Overflow,
    /// What happens instead for some Sessions and topics: the first rule that fits counts.
    pub queue_overflow_rules: Vec<OverflowRule>,
    /// Whether a 3.x Client whose message is refused, because it cannot be kept, is disconnected without acknowledgement:
    /// otherwise the message is acknowledged and dropped.
    pub close_refused_3x: bool,
    /// Whether a 3.x Client that may not publish or subscribe is disconnected: otherwise the message is acknowledged and
    /// dropped.
    pub close_denied_3x: bool,
    /// Whether a Client Identifier in use, or with a kept Session, is for the user it belongs to only.
    pub bind_client_id: bool,
    /// Bytes of memory for what waits for one kept Session; the rest waits on the disk.
    pub queue_memory_bytes_max: u64,
    /// Whether Sessions, their messages, Retained Messages and Wills are to survive the end of the program: then the
    /// owner of the shard makes its [`Batch`](crate::records::batch::Batch)es durable and says so.
    pub is_durable: bool,
    /// Seconds after a restart in which Clients may come back before their Wills are sent.
    pub will_grace_s: u32,
    /// Bytes encoded for one connection and not taken by its socket; more waits in the queue (QoS 1, 2) or is
    /// dropped (QoS 0). One packet may always go beyond.
    pub output_bytes_max: u32,
    /// Subscriptions of one Session.
    pub subscriptions_max: u32,
    /// Levels of a Topic Name or Topic Filter.
    pub topic_levels_max: u32,
    /// User Properties in one packet.
    pub user_properties_max: u32,
    /// Sessions of one shard.
    pub sessions_max: u32,
    /// PUBLISH packets that one Client may send in a second; 0 is no bound.
    pub messages_per_s: u32,
    /// PUBLISH packets that it may send at once; 0 is those of a second.
    pub messages_burst: u32,
    /// Bytes that one Client may send in a second; 0 is no bound.
    pub bytes_per_s: u32,
    /// Bytes that it may send at once; 0 is those of a second.
    pub bytes_burst: u32,
    /// What happens when it sends more.
    pub on_excess: Excess,
    /// Limits of some Clients, the most particular first; see [`add_exception`](Self::add_exception).
    pub exceptions: Vec<Exception>,
    /// Retained Messages of one shard.
    pub retained_messages_max: u32,
    /// Bytes of the Retained Messages of one shard.
    pub retained_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            subscription_identifier_available: true,
            shared_subscription_available: true,
            receive_maximum: 256,
            in_flight_max: 256,
            maximum_packet_size: 8 << 20,
            connect_packet_size_max: 256 << 10,
            topic_alias_maximum: 16,
            server_keep_alive_s: 0,
            keep_alive_min_s: 0,
            keep_alive_max_s: 0,
            session_expiry_max_s: u32::MAX,
            response_information: String::new(),
            allow_empty_client_id: true,
            client_id_bytes_max: 65_535,
            queue_messages_max: 100_000,
            queue_bytes_max: 256 << 20,
            queue_overflow: Overflow::DropOldest,
            queue_overflow_rules: Vec::new(),
            close_refused_3x: true,
            close_denied_3x: false,
            bind_client_id: true,
            queue_memory_bytes_max: 1 << 20,
            is_durable: false,
            will_grace_s: 10,
            output_bytes_max: 1 << 20,
            subscriptions_max: 10_000,
            topic_levels_max: 128,
            user_properties_max: 64,
            sessions_max: 1_000_000,
            messages_per_s: 0,
            messages_burst: 0,
            bytes_per_s: 0,
            bytes_burst: 0,
            on_excess: Excess::Delay,
            exceptions: Vec::new(),
            retained_messages_max: 2_000_000,
            retained_bytes_max: 1 << 30,
        }
    }
}

/// What happens when the queue of a Session is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overflow {
    /// The oldest message gives way.
    #[default]
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The publisher is refused with 0x97, as long as the queue is full.
    Reject,
    /// The Client is disconnected, if it is connected; the oldest message gives way.
    Disconnect,
}

/// Which Sessions or topics have another policy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OverflowRule {
    /// A Client Identifier, or its beginning and `*`; nothing for all.
    pub client_id: Option<String>,
    /// The topics that this Topic Filter matches; nothing for all.
    pub topic_filter: Option<String>,
    /// What happens.
    pub overflow: Overflow,
}

impl OverflowRule {
    fn fits(&self, client_id: &str, topic_name: TopicName<'_>) -> bool {
        let fits_client = self.client_id.as_deref().is_none_or(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => client_id.starts_with(beginning),
            None => client_id == pattern,
        });
        fits_client
            && self
                .topic_filter
                .as_deref()
                .is_none_or(|text| TopicFilter::parse(text).is_ok_and(|filter| filter.matches(topic_name)))
    }
}

impl Settings {
    /// What happens to a message for this Client when its queue is full.
    #[must_use]
    pub fn overflow_of(&self, client_id: &str, topic_name: TopicName<'_>) -> Overflow {
        let rule = self.queue_overflow_rules.iter().find(|rule| rule.fits(client_id, topic_name));
        rule.map_or(self.queue_overflow, |rule| rule.overflow)
    }

    /// Whether any publisher may be refused for a full queue.
    #[must_use]
    pub fn has_rejecting_overflow(&self) -> bool {
        let mut rules = self.queue_overflow_rules.iter().map(|rule| rule.overflow);
        self.queue_overflow == Overflow::Reject || rules.any(|overflow| overflow == Overflow::Reject)
    }
}
