//! Topics made of a pattern: `%i` is the number of a Client, `%t` that of one of its topics, `%%` a percent sign.

use dunlin_packet::topic::filter::TopicFilter;
use dunlin_packet::topic::name::TopicName;

use crate::failure::Failure;

/// A pattern of topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// Checks the text. If each Client has several topics and the pattern has no place for their number, it gets a level
    /// at its end.
    ///
    /// # Errors
    /// A percent sign that means nothing, a topic that is none.
    pub(crate) fn parse(text: &str, topics: usize) -> Result<Self, Failure> {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('%') {
            if !after.starts_with(['i', 't', '%']) {
                return Err(Failure::new(format!(
                    "in the topic {text:?} a % means nothing; write %i for the number of the Client, %t for that of the \
                     topic, %% for a percent sign"
                )));
            }
            rest = &after[1..];
        }
        let has_place = places(text).any(|place| place == 't');
        let pattern = if topics > 1 && !has_place { format!("{text}/%t") } else { text.to_owned() };
        let pattern = Self(pattern);
        let name = pattern.name(0, 0);
        match TopicName::parse(&name) {
            Ok(_) => Ok(pattern),
            Err(error) => {
                Err(Failure::new(format!("the topic {name:?} {error}; give the topics of messages with -t")))
            }
        }
    }

    /// The Topic Name of Client `client` and its topic `topic`.
    pub(crate) fn name(&self, client: usize, topic: usize) -> String {
        fill(&self.0, &client.to_string(), &topic.to_string())
    }

    /// The Topic Filter that matches the topics of all Clients: a level that has a number becomes `+`.
    pub(crate) fn filter_of_all(&self) -> String {
        let levels = self.0.split('/').map(|level| match places(level).any(|place| place != '%') {
            true => "+".to_owned(),
            false => fill(level, "", ""),
        });
        levels.collect::<Vec<_>>().join("/")
    }

    /// The Topic Filter that matches all topics of Client `client`.
    pub(crate) fn filter_of(&self, client: usize) -> String {
        let number = client.to_string();
        let levels = self.0.split('/').map(|level| match places(level).any(|place| place == 't') {
            true => "+".to_owned(),
            false => fill(level, &number, ""),
        });
        levels.collect::<Vec<_>>().join("/")
    }

    /// Whether Clients have different topics.
    pub(crate) fn has_client(&self) -> bool {
        places(&self.0).any(|place| place == 'i')
    }
}

/// Fills a pattern of Topic Filters for Client `client`.
///
/// # Errors
/// A Topic Filter that is none.
pub(crate) fn filter(text: &str, client: usize) -> Result<String, Failure> {
    let filter = fill(text, &client.to_string(), "0");
    match TopicFilter::parse(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(Failure::new(format!("the Topic Filter {filter:?} {error}; give another with -t"))),
    }
}

/// The letters behind percent signs.
fn places(text: &str) -> impl Iterator<Item = char> + '_ {
    let mut characters = text.chars();
    std::iter::from_fn(move || {
        characters.by_ref().find(|character| *character == '%')?;
        characters.next()
    })
}

fn fill(text: &str, client: &str, topic: &str) -> String {
    let mut filled = String::with_capacity(text.len() + 8);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '%' { characters.next() } else { None }) {
            ('%', Some('i')) => filled.push_str(client),
            ('%', Some('t')) => filled.push_str(topic),
            ('%', Some(other)) => filled.push(other),
            (other, _) => filled.push(other),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_put_in_their_places() {
        let pattern = Pattern::parse("a/%i/100%%/t%t", 3).unwrap();
        assert_eq!(pattern.name(7, 2), "a/7/100%/t2");
        assert_eq!(pattern.filter_of_all(), "a/+/100%/+");
        assert_eq!(pattern.filter_of(7), "a/7/100%/+");
        assert_eq!(Pattern::parse("a/%i", 2).unwrap().name(1, 1), "a/1/1");
        assert_eq!(Pattern::parse("a/%i", 1).unwrap().filter_of(1), "a/1");
        assert!(Pattern::parse("a/%i", 1).unwrap().has_client());
        assert!(!Pattern::parse("a/%%i", 1).unwrap().has_client());
    }

    #[test]
    fn mistakes_say_what_was_expected() {
        assert!(Pattern::parse("a/%x", 1).unwrap_err().message.contains("%i for the number"));
        assert!(Pattern::parse("a/%", 1).is_err());
        assert!(Pattern::parse("a/+", 1).unwrap_err().message.contains("a/+"));
        assert!(filter("a/#/b", 0).unwrap_err().message.contains("Topic Filter"));
        assert_eq!(filter("$share/g/a/%i/#", 4).unwrap(), "$share/g/a/4/#");
    }
}
