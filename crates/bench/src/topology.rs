//! Who publishes what, and who is to get it.

use std::sync::Arc;

use crate::failure::Failure;
use crate::pattern::{self, Pattern};
use crate::wire::STREAMS_MAX;

/// Publishers, subscribers, and how often each message is delivered.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    /// The topics of each publisher, which it takes in turn.
    pub(crate) publishers: Vec<Arc<[String]>>,
    pub(crate) subscribers: Vec<Subscriber>,
    /// Deliveries of each message: 0 if nobody here subscribes.
    pub(crate) fan: u32,
    pub(crate) numbering: Numbering,
    /// Whether a subscriber gets all messages of its publishers, so that it sees what is missing. If not, only the sum
    /// of all subscribers tells.
    pub(crate) gets_all: bool,
}

/// One subscriber.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) filters: Vec<String>,
    /// Its publishers: so many from `first` on.
    pub(crate) first: usize,
    pub(crate) count: usize,
}

/// What the messages' numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The messages of one publisher to one topic. The order of these is promised (4.6).
    ByTopic,
    /// All messages of one publisher, whose topics are taken in an order that no cache likes. Topics may overtake each
    /// other.
    ByPublisher,
}

impl Topology {
    /// `count` publishers and subscribers, each two with topics of their own.
    ///
    /// # Errors
    /// Those of [`Pattern::parse`]; a pattern that is the same for all; too many streams.
    pub(crate) fn pairs(count: usize, pattern: &str, topics: usize) -> Result<Self, Failure> {
        let pattern = Pattern::parse(pattern, topics)?;
        if count > 1 && !pattern.has_client() {
            return Err(Failure::new(
                "pairs have topics of their own; give -t a pattern with %i, such as bench/%i",
            ));
        }
        let subscribers = (0..count)
            .map(|number| Subscriber { filters: vec![pattern.filter_of(number)], first: number, count: 1 })
            .collect();
        Self::new(publishers(count, &pattern, topics), subscribers, 1)
    }

    /// `count` publishers whose messages all go to each of `subscribers`.
    ///
    /// # Errors
    /// Those of [`Pattern::parse`]; too many streams.
    pub(crate) fn all_to_all(
        count: usize,
        subscribers: usize,
        pattern: &str,
        topics: usize,
    ) -> Result<Self, Failure> {
        let pattern = Pattern::parse(pattern, topics)?;
        let filters = vec![pattern.filter_of_all()];
        let fan = u32::try_from(subscribers).unwrap_or(u32::MAX);
        let subscribers = vec![Subscriber { filters, first: 0, count }; subscribers];
        Self::new(publishers(count, &pattern, topics), subscribers, fan)
    }

    /// `count` publishers whose messages are shared out among `members` of one group.
    ///
    /// # Errors
    /// Those of [`Pattern::parse`]; too many streams.
    pub(crate) fn shared(
        count: usize,
        members: usize,
        pattern: &str,
        topics: usize,
        group: &str,
    ) -> Result<Self, Failure> {
        let pattern = Pattern::parse(pattern, topics)?;
        let shared = pattern::filter(&format!("$share/{group}/{}", pattern.filter_of_all()), 0)?;
        let subscribers = vec![Subscriber { filters: vec![shared], first: 0, count }; members];
        Ok(Self { gets_all: false, ..Self::new(publishers(count, &pattern, topics), subscribers, 1)? })
    }

    /// `count` publishers that nobody here listens to.
    ///
    /// # Errors
    /// Those of [`Pattern::parse`]; too many streams.
    pub(crate) fn publishers(count: usize, pattern: &str, topics: usize) -> Result<Self, Failure> {
        let pattern = Pattern::parse(pattern, topics)?;
        Self::new(publishers(count, &pattern, topics), Vec::new(), 0)
    }

    /// `filters` Topic Filters over `connections` subscribers, a third each exact, with `+` and with `#`; each message of
    /// `count` publishers matches `hits` (1 or 10) of them.
    pub(crate) fn matching(filters: usize, connections: usize, hits: usize, count: usize) -> Self {
        let mut of_connection = vec![Vec::new(); connections];
        let mut topics = Vec::new();
        for number in 0..filters / hits {
            let (matched, topic) = if hits == 1 { one_filter(number) } else { ten_filters(number) };
            for (at, filter) in matched.into_iter().enumerate() {
                of_connection[(number * hits + at) % connections].push(filter);
            }
            topics.push(topic);
        }
        // Enough topics that no cache holds them, and few enough for the memory of this machine.
        let step = topics.len().div_ceil(TOPICS_TRIED).max(1);
        let tried: Arc<[String]> = topics.into_iter().step_by(step).collect();
        let subscribers = of_connection.into_iter();
        Self {
            publishers: vec![tried; count],
            subscribers: subscribers.map(|filters| Subscriber { filters, first: 0, count }).collect(),
            fan: hits as u32,
            numbering: Numbering::ByPublisher,
            gets_all: false,
        }
    }

