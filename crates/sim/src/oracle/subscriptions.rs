//! The Subscriptions of a Session over time, and what they say to a message (3.8.4, 3.3.4).

use std::{collections::BTreeMap, rc::Rc};

use dunlin_packet::{qos::QoS, subscribe::SubscriptionOptions};

use crate::oracle::{messages::Accept, words::Tick};

/// One Subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sub {
    /// Its options; the QoS is the granted one.
    pub options: SubscriptionOptions,
    /// Its Subscription Identifier.
    pub id: Option<u32>,
}

/// All Subscriptions of a Session that are not shared, at one time, by Topic Filter.
pub type SubState = BTreeMap<Rc<str>, Sub>;

/// How the Subscriptions of a Session changed, or one Shared Subscription that joins and leaves at its own pace.
///
/// A SUBSCRIBE or UNSUBSCRIBE takes effect at one moment between its arrival and its answer, and in the order of arrival.
/// So at any time one of a few states is the real one.
#[derive(Clone, Debug)]
pub struct Timeline<S> {
    changes: Vec<Change<S>>,
}

#[derive(Clone, Debug)]
struct Change<S> {
    asked: Tick,
    answered: Option<Tick>,
    after: S,
}

impl<S: Default> Timeline<S> {
    /// No Subscriptions since `opened`.
    #[must_use]
    pub fn new(opened: Tick) -> Self {
        let none = Change { asked: opened, answered: Some(opened), after: S::default() };
        Self { changes: vec![none] }
    }

    /// A change that leads to `after`; returns its number.
    pub fn ask(&mut self, asked: Tick, after: S) -> usize {
        self.changes.push(Change { asked, answered: None, after });
        self.changes.len() - 1
    }

    /// The change has taken effect by now.
    pub fn answer(&mut self, change: usize, answered: Tick) {
        self.changes[change].answered = Some(answered);
    }

    /// All changes have taken effect by now.
    pub fn answer_all(&mut self, now: Tick) {
        for change in &mut self.changes {
            change.answered.get_or_insert(now);
        }
    }

    /// The state after all changes.
    #[must_use]
    pub fn latest(&self) -> &S {
        &self.changes[self.changes.len() - 1].after
    }

    /// Whether a change that was asked for after `since` has been answered.
    pub fn has_promised_since(&self, since: Tick) -> bool
    where
        S: PartialEq,
    {
        let pairs = self.changes.iter().zip(self.changes.iter().skip(1));
        pairs.into_iter().any(|(before, change)| {
            change.asked > since && change.answered.is_some() && change.after != before.after
        })
    }

    /// Each state that may have been the real one at some time from `first` to `last`.
    pub fn states(&self, first: Tick, last: Tick) -> impl Iterator<Item = &S> {
        let is_over = |change: &Change<S>| change.answered.is_some_and(|answered| answered < first);
        let begin = self.changes.iter().rposition(is_over).unwrap_or(0);
        let in_time = move |change: &&Change<S>| change.asked <= last;
        self.changes[begin..].iter().take_while(in_time).map(|change| &change.after)
    }
}

/// What a Session gets for a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The lesser of the published and the highest granted QoS. [MQTT-3.8.4-8] [MQTT-3.3.4-2]
    pub qos: QoS,
    /// The Subscription Identifiers of all Subscriptions that match, ascending. [MQTT-3.3.4-4]
    pub ids: Vec<u32>,
    /// Whether RETAIN may be 0.
    pub may_be_unset: bool,
    /// Whether RETAIN may be 1. [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    pub may_be_set: bool,
}

impl Outcome {
    /// Whether a delivery is this outcome. Before 5.0 there are no identifiers to compare.
    #[must_use]
    pub fn is(&self, qos: QoS, retain: bool, ids: Option<&[u32]>) -> bool {
        let is_retain_right = if retain { self.may_be_set } else { self.may_be_unset };
        self.qos == qos && is_retain_right && ids.is_none_or(|ids| ids == self.ids)
    }
}

