//! Topic Filters that nearly match a Topic Name: what whoever wrote them may have had in mind.

use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};

/// How a Topic Filter misses a Topic Name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Miss {
    /// They differ in capital and small letters only.
    Case,
    /// One of them begins with `/`, and the other does not.
    LeadingSlash,
    /// One of them ends with `/`, and the other does not.
    TrailingSlash,
    /// They differ in spaces only.
    Space,
    /// The topic begins with `$`, which a wildcard at the beginning does not stand for (4.7.2).
    Dollar,
    /// The topic has more levels than the last `+`, which stands for one.
    PlusIsOneLevel,
    /// The topic goes on below the filter, which has no `#` at its end.
    Below,
    /// The filter goes on below the topic.
    Above,
    /// One level differs by a letter or two.
    Misspelt,
}

impl Miss {
    /// The same in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Case => "it differs in capital and small letters, which count",
            Self::LeadingSlash => "one of both begins with /, which makes an empty first level",
            Self::TrailingSlash => "one of both ends with /, which makes an empty last level",
            Self::Space => "it differs in spaces, which count",
            Self::Dollar => "a wildcard at the beginning does not stand for topics that begin with $",
            Self::PlusIsOneLevel => "+ stands for one level, and the topic has more; # stands for any number",
            Self::Below => "the topic has more levels; the filter would have to end with /#",
            Self::Above => "the filter asks for more levels than the topic has",
            Self::Misspelt => "one level differs by a letter or two",
        }
    }
}

/// How `filter` nearly matches `topic`; nothing if it matches, or is far from it. Of a Shared Subscription the filter behind
/// the Share Name counts.
#[must_use]
pub fn near_miss(filter: &str, topic: &str) -> Option<Miss> {
    let filter = TopicFilter::parse(filter).ok()?.without_share().as_str();
    if matches(filter, topic) {
        return None;
    }
    let without_spaces = |text: &str| text.replace(char::is_whitespace, "");
    let checks: [(Miss, &dyn Fn() -> bool); 9] = [
        (Miss::Case, &|| matches(&filter.to_lowercase(), &topic.to_lowercase())),
        (Miss::LeadingSlash, &|| {
            (filter.starts_with('/') || topic.starts_with('/')) && matches(filter, &leading(topic))
        }),
        (Miss::TrailingSlash, &|| {
            (filter.ends_with('/') || topic.ends_with('/')) && matches(filter, &trailing(topic))
        }),
        (Miss::Space, &|| matches(&without_spaces(filter), &without_spaces(topic))),
        (Miss::Dollar, &|| topic.strip_prefix('$').is_some_and(|rest| matches(filter, &format!("x{rest}")))),
        (Miss::PlusIsOneLevel, &|| {
            let head = filter.strip_suffix('+').filter(|head| head.is_empty() || head.ends_with('/'));
            let is_longer = topic.split('/').count() > filter.split('/').count();
            is_longer && head.is_some_and(|head| matches(&format!("{head}#"), topic))
        }),
        (Miss::Below, &|| !filter.ends_with('#') && matches(&format!("{filter}/#"), topic)),
        (Miss::Above, &|| is_above(filter, topic)),
        (Miss::Misspelt, &|| is_misspelt(filter, topic)),
    ];
    checks.into_iter().find(|(_, holds)| holds()).map(|(miss, _)| miss)
}

fn matches(filter: &str, topic: &str) -> bool {
    match (TopicFilter::parse(filter), TopicName::parse(topic)) {
        (Ok(filter), Ok(topic)) => filter.matches(topic),
        _ => false,
    }
}

fn leading(topic: &str) -> String {
    topic.strip_prefix('/').map_or_else(|| format!("/{topic}"), str::to_owned)
}

fn trailing(topic: &str) -> String {
    topic.strip_suffix('/').map_or_else(|| format!("{topic}/"), str::to_owned)
}

/// Whether the first levels of the filter are the whole topic.
fn is_above(filter: &str, topic: &str) -> bool {
    let levels = topic.split('/').count();
    let head: Vec<&str> = filter.split('/').take(levels).collect();
    filter.split('/').count() > levels && matches(&head.join("/"), topic)
}

/// Whether all levels but one match, and that one nearly does.
fn is_misspelt(filter: &str, topic: &str) -> bool {
    let (mut wanted, mut found) = (filter.split('/'), topic.split('/'));
    let mut is_near = false;
    loop {
        match (wanted.next(), found.next()) {
            (None, None) | (Some("#"), _) => return is_near,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) if !is_near && is_near_text(one, other) => is_near = true,
            _ => return false,
        }
    }
}

/// Whether two words differ by one letter, or two if they are long.
fn is_near_text(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = (one.len().min(other.len()), one.len().max(other.len()));
    if short < 3 || long > WORD_MAX || long - short > 2 {
        return false;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], number + 1);
        for (column, opposite) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != opposite);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()] <= if short < 6 { 1 } else { 2 }
}

/// Letters of the longest level that is looked at for misspellings.
const WORD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_miss_is_told() {
        for (filter, topic, miss) in [
            ("Site/Lamp", "site/lamp", Some(Miss::Case)),
            ("site/+/State", "site/lamp/state", Some(Miss::Case)),
            ("/site/#", "site/lamp", Some(Miss::LeadingSlash)),
            ("site/lamp", "/site/lamp", Some(Miss::LeadingSlash)),
            ("site/lamp/", "site/lamp", Some(Miss::TrailingSlash)),
            ("site/lamp", "site/lamp/", Some(Miss::TrailingSlash)),
            ("site/ lamp", "site/lamp", Some(Miss::Space)),
            ("#", "$SYS/broker/uptime", Some(Miss::Dollar)),
            ("+/broker/#", "$SYS/broker/uptime", Some(Miss::Dollar)),
            ("site/+", "site/lamp/state", Some(Miss::PlusIsOneLevel)),
            ("+", "a/b/c", Some(Miss::PlusIsOneLevel)),
            ("site/lamp", "site/lamp/state", Some(Miss::Below)),
            ("+/lamp", "site/lamp/state", Some(Miss::Below)),
            ("site/lamp/state", "site/lamp", Some(Miss::Above)),
            ("site/lamp/+", "site/lamp", Some(Miss::Above)),
            ("site/lmap/#", "site/lamp/state", None),
            ("site/lam/#", "site/lamp/state", Some(Miss::Misspelt)),
            ("site/temprature", "site/temperature", Some(Miss::Misspelt)),
            ("$share/g/Site", "site", Some(Miss::Case)),
            ("site/#", "site/lamp", None),
            ("$share/g/site/#", "site", None),
            ("garden/#", "site/lamp", None),
            ("a", "b", None),
            ("", "b", None),
        ] {
            assert_eq!(near_miss(filter, topic), miss, "{filter} and {topic}");
        }
    }

    #[test]
    fn every_miss_has_words_of_its_own() {
        let all = [
            Miss::Case,
            Miss::LeadingSlash,
            Miss::TrailingSlash,
            Miss::Space,
            Miss::Dollar,
            Miss::PlusIsOneLevel,
            Miss::Below,
            Miss::Above,
            Miss::Misspelt,
        ];
        let words: std::collections::HashSet<&str> = all.iter().map(|miss| miss.words()).collect();
        assert_eq!(words.len(), all.len());
    }
}
