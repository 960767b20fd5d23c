//! What a finding is about, in words.

use std::fmt::{self, Write};

use dunlin_broker::records::{content::BodyContent, key::Key, record::Record, traces::Traces};

/// What a record is about; `client_id` is that of its Session, if it is known.
pub(super) fn about(key: &[u8], client_id: Option<&str>, traces: &Traces) -> String {
    let whose = match client_id {
        Some(client_id) => format!("the Client `{client_id}`"),
        None => "a Client that is not known".to_owned(),
    };
    let mut words = match Key::decode(key) {
        None => return format!("a record of no known kind, {}", key_words(key)),
        Some(Key::Fact(name)) => format!("the fact `{name}`"),
        Some(Key::Session(owner)) => match &traces.client_id {
            Some(client_id) => format!("the Session of the Client `{client_id}`"),
            None => format!("a Session whose Client is not known (slot {}, id {})", owner.slot, owner.uid),
        },
        Some(Key::Subscription(_, filter)) => format!("the Subscription of {whose} to `{filter}`"),
        Some(Key::Will(_)) => format!("the Will of {whose}"),
        Some(Key::Message(..)) => format!("a message in the queue of {whose}"),
        Some(Key::InFlight(_, packet_id)) => {
            format!("the Packet Identifier {} in flight to {whose}", packet_id.value())
        }
        Some(Key::Received(_, packet_id)) => {
            format!("the Packet Identifier {} received from {whose}", packet_id.value())
        }
        Some(Key::Retained(..)) => "the Retained Message".to_owned(),
        Some(Key::Body(..)) => "a message that several Sessions share".to_owned(),
        Some(Key::Transit { from, to, .. }) => {
            format!("a message on its way from shard {} to shard {}", from.0, to.0)
        }
    };
    if let Some(topic_name) = &traces.topic_name {
        write!(words, ", topic `{topic_name}`").expect("a String takes everything");
    }
    words
}

/// A key as it is.
pub(super) fn key_words(key: &[u8]) -> String {
    let shown = &key[..key.len().min(KEY_SHOWN)];
    let dots = if shown.len() < key.len() { "..." } else { "" };
    format!("key `{}{dots}`", shown.escape_ascii())
}

/// Bytes of a key that are shown.
const KEY_SHOWN: usize = 40;

/// What goes with a Session.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// The first of them.
    filters: Vec<String>,
    subscriptions: u64,
    will: Option<String>,
    messages: u64,
    bytes: u64,
    identifiers: u64,
}

/// So many Topic Filters are told.
const FILTERS_SHOWN: usize = 100;

impl Lost {
    pub(super) fn add(&mut self, record: &Record<'_>) {
        match record {
            Record::Subscription(_, filter, _) => {
                self.subscriptions += 1;
                if self.filters.len() < FILTERS_SHOWN {
                    self.filters.push((*filter).to_owned());
                }
            }
            Record::Will(_, will) => self.will = Some(will.message.topic_name().as_str().to_owned()),
            Record::Message(_, _, content) => {
                self.messages += 1;
                self.bytes += match &content.body {
                    BodyContent::Inside(message) => message.size() as u64,
                    BodyContent::Shared { size } => u64::from(*size),
                };
            }
            _ => self.identifiers += 1,
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lost with it: ")?;
        let mut parts = Vec::new();
        if self.subscriptions > 0 {
            let filters: Vec<_> = self.filters.iter().map(|filter| format!("`{filter}`")).collect();
            let more = match self.subscriptions - self.filters.len() as u64 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            parts.push(format!(
                "{} to {}{more}",
                count(self.subscriptions, "Subscription"),
                filters.join(", ")
            ));
        }
        if self.messages > 0 {
            parts.push(format!("{} ({} bytes)", count(self.messages, "message"), self.bytes));
        }
        if let Some(topic_name) = &self.will {
            parts.push(format!("the Will for `{topic_name}`"));
        }
        if self.identifiers > 0 {
            parts.push(count(self.identifiers, "Packet Identifier"));
        }
        f.write_str(&parts.join("; "))
    }
}

fn count(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
