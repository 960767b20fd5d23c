//! The tables of topics against plain lists: Subscriptions, Retained Messages, interest (4.7, 3.8.4, 3.10.4,
//! 3.3.1.3).

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use dunlin_broker::retained::{HasTopic, Retained};
use dunlin_broker::routing::interest::{Interest, ShardInterest};
use dunlin_broker::subscriptions::{Subscriptions, subscription::Subscription};
use dunlin_broker::topics::ids::{FilterId, SessionIndex};
use dunlin_packet::qos::QoS;
use dunlin_packet::subscribe::{RetainHandling, SubscriptionOptions};
use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::name::TopicName;
use proptest::prelude::*;
use proptest::sample::select;

/// Valid Topic Filters over few levels, so that they meet often: empty levels, `$` ones, wildcards anywhere.
fn filter() -> impl Strategy<Value = String> {
    let level = select(vec!["", "a", "b", "ab", "+", "+", "$a", "$SYS", "é"]);
    let filter =
        (prop::collection::vec(level, 0..6), any::<bool>()).prop_map(|(mut levels, is_multi_level)| {
            levels.extend(is_multi_level.then_some("#"));
            levels.join("/")
        });
    filter.prop_filter("a filter has at least one character", |text| TopicFilter::parse(text).is_ok())
}

fn name() -> impl Strategy<Value = String> {
    let level = select(vec!["", "a", "a", "b", "ab", "$a", "$SYS", "é", "a!"]);
    let name = prop::collection::vec(level, 1..7).prop_map(|levels| levels.join("/"));
    name.prop_filter("a name has at least one character", |text| !text.is_empty())
}

fn parse_filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::parse(text).expect("the strategy makes valid filters")
}

fn parse_name(text: &str) -> TopicName<'_> {
    TopicName::parse(text).expect("the strategy makes valid names")
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let qos = select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let handling =
        select(vec![RetainHandling::SendAtSubscribe, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    let identifier = prop::option::of(1..=268_435_455_u32);
    (qos, any::<bool>(), any::<bool>(), handling, identifier).prop_map(
        |(qos, no_local, retain_as_published, retain_handling, identifier)| Subscription {
            options: SubscriptionOptions { qos, no_local, retain_as_published, retain_handling },
            identifier: identifier.and_then(NonZeroU32::new),
        },
    )
}

#[derive(Clone, Debug)]
enum Change {
    Subscribe(String, u32, Subscription),
    /// Of the Subscriptions that there are, the one with this number, counted around.
    Unsubscribe(usize),
    UnsubscribeUnknown(String, u32),
}

fn change(sessions: u32) -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (filter(), 0..sessions, subscription()).prop_map(|(filter, session, subscription)| {
            Change::Subscribe(filter, session, subscription)
        }),
        3 => any::<usize>().prop_map(Change::Unsubscribe),
        1 => (filter(), 0..sessions).prop_map(|(filter, number)| Change::UnsubscribeUnknown(filter, number)),
    ]
}

/// The table under test and what it should hold.
#[derive(Default)]
struct Both {
    table: Subscriptions,
    plain: BTreeMap<(String, u32), Subscription>,
}

impl Both {
    fn has_filter(&self, filter: &str) -> bool {
        self.plain.keys().any(|(other, _)| other == filter)
    }

    fn apply(&mut self, change: &Change) {
        let generation = self.table.generation();
        match change {
            Change::Subscribe(filter, session, subscription) => {
                self.subscribe(filter, *session, *subscription)
            }
            Change::Unsubscribe(number) if !self.plain.is_empty() => {
                let key = self.plain.keys().nth(number % self.plain.len());
                let (filter, session) = key.expect("the number is below the length").clone();
                let filter_id = self.table.find(parse_filter(&filter)).expect("the filter has a subscriber");
                let removed = self.table.remove(filter_id, SessionIndex(session));
                let removed = removed.expect("the Session subscribes to the filter");
                assert_eq!(Some(removed.subscription), self.plain.remove(&(filter.clone(), session)));
                assert_eq!(removed.was_last, !self.has_filter(&filter));
                assert_ne!(self.table.generation(), generation);
            }
            Change::Unsubscribe(_) => {}
            Change::UnsubscribeUnknown(filter, session) => {
                let filter_id = self.table.find(parse_filter(filter));
                assert_eq!(filter_id.is_some(), self.has_filter(filter)); // [MQTT-3.10.4-1]
                let Some(filter_id) = filter_id else { return };
                if !self.plain.contains_key(&(filter.clone(), *session)) {
                    assert_eq!(self.table.remove(filter_id, SessionIndex(*session)), None);
                    assert_eq!(self.table.generation(), generation);
                }
            }
        }
    }

