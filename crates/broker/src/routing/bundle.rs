//! Small messages on their way to another shard, packed behind each other: no memory of its own for each.

use dunlin_packet::{
    publish::{PublishLayout, Span},
    qos::QoS,
    topic::name::TopicName,
};
use dunlin_protocol::time::Instant;

use crate::{
    message::{MessageFacts, View},
    publication::Publication,
};

/// Messages in a row for the Subscriptions of one shard.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// For each message a head of fixed length, then topic, Properties and payload.
    bytes: Vec<u8>,
    count: u32,
}

/// What stands before the parts of a message.
struct Head {
    facts: MessageFacts,
    topic_len: u16,
    properties_len: u16,
    payload_len: u16,
}

impl Bundle {
    /// An empty one with room for as much as there may be, in the memory of a `spare` one if there is one.
    pub(crate) fn large(spare: Option<Self>) -> Self {
        spare.unwrap_or_else(|| Self { bytes: Vec::with_capacity(BUNDLE_BYTES_MAX), count: 0 })
    }

    /// Keeps the memory of a large one among `spares`.
    pub(crate) fn retire(mut self, spares: &mut Vec<Self>) {
        if self.bytes.capacity() == BUNDLE_BYTES_MAX && spares.len() < SPARES_MAX {
            self.bytes.clear();
            self.count = 0;
            spares.push(self);
        }
    }

    /// Whether a message is small enough for an empty one.
    pub(crate) fn takes(view: &View<'_>) -> bool {
        view.size() <= MESSAGE_BYTES_MAX
    }

    /// Adds a message, if it is small and there is room for it.
    pub(crate) fn add(&mut self, view: &View<'_>) -> bool {
        let size = view.size();
        if !Self::takes(view) || self.bytes.len() + HEAD_BYTES + size > BUNDLE_BYTES_MAX {
            return false;
        }
        let topic = view.topic_name.as_str().as_bytes();
        let head = Head {
            facts: view.facts,
            topic_len: topic.len() as u16,
            properties_len: view.properties.len() as u16,
            payload_len: view.payload.len() as u16,
        };
        self.bytes.extend_from_slice(&head.encode());
        self.bytes.extend_from_slice(topic);
        self.bytes.extend_from_slice(view.properties);
        self.bytes.extend_from_slice(view.payload);
        self.count += 1;
        true
    }

    /// How many messages there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of all of them.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The messages, in the order in which they were added.
    pub(crate) fn publications(&self) -> impl Iterator<Item = Publication<'_>> {
        let mut rest = &*self.bytes;
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_first_chunk::<HEAD_BYTES>()?;
            let head = Head::decode(head);
            let (body, behind) = behind.split_at(head.body_len());
            rest = behind;
            Some(head.publication(body))
        })
    }
}

impl Head {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..8].copy_from_slice(&self.facts.publisher.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.facts.expires_at.map_or(0, Instant::as_ms).to_le_bytes());
        bytes[16..18].copy_from_slice(&self.topic_len.to_le_bytes());
        bytes[18..20].copy_from_slice(&self.properties_len.to_le_bytes());
        bytes[20..22].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[22] = self.facts.qos.value();
        bytes[23] = u8::from(self.facts.retain);
        bytes
    }

    fn decode(bytes: &[u8; HEAD_BYTES]) -> Self {
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let facts = MessageFacts {
            publisher: long(0),
            expires_at: Some(long(8)).filter(|&ms| ms != 0).map(Instant::from_ms),
            qos: QoS::from_value(bytes[22]).expect("it came from a QoS"),
            retain: bytes[23] != 0,
        };
        Self { facts, topic_len: short(16), properties_len: short(18), payload_len: short(20) }
    }

    fn body_len(&self) -> usize {
        usize::from(self.topic_len) + usize::from(self.properties_len) + usize::from(self.payload_len)
    }

    fn publication<'a>(&self, body: &'a [u8]) -> Publication<'a> {
        let topic = Span { start: 0, len: u32::from(self.topic_len) };
        let properties = Span { start: topic.end(), len: u32::from(self.properties_len) };
        let layout = PublishLayout { topic, properties, payload_start: properties.end() };
        let text = std::str::from_utf8(topic.of(body)).expect("it came from a Topic Name");
        let view = View {
            topic_name: TopicName::parse(text).expect("it came from a Topic Name"),
            properties: properties.of(body),
            payload: &body[layout.payload_start as usize..],
            facts: self.facts,
        };
        Publication::of_body(view, body, layout)
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.publications().map(|publication| publication.view)).finish()
    }
}

/// Bytes of the largest message that is packed; a larger one is shared instead of copied.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// Bytes of a bundle: whoever handles it looks at the clock between two of them only.
const BUNDLE_BYTES_MAX: usize = 32 << 10;

/// Bundles whose memory is kept for the next ones.
const SPARES_MAX: usize = 16;

/// Bytes before the parts of a message.
const HEAD_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'a>(topic: &'a str, properties: &'a [u8], payload: &'a [u8], number: u64) -> View<'a> {
        let facts = MessageFacts {
            qos: QoS::from_value((number % 3) as u8).unwrap(),
            retain: number % 2 == 1,
            expires_at: (number > 5).then(|| Instant::from_ms(number)),
            publisher: number,
        };
        View { topic_name: TopicName::parse(topic).unwrap(), properties, payload, facts }
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let views = [
            view("a", b"", b"", 1),
            view("a/b", b"\x26\0\x01k\0\x01v", b"payload", 2),
            view("å", b"", &[0; 4_000], 77),
        ];
        let mut bundle = Bundle::default();
        assert!(views.iter().all(|view| bundle.add(view)));
        assert_eq!(bundle.count(), 3);
        let all: Vec<_> = bundle.publications().collect();
        assert_eq!(all.len(), 3);
        for (publication, view) in all.iter().zip(&views) {
            assert_eq!(publication.view.topic_name, view.topic_name);
            assert_eq!(publication.view.properties, view.properties);
            assert_eq!(publication.view.payload, view.payload);
            assert_eq!(publication.view.facts, view.facts);
        }
    }

    #[test]
    fn a_message_kept_from_a_bundle_is_the_same() {
        let view = view("a/b", b"\x01\x01", b"payload", 8);
        let mut bundle = Bundle::default();
        assert!(bundle.add(&view));
        let message = bundle.publications().next().unwrap().keep();
        assert_eq!((message.topic_name(), message.properties()), (view.topic_name, view.properties));
        assert_eq!((message.payload(), message.facts()), (view.payload, view.facts));
    }

    #[test]
    fn it_is_bounded() {
        let mut bundle = Bundle::default();
        assert!(!bundle.add(&view("a", b"", &[0; MESSAGE_BYTES_MAX], 1)), "large ones are shared");
        while bundle.add(&view("a", b"", &[0; 100], 1)) {}
        assert!(bundle.size() <= BUNDLE_BYTES_MAX && bundle.size() > BUNDLE_BYTES_MAX - 200);
        assert_eq!(bundle.publications().count(), bundle.count() as usize);
    }
}