    fn new(publishers: Vec<Arc<[String]>>, subscribers: Vec<Subscriber>, fan: u32) -> Result<Self, Failure> {
        let streams = publishers.iter().map(|topics| topics.len()).sum::<usize>();
        if streams > STREAMS_MAX {
            return Err(Failure::new(format!(
                "{streams} topics of all publishers together are more than the {STREAMS_MAX} that can be told apart; give \
                 fewer publishers or a smaller --topics"
            )));
        }
        let numbering = Numbering::ByTopic;
        Ok(Self { publishers, subscribers, fan, numbering, gets_all: true })
    }

    /// The numbers of those of `count` Clients that belong to `thread` of `threads`.
    pub(crate) fn part(count: usize, thread: usize, threads: usize) -> impl Iterator<Item = usize> {
        (thread..count).step_by(threads)
    }
}

fn publishers(count: usize, pattern: &Pattern, topics: usize) -> Vec<Arc<[String]>> {
    (0..count).map(|client| (0..topics).map(|topic| pattern.name(client, topic)).collect()).collect()
}

/// Topics of which a publisher takes one after the other.
const TOPICS_TRIED: usize = 65_536;

/// A filter, and a topic that only it matches.
fn one_filter(number: usize) -> (Vec<String>, String) {
    let (above, below) = (number / 1_000, number % 1_000);
    let start = format!("bench/m{above}");
    let (filter, topic) = match number % 3 {
        0 => (format!("{start}/k{below}/x"), format!("{start}/k{below}/x")),
        1 => (format!("{start}/+/v{below}"), format!("{start}/any/v{below}")),
        _ => (format!("{start}/h{below}/#"), format!("{start}/h{below}/deep/er")),
    };
    (vec![filter], topic)
}

/// Ten filters, and a topic that they all match.
fn ten_filters(number: usize) -> (Vec<String>, String) {
    let start = format!("bench/m{}/g{}", number / 1_000, number % 1_000);
    let ends = ["c/d", "+/d", "c/+", "+/+", "#", "c/#", "+/#", "c/d/#", "+/d/#", "c/+/#"];
    (ends.iter().map(|end| format!("{start}/{end}")).collect(), format!("{start}/c/d"))
}

#[cfg(test)]
mod tests {
    use dunlin_packet::topic::matching::matches;

    use super::*;

    /// How many of all filters match each topic.
    fn hits(topology: &Topology) -> Vec<usize> {
        let filters: Vec<&String> =
            topology.subscribers.iter().flat_map(|subscriber| &subscriber.filters).collect();
        let topics = topology.publishers[0].iter();
        topics.map(|topic| filters.iter().filter(|filter| matches(filter, topic)).count()).collect()
    }

    #[test]
    fn each_topic_matches_as_many_filters_as_asked() {
        assert!(hits(&Topology::matching(300, 7, 1, 2)).iter().all(|hits| *hits == 1));
        let ten = hits(&Topology::matching(300, 20, 10, 2));
        assert!(ten.len() == 30 && ten.iter().all(|hits| *hits == 10));
    }

    #[test]
    fn filters_match_the_topics_of_their_publishers() {
        let all = Topology::all_to_all(3, 2, "a/%i/b%t", 2).unwrap();
        assert_eq!(all.fan, 2);
        assert!(hits(&all).iter().all(|hits| *hits == 2));
        let pairs = Topology::pairs(3, "a/%i", 2).unwrap();
        assert_eq!(hits(&pairs), [1, 1]);
        assert!(Topology::pairs(2, "a", 1).unwrap_err().message.contains("%i"));
        assert!(Topology::pairs(2_000, "a/%i", 1_000).unwrap_err().message.contains("1048576"));
    }

    #[test]
    fn threads_have_all_clients_between_them() {
        let mut all: Vec<usize> = (0..3).flat_map(|thread| Topology::part(10, thread, 3)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }
}