    /// The same filter replaces, and only the same one. [MQTT-3.8.4-3]
    fn subscribe(&mut self, filter: &str, session: u32, subscription: Subscription) {
        let generation = self.table.generation();
        let is_first = !self.has_filter(filter);
        let added = self.table.insert(parse_filter(filter), SessionIndex(session), subscription);
        let replaced = self.plain.insert((filter.to_owned(), session), subscription);
        assert_eq!((added.replaced, added.is_first), (replaced, is_first));
        assert_eq!(self.table.generation() == generation, replaced == Some(subscription));
    }

    fn check_matches(&self, name: &str) {
        let mut found = Vec::new();
        self.table.matches(parse_name(name), &mut |filter_id, SessionIndex(session), subscription| {
            assert_eq!(self.table.get(filter_id, SessionIndex(session)), Some(subscription));
            found.push((self.text(filter_id), session));
        });
        found.sort();
        let matches = |(filter, _): &&(String, u32)| parse_filter(filter).matches(parse_name(name));
        let expected: Vec<(String, u32)> = self.plain.keys().filter(matches).cloned().collect();
        assert_eq!(found, expected, "subscribers of {name}");
    }

    fn check_contents(&self) {
        assert_eq!(self.table.len(), self.plain.len());
        let filters: BTreeSet<&String> = self.plain.keys().map(|(filter, _)| filter).collect();
        assert_eq!(self.table.filters(), filters.len());
        for ((filter, session), subscription) in &self.plain {
            let filter_id = self.table.find(parse_filter(filter)).expect("the filter has a subscriber");
            assert_eq!(self.table.get(filter_id, SessionIndex(*session)), Some(*subscription));
            assert_eq!(self.text(filter_id), *filter);
        }
    }

    fn text(&self, filter_id: FilterId) -> String {
        let mut text = String::new();
        self.table.filter_text(filter_id, &mut text);
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Wildcards, `$` topics, empty levels: [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1] [MQTT-4.7.3-4]
    #[test]
    fn subscriptions_answer_like_a_plain_list(
        changes in prop::collection::vec(change(5), 1..150),
        names in prop::collection::vec(name(), 10),
    ) {
        let mut both = Both::default();
        for (number, change) in changes.iter().enumerate() {
            both.apply(change);
            if number % 10 == 0 {
                both.check_contents();
                names.iter().for_each(|name| both.check_matches(name));
            }
        }
        both.check_contents();
        names.iter().for_each(|name| both.check_matches(name));
    }

    /// Long lists of subscribers, through all sizes at which their form changes. [MQTT-3.8.4-3]
    #[test]
    fn many_subscribers_of_one_filter_are_each_found(
        order in Just((0..700_u32).collect::<Vec<_>>()).prop_shuffle(),
        subscription in subscription(),
    ) {
        let mut both = Both::default();
        for &session in &order {
            both.subscribe("fleet/all", session, subscription);
            both.subscribe("fleet/+", session / 2, subscription);
        }
        both.check_matches("fleet/all");
        for number in order {
            both.apply(&Change::Unsubscribe(number as usize));
            if number % 50 == 0 {
                both.check_contents();
                both.check_matches("fleet/all");
            }
        }
        both.check_matches("fleet/all");
    }
}

/// A message that is nothing but its topic and a number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Kept(Rc<(String, u32)>);

impl Kept {
    fn new(name: &str, version: u32) -> Self {
        Kept(Rc::new((name.to_owned(), version)))
    }
}

impl HasTopic for Kept {
    fn topic(&self) -> &str {
        &self.0.0
    }
}

#[derive(Clone, Debug)]
enum RetainedChange {
    Keep(String, u32),
    Remove(String),
    /// Of the topics that there are, the one with this number, counted around.
    RemoveKnown(usize),
}

fn retained_change() -> impl Strategy<Value = RetainedChange> {
    prop_oneof![
        5 => (name(), any::<u32>()).prop_map(|(name, version)| RetainedChange::Keep(name, version)),
        1 => name().prop_map(RetainedChange::Remove),
        2 => any::<usize>().prop_map(RetainedChange::RemoveKnown),
    ]
}

/// Applies one change to the table and to the plain map. [MQTT-3.3.1-5] [MQTT-3.3.1-6]
fn apply(change: &RetainedChange, table: &mut Retained<Kept>, plain: &mut BTreeMap<String, Kept>) {
    let name = match change {
        RetainedChange::Keep(name, version) => {
            let message = Kept::new(name, *version);
            assert_eq!(table.keep(parse_name(name), message.clone()), plain.insert(name.clone(), message));
            return;
        }
        RetainedChange::Remove(name) => name.clone(),
        RetainedChange::RemoveKnown(_) if plain.is_empty() => return,
        RetainedChange::RemoveKnown(number) => {
            plain.keys().nth(number % plain.len()).expect("the number is below the length").clone()
        }
    };
    assert_eq!(table.remove(parse_name(&name)), plain.remove(&name));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.2-1]
    #[test]
    fn retained_messages_are_found_like_in_a_plain_list(
        changes in prop::collection::vec(retained_change(), 1..400),
        filters in prop::collection::vec(filter(), 20),
    ) {
        let (mut table, mut plain) = (Retained::new(), BTreeMap::new());
        changes.iter().for_each(|change| apply(change, &mut table, &mut plain));
        prop_assert_eq!(table.len(), plain.len());
        for (name, message) in &plain {
            prop_assert_eq!(table.get(parse_name(name)), Some(message));
        }
        for filter in &filters {
            let filter = parse_filter(filter);
            let mut found = BTreeSet::new();
            table.matching(filter, &mut |topic_id, message| {
                let mut text = String::new();
                table.topic_text(topic_id, &mut text);
                assert_eq!(text, message.topic());
                assert!(found.insert(message.clone()), "{text} came twice");
            });
            let matches = |message: &&Kept| filter.matches(parse_name(message.topic()));
            prop_assert_eq!(found, plain.values().filter(matches).cloned().collect());
        }
    }

