//! From which topics a Client may get messages, remembered for those that came last.

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// Answers for some topics, each in the place that its hash gives it.
#[derive(Debug, Default)]
pub(crate) struct ReceiveCache {
    /// Nothing as long as nobody has asked.
    places: Option<Box<[Place; PLACES]>>,
}

/// A topic and the answer.
type Place = Option<(Box<str>, bool)>;

/// Topics remembered for one Session.
const PLACES: usize = 16;

/// Bytes of the longest topic that is remembered.
const TOPIC_BYTES_MAX: usize = 256;

impl ReceiveCache {
    /// The answer for `topic`; `judge` finds it if it is not known.
    pub(crate) fn look_up(&mut self, topic: &str, judge: impl FnOnce() -> bool) -> bool {
        if topic.len() > TOPIC_BYTES_MAX {
            return judge();
        }
        // The whole topic is compared: a hash that is met on purpose costs time, never a right.
        let index = FixedState::with_seed(0).hash_one(topic) as usize % PLACES;
        let place = &mut self.places.get_or_insert_default()[index];
        match place {
            Some((known, answer)) if **known == *topic => *answer,
            _ => {
                let answer = judge();
                *place = Some((topic.into(), answer));
                answer
            }
        }
    }

    /// Forgets all answers: the rights have changed.
    pub(crate) fn clear(&mut self) {
        self.places = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_until_the_rights_change_and_for_its_topic_only() {
        let mut cache = ReceiveCache::default();
        assert!(cache.look_up("a", || true));
        assert!(cache.look_up("a", || panic!("it is known")));
        for number in 0..1_000 {
            let topic = format!("t/{number}");
            let answer = number % 3 == 0;
            assert_eq!(cache.look_up(&topic, || answer), answer);
            assert_eq!(cache.look_up(&topic, || panic!("it was just asked")), answer);
        }
        cache.clear();
        assert!(!cache.look_up("t/999", || false));
        let long = "x".repeat(300);
        assert!(cache.look_up(&long, || true) && !cache.look_up(&long, || false));
    }
}
