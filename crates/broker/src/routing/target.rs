//! Who gets a message, and how.

use dunlin_packet::qos::QoS;

use crate::{
    routing::group_mail::GroupName, sessions::queue::Identifiers, subscriptions::subscription::Subscription,
    topics::ids::SessionIndex,
};

/// A Session that gets a message, with what its matching Subscriptions say together.
///
/// Overlapping Subscriptions give one copy with the highest QoS [MQTT-3.3.4-2] [MQTT3-3.3.5-1] and all Subscription
/// Identifiers [MQTT-3.3.4-4].
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) session: SessionIndex,
    pub(crate) qos: QoS,
    pub(crate) retain_as_published: bool,
    pub(crate) identifiers: Identifiers,
    pub(crate) group: Option<GroupName>,
}

impl Target {
    pub(crate) fn new(session: SessionIndex, subscription: Subscription) -> Self {
        let mut identifiers = Identifiers::None;
        identifiers.add(subscription.identifier);
        Self {
            session,
            qos: subscription.options.qos,
            retain_as_published: subscription.options.retain_as_published,
            identifiers,
            group: None,
        }
    }

    pub(crate) fn merge(&mut self, subscription: Subscription) {
        self.qos = self.qos.max(subscription.options.qos);
        self.retain_as_published |= subscription.options.retain_as_published;
        self.identifiers.add(subscription.identifier);
    }
}