    #[test]
    fn pages_give_each_lasting_message_once_under_change(
        changes in prop::collection::vec(retained_change(), 50..400),
        between in prop::collection::vec(prop::collection::vec(retained_change(), 0..6), 1..100),
        filter in filter(),
        max in 1..5_usize,
    ) {
        let (mut table, mut plain) = (Retained::new(), BTreeMap::new());
        changes.iter().for_each(|change| apply(change, &mut table, &mut plain));
        let filter = parse_filter(&filter);
        let mut lasting: BTreeSet<String> = plain.keys().cloned().collect();
        let mut found = BTreeMap::new();
        let (mut cursor, mut between) = (None, between.iter());
        loop {
            let mut count = 0;
            cursor = table.matching_page(filter, cursor, max, &mut |_, message| {
                count += 1;
                assert_eq!(plain.get(message.topic()), Some(message), "what is not there is not found");
                assert!(filter.matches(parse_name(message.topic())));
                assert_eq!(found.insert(message.topic().to_owned(), message.clone()), None);
            });
            prop_assert!(count <= max);
            if cursor.is_none() {
                break;
            }
            for change in between.next().into_iter().flatten() {
                apply(change, &mut table, &mut plain);
                lasting.retain(|name| plain.contains_key(name));
            }
        }
        let missing = |name: &&String| filter.matches(parse_name(name)) && !found.contains_key(*name);
        prop_assert_eq!(lasting.iter().find(missing), None);
    }

    /// Few words make heads meet, many keep them apart: neither may hide a match. [MQTT-4.7.1-1]
    /// [MQTT-4.7.2-1]
    #[test]
    fn interest_never_misses_a_match(
        filters in prop::collection::vec((filter(), 0..4_u8, any::<bool>()), 1..60),
        names in prop::collection::vec(name(), 40),
        words in select(vec![64, 1024, Interest::WORDS]),
        shards in select(vec![4_u8, 64]),
    ) {
        let interest = Arc::new(Interest::new(words, shards));
        let side = |shard| ShardInterest::new(interest.clone(), shard);
        let mut shards: Vec<ShardInterest> = (0..shards).map(side).collect();
        filters.iter().for_each(|(filter, shard, _)| shards[usize::from(*shard)].add(parse_filter(filter)));
        let going = filters.iter().filter(|(_, _, goes)| *goes);
        going.for_each(|(filter, shard, _)| shards[usize::from(*shard)].remove(parse_filter(filter)));
        for name in &names {
            let name = parse_name(name);
            let found = interest.look_up(name);
            for (filter, shard, _) in filters.iter().filter(|(_, _, goes)| !goes) {
                let matches = parse_filter(filter).matches(name);
                prop_assert!(!matches || found >> shard & 1 == 1, "{filter} {name}");
            }
        }
        let staying = filters.iter().filter(|(_, _, goes)| !goes);
        staying.for_each(|(filter, shard, _)| shards[usize::from(*shard)].remove(parse_filter(filter)));
        prop_assert!(names.iter().all(|name| interest.look_up(parse_name(name)) == 0));
    }
}

#[test]
fn interest_is_seen_by_whoever_gets_a_message_sent_after() {
    let interest = Arc::new(Interest::new(Interest::WORDS, 8));
    let (mailbox, messages) = mpsc::channel::<String>();
    let reader = {
        let interest = interest.clone();
        std::thread::spawn(move || {
            messages.iter().filter(|name| interest.look_up(parse_name(name)) & 1 << 5 == 0).count()
        })
    };
    let mut shard = ShardInterest::new(interest, 5);
    for number in 0..20_000 {
        shard.add(parse_filter(&format!("vehicle/{number}/+")));
        mailbox.send(format!("vehicle/{number}/speed")).expect("the reader reads to the end");
    }
    drop(mailbox);
    assert_eq!(reader.join().expect("the reader does not panic"), 0);
}
