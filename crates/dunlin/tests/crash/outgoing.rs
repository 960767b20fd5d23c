//! The publisher's half of a Client: what it has under way, and what it sends again after a crash.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use dunlin_packet::{
    acks::Ack,
    packet::{Packet, PacketType},
    packet_identifier::PacketId,
    property::list::PropertyList,
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
    topic::name::TopicName,
};

use super::{client::Stage, history::Deed, ledger::Fate, role::Role, wire::Link};

/// QoS 1 and 2 messages one Client has under way.
const WINDOW: usize = 12;

/// How far a message under way has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Sent,
    /// PUBREC has come; PUBREL follows at `due`.
    Received,
    Released,
}

#[derive(Debug)]
struct Flight {
    packet_id: u16,
    number: u64,
    topic: Rc<str>,
    qos: u8,
    is_retain: bool,
    payload: Vec<u8>,
    progress: Progress,
    due: Instant,
}

/// What is under way, in the order in which it was sent first.
#[derive(Debug)]
pub(crate) struct Outgoing {
    flights: Vec<Flight>,
    next: Instant,
}

impl Outgoing {
    pub(crate) fn new(now: Instant) -> Outgoing {
        Outgoing { flights: Vec::new(), next: now }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Publishes now and then, and releases what is due.
    pub(crate) fn step(&mut self, role: &Role, publisher: usize, link: &mut Link, stage: &mut Stage<'_>) {
        for flight in &mut self.flights {
            if flight.progress == Progress::Received && (stage.now >= flight.due || stage.is_drain()) {
                flight.progress = Progress::Released;
                stage.ledger.tick();
                stage.ledger.note(flight.number, Deed::Released);
                link.send(&Packet::Pubrel(ack(flight.packet_id)));
            }
        }
        if role.topics.is_empty() || !stage.may_publish() || stage.now < self.next || link.backlog() > 0 {
            return;
        }
        for _ in 0..stage.random.between(1, 4) {
            self.publish(role, publisher, link, stage);
        }
        self.next = stage.now + Duration::from_millis(stage.random.between(5, 60));
    }

    fn publish(&mut self, role: &Role, publisher: usize, link: &mut Link, stage: &mut Stage<'_>) {
        let topic = &role.topics[stage.random.index(role.topics.len())];
        // What is retained is known for certain only if there is one message under way for each topic.
        let is_busy = role.retains && self.flights.iter().any(|flight| flight.topic == *topic);
        if is_busy || self.flights.len() >= WINDOW {
            return;
        }
        let qos = stage.random.pick(role.qos);
        let is_delete = role.retains && stage.random.once_in(4);
        let number = stage.ledger.enter(publisher, topic, qos, is_delete);
        let payload = match is_delete {
            true => Vec::new(),
            false => {
                let length = match stage.random.once_in(30) {
                    true => stage.random.between(2_000, 40_000),
                    false => stage.random.between(0, 300),
                };
                payload(number, length as usize)
            }
        };
        if role.retains {
            stage.shelf.sent(topic, number, is_delete);
        }
        let free = |packet_id: &u16| self.flights.iter().all(|flight| flight.packet_id != *packet_id);
        let packet_id = (1..).find(free).expect("the window is small");
        let (topic, is_retain) = (Rc::clone(topic), role.retains);
        let (progress, due) = (Progress::Sent, stage.now);
        let flight = Flight { packet_id, number, topic, qos, is_retain, payload, progress, due };
        flight.send(link, false);
        self.flights.push(flight);
    }

    /// The Session goes on: what is not acknowledged is sent again, in order. [MQTT-4.4.0-1]
    pub(crate) fn resume(&mut self, link: &mut Link, stage: &mut Stage<'_>) {
        for flight in &mut self.flights {
            if flight.progress == Progress::Sent {
                stage.ledger.sent_again(flight.number);
                flight.send(link, true);
            } else {
                flight.progress = Progress::Released;
                stage.ledger.tick();
                stage.ledger.note(flight.number, Deed::Released);
                link.send(&Packet::Pubrel(ack(flight.packet_id)));
            }
        }
    }

    /// The Session has ended: nothing is sent again.
    pub(crate) fn abandon(&mut self, stage: &mut Stage<'_>) {
        for flight in self.flights.drain(..) {
            stage.ledger.tick();
            stage.ledger.note(flight.number, Deed::Abandoned);
        }
    }

    /// PUBACK, PUBREC or PUBCOMP has come; says what is wrong with it.
    pub(crate) fn answered(
        &mut self,
        packet_type: PacketType,
        packet_id: u16,
        code: ReasonCode,
        stage: &mut Stage<'_>,
    ) -> Option<String> {
        let Some(place) = self.flights.iter().position(|flight| flight.packet_id == packet_id) else {
            return Some(format!("{packet_type:?} came for {packet_id}, which is not in use"));
        };
        let flight = &mut self.flights[place];
        let number = flight.number;
        match (packet_type, flight.qos, flight.progress) {
            (PacketType::Puback, 1, Progress::Sent) | (PacketType::Pubrec, 2, Progress::Sent)
                if code.is_error() =>
            {
                stage.ledger.decide(number, Fate::Open, Deed::Refused);
                self.flights.remove(place);
            }
            (PacketType::Puback, 1, Progress::Sent) => {
                stage.taken(number, Deed::Acknowledged);
                self.flights.remove(place);
            }
            (PacketType::Pubrec, 2, Progress::Sent) => {
                stage.taken(number, Deed::Received);
                flight.progress = Progress::Received;
                flight.due = stage.now + Duration::from_millis(stage.random.below(40));
            }
            (PacketType::Pubcomp, 2, Progress::Released) => {
                stage.ledger.tick();
                stage.ledger.note(number, Deed::Completed);
                self.flights.remove(place);
            }
            (_, qos, progress) => {
                return Some(format!(
                    "{packet_type:?} came for {packet_id}, which has QoS {qos}: {progress:?}"
                ));
            }
        }
        None
    }
}

impl Flight {
    fn send(&self, link: &mut Link, dup: bool) {
        link.send(&Packet::Publish(Publish {
            dup,
            qos: QoS::from_value(self.qos).expect("0, 1 or 2"),
            retain: self.is_retain,
            topic_name: Some(TopicName::parse(&self.topic).expect("the test has sound topics")),
            packet_id: PacketId::new(self.packet_id),
            properties: PropertyList::EMPTY,
            payload: &self.payload,
        }));
    }
}

/// The number of a message, and something behind it.
pub(crate) fn payload(number: u64, length: usize) -> Vec<u8> {
    let mut payload = format!("{number} ").into_bytes();
    payload.resize(payload.len() + length, b'.');
    payload
}

/// The number in a payload; nothing if it is empty.
pub(crate) fn number_in(payload: &[u8]) -> Option<u64> {
    let text = payload.split(|&byte| byte == b' ').next()?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP with Success.
pub(crate) fn ack(packet_id: u16) -> Ack<'static> {
    Ack::success(PacketId::new(packet_id).expect("no packet of the test has Packet Identifier 0"))
}
