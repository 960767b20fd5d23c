//! What the process returns: the Reason Code that a Client would get.

use dunlin_admin_api::explain::{Refusal, Verdict};
use dunlin_packet::reason_code::ReasonCode;

/// 0 if nothing refuses it.
pub(super) fn of_refusal(refusal: Option<&Refusal>) -> i32 {
    refusal.map_or(0, |refusal| i32::from(refusal.reason_code))
}

/// 0 if it would be delivered, 135 if rights stand in its way, 16 if something else does.
pub(super) fn of_verdict(verdict: Verdict) -> i32 {
    i32::from(match verdict {
        Verdict::Delivered => 0,
        Verdict::Denied => ReasonCode::NotAuthorized.value(),
        Verdict::NotDelivered => ReasonCode::NoMatchingSubscribers.value(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_mqtt() {
        assert_eq!(of_verdict(Verdict::Delivered), 0);
        assert_eq!(of_verdict(Verdict::Denied), 135);
        assert_eq!(of_verdict(Verdict::NotDelivered), 16);
        let refusal = Refusal { reason_code: 151, name: String::new(), reason: String::new() };
        assert_eq!((of_refusal(Some(&refusal)), of_refusal(None)), (151, 0));
    }
}
