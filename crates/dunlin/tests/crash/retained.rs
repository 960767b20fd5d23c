//! Retained Messages: what must be kept of each topic, and who looks after a restart.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use dunlin_packet::{
    connect::Connect,
    packet::Packet,
    packet_identifier::PacketId,
    property::list::PropertyList,
    qos::QoS,
    reason_code::ReasonCode,
    subscribe::{Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    version::ProtocolVersion,
};
use mio::Registry;

use super::{
    ledger::Ledger,
    outgoing::{ack, number_in},
    wire::{Came, Link},
};

/// One value that a topic may have: the number of a message, or nothing after a deletion.
#[derive(Clone, Copy, Debug)]
struct Value {
    number: u64,
    is_delete: bool,
}

/// For each topic the value that was acknowledged last, and those sent after it.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    topics: BTreeMap<Rc<str>, Vec<Value>>,
}

impl Shelf {
    /// A value was sent.
    pub(crate) fn sent(&mut self, topic: &Rc<str>, number: u64, is_delete: bool) {
        let nothing = || vec![Value { number: u64::MAX, is_delete: true }];
        let values = self.topics.entry(Rc::clone(topic)).or_insert_with(nothing);
        values.push(Value { number, is_delete });
    }

    /// The Server has acknowledged it: what was before is over.
    pub(crate) fn taken(&mut self, number: u64) {
        for values in self.topics.values_mut() {
            if let Some(place) = values.iter().position(|value| value.number == number) {
                values.drain(..place);
            }
        }
    }

    /// What is wrong if `found` is all that is kept.
    fn compare(&self, found: &BTreeMap<String, u64>) -> Vec<(String, Option<u64>)> {
        let mut wrong = Vec::new();
        for (topic, values) in &self.topics {
            let is_right = match found.get(&**topic) {
                Some(number) => values.iter().any(|value| value.number == *number && !value.is_delete),
                None => values.iter().any(|value| value.is_delete),
            };
            if !is_right {
                let text = format!(
                    "the Retained Message of {topic} is message {:?}, and may be one of {values:?}",
                    found.get(&**topic)
                );
                wrong.push((text, values.first().map(|value| value.number)));
            }
        }
        for topic in found.keys().filter(|topic| !self.topics.contains_key(topic.as_str())) {
            wrong.push((format!("{topic} has a Retained Message, and nobody sent one"), None));
        }
        wrong
    }

    /// How many topics must have a Retained Message.
    fn count_due(&self) -> usize {
        self.topics.values().filter(|values| values.iter().all(|value| !value.is_delete)).count()
    }

    /// How many topics have had one.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }
}

/// Nothing more comes after so long a silence.
const SILENCE: Duration = Duration::from_millis(100);

/// A Client with a clean Session that reads all Retained Messages.
#[derive(Debug)]
pub(crate) struct Reader {
    link: Option<Link>,
    found: BTreeMap<String, u64>,
    is_subscribed: bool,
    last: Instant,
    deadline: Instant,
}

impl Reader {
    /// Connects and subscribes.
    pub(crate) fn start(address: SocketAddr, registry: &Registry, now: Instant) -> Reader {
        let version = ProtocolVersion::V5_0;
        let mut link = Link::open(address, version, registry).expect("the Server listens");
        link.send(&Packet::Connect(Connect {
            version,
            clean_start: true,
            keep_alive_s: 0,
            client_id: "reader",
            properties: PropertyList::EMPTY,
            will: None,
            user_name: None,
            password: None,
            is_bridge: false,
        }));
        let options = SubscriptionOptions::with_qos(QoS::AtLeastOnce);
        link.send(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::MIN,
            properties: PropertyList::EMPTY,
            filters: SubscriptionFilters::from_slice(&[SubscriptionRequest {
                topic_filter: "keep/#",
                options,
            }]),
        }));
        let deadline = now + Duration::from_secs(10);
        Reader { link: Some(link), found: BTreeMap::new(), is_subscribed: false, last: now, deadline }
    }

    /// Reads on; `true` when everything was read and compared.
    pub(crate) fn step(&mut self, shelf: &Shelf, ledger: &mut Ledger, now: Instant) -> bool {
        let Some(link) = &mut self.link else { return true };
        for came in link.take() {
            self.last = now;
            match came {
                Came::Granted { .. } => self.is_subscribed = true,
                Came::Publish(arrival) => {
                    if arrival.is_dup || !arrival.is_retain || arrival.payload.is_empty() {
                        ledger.fault(&format!("{} came at SUBSCRIBE with bad flags", arrival.topic), None);
                    }
                    let number = number_in(&arrival.payload).unwrap_or(u64::MAX);
                    link.send(&Packet::Puback(ack(arrival.packet_id)));
                    if self.found.insert(arrival.topic.clone(), number).is_some() {
                        ledger.fault(&format!("{} came twice at SUBSCRIBE", arrival.topic), Some(number));
                    }
                }
                Came::Connack { code: ReasonCode::Success, is_present: false } => {}
                other => ledger.fault(&format!("the reader of Retained Messages got {other:?}"), None),
            }
        }
        let is_complete = self.is_subscribed && self.found.len() >= shelf.count_due();
        if !(is_complete && now > self.last + SILENCE) && now < self.deadline {
            return false;
        }
        ledger.tick();
        ledger.totals.retained_checked += shelf.len() as u64;
        for (text, number) in shelf.compare(&self.found) {
            ledger.fault(&text, number);
        }
        self.link = None;
        true
    }
}
