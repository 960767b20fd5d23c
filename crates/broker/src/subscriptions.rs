//! Who subscribes to what in one shard: Topic Filters, their subscribers, and matching (3.8.4, 3.10.4, 4.7).

use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::name::TopicName;

use crate::subscriptions::packed::Packed;
use crate::subscriptions::subscribers::{Lists, Subscribers};
use crate::subscriptions::subscription::Subscription;
use crate::subscriptions::wildcards::{End, WildcardFilters};
use crate::topics::hashing::TextHash;
use crate::topics::id_table::IdTable;
use crate::topics::ids::{FilterId, SessionIndex};
use crate::topics::slab::Slab;
use crate::topics::texts::{Text, Texts};

mod packed;
mod subscribers;
pub mod subscription;
mod wildcards;

/// The Subscriptions of one shard, by Topic Filter.
///
/// A filter without wildcards is found by its whole text, one with wildcards by its levels. A Subscription to
/// a filter of its own takes some 90 bytes with the filter's text, one more to the same filter 8 to 24.
///
/// The filters here are those that are matched: of a Shared Subscription the part behind `$share/name/`.
#[derive(Debug)]
pub struct Subscriptions {
    filters: Slab<Filter>,
    /// Filters without wildcards, by their texts.
    exact: IdTable,
    exact_texts: Texts,
    hash: TextHash,
    wildcards: WildcardFilters,
    lists: Lists,
    len: usize,
    generation: u64,
}

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Added {
    /// Names the filter until its last subscriber goes.
    pub filter_id: FilterId,
    /// The Subscription of this Session to this filter that the new one replaces.
    pub replaced: Option<Subscription>,
    /// Whether nobody subscribed to this filter before: the shard's interest gains a filter.
    pub is_first: bool,
}

/// What a removal did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Removed {
    /// The Subscription that was removed.
    pub subscription: Subscription,
    /// Whether nobody subscribes to this filter any more: the shard's interest loses a filter.
    pub was_last: bool,
}

/// A Topic Filter with its subscribers, 24 bytes.
#[derive(Debug)]
struct Filter {
    subscribers: Subscribers,
    /// Where the text begins, or the node.
    start: u32,
    len: u16,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// No filter: a free place.
    Free,
    /// No wildcards; `start` and `len` are its text.
    Exact,
    /// With wildcards, ending at the node `start`.
    Wildcard,
    /// With wildcards, ending with `#` below the node `start`.
    MultiLevel,
}

impl Subscriptions {
    /// Makes a table without Subscriptions.
    #[must_use]
    pub fn new() -> Self {
        Subscriptions {
            filters: Slab::new(),
            exact: IdTable::new(),
            exact_texts: Texts::new(),
            hash: TextHash::new(),
            wildcards: WildcardFilters::new(),
            lists: Lists::new(),
            len: 0,
            generation: 0,
        }
    }

    /// Adds a Subscription, or replaces the one that the Session has to the same filter [MQTT-3.8.4-3].
    ///
    /// # Panics
    /// If `session` is above [`SessionIndex::MAX`], or the identifier above what a packet can carry.
    pub fn insert(
        &mut self,
        filter: TopicFilter<'_>,
        session: SessionIndex,
        subscription: Subscription,
    ) -> Added {
        let packed = Packed::new(session, subscription);
        let found = self.find(filter);
        let filter_id = found.unwrap_or_else(|| self.add_filter(filter));
        let replaced = self.filters[filter_id.0].subscribers.insert(packed, &mut self.lists);
        self.len += usize::from(replaced.is_none());
        if replaced != Some(packed) {
            self.generation += 1;
        }
        Added { filter_id, replaced: replaced.map(Packed::subscription), is_first: found.is_none() }
    }

    /// The number of `filter`, compared byte for byte [MQTT-3.10.4-1]; `None` if nobody subscribes to it.
    #[must_use]
    pub fn find(&self, filter: TopicFilter<'_>) -> Option<FilterId> {
        let text = filter.as_str();
        let id = if filter.has_wildcard() {
            self.wildcards.find(text).and_then(|end| self.wildcards.filter_at(end))
        } else {
            self.find_exact(text, self.hash.text(text.as_bytes()))
        };
        id.map(FilterId)
    }

    /// Removes the Subscription of `session` to a filter; `None` if it has none.
    pub fn remove(&mut self, filter_id: FilterId, session: SessionIndex) -> Option<Removed> {
        self.filters.get(filter_id.0)?;
        let filter = &mut self.filters[filter_id.0];
        let removed = filter.subscribers.remove(session, &mut self.lists)?;
        let was_last = filter.subscribers.as_slice(&self.lists).is_empty();
        if was_last {
            self.remove_filter(filter_id.0);
        }
        self.len -= 1;
        self.generation += 1;
        Some(Removed { subscription: removed.subscription(), was_last })
    }

