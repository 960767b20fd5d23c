//! What waits for one Session, in order.

use std::{collections::VecDeque, num::NonZeroU32};

use dunlin_packet::qos::QoS;
use dunlin_protocol::time::Instant;
use triomphe::ThinArc;

use crate::{message::Message, routing::group_mail::GroupName};

/// The Subscription Identifiers that go with a message, as compact as they are rare (3.3.2.3.8).
#[derive(Clone, Debug, Default)]
pub(crate) enum Identifiers {
    #[default]
    None,
    One(NonZeroU32),
    Many(ThinArc<(), NonZeroU32>),
}

impl Identifiers {
    pub(crate) fn as_slice(&self) -> &[NonZeroU32] {
        match self {
            Self::None => &[],
            Self::One(identifier) => std::slice::from_ref(identifier),
            Self::Many(identifiers) => &identifiers.slice,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(crate) fn add(&mut self, identifier: Option<NonZeroU32>) {
        let Some(identifier) = identifier else { return };
        *self = match self {
            Self::None => Self::One(identifier),
            Self::One(first) => Self::Many(ThinArc::from_header_and_slice((), &[*first, identifier])),
            Self::Many(all) => {
                let mut longer = all.slice.to_vec();
                longer.push(identifier);
                Self::Many(ThinArc::from_header_and_slice((), &longer))
            }
        };
    }
}

/// One message on its way to one Session: what the Subscriptions made of it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// The QoS to deliver with. [MQTT-3.8.4-8]
    pub(crate) qos: QoS,
    /// The RETAIN flag to deliver with (3.3.1.3).
    pub(crate) retain: bool,
    pub(crate) identifiers: Identifiers,
    /// The Shared Subscription it came by.
    pub(crate) group: Option<GroupName>,
    pub(crate) filed: Filed,
}

/// Whether and how a delivery stands in the records.
///
/// It lies closer than a `u64` would by itself: there is one for each message that waits.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed(4))]
pub(crate) struct Filed {
    /// Its place in the Session's queue; 0 if it has no record.
    pub(crate) number: u64,
    /// Whether its message is in a record that others share.
    pub(crate) is_shared: bool,
    /// Whether its Packet Identifier is in a record of its own.
    pub(crate) has_state: bool,
}

/// The Retained Messages that a Subscription called for, still to be sent (3.3.1.3).
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) messages: std::vec::IntoIter<Message>,
    /// The granted QoS.
    pub(crate) qos: QoS,
    pub(crate) identifiers: Identifiers,
}

/// A place in the queue.
#[derive(Debug)]
pub(crate) enum Waiting {
    Delivery(Delivery),
    Replay(Box<Replay>),
}

/// The end of a queue that is on the disk only.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
    /// Everything with this number or a greater one is meant.
    pub(crate) from: u64,
    /// Whether its beginning is being read.
    pub(crate) is_loading: bool,
    /// When its beginning could not be read, if that was the last attempt.
    pub(crate) failed_at: Option<Instant>,
    /// Messages that turned out to be damaged, and are counted nevertheless until all is read.
    pub(crate) lost: u32,
    /// Messages and bytes that were added since its beginning was asked for.
    behind: (u32, u64),
}

