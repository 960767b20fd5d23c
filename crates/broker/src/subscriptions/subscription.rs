//! What one Session asked for with one Topic Filter (3.8.3).

use std::num::NonZeroU32;

use dunlin_packet::subscribe::SubscriptionOptions;

/// What one Session asked for with one Topic Filter (3.8.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The Subscription Options (3.8.3.1).
    pub options: SubscriptionOptions,
    /// The Subscription Identifier (3.8.2.1.2), at most 268,435,455.
    pub identifier: Option<NonZeroU32>,
}
