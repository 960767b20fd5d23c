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

/// What waits for a Session: bounded in messages and bytes, the oldest gives way.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: u64,
    /// Replays among what waits: QoS 0 messages may not overtake them.
    replays: u32,
    /// QoS 0 deliveries among what waits: the next ones may not overtake them.
    at_most_once: u32,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
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
        self.waiting.len() >= messages_max as usize || self.bytes + size as u64 > bytes_max
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
    pub(crate) fn leave_connection(&mut self) -> Vec<(GroupName, Message)> {
        let mut returned = Vec::new();
        let mut kept = VecDeque::new();
        for mut waiting in std::mem::take(&mut self.waiting) {
            match &mut waiting {
                Waiting::Delivery(delivery) => {
                    if let Some(group) = &delivery.group {
                        returned.push((group.clone(), delivery.message.clone()));
                    } else if delivery.qos != QoS::AtMostOnce {
                        kept.push_back(waiting);
                    }
                }
                Waiting::Replay(replay) => {
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
        *self = Self::default();
        for waiting in kept {
            match waiting {
                Waiting::Delivery(delivery) => self.push(delivery),
                Waiting::Replay(replay) => self.push_replay(replay),
            }
        }
        returned
    }

    /// Throws out what has expired [MQTT-3.3.2-5] and returns how many messages that were.
    pub(crate) fn drop_expired(&mut self, now: Instant) -> u64 {
        let before = self.waiting.len();
        let waiting = std::mem::take(&mut self.waiting);
        let (mut bytes, mut at_most_once) = (0, 0);
        self.waiting = waiting
            .into_iter()
            .filter(|waiting| match waiting {
                Waiting::Delivery(delivery) if delivery.message.has_expired(now) => false,
                Waiting::Delivery(delivery) => {
                    bytes += delivery.message.size() as u64;
                    at_most_once += u32::from(delivery.qos == QoS::AtMostOnce);
                    true
                }
                Waiting::Replay(_) => true,
            })
            .collect();
        self.bytes = bytes;
        self.at_most_once = at_most_once;
        (before - self.waiting.len()) as u64
    }
}