/// What waits for a Session: bounded in messages and bytes.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: u64,
    /// How often room was wanted since it was last looked for what has expired.
    calls_since_sweep: usize,
    /// What waits behind all others with QoS 1 and 2.
    tail: Option<Box<Tail>>,
    /// Replays among what waits: QoS 0 messages may not overtake them.
    replays: u32,
    /// QoS 0 deliveries among what waits: the next ones may not overtake them.
    at_most_once: u32,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.tail.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.tail.as_ref().map_or(0, |tail| tail.messages as usize)
    }

    /// How many wait in memory.
    pub(crate) fn len_in_memory(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of what waits in memory, as the limits count them.
    pub(crate) fn bytes_in_memory(&self) -> u64 {
        self.bytes
    }

    /// Messages and bytes that wait on the disk only.
    pub(crate) fn on_disk(&self) -> (u64, u64) {
        self.tail.as_ref().map_or((0, 0), |tail| (u64::from(tail.messages), tail.bytes))
    }

    pub(crate) fn tail(&mut self) -> Option<&mut Tail> {
        self.tail.as_deref_mut()
    }

    /// Whether a filed message of `size` bytes is to wait on the disk only.
    pub(crate) fn is_for_tail(&self, size: usize, memory_bytes_max: u64) -> bool {
        let in_memory = self.bytes + (self.waiting.len() * ENTRY_BYTES) as u64;
        self.tail.is_some() || (in_memory + size as u64 > memory_bytes_max && !self.waiting.is_empty())
    }

    /// Adds a message that is on the disk, behind all others.
    pub(crate) fn push_tail(&mut self, number: u64, size: u64) {
        let tail = self.tail.get_or_insert_with(|| Box::new(Tail { from: number, ..Tail::default() }));
        tail.messages += 1;
        tail.bytes += size;
        tail.behind = (tail.behind.0 + 1, tail.behind.1 + size);
    }

    /// Notes that the beginning of the tail is asked for.
    pub(crate) fn ask_tail(&mut self) {
        if let Some(tail) = &mut self.tail {
            (tail.is_loading, tail.behind) = (true, (0, 0));
        }
    }

    /// All of the tail that there was when it was asked for has been read: what is left came later. Returns how many
    /// messages were counted that are not there, and nobody knows why.
    pub(crate) fn end_tail(&mut self) -> u32 {
        let Some(tail) = &mut self.tail else { return 0 };
        let missing = tail.messages.saturating_sub(tail.behind.0);
        let unexplained = missing.saturating_sub(tail.lost);
        tail.messages -= missing;
        tail.lost -= tail.lost.min(missing);
        tail.bytes = tail.bytes.min(tail.behind.1);
        if tail.messages == 0 {
            self.tail = None;
        }
        unexplained
    }

    /// Whether the beginning of the tail could not be read.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.failed_at.is_some())
    }

    /// Takes a message of the tail that was read, with its number and size as they were added.
    pub(crate) fn shrink_tail(&mut self, number: u64, size: u64) {
        let Some(tail) = &mut self.tail else { return };
        tail.messages = tail.messages.saturating_sub(1);
        tail.bytes = tail.bytes.saturating_sub(size);
        tail.from = number + 1;
        if tail.messages == 0 {
            self.tail = None;
        }
    }

    /// The tail as a whole, when the Session ends.
    pub(crate) fn take_tail(&mut self) -> Option<Box<Tail>> {
        self.tail.take()
    }

    /// Whether a QoS 0 message has to queue up as well, so as not to overtake an older one.
    pub(crate) fn holds_at_most_once(&self) -> bool {
        self.replays > 0 || self.at_most_once > 0
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.count(&delivery, true);
        self.waiting.push_back(Waiting::Delivery(delivery));
    }

    pub(crate) fn push_replay(&mut self, replay: Box<Replay>) {
        self.replays += 1;
        self.waiting.push_back(Waiting::Replay(replay));
    }

    /// Whether one more message of `size` bytes would exceed a bound.
    pub(crate) fn is_full(&self, size: usize, messages_max: u32, bytes_max: u64) -> bool {
        let on_disk = self.tail.as_ref().map_or(0, |tail| tail.bytes);
        self.len() >= messages_max as usize || self.bytes + on_disk + size as u64 > bytes_max
    }

    /// Takes the oldest message out to make room; replays stay.
    pub(crate) fn drop_oldest(&mut self) -> Option<Delivery> {
        let index = self.waiting.iter().position(|waiting| matches!(waiting, Waiting::Delivery(_)))?;
        match self.waiting.remove(index) {
            Some(Waiting::Delivery(delivery)) => {
                self.count(&delivery, false);
                Some(delivery)
            }
            _ => None,
        }
    }

    pub(crate) fn front(&mut self) -> Option<&mut Waiting> {
        self.waiting.front_mut()
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        match &waiting {
            Waiting::Delivery(delivery) => self.count(delivery, false),
            Waiting::Replay(_) => self.replays -= 1,
        }
        if self.waiting.is_empty() && self.waiting.capacity() > 64 {
            self.waiting = VecDeque::new();
        }
        Some(waiting)
    }

    fn count(&mut self, delivery: &Delivery, is_added: bool) {
        let bytes = delivery.message.size() as u64;
        let is_at_most_once = u32::from(delivery.qos == QoS::AtMostOnce);
        if is_added {
            self.bytes += bytes;
            self.at_most_once += is_at_most_once;
        } else {
            self.bytes -= bytes;
            self.at_most_once -= is_at_most_once;
        }
    }

    /// Keeps what is Session state after the Network Connection is gone: QoS 1 and 2 (4.1). Returns what came by a
    /// Shared Subscription, which other members can have.
    pub(crate) fn leave_connection(&mut self) -> Vec<Delivery> {
        let mut returned = Vec::new();
        let mut kept = VecDeque::new();
        let tail = self.tail.take();
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Delivery(delivery) if delivery.group.is_some() => returned.push(delivery),
                Waiting::Delivery(delivery) if delivery.qos == QoS::AtMostOnce => {}
                Waiting::Delivery(_) => kept.push_back(waiting),
                Waiting::Replay(ref replay) => {
                    let qos = replay.qos;
                    if replay
                        .messages
                        .as_slice()
                        .iter()
                        .any(|message| message.facts().qos.min(qos) != QoS::AtMostOnce)
                    {
                        kept.push_back(waiting);
                    }
                }
            }
        }
        *self = Self { tail, ..Self::default() };
        for waiting in kept {
            match waiting {
                Waiting::Delivery(delivery) => self.push(delivery),
                Waiting::Replay(replay) => self.push_replay(replay),
            }
        }
        returned
    }

    /// Takes out what has expired. [MQTT-3.3.2-5] It looks at all, but only when as many have come since the last time.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<Delivery> {
        let mut expired = Vec::new();
        if self.calls_since_sweep < self.waiting.len() {
            self.calls_since_sweep += 1;
            return expired;
        }
        self.calls_since_sweep = 0;
        let waiting = std::mem::take(&mut self.waiting);
        (self.bytes, self.at_most_once, self.replays) = (0, 0, 0);
        for waiting in waiting {
            match waiting {
                Waiting::Delivery(delivery) if delivery.message.has_expired(now) => expired.push(delivery),
                Waiting::Delivery(delivery) => self.push(delivery),
                Waiting::Replay(replay) => self.push_replay(replay),
            }
        }
        expired
    }

    /// All deliveries in memory.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Delivery(delivery) => Some(delivery),
            Waiting::Replay(_) => None,
        })
    }
}

/// Bytes of memory that an entry takes beside its message's text and payload, by and large.
const ENTRY_BYTES: usize = 160;
