//! Who gets a message: exact Topic Names, a short list of filters with wildcards, and groups that share.

use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::matching::matches;
use hashbrown::HashMap;

/// Filters with wildcards and groups that are searched one after the other for each message.
pub(super) const PATTERNS_MAX: usize = 1_000;

/// The table. Takers are numbers of connections.
#[derive(Debug, Default)]
pub(super) struct Routes {
    exact: HashMap<Box<[u8]>, Vec<usize>>,
    patterns: Vec<Pattern>,
}

/// A filter with wildcards, or a group.
#[derive(Debug)]
struct Pattern {
    /// As it was subscribed to, with `$share`.
    text: Box<str>,
    /// Where the filter begins in `text`.
    filter_at: usize,
    /// Of a group the one whose turn it is; else nothing.
    turn: Option<usize>,
    takers: Vec<usize>,
}

impl Routes {
    /// Has `taker` get what matches `filter`. False if the list is full.
    pub(super) fn add(&mut self, filter: &str, taker: usize) -> bool {
        let Ok(parsed) = TopicFilter::parse(filter) else { return false };
        let shared = parsed.share();
        let takers = if shared.is_none() && !parsed.has_wildcard() {
            self.exact.entry(filter.as_bytes().into()).or_default()
        } else if let Some(at) = self.patterns.iter().position(|pattern| *pattern.text == *filter) {
            &mut self.patterns[at].takers
        } else if self.patterns.len() == PATTERNS_MAX {
            return false;
        } else {
            self.patterns.push(Pattern {
                text: filter.into(),
                filter_at: shared.map_or(0, |(_, inner)| filter.len() - inner.as_str().len()),
                turn: shared.map(|_| 0),
                takers: Vec::new(),
            });
            &mut self.patterns.last_mut().expect("one was pushed").takers
        };
        if !takers.contains(&taker) {
            takers.push(taker);
        }
        true
    }

    /// Has `taker` get nothing more by `filter`.
    pub(super) fn remove(&mut self, filter: &str, taker: usize) {
        if let Some(takers) = self.exact.get_mut(filter.as_bytes()) {
            takers.retain(|one| *one != taker);
            if takers.is_empty() {
                self.exact.remove(filter.as_bytes());
            }
        }
        self.patterns.iter_mut().filter(|pattern| *pattern.text == *filter).for_each(|pattern| {
            pattern.takers.retain(|one| *one != taker);
        });
        self.patterns.retain(|pattern| !pattern.takers.is_empty());
    }

    /// Calls `give` with each who gets a message to `topic_name`; of a group with the one whose turn it is.
    #[inline]
    pub(super) fn each_taker(&mut self, topic_name: &[u8], mut give: impl FnMut(usize)) {
        if let Some(takers) = self.exact.get(topic_name) {
            takers.iter().copied().for_each(&mut give);
        }
        if self.patterns.is_empty() {
            return;
        }
        let Ok(topic_name) = std::str::from_utf8(topic_name) else { return };
        for pattern in &mut self.patterns {
            if !matches(&pattern.text[pattern.filter_at..], topic_name) {
                continue;
            }
            match &mut pattern.turn {
                Some(turn) => {
                    *turn = if *turn + 1 < pattern.takers.len() { *turn + 1 } else { 0 };
                    give(pattern.takers[*turn]);
                }
                None => pattern.takers.iter().copied().for_each(&mut give),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takers(routes: &mut Routes, topic_name: &str) -> Vec<usize> {
        let mut takers = Vec::new();
        routes.each_taker(topic_name.as_bytes(), |taker| takers.push(taker));
        takers.sort_unstable();
        takers
    }

    #[test]
    fn a_message_goes_to_exact_topics_wildcards_and_one_of_each_group() {
        let mut routes = Routes::default();
        for (filter, taker) in
            [("a/b", 1), ("a/b", 2), ("a/+", 3), ("#", 4), ("$share/g/a/#", 5), ("$share/g/a/#", 6)]
        {
            assert!(routes.add(filter, taker), "{filter}");
        }
        let turns = [takers(&mut routes, "a/b"), takers(&mut routes, "a/b")];
        assert_eq!(turns, [[1, 2, 3, 4, 6], [1, 2, 3, 4, 5]], "a group takes turns");
        assert_eq!(takers(&mut routes, "c"), [4]);
        for (filter, taker) in [("a/b", 1), ("a/+", 3), ("$share/g/a/#", 5), ("#", 4)] {
            routes.remove(filter, taker);
        }
        assert_eq!(takers(&mut routes, "a/b"), [2, 6]);
    }

    #[test]
    fn a_filter_twice_is_one_and_the_list_has_an_end() {
        let mut routes = Routes::default();
        assert!(routes.add("a", 1) && routes.add("a", 1));
        assert_eq!(takers(&mut routes, "a"), [1]);
        assert!(!routes.add("a/#/b", 1), "this is no filter");
        for number in 0..PATTERNS_MAX {
            assert!(routes.add(&format!("{number}/+"), 1));
        }
        assert!(!routes.add("one/more/+", 1));
        assert!(routes.add("7/+", 2) && routes.add("exact", 2));
    }
}
