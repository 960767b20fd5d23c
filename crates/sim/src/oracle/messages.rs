//! Application Messages that the broker has accepted, each with the window in which its receivers were chosen.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    rc::Rc,
};

use dunlin_packet::{
    property::{list::PropertyList, value::Property},
    qos::QoS,
};

use crate::oracle::words::{Moment, Tick};

/// What makes a message recognisable wherever it turns up.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MessageKey {
    /// The number that its payload begins with.
    Numbered(u64),
    /// An empty payload on this Topic Name: all of these are alike.
    Empty(Rc<str>),
}

impl MessageKey {
    /// Recognises a message; `None` if it is none that a simulated Client sends.
    #[must_use]
    pub fn of(topic: &str, payload: &[u8]) -> Option<Self> {
        if payload.is_empty() {
            return Some(Self::Empty(topic.into()));
        }
        let digits = payload.strip_prefix(b"m")?.split(|byte| *byte == b'.').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok().map(Self::Numbered)
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered(number) => write!(f, "m{number}"),
            Self::Empty(topic) => write!(f, "empty@{topic}"),
        }
    }
}

/// The Properties that the broker forwards unaltered, in a form that compares: User Properties keep their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forwarded(Vec<u8>);

impl Forwarded {
    /// Takes those Properties of `list` that are forwarded.
    #[must_use]
    pub fn of(list: &PropertyList<'_>) -> Self {
        let is_forwarded = |property: &Property<'_>| {
            matches!(
                property,
                Property::PayloadFormatIndicator(_)
                    | Property::ContentType(_)
                    | Property::ResponseTopic(_)
                    | Property::CorrelationData(_)
                    | Property::UserProperty(..)
            )
        };
        let mut properties: Vec<_> = list.iter().filter(is_forwarded).collect();
        // Only User Properties come more than once, and this sort keeps the order of equals.
        properties.sort_by_key(|property| property.id());
        let mut bytes = Vec::new();
        for property in properties {
            property.encode(&mut bytes).expect("a Property that was in a packet fits into memory");
        }
        Self(bytes)
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One PUBLISH that the broker took over, or one Will that it published.
#[derive(Clone, Debug)]
pub struct Accept {
    /// Which message.
    pub key: MessageKey,
    /// The Client Identifier of the publisher.
    pub publisher: Rc<str>,
    /// The publisher's home.
    pub shard: usize,
    /// When.
    pub at: Moment,
    /// The Topic Name.
    pub topic: Rc<str>,
    /// The QoS it was published with.
    pub qos: QoS,
    /// Whether it was published with RETAIN.
    pub retain: bool,
    /// When it expires, in milliseconds of virtual time.
    pub expires_at_ms: Option<u64>,
    /// The Message Expiry Interval it came with, in seconds.
    pub expiry_s: Option<u32>,
    /// The payload.
    pub payload: Rc<[u8]>,
    /// The Properties.
    pub properties: Forwarded,
    /// Whether the broker must have it; if not, it may.
    pub is_sure: bool,
    /// Its publisher has been told that the broker has it.
    pub is_acknowledged: bool,
    /// The broker refused it after all.
    pub is_refused: bool,
    /// For each shard, when its receivers were chosen at the latest.
    pub settled: Vec<Option<Tick>>,
    /// The call of the broker in which it was published, if it is a Will: Wills of one call come in any order.
    pub will_call: Option<u64>,
    /// When no mail was under way for the last time before.
    pub quiet_before: Tick,
    /// When no mail was under way any more for the first time.
    pub quiet: Option<Tick>,
}

impl Accept {
    /// Until when the receivers in `shard` may have been chosen.
    #[must_use]
    pub fn settled_in(&self, shard: usize) -> Tick {
        self.settled.get(shard).copied().flatten().unwrap_or(Tick::MAX)
    }

    /// Whether it has expired. [MQTT-3.3.2-5]
    #[must_use]
    pub fn has_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }

    /// Whether a delivery with this content may be one of this message.
    #[must_use]
    pub fn has_content(&self, topic: &str, payload: &[u8], properties: Option<&Forwarded>) -> bool {
        *self.topic == *topic
            && *self.payload == *payload
            && properties.is_none_or(|properties| *properties == self.properties)
    }
}

/// All accepted messages in the order of acceptance.
#[derive(Clone, Debug)]
pub struct Messages {
    accepts: Vec<Accept>,
    by_key: BTreeMap<MessageKey, Vec<usize>>,
    /// By shard: accepted in its turn, and the turn's mail is not sent yet.
    unsent: Vec<Vec<usize>>,
    /// By shard: settled there when it has handled so many letters.
    waiting: Vec<VecDeque<(u64, usize)>>,
    /// Mail may still be under way for these.
    unquiet: Vec<usize>,
    last_quiet: Tick,
}

