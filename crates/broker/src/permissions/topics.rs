//! The topics of a rule: a Topic Filter in which `%u` and `%c` stand for names.

use std::fmt;

use dunlin_packet::{error::TopicError, topic::filter::TopicFilter};

use super::subject::Subject;

/// Topics that a rule is about. A level `%u` stands for the user name, a level `%c` for the Client Identifier: for that
/// very text, one level of it, whatever it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicPattern {
    text: Box<str>,
    /// Whether a level `%u` or `%c` is a name.
    has_names: bool,
}

/// Why a text is no [`TopicPattern`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatternError {
    /// It is no Topic Filter.
    Topic(TopicError),
    /// `%u` or `%c` has other characters beside it in its level.
    PartOfLevel,
    /// It begins with `$share/`: rules are about the filter behind.
    Shared,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => error.fmt(f),
            Self::PartOfLevel => f.write_str("%u or %c is not a whole level"),
            Self::Shared => f.write_str("$share/ in a rule: the filter behind the Share Name is what counts"),
        }
    }
}

impl std::error::Error for PatternError {}

/// Whether something fits a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fit {
    Yes,
    No,
    /// Up to a name that cannot stand in a topic: nobody can say.
    Unsafe,
}

/// One level of a pattern, with the names put in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level<'a> {
    Text(&'a str),
    /// `+`
    One,
    /// `#`
    Rest,
    /// A name that is not to be put in.
    Unsafe,
    /// There is no such name.
    Missing,
}

impl TopicPattern {
    /// Takes `text` as the topics of a rule.
    ///
    /// # Errors
    /// Each [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::literal(text)?;
        let is_part = |level: &str| level.len() > 2 && (level.contains("%u") || level.contains("%c"));
        if text.split('/').any(is_part) {
            return Err(PatternError::PartOfLevel);
        }
        let has_names = text.split('/').any(|level| matches!(level, "%u" | "%c"));
        Ok(Self { has_names, ..pattern })
    }

    /// Takes `text` as the topics of a rule in which `%u` and `%c` are no names.
    ///
    /// # Errors
    /// [`PatternError::Topic`] and [`PatternError::Shared`].
    pub fn literal(text: &str) -> Result<Self, PatternError> {
        let filter = TopicFilter::parse(text).map_err(PatternError::Topic)?;
        if filter.share().is_some() {
            return Err(PatternError::Shared);
        }
        Ok(Self { text: text.into(), has_names: false })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every topic that does not begin with `$` is meant.
    pub(super) fn is_everything(&self) -> bool {
        &*self.text == "#"
    }

    fn levels<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = Level<'a>> {
        self.text.split('/').enumerate().map(move |(number, level)| match level {
            "+" => Level::One,
            "#" => Level::Rest,
            "%u" if self.has_names => match &subject.user_name {
                Some(name) => name_level(name, number),
                None => Level::Missing,
            },
            "%c" if self.has_names => name_level(&subject.client_id, number),
            text => Level::Text(text),
        })
    }

    /// Whether the pattern is about `topic`.
    pub(super) fn matches(&self, topic: &str, subject: &Subject) -> Fit {
        if topic.starts_with('$') && self.text.starts_with(['+', '#']) {
            return Fit::No; // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
        }
        let (mut pattern, mut topic) = (self.levels(subject), topic.split('/'));
        loop {
            match (pattern.next(), topic.next()) {
                (Some(Level::Rest), _) | (None, None) => return Fit::Yes,
                (Some(Level::Unsafe), _) => return Fit::Unsafe,
                (Some(Level::One), Some(_)) => {}
                (Some(Level::Text(text)), Some(level)) if text == level => {}
                _ => return Fit::No,
            }
        }
    }

    /// Whether the pattern is about all topics that `filter`, without `$share/name/`, matches. It may say no although
    /// it is.
    pub(super) fn covers(&self, filter: TopicFilter<'_>, subject: &Subject) -> Fit {
        if filter.as_str().starts_with('$') && self.text.starts_with(['+', '#']) {
            return Fit::No;
        }
        let (mut pattern, mut filter) = (self.levels(subject), filter.levels());
        loop {
            match (pattern.next(), filter.next()) {
                (Some(Level::Rest), _) | (None, None) => return Fit::Yes,
                (Some(Level::Unsafe), _) => return Fit::Unsafe,
                (Some(Level::One), Some(level)) if level != "#" => {}
                (Some(Level::Text(text)), Some(level)) if text == level => {}
                _ => return Fit::No,
            }
        }
    }

    /// Whether the pattern is about any topic that `filter`, without `$share/name/`, matches.
    pub(super) fn overlaps(&self, filter: TopicFilter<'_>, subject: &Subject) -> Fit {
        let text = filter.as_str();
        let is_hidden = |dollar: &str, wild: &str| dollar.starts_with('$') && wild.starts_with(['+', '#']);
        if is_hidden(text, &self.text) || is_hidden(&self.text, text) {
            return Fit::No;
        }
        let (mut pattern, mut filter) = (self.levels(subject), filter.levels());
        loop {
            match (pattern.next(), filter.next()) {
                (Some(Level::Missing), _) => return Fit::No,
                (Some(Level::Unsafe), _) => return Fit::Unsafe,
                (Some(Level::Rest), _) | (_, Some("#")) | (None, None) => return Fit::Yes,
                (Some(Level::One), Some(_)) | (Some(Level::Text(_)), Some("+")) => {}
                (Some(Level::Text(text)), Some(level)) if text == level => {}
                _ => return Fit::No,
            }
        }
    }
}