    /// The Subscription of `session` to a filter.
    #[must_use]
    pub fn get(&self, filter_id: FilterId, session: SessionIndex) -> Option<Subscription> {
        let subscribers = &self.filters.get(filter_id.0)?.subscribers;
        subscribers.get(session, &self.lists).map(Packed::subscription)
    }

    /// Appends the text of a filter to `out`; nothing if the number names none.
    pub fn filter_text(&self, filter_id: FilterId, out: &mut String) {
        match self.filters.get(filter_id.0).map(Filter::place) {
            Some(Place::Exact(text)) => out.push_str(self.exact_texts.text_of(text)),
            Some(Place::Wildcard(end)) => self.wildcards.append_text(end, out),
            Some(Place::Free) | None => {}
        }
    }

    /// Calls `each` with every Subscription to every filter that matches `name` (4.7). [MQTT-3.3.2-3] [MQTT3-3.3.2-3]
    ///
    /// A Session comes once for each of its filters that match [MQTT-3.3.4-2]. The order means
    /// nothing; it comes from what was inserted and removed before and is the same in every run.
    ///
    /// Beside the Subscriptions found, the time is bounded by the length of the name and the filters with
    /// wildcards: each part of them is read once at most. For a name of up to 32 levels nothing is allocated.
    pub fn matches(&self, name: TopicName<'_>, each: &mut impl FnMut(FilterId, SessionIndex, Subscription)) {
        let name = name.as_str();
        let mut give = |filter: u32| {
            for packed in self.filters[filter].subscribers.as_slice(&self.lists) {
                each(FilterId(filter), packed.session(), packed.subscription());
            }
        };
        if self.exact.len() > 0
            && let Some(filter) = self.find_exact(name, self.hash.text(name.as_bytes()))
        {
            give(filter);
        }
        self.wildcards.matches(name, &mut give);
    }

    /// Changes with every insertion and removal that can change an answer: an answer kept with the same
    /// number holds.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of Subscriptions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no Subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of different Topic Filters.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    #[inline]
    fn find_exact(&self, text: &str, hash: u32) -> Option<u32> {
        self.exact.find(hash, |filter| {
            let filter = &self.filters[filter];
            self.exact_texts.get(Text { start: filter.start, len: filter.len }) == text.as_bytes()
        })
    }

    fn add_filter(&mut self, filter: TopicFilter<'_>) -> FilterId {
        let text = filter.as_str();
        if filter.has_wildcard() {
            let end = self.wildcards.make(text);
            let id = self.filters.insert(Filter::at(Place::Wildcard(end)));
            self.wildcards.set(end, id);
            return FilterId(id);
        }
        let kept = self.exact_texts.insert(text.as_bytes());
        let id = self.filters.insert(Filter::at(Place::Exact(kept)));
        self.exact.insert(self.hash.text(text.as_bytes()), id);
        FilterId(id)
    }

    fn remove_filter(&mut self, id: u32) {
        match self.filters.remove(id).place() {
            Place::Exact(text) => {
                self.exact.remove(self.hash.text(self.exact_texts.get(text)), id);
                self.exact_texts.remove(text);
            }
            Place::Wildcard(end) => self.wildcards.remove(end),
            Place::Free => {}
        }
    }
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a filter's text is.
enum Place {
    Free,
    Exact(Text),
    Wildcard(End),
}

impl Filter {
    fn at(place: Place) -> Self {
        let (start, len, kind) = match place {
            Place::Free => (0, 0, Kind::Free),
            Place::Exact(text) => (text.start, text.len, Kind::Exact),
            Place::Wildcard(End { node, is_multi_level: false }) => (node, 0, Kind::Wildcard),
            Place::Wildcard(End { node, is_multi_level: true }) => (node, 0, Kind::MultiLevel),
        };
        Filter { subscribers: Subscribers::NONE, start, len, kind }
    }

    fn place(&self) -> Place {
        let end = |is_multi_level| Place::Wildcard(End { node: self.start, is_multi_level });
        match self.kind {
            Kind::Free => Place::Free,
            Kind::Exact => Place::Exact(Text { start: self.start, len: self.len }),
            Kind::Wildcard => end(false),
            Kind::MultiLevel => end(true),
        }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Filter::at(Place::Free)
    }
}

#[cfg(test)]
mod tests {
    use dunlin_packet::qos::QoS;

    use std::num::NonZeroU32;

