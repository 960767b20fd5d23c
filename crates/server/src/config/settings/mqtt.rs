//! `[mqtt]`: what the protocol leaves to the Server.

use dunlin_broker::limits::Overflow;
use dunlin_packet::qos::QoS;

use super::setting::{Setting, boolean, integer, quoted, setting};
use crate::config::value::{Kind, OVERFLOWS};

pub(super) const SETTINGS: &[Setting] = &[
    setting!("maximum_qos", Kind::Integer(0..=2), "", broker.maximum_qos => qos
        |qos: &QoS| qos.value().to_string(),
        "Greatest QoS that Clients may publish with (Maximum QoS)."),
    boolean!(
        "retain_available",
        broker.retain_available,
        "Whether Retained Messages are kept (Retain Available)."
    ),
    boolean!(
        "wildcard_subscription_available",
        broker.wildcard_subscription_available,
        "Whether Topic Filters may have wildcards (Wildcard Subscription Available)."
    ),
    boolean!(
        "subscription_identifier_available",
        broker.subscription_identifier_available,
        "Whether Subscription Identifiers are taken (Subscription Identifiers Available)."
    ),
    boolean!(
        "shared_subscription_available",
        broker.shared_subscription_available,
        "Whether Shared Subscriptions are taken (Shared Subscription Available)."
    ),
    integer!(
        "receive_maximum",
        1..=65_535,
        "messages",
        broker.receive_maximum,
        "QoS 1 and 2 messages that a 5.0 Client may have unacknowledged (Receive Maximum)."
    ),
    integer!(
        "in_flight_max",
        1..=65_535,
        "messages",
        broker.in_flight_max,
        "QoS 1 and 2 messages that the Server has unacknowledged at one Client, \
         even if that Client allows more."
    ),
    integer!(
        "maximum_packet_size",
        1_024..=268_435_460,
        "bytes",
        broker.maximum_packet_size,
        "Largest packet that a Client may send (Maximum Packet Size)."
    ),
    integer!(
        "topic_alias_maximum",
        0..=65_535,
        "aliases",
        broker.topic_alias_maximum,
        "Topic Aliases for each direction of a 5.0 connection (Topic Alias Maximum); 0 turns them off."
    ),
    integer!(
        "server_keep_alive_s",
        0..=65_535,
        "seconds",
        broker.server_keep_alive_s,
        "Keep Alive that the Server lays down (Server Keep Alive); 0 leaves it to the Client."
    ),
    integer!(
        "keep_alive_min_s",
        0..=65_535,
        "seconds",
        broker.keep_alive_min_s,
        "Shortest Keep Alive: a 5.0 Client that asks for less is told this one (Server Keep Alive), with others the Server is more \
         patient than they ask for."
    ),
    integer!(
        "keep_alive_max_s",
        0..=65_535,
        "seconds",
        broker.keep_alive_max_s,
        "Longest Keep Alive: a 5.0 Client that asks for more, or for none, is told this one; a 3.x Client that says nothing for \
         1.5 times as long is disconnected, whatever it has asked for. 0 is no bound."
    ),
    integer!(
        "session_expiry_max_s",
        0..=4_294_967_295,
        "seconds",
        broker.session_expiry_max_s,
        "Longest Session Expiry Interval; 4294967295 has no end."
    ),
    setting!("response_information", Kind::Text(0..=65_535), "",
        broker.response_information => text quoted,
        "Given to Clients that ask for Response Information; empty gives none."),
    boolean!(
        "allow_empty_client_id",
        broker.allow_empty_client_id,
        "Whether a Client may come without a Client Identifier and be given one."
    ),
    integer!(
        "client_id_bytes_max",
        23..=65_535,
        "bytes",
        broker.client_id_bytes_max,
        "Longest Client Identifier."
    ),
    integer!(
        "queue_messages_max",
        1..=100_000_000,
        "messages",
        broker.queue_messages_max,
        "Messages that wait for one Session."
    ),
    integer!(
        "queue_bytes_max",
        1_024..=1_099_511_627_776,
        "bytes",
        broker.queue_bytes_max,
        "Topics, Properties and payloads that wait for one Session."
    ),
    integer!(
        "queue_memory_bytes_max",
        0..=1_099_511_627_776,
        "bytes",
        broker.queue_memory_bytes_max,
        "What of it is held in memory for a Session that is kept; the rest waits on the disk."
    ),
    setting!("queue_overflow", Kind::Choice(&OVERFLOWS), "", broker.queue_overflow => overflow
        |overflow: &Overflow| quoted(&OVERFLOWS[*overflow as usize]),
        "What happens when a queue is full: the oldest or the newest message is dropped, publishers are refused with \
         Quota exceeded, or the Client is disconnected. `[[queue]]` makes exceptions."),
    boolean!(
        "close_refused_3x",
        broker.close_refused_3x,
        "Whether a 3.x Client is disconnected, without acknowledgement, when its message is refused because it cannot \
         be kept; otherwise the message is acknowledged and dropped."
    ),
    integer!(
        "will_grace_s",
        0..=86_400,
        "seconds",
        broker.will_grace_s,
        "Time after a restart in which Clients may come back before their Wills are sent."
    ),
];