/// A name as one level, unless it could pose as more than that.
fn name_level(name: &str, number: usize) -> Level<'_> {
    let poses = name.is_empty() || name.contains(['+', '#', '/']) || (number == 0 && name.starts_with('$'));
    if poses { Level::Unsafe } else { Level::Text(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(user_name: &str, client_id: &str) -> Subject {
        let user_name = Some(user_name.into());
        Subject { user_name, client_id: client_id.into(), ..Subject::default() }
    }

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    #[test]
    fn patterns_are_refused_for_the_right_reason() {
        for (text, error) in [
            ("", PatternError::Topic(TopicError::Empty)),
            ("a/#/b", PatternError::Topic(TopicError::InvalidMultiLevelWildcard)),
            ("$share/g/a", PatternError::Shared),
            ("a/x%u", PatternError::PartOfLevel),
            ("%c-/a", PatternError::PartOfLevel),
        ] {
            assert_eq!(TopicPattern::parse(text), Err(error), "{text}");
        }
        assert!(TopicPattern::literal("a/x%u").is_ok());
    }

    /// CVE-2017-7650
    #[test]
    fn a_name_is_one_level_and_never_a_wildcard() {
        let pattern = TopicPattern::parse("%u/%c/x").unwrap();
        assert_eq!(pattern.matches("ann/c1/x", &subject("ann", "c1")), Fit::Yes);
        assert_eq!(pattern.matches("bob/c1/x", &subject("ann", "c1")), Fit::No);
        for name in ["+", "#", "a/b", "", "$SYS", "a+"] {
            assert_eq!(pattern.matches("any/c1/x", &subject(name, "c1")), Fit::Unsafe, "{name}");
            let topic = format!("{name}/c1/x");
            assert_eq!(pattern.matches(&topic, &subject(name, "c1")), Fit::Unsafe, "{name}");
        }
        let nobody = Subject { user_name: None, ..subject("", "c1") };
        assert_eq!(pattern.matches("/c1/x", &nobody), Fit::No);
        assert_eq!(pattern.overlaps(filter("#"), &nobody), Fit::No);
        let literal = TopicPattern::literal("%u/%c/x").unwrap();
        assert_eq!(literal.matches("%u/%c/x", &subject("ann", "c1")), Fit::Yes);
    }

    #[test]
    fn what_covers_a_filter_and_what_overlaps_it() {
        let it = subject("ann", "c1");
        for (pattern, text, covers, overlaps) in [
            ("a/#", "a/#", true, true),
            ("a/#", "a", true, true),
            ("a/#", "a/+/b", true, true),
            ("a/#", "#", false, true),
            ("a/#", "+/b", false, true),
            ("a/+", "a/#", false, true),
            ("a/+", "a/b", true, true),
            ("a/+", "+/b", false, true),
            ("a/b", "a/+", false, true),
            ("a/b", "a/c", false, false),
            ("a/b", "a/b/c", false, false),
            ("a/b/c", "a/b", false, false),
            ("a/b/#", "a/b", true, true),
            ("a/b", "a/b/#", false, true),
            ("#", "$SYS/#", false, false),
            ("+/a", "$SYS/a", false, false),
            ("$SYS/#", "#", false, false),
            ("$SYS/#", "+/a", false, false),
            ("$SYS/#", "$SYS/a/+", true, true),
            ("%u/#", "ann/x", true, true),
            ("%u/#", "+/x", false, true),
            ("#", "#", true, true),
        ] {
            let parsed = TopicPattern::parse(pattern).unwrap();
            let told = (parsed.covers(filter(text), &it), parsed.overlaps(filter(text), &it));
            let fit = |is| if is { Fit::Yes } else { Fit::No };
            assert_eq!(told, (fit(covers), fit(overlaps)), "{pattern} and {text}");
        }
    }
}
