//! Exceptions from the general limits: for listeners, groups, users, Client Identifiers and addresses.

use crate::permissions::who::Who;

use super::excess::Excess;

/// Limits for some Clients, in the place of the general ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// The names of listeners, one of which they come to; empty for all.
    pub listeners: Box<[Box<str>]>,
    /// Who they are.
    pub who: Who,
    /// What they may.
    pub limits: Exceptional,
}

/// What an [`Exception`] lays down; nothing stays with the next one that fits, and in the end with the general limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptional {
    /// Network Connections of all those Clients together.
    pub connections_max: Option<u32>,
    /// Network Connections of one address.
    pub connections_per_address_max: Option<u32>,
    /// New connections a second at one listener; 0 for no bound.
    pub connections_per_s: Option<u32>,
    /// New connections a second of one address; 0 for no bound.
    pub connections_per_address_per_s: Option<u32>,
    /// PUBLISH packets a second; 0 for no bound.
    pub messages_per_s: Option<u32>,
    /// PUBLISH packets at once; 0 for those of a second.
    pub messages_burst: Option<u32>,
    /// Bytes a second; 0 for no bound.
    pub bytes_per_s: Option<u32>,
    /// Bytes at once; 0 for those of a second.
    pub bytes_burst: Option<u32>,
    /// What happens beyond these rates.
    pub on_excess: Option<Excess>,
    /// Bytes of the largest packet.
    pub maximum_packet_size: Option<u32>,
    /// QoS 1 and 2 messages that a 5.0 Client may have unacknowledged.
    pub receive_maximum: Option<u16>,
    /// QoS 1 and 2 messages that the Server has unacknowledged at the Client.
    pub in_flight_max: Option<u16>,
    /// Messages that wait.
    pub queue_messages_max: Option<u32>,
    /// Bytes that wait.
    pub queue_bytes_max: Option<u64>,
    /// Subscriptions.
    pub subscriptions_max: Option<u32>,
    /// Levels of a Topic Name or Topic Filter.
    pub topic_levels_max: Option<u32>,
    /// Seconds of the shortest Keep Alive.
    pub keep_alive_min_s: Option<u16>,
    /// Seconds of the longest Keep Alive; 0 for no bound.
    pub keep_alive_max_s: Option<u16>,
    /// Seconds of the longest Session Expiry Interval.
    pub session_expiry_max_s: Option<u32>,
}

/// A set of exceptions, by their places among all of them: one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Fitting(pub(super) u64);

impl Exception {
    /// How particular it is: an exception for a Client goes before one for a user, and so on to those for listeners.
    pub(super) fn rank(&self) -> u8 {
        let Who { users, groups, client_ids, addresses, certificate: _, is_anonymous: _ } = &self.who;
        match () {
            () if !client_ids.is_empty() => 0,
            () if !users.is_empty() => 1,
            () if !groups.is_empty() => 2,
            () if !addresses.is_empty() => 3,
            () => 4,
        }
    }

    pub(super) fn is_at(&self, listener: Option<&str>) -> bool {
        self.listeners.is_empty()
            || listener.is_some_and(|name| self.listeners.iter().any(|it| **it == *name))
    }

    /// Whether it is about connections of which only listener and address are known.
    #[must_use]
    pub fn is_about_strangers(&self) -> bool {
        self.rank() >= 3
    }
}

impl Fitting {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their places, the most particular first.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..EXCEPTIONS_MAX).filter(move |place| self.0 & 1 << place != 0)
    }
}

/// The most exceptions.
pub const EXCEPTIONS_MAX: usize = 64;
