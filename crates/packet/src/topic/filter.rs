//! Topic Filters (4.7) and Shared Subscriptions (4.8.2).

use core::{fmt, str::Split};

use crate::{
    error::TopicError,
    topic::{matching, name::TopicName},
};

/// The Share Name of a Shared Subscription: at least one character, none of `/`, `+`, `#`.
pub type ShareName<'a> = &'a str;

/// A valid Topic Filter, with or without `$share/name/` in front.
///
/// Filters are compared byte for byte, `$share/name/` included. [MQTT-3.10.4-1]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Takes `text` as a Topic Filter.
    ///
    /// # Errors
    /// All variants of [`TopicError`] but [`TopicError::WildcardInTopicName`]. A Shared Subscription inside a Shared
    /// Subscription is [`TopicError::InvalidShare`].
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty); // [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
        }
        if text.len() > usize::from(u16::MAX) {
            return Err(TopicError::TooLong); // [MQTT-4.7.3-3] [MQTT3-4.7.3-3]
        }
        if text.as_bytes().contains(&0) {
            return Err(TopicError::NullCharacter); // [MQTT-4.7.3-2] [MQTT3-4.7.3-2]
        }
        match text.strip_prefix(SHARE) {
            Some(shared) => check_share(shared)?,
            None => check_wildcards(text)?,
        }
        Ok(Self(text))
    }

    /// Returns the whole text, `$share/name/` included.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns Share Name and filter of a Shared Subscription, `None` for any other filter.
    #[inline]
    #[must_use]
    pub fn share(self) -> Option<(ShareName<'a>, TopicFilter<'a>)> {
        let (name, filter) = self.0.strip_prefix(SHARE)?.split_once('/')?;
        Some((name, TopicFilter(filter)))
    }

    /// Returns the filter that is matched: this one, without `$share/name/`.
    #[inline]
    #[must_use]
    pub fn without_share(self) -> TopicFilter<'a> {
        self.share().map_or(self, |(_, filter)| filter)
    }

    /// Returns the levels from the first to the last, without `$share/name/`.
    #[inline]
    pub fn levels(self) -> Split<'a, char> {
        self.without_share().0.split('/')
    }

    /// Tells whether there is a `+` or `#`.
    #[inline]
    #[must_use]
    pub fn has_wildcard(self) -> bool {
        self.0.bytes().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// Returns the levels before the first wildcard, joined by `/`, without `$share/name/`: empty if the first level is a
    /// wildcard, the whole filter if none is.
    #[must_use]
    pub fn literal_head(self) -> &'a str {
        let filter = self.without_share().0;
        match filter.find(['+', '#']) {
            Some(wildcard) => filter.get(..wildcard.saturating_sub(1)).unwrap_or_default(),
            None => filter,
        }
    }

    /// Tells whether the filter, without `$share/name/`, matches `topic_name` (4.7).
    #[inline]
    #[must_use]
    pub fn matches(&self, topic_name: TopicName<'_>) -> bool {
        matching::matches(self.without_share().0, topic_name.as_str())
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What a Shared Subscription starts with. [MQTT-4.8.2-1]
pub(crate) const SHARE: &str = "$share/";

/// Checks what follows `$share/`. [MQTT-4.8.2-1] [MQTT-4.8.2-2]
fn check_share(shared: &str) -> Result<(), TopicError> {
    let (name, filter) = shared.split_once('/').ok_or(TopicError::InvalidShare)?;
    if name.is_empty() || name.contains(['+', '#']) || filter.is_empty() || filter.starts_with(SHARE) {
        return Err(TopicError::InvalidShare);
    }
    check_wildcards(filter)
}

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let mut levels = filter.split('/');
    while let Some(level) = levels.next() {
        if level.contains('#') && (level.len() > 1 || levels.next().is_some()) {
            return Err(TopicError::InvalidMultiLevelWildcard); // [MQTT-4.7.1-1] [MQTT3-4.7.1-2]
        }
        if level.contains('+') && level.len() > 1 {
            return Err(TopicError::InvalidSingleLevelWildcard); // [MQTT-4.7.1-2] [MQTT3-4.7.1-3]
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_refused_for_the_right_reason() {
        use TopicError::*;
        for (text, error) in [
            ("", Empty),                            // [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
            ("a\0", NullCharacter),                 // [MQTT-4.7.3-2] [MQTT3-4.7.3-2]
            ("a#", InvalidMultiLevelWildcard),      // [MQTT-4.7.1-1] [MQTT3-4.7.1-2]
            ("a/#/b", InvalidMultiLevelWildcard),   // [MQTT-4.7.1-1] [MQTT3-4.7.1-2]
            ("#/", InvalidMultiLevelWildcard),      // [MQTT-4.7.1-1] [MQTT3-4.7.1-2]
            ("+#", InvalidMultiLevelWildcard),      // [MQTT-4.7.1-1] [MQTT3-4.7.1-2]
            ("a+", InvalidSingleLevelWildcard),     // [MQTT-4.7.1-2] [MQTT3-4.7.1-3]
            ("a/+b/c", InvalidSingleLevelWildcard), // [MQTT-4.7.1-2] [MQTT3-4.7.1-3]
            ("$share/", InvalidShare),              // [MQTT-4.8.2-1]
            ("$share/g", InvalidShare),             // [MQTT-4.8.2-2]
            ("$share/g/", InvalidShare),            // [MQTT-4.8.2-2]
            ("$share//a", InvalidShare),            // [MQTT-4.8.2-1]
            ("$share/+/a", InvalidShare),           // [MQTT-4.8.2-2]
            ("$share/g#/a", InvalidShare),          // [MQTT-4.8.2-2]
            ("$share/g/$share/h/a", InvalidShare),  // no share within a share
            ("$share/g/a#", InvalidMultiLevelWildcard),
        ] {
            assert_eq!(TopicFilter::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_longest_filter_is_65535_bytes() {
        extern crate std;
        let longest = "a".repeat(65_535);
        assert!(TopicFilter::parse(&longest).is_ok());
        let longer = "a".repeat(65_536);
        assert_eq!(TopicFilter::parse(&longer), Err(TopicError::TooLong)); // [MQTT-4.7.3-3] [MQTT3-4.7.3-3]
        assert_eq!(TopicName::parse(&longer), Err(TopicError::TooLong));
    }

    #[test]
    fn a_share_has_a_name_and_a_filter() {
        for (text, share) in [
            ("$share/g/a/#", Some(("g", "a/#"))),
            ("$share/g//a", Some(("g", "/a"))),
            ("$share/g/+", Some(("g", "+"))),
            ("$share", None),
            ("$shared/g/a", None),
            ("a/b", None),
        ] {
            let filter = TopicFilter::parse(text).expect(text);
            assert_eq!(filter.share().map(|(name, filter)| (name, filter.as_str())), share, "{text}");
            assert_eq!(filter.as_str(), text);
        }
    }

    #[test]
    fn the_literal_head_ends_before_the_first_wildcard() {
        for (text, head) in [
            ("a/b/+/c", "a/b"),
            ("a/#", "a"),
            ("#", ""),
            ("+/a", ""),
            ("/+", ""),
            ("//#", "/"),
            ("a/b", "a/b"),
            ("/a", "/a"),
            ("$share/g/a/b/#", "a/b"),
            ("$share/g/a", "a"),
            ("$SYS/#", "$SYS"),
        ] {
            assert_eq!(TopicFilter::parse(text).expect(text).literal_head(), head, "{text}");
        }
    }

    #[test]
    fn a_share_matches_by_its_inner_filter() {
        let topic = TopicName::parse("a/b").expect("valid");
        assert!(TopicFilter::parse("$share/g/a/+").expect("valid").matches(topic));
        assert!(!TopicFilter::parse("$share/g/b/+").expect("valid").matches(topic));
        let sys = TopicName::parse("$SYS/a").expect("valid");
        assert!(!TopicFilter::parse("$share/g/#").expect("valid").matches(sys)); // [MQTT-4.7.2-1]
    }
}
