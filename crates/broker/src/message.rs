//! An Application Message, kept once and shared by all that need it.

use std::{fmt, ops::Range};

use dunlin_packet::{publish::PublishLayout, qos::QoS, topic::name::TopicName};
use dunlin_protocol::time::Instant;
use triomphe::ThinArc;

use crate::retained::HasTopic;

/// A shared, immutable Application Message; a handle is one pointer.
///
/// It holds the Topic Name, the Properties that are forwarded unaltered (still encoded, in order), and the payload. Topic
/// Alias and Message Expiry Interval are not among the Properties: the first is resolved [MQTT-3.3.2-7], the second is a
/// point in time here.
#[derive(Clone)]
pub struct Message(ThinArc<Header, u8>);

#[derive(Clone, Copy, Debug)]
struct Header {
    publisher: u64,
    expires_at_ms: u64,
    /// The Properties end where it starts.
    payload_start: u32,
    properties_len: u32,
    topic_len: u16,
    topic_start: u8,
    qos: QoS,
    retain: bool,
}

/// What a [`Message`] says beside topic, Properties and payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageFacts {
    /// The QoS it was published with.
    pub qos: QoS,
    /// Whether it was published with RETAIN.
    pub retain: bool,
    /// When it expires (3.3.2.3.3); `None` is never.
    pub expires_at: Option<Instant>,
    /// Who published it: [`publisher_key`] of the Client Identifier; 0 for the Server itself.
    pub publisher: u64,
}

/// Returns the key by which a publisher is recognised (No Local, 3.8.3.1): a hash of its Client Identifier, never 0.
#[must_use]
pub fn publisher_key(client_id: &str) -> u64 {
    use std::hash::BuildHasher;
    foldhash::quality::FixedState::with_seed(0x6475_6e6c_696e).hash_one(client_id) | 1
}

impl Message {
    /// Keeps a PUBLISH whose Properties can be forwarded as they came: its body is copied once.
    ///
    /// `layout` must be that of `body`, and the topic must be in it.
    #[must_use]
    pub fn from_body(body: &[u8], layout: &PublishLayout, facts: MessageFacts) -> Self {
        let header = Header {
            publisher: facts.publisher,
            expires_at_ms: facts.expires_at.map_or(0, Instant::as_ms),
            payload_start: layout.payload_start,
            properties_len: layout.properties.len,
            topic_len: layout.topic.len as u16,
            topic_start: layout.topic.start as u8,
            qos: facts.qos,
            retain: facts.retain,
        };
        debug_assert!(layout.topic.start < 256 && layout.properties.end() == layout.payload_start);
        Self(ThinArc::from_header_and_slice(header, body))
    }

    /// Keeps a message given in parts; `properties` are encoded, without Topic Alias and Message Expiry Interval.
    #[must_use]
    pub fn from_parts(
        topic_name: TopicName<'_>,
        properties: &[u8],
        payload: &[u8],
        facts: MessageFacts,
    ) -> Self {
        let topic = topic_name.as_str().as_bytes();
        let mut body = Vec::with_capacity(topic.len() + properties.len() + payload.len());
        body.extend_from_slice(topic);
        body.extend_from_slice(properties);
        body.extend_from_slice(payload);
        let header = Header {
            publisher: facts.publisher,
            expires_at_ms: facts.expires_at.map_or(0, Instant::as_ms),
            payload_start: (topic.len() + properties.len()) as u32,
            properties_len: properties.len() as u32,
            topic_len: topic.len() as u16,
            topic_start: 0,
            qos: facts.qos,
            retain: facts.retain,
        };
        Self(ThinArc::from_header_and_slice(header, &body))
    }

    /// Keeps a message as it stands in a record: its topic, four bytes that are the length of its Properties, these, and its
    /// payload. It is copied once.
    pub(crate) fn from_record(
        body: &[u8],
        topic_name: TopicName<'_>,
        properties: &[u8],
        facts: MessageFacts,
    ) -> Self {
        let topic_len = topic_name.as_str().len();
        let header = Header {
            publisher: facts.publisher,
            expires_at_ms: facts.expires_at.map_or(0, Instant::as_ms),
            payload_start: (topic_len + RECORD_GAP + properties.len()) as u32,
            properties_len: properties.len() as u32,
            topic_len: topic_len as u16,
            topic_start: 0,
            qos: facts.qos,
            retain: facts.retain,
        };
        Self(ThinArc::from_header_and_slice(header, body))
    }

    fn bytes(&self, start: u32, len: u32) -> &[u8] {
        let range: Range<usize> = start as usize..start as usize + len as usize;
        &self.0.slice[range]
    }

    /// The Topic Name.
    #[must_use]
    pub fn topic_name(&self) -> TopicName<'_> {
        TopicName::parse(self.topic()).expect("it came from a Topic Name")
    }

    /// The encoded Properties that are forwarded unaltered.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        let header = &self.0.header.header;
        self.bytes(header.payload_start - header.properties_len, header.properties_len)
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.slice[self.0.header.header.payload_start as usize..]
    }

    /// QoS, RETAIN, expiry and publisher.
    #[must_use]
    pub fn facts(&self) -> MessageFacts {
        let header = &self.0.header.header;
        MessageFacts {
            qos: header.qos,
            retain: header.retain,
            expires_at: (header.expires_at_ms != 0).then(|| Instant::from_ms(header.expires_at_ms)),
            publisher: header.publisher,
        }
    }

    /// Whether both are handles to one and the same message.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }

    /// Whether it has expired. [MQTT-3.3.2-5]
    #[must_use]
    pub fn has_expired(&self, now: Instant) -> bool {
        let expires_at_ms = self.0.header.header.expires_at_ms;
        expires_at_ms != 0 && expires_at_ms <= now.as_ms()
    }

    /// Bytes of topic, Properties and payload, for the limits of queues and tables.
    #[must_use]
    pub fn size(&self) -> usize {
        let Header { topic_len, properties_len, payload_start, .. } = self.0.header.header;
        usize::from(topic_len) + properties_len as usize + self.0.slice.len() - payload_start as usize
    }
}

/// Bytes between topic and Properties in a record.
const RECORD_GAP: usize = 4;

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic_name", &self.topic_name())
            .field("facts", &self.facts())
            .field("payload_bytes", &self.payload().len())
            .finish()
    }
}

/// What is forwarded of an Application Message, borrowed from a packet or a [`Message`].
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The Topic Name.
    pub topic_name: TopicName<'a>,
    /// The encoded Properties that are forwarded unaltered.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// QoS, RETAIN, expiry and publisher.
    pub facts: MessageFacts,
}

impl View<'_> {
    /// Bytes of topic, Properties and payload.
    #[must_use]
    pub fn size(&self) -> usize {
        self.topic_name.as_str().len() + self.properties.len() + self.payload.len()
    }
}

impl Message {
    /// Borrows all of it.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View {
            topic_name: self.topic_name(),
            properties: self.properties(),
            payload: self.payload(),
            facts: self.facts(),
        }
    }
}

impl HasTopic for Message {
    fn topic(&self) -> &str {
        std::str::from_utf8(self.topic_bytes()).expect("it came from a Topic Name")
    }

    fn topic_bytes(&self) -> &[u8] {
        let header = &self.0.header.header;
        self.bytes(u32::from(header.topic_start), u32::from(header.topic_len))
    }
}