impl Messages {
    /// None so far, with `shards` shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self {
            accepts: Vec::new(),
            by_key: BTreeMap::new(),
            unsent: vec![Vec::new(); shards],
            waiting: vec![VecDeque::new(); shards],
            unquiet: Vec::new(),
            last_quiet: 0,
        }
    }

    /// Adds one and returns its number. Its receivers in the publisher's own shard are chosen at once.
    pub fn accept(&mut self, mut accept: Accept) -> usize {
        let number = self.accepts.len();
        accept.quiet_before = self.last_quiet;
        accept.settled = vec![None; self.unsent.len()];
        accept.settled[accept.shard] = Some(accept.at.tick);
        self.unsent[accept.shard].push(number);
        self.unquiet.push(number);
        self.by_key.entry(accept.key.clone()).or_default().push(number);
        self.accepts.push(accept);
        number
    }

    /// The one with this number.
    #[must_use]
    pub fn get(&self, number: usize) -> &Accept {
        &self.accepts[number]
    }

    /// Says that the broker refused it, or that it has it for sure.
    pub fn answer(&mut self, number: usize, is_refused: bool) {
        self.accepts[number].is_refused = is_refused;
        self.accepts[number].is_sure |= !is_refused;
        self.accepts[number].is_acknowledged |= !is_refused;
    }

    /// The numbers of all with this key that were not refused.
    pub fn with_key<'a>(&'a self, key: &MessageKey) -> impl Iterator<Item = usize> + use<'a> {
        let numbers = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        numbers.iter().copied().filter(|&number| !self.accepts[number].is_refused)
    }

    /// How many have been accepted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accepts.len()
    }

    /// Whether none has been accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accepts.is_empty()
    }

    /// A shard has sent its mail: `sent[b]` letters have gone to shard `b` in all.
    pub fn flushed(&mut self, shard: usize, sent: &[u64]) {
        let numbers = std::mem::take(&mut self.unsent[shard]);
        for (target, waiting) in self.waiting.iter_mut().enumerate().filter(|(target, _)| *target != shard) {
            waiting.extend(numbers.iter().map(|&number| (sent[target], number)));
        }
    }

    /// A shard has handled `handled` letters in all; returns the messages whose receivers there are chosen now.
    pub fn handled(&mut self, shard: usize, handled: u64, tick: Tick) -> Vec<usize> {
        let mut settled = Vec::new();
        while let Some(&(letters, number)) = self.waiting[shard].front()
            && letters <= handled
        {
            self.waiting[shard].pop_front();
            self.accepts[number].settled[shard] = Some(tick);
            settled.push(number);
        }
        settled
    }

    /// After a crash nothing is under way any more: what was promised is handled now, the rest is lost. Returns messages
    /// and shards in which their receivers are chosen now.
    pub fn settle_all(&mut self, tick: Tick) -> Vec<(usize, usize)> {
        self.unsent.iter_mut().for_each(Vec::clear);
        self.waiting.iter_mut().for_each(VecDeque::clear);
        let mut settled = Vec::new();
        for (number, accept) in self.accepts.iter_mut().enumerate() {
            for (shard, at) in accept.settled.iter_mut().enumerate().filter(|(_, at)| at.is_none()) {
                *at = Some(tick);
                accept.is_sure &= accept.qos > QoS::AtMostOnce;
                settled.push((number, shard));
            }
        }
        self.quiet(tick);
        settled
    }

    /// From now on there are so many shards; nothing is under way. Which of the old ones was the home of a Session is not
    /// looked at any more.
    pub fn reshard(&mut self, shards: usize) {
        self.unsent = vec![Vec::new(); shards];
        self.waiting = vec![VecDeque::new(); shards];
        for accept in &mut self.accepts {
            let last = accept.settled.iter().copied().max().flatten();
            accept.settled = vec![last; shards];
        }
    }

    /// No mail is under way.
    pub fn quiet(&mut self, tick: Tick) {
        self.last_quiet = tick;
        for number in self.unquiet.drain(..) {
            self.accepts[number].quiet = Some(tick);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_known_by_their_number() {
        assert_eq!(MessageKey::of("a", b"m12.xyz"), Some(MessageKey::Numbered(12)));
        assert_eq!(MessageKey::of("a", b"m7"), Some(MessageKey::Numbered(7)));
        assert_eq!(MessageKey::of("a", b""), Some(MessageKey::Empty("a".into())));
        assert_eq!(MessageKey::of("a", b"x"), None);
    }
}
