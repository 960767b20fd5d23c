//! What a Client may do: data, decided once, evaluated on every packet.

use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};

/// The rights of one Client. Today everybody may do everything but publish what only the Server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {}

impl Permissions {
    /// Whether the Client may publish to `topic_name`. `$SYS` belongs to the Server (4.7.2).
    #[must_use]
    pub fn may_publish(&self, topic_name: TopicName<'_>) -> bool {
        !topic_name.as_str().starts_with("$SYS")
    }

    /// Whether the Client may subscribe to `topic_filter`, given without `$share/name/`.
    #[must_use]
    pub fn may_subscribe(&self, _topic_filter: TopicFilter<'_>) -> bool {
        true
    }
}