    use dunlin_packet::subscribe::SubscriptionOptions;

    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).expect("the test has valid filters")
    }

    fn subscription(qos: QoS, identifier: u32) -> Subscription {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        Subscription { options, identifier: NonZeroU32::new(identifier) }
    }

    fn sessions(subscriptions: &Subscriptions, name: &str) -> Vec<u32> {
        let mut sessions = Vec::new();
        let name = TopicName::parse(name).expect("the test has valid names");
        subscriptions.matches(name, &mut |_, session, _| sessions.push(session.0));
        sessions.sort_unstable();
        sessions
    }

    /// [MQTT-3.8.4-3]
    #[test]
    fn same_filter_replaces_options_and_identifier() {
        let (first, second) = (subscription(QoS::AtMostOnce, 5), subscription(QoS::ExactlyOnce, 0));
        for text in ["a/b", "a/+", "a/#"] {
            let mut subscriptions = Subscriptions::new();
            let added = subscriptions.insert(filter(text), SessionIndex(1), first);
            assert_eq!((added.replaced, added.is_first), (None, true));
            let generation = subscriptions.generation();
            let again = subscriptions.insert(filter(text), SessionIndex(1), second);
            assert_eq!(again, Added { filter_id: added.filter_id, replaced: Some(first), is_first: false });
            assert_ne!(subscriptions.generation(), generation);
            assert_eq!(subscriptions.get(added.filter_id, SessionIndex(1)), Some(second));
            let removed = subscriptions.remove(added.filter_id, SessionIndex(1));
            assert_eq!(removed, Some(Removed { subscription: second, was_last: true }));
            assert!(subscriptions.is_empty());
        }
    }

    #[test]
    fn overlapping_filters_give_a_session_once_each() {
        let mut subscriptions = Subscriptions::new();
        for text in ["a/b", "a/+", "a/#", "#", "+/b", "+/+", "a", "b/#", "a/b/+"] {
            subscriptions.insert(filter(text), SessionIndex(3), subscription(QoS::AtLeastOnce, 1));
        }
        assert_eq!(sessions(&subscriptions, "a/b"), [3; 6]);
        assert_eq!(sessions(&subscriptions, "a"), [3; 3]); // [MQTT-4.7.1-1]
        assert_eq!(sessions(&subscriptions, "$a/b"), []); // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
        assert_eq!(subscriptions.filters(), 9);
    }

    /// [MQTT-3.10.4-1]
    #[test]
    fn filters_are_compared_byte_for_byte() {
        let mut subscriptions = Subscriptions::new();
        for text in ["a/b", "a/+/b"] {
            subscriptions.insert(filter(text), SessionIndex(0), subscription(QoS::AtMostOnce, 0));
        }
        for text in ["A/b", "a/b/", "/a/b", "a//b", "a/+", "a/+/B", "a/+/b/", "a/+/b/#"] {
            assert_eq!(subscriptions.find(filter(text)), None, "{text}");
        }
    }

    #[test]
    fn number_of_a_filter_without_subscribers_names_nothing() {
        let mut subscriptions = Subscriptions::new();
        let ids = ["a", "a/+"].map(|text| {
            subscriptions.insert(filter(text), SessionIndex(0), subscription(QoS::AtMostOnce, 0)).filter_id
        });
        assert!(subscriptions.remove(ids[1], SessionIndex(0)).is_some());
        for unknown in [ids[1], FilterId(1_000)] {
            let mut text = String::new();
            subscriptions.filter_text(unknown, &mut text);
            assert_eq!(text, "");
            assert_eq!(subscriptions.get(unknown, SessionIndex(0)), None);
            assert_eq!(subscriptions.remove(unknown, SessionIndex(0)), None);
        }
    }

    #[test]
    fn memory_is_used_again() {
        let mut subscriptions = Subscriptions::new();
        let plain = subscription(QoS::AtMostOnce, 0);
        subscriptions.insert(filter("keeper"), SessionIndex(0), plain);
        let mut sizes = Vec::new();
        for round in 0..20 {
            for number in 0..3_000_u32 {
                let text = format!("round/{round:02}/{:03}", number % 500);
                subscriptions.insert(filter(&text), SessionIndex(number), plain);
            }
            sizes.push((subscriptions.filters.capacity(), subscriptions.exact_texts.capacity()));
            for number in 0..3_000_u32 {
                let text = format!("round/{round:02}/{:03}", number % 500);
                let filter_id = subscriptions.find(filter(&text)).expect("the filter has a subscriber");
                assert!(subscriptions.remove(filter_id, SessionIndex(number)).is_some());
            }
            assert_eq!((subscriptions.len(), subscriptions.filters(), subscriptions.lists.len()), (1, 1, 0));
        }
        assert!(sizes.iter().all(|&size| size == sizes[0]), "{sizes:?}");
    }
}
