//! A subscriber of a Topic Filter in eight bytes: Session, identifier and Subscription Options (3.8.3.1).

use std::num::NonZeroU32;

use dunlin_packet::qos::QoS;
use dunlin_packet::subscribe::{RetainHandling, SubscriptionOptions};

use crate::subscriptions::subscription::Subscription;
use crate::topics::ids::SessionIndex;

/// From the low bit up: 30 bits Session, 28 bits Subscription Identifier (0: none), 6 bits options as on the
/// wire.
///
/// Maximum QoS 3 does not exist, so options with these bits mark what is not a subscriber.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packed(u64);

impl Packed {
    /// No subscriber.
    pub(super) const NONE: Packed = Packed(u64::MAX);

    /// # Panics
    /// If the Session's index is above [`SessionIndex::MAX`] or the identifier is none that a packet can
    /// carry.
    pub(super) fn new(session: SessionIndex, subscription: Subscription) -> Self {
        let identifier = subscription.identifier.map_or(0, NonZeroU32::get);
        assert!(session <= SessionIndex::MAX, "a shard has at most 2^30 Sessions");
        assert!(identifier < 1 << IDENTIFIER_BITS, "a Subscription Identifier is at most 268,435,455");
        let options = u64::from(options_to_bits(subscription.options));
        let identifier = u64::from(identifier);
        Packed(options << OPTIONS_AT | identifier << SESSION_BITS | u64::from(session.0))
    }

    /// Stands in the place of subscribers that are in the list `list`.
    pub(super) const fn list(list: u32) -> Self {
        Packed(LIST_OPTIONS << OPTIONS_AT | list as u64)
    }

    pub(super) fn as_list(self) -> Option<u32> {
        (self.0 >> OPTIONS_AT == LIST_OPTIONS).then_some(self.0 as u32)
    }

    #[inline]
    pub(super) fn session(self) -> SessionIndex {
        SessionIndex(self.0 as u32 & SessionIndex::MAX.0)
    }

    #[inline]
    pub(super) fn subscription(self) -> Subscription {
        let identifier = (self.0 >> SESSION_BITS) as u32 & ((1 << IDENTIFIER_BITS) - 1);
        Subscription {
            options: options_from_bits((self.0 >> OPTIONS_AT) as u8),
            identifier: NonZeroU32::new(identifier),
        }
    }
}

fn options_to_bits(options: SubscriptionOptions) -> u8 {
    let retain_handling = match options.retain_handling {
        RetainHandling::SendAtSubscribe => 0,
        RetainHandling::SendIfNew => 1,
        RetainHandling::DoNotSend => 2,
    };
    options.qos.value()
        | u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | retain_handling << 4
}

#[inline]
fn options_from_bits(bits: u8) -> SubscriptionOptions {
    SubscriptionOptions {
        qos: match bits & 0b11 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        },
        no_local: bits & 1 << 2 != 0,
        retain_as_published: bits & 1 << 3 != 0,
        retain_handling: match bits >> 4 & 0b11 {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            _ => RetainHandling::DoNotSend,
        },
    }
}

const SESSION_BITS: u32 = 30;
const IDENTIFIER_BITS: u32 = 28;
const OPTIONS_AT: u32 = SESSION_BITS + IDENTIFIER_BITS;
/// Maximum QoS 3, other bits clear.
const LIST_OPTIONS: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_comes_back() {
        for bits in (0..0b11_0000_u8).filter(|bits| bits & 3 != 3) {
            let options = options_from_bits(bits);
            assert_eq!(options_to_bits(options), bits);
            for (session, identifier) in [(0, 0), (1, 1), (SessionIndex::MAX.0, 268_435_455)] {
                let subscription = Subscription { options, identifier: NonZeroU32::new(identifier) };
                let packed = Packed::new(SessionIndex(session), subscription);
                assert_eq!((packed.session().0, packed.subscription()), (session, subscription));
                assert_eq!(packed.as_list(), None);
                assert_ne!(packed, Packed::NONE);
            }
        }
    }

    #[test]
    fn list_is_no_subscriber() {
        assert_eq!(Packed::list(u32::MAX).as_list(), Some(u32::MAX));
        assert_eq!(Packed::NONE.as_list(), None);
    }
}