/// Whether `filter`, a valid one, matches `topic` (4.7); of a Shared Subscription the part behind the Share Name.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    let shared = filter.strip_prefix(SHARE).and_then(|shared| shared.split_once('/'));
    let filter = shared.map_or(filter, |(_, filter)| filter);
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false; // [MQTT-4.7.2-1]
    }
    // By bytes, since it is asked more often than anything else.
    let (mut filter, mut topic) = (filter.as_bytes(), Some(topic.as_bytes()));
    loop {
        if filter == b"#" {
            return true; // [MQTT-4.7.1-1]
        }
        let Some(rest) = topic else { return false };
        let (wanted, level) = match filter.first() {
            Some(b'+') => (1, rest.iter().take_while(|byte| **byte != b'/').count()), // [MQTT-4.7.1-2]
            _ => {
                let alike = rest.iter().zip(filter);
                let alike = alike.take_while(|(byte, wanted)| byte == wanted && **byte != b'/').count();
                (alike, alike)
            }
        };
        topic = match (filter.get(wanted), rest.get(level)) {
            (None, None) => return true,
            (Some(b'/'), Some(b'/')) => Some(&rest[level + 1..]),
            (Some(b'/'), None) => None,
            _ => return false,
        };
        filter = &filter[wanted + 1..];
    }
}

/// Whether `filter` is that of a Shared Subscription.
#[must_use]
pub fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARE)
}

/// What a Shared Subscription starts with (4.8.2).
const SHARE: &str = "$share/";

/// What the non-shared Subscriptions of `state` give to `client` for a message; `None` is nothing.
#[must_use]
pub fn outcome(state: &SubState, accept: &Accept, client: &str) -> Option<Outcome> {
    let is_local = *accept.publisher == *client;
    let all = state.iter().filter(|(filter, sub)| {
        // [MQTT-3.8.3-3]
        !(sub.options.no_local && is_local) && matches(filter, &accept.topic)
    });
    merged(all.map(|(_, sub)| sub), accept)
}

/// What one Subscription gives for a message that it matches.
#[must_use]
pub fn outcome_of_one(sub: &Sub, accept: &Accept) -> Option<Outcome> {
    merged(std::iter::once(sub), accept)
}

fn merged<'a>(subs: impl Iterator<Item = &'a Sub>, accept: &Accept) -> Option<Outcome> {
    let mut outcome: Option<Outcome> = None;
    for sub in subs {
        let merged = outcome.get_or_insert(Outcome {
            qos: QoS::AtMostOnce,
            ids: Vec::new(),
            may_be_unset: false,
            may_be_set: false,
        });
        merged.qos = merged.qos.max(sub.options.qos.min(accept.qos));
        merged.ids.extend(sub.id);
        match accept.retain && sub.options.retain_as_published {
            true => merged.may_be_set = true,
            false => merged.may_be_unset = true,
        }
    }
    outcome.map(|mut outcome| {
        outcome.ids.sort_unstable();
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(filter: &str) -> SubState {
        let sub = Sub { options: SubscriptionOptions::with_qos(QoS::AtMostOnce), id: None };
        BTreeMap::from([(filter.into(), sub)])
    }

    #[test]
    fn filters_match_as_chapter_4_7_says() {
        for (filter, topic, expected) in [
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("+", "a/b", false),
            ("+/+", "/a", true),
            ("a/+", "a", false),
            ("a//b", "a//b", true),
            ("a/b", "a/b/", false),
            ("#", "$d/a", false),
            ("$d/#", "$d/a", true),
            ("$share/g/a/+", "a/b", true),
            ("$share/g//a", "/a", true),
            ("$share/g/#", "$d/a", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn a_change_is_uncertain_until_it_is_answered() {
        let mut timeline = Timeline::new(10);
        let change = timeline.ask(20, state("a"));
        assert_eq!(timeline.states(11, 19).count(), 1);
        assert_eq!(timeline.states(11, 20).count(), 2);
        assert_eq!(timeline.states(25, 30).count(), 2);
        timeline.answer(change, 26);
        assert_eq!(timeline.states(25, 30).count(), 2);
        assert_eq!(timeline.states(27, 30).map(BTreeMap::len).collect::<Vec<_>>(), [1]);
        assert_eq!(timeline.latest().len(), 1);
    }
}
