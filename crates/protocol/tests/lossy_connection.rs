//! A sender's half and a receiver's half against each other over a connection that breaks (4.3, 4.4, 4.6, 4.9).

use std::collections::{HashMap, VecDeque};

use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::qos::QoS;
use dunlin_protocol::inbound::{Inbound, Received};
use dunlin_protocol::outbound::{Outbound, Pubrec, Resend};
use proptest::prelude::*;

/// From the sender to the receiver.
enum Forward {
    Publish { packet_id: PacketId, qos: QoS, message: u32 },
    Pubrel(PacketId),
}

/// From the receiver to the sender.
enum Back {
    Puback(PacketId),
    Pubrec(PacketId, bool),
    Pubcomp(PacketId),
}

#[derive(Clone, Debug)]
enum Step {
    Offer {
        count: u8,
        is_qos2: bool,
    },
    CarryForward(u8),
    CarryBack(u8),
    /// What is under way is lost; the next connection has this Receive Maximum.
    Cut {
        receive_maximum: u16,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..6u8, any::<bool>()).prop_map(|(count, is_qos2)| Step::Offer { count, is_qos2 }),
        6 => (1..8u8).prop_map(Step::CarryForward),
        6 => (1..8u8).prop_map(Step::CarryBack),
        1 => (1..6u16).prop_map(|receive_maximum| Step::Cut { receive_maximum }),
    ];
    prop::collection::vec(step, 1..200)
}

struct World {
    outbound: Outbound<u32>,
    inbound: Inbound,
    forward: VecDeque<Forward>,
    back: VecDeque<Back>,
    /// Messages that wait for quota.
    queue: VecDeque<(u32, QoS)>,
    offered: u32,
    receive_maximum: u16,
    /// PUBLISH packets of this connection the sender knows no end of, counted apart from the machine.
    unfinished: HashMap<PacketId, u32>,
    taken_over: Vec<(u32, QoS)>,
}

/// Every seventh message is one the receiver refuses, if it comes with QoS 2.
fn is_refused(message: u32) -> bool {
    message % 7 == 3
}

impl World {
    fn new(receive_maximum: u16) -> Self {
        let mut world = Self {
            outbound: Outbound::new(),
            inbound: Inbound::new(),
            forward: VecDeque::new(),
            back: VecDeque::new(),
            queue: VecDeque::new(),
            offered: 0,
            receive_maximum,
            unfinished: HashMap::new(),
            taken_over: Vec::new(),
        };
        world.cut(receive_maximum);
        world
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Offer { count, is_qos2 } => {
                for _ in 0..count {
                    let qos = if is_qos2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
                    self.queue.push_back((self.offered, qos));
                    self.offered += 1;
                }
            }
            Step::CarryForward(count) => (0..count).for_each(|_| self.carry_forward()),
            Step::CarryBack(count) => (0..count).for_each(|_| self.carry_back()),
            Step::Cut { receive_maximum } => self.cut(receive_maximum),
        }
        self.send();
    }

    fn cut(&mut self, receive_maximum: u16) {
        self.forward.clear();
        self.back.clear();
        self.unfinished.clear();
        self.receive_maximum = receive_maximum;
        self.outbound.connect(receive_maximum);
        self.inbound.connect(receive_maximum);
    }

    fn send(&mut self) {
        while let Some(packet) = self.outbound.resend() {
            let packet = match packet {
                Resend::Publish { packet_id, qos, message } => {
                    Forward::Publish { packet_id, qos, message: *message }
                }
                Resend::Pubrel { packet_id } => Forward::Pubrel(packet_id),
            };
            self.put(packet);
        }
        while self.outbound.can_send() {
            let Some((message, qos)) = self.queue.pop_front() else { break };
            let packet_id = self.outbound.send(qos, message).expect("can_send said so");
            self.put(Forward::Publish { packet_id, qos, message });
        }
    }

    fn put(&mut self, packet: Forward) {
        if let Forward::Publish { packet_id, message, .. } = packet {
            let before = self.unfinished.insert(packet_id, message);
            assert_eq!(before, None, "the identifier was in use");
            // [MQTT-3.3.4-7] [MQTT-3.3.4-9] [MQTT-4.9.0-2]
            assert!(self.unfinished.len() <= usize::from(self.receive_maximum), "quota exceeded");
        }
        self.forward.push_back(packet);
    }

    fn carry_forward(&mut self) {
        match self.forward.pop_front() {
            Some(Forward::Publish { packet_id, qos: QoS::ExactlyOnce, message }) => {
                match self.inbound.publish(QoS::ExactlyOnce, Some(packet_id)).expect("quota is kept") {
                    Received::New if is_refused(message) => self.inbound.refuse(packet_id),
                    Received::New => self.taken_over.push((message, QoS::ExactlyOnce)),
                    Received::Duplicate => assert!(!is_refused(message)),
                }
                self.back.push_back(Back::Pubrec(packet_id, is_refused(message)));
            }
            Some(Forward::Publish { packet_id, qos, message }) => {
                self.inbound.publish(qos, Some(packet_id)).expect("quota is kept");
                self.taken_over.push((message, qos));
                self.inbound.acknowledged(packet_id);
                self.back.push_back(Back::Puback(packet_id));
            }
            Some(Forward::Pubrel(packet_id)) => {
                self.inbound.pubrel(packet_id);
                self.back.push_back(Back::Pubcomp(packet_id));
            }
            None => {}
        }
    }

    fn carry_back(&mut self) {
        match self.back.pop_front() {
            Some(Back::Puback(packet_id)) => {
                self.outbound.puback(packet_id).expect("in flight");
                self.unfinished.remove(&packet_id);
            }
            Some(Back::Pubrec(packet_id, is_error)) => {
                match self.outbound.pubrec(packet_id, is_error).expect("in flight") {
                    Pubrec::Release(_) | Pubrec::AlreadyReleased => self.put(Forward::Pubrel(packet_id)),
                    Pubrec::Refused(message) => {
                        assert!(is_refused(message));
                        self.unfinished.remove(&packet_id);
                    }
                }
            }
            Some(Back::Pubcomp(packet_id)) => {
                self.outbound.pubcomp(packet_id).expect("in flight");
                self.unfinished.remove(&packet_id);
            }
            None => {}
        }
    }

    fn finish(&mut self) {
        while !(self.queue.is_empty() && self.outbound.is_empty()) {
            self.send();
            assert!(!self.forward.is_empty() || !self.back.is_empty(), "wedged");
            while !self.forward.is_empty() || !self.back.is_empty() {
                self.carry_forward();
                self.carry_back();
            }
        }
    }
}

proptest! {
    /// [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.3.3-10] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.9.0-2] [MQTT3-4.3.3-1]
    /// [MQTT3-4.3.3-2] [MQTT3-4.4.0-1] [MQTT3-4.6.0-1]
    #[test]
    fn nothing_is_lost_doubled_or_out_of_order(receive_maximum in 1..6u16, steps in steps()) {
        let mut world = World::new(receive_maximum);
        for step in &steps {
            world.step(step);
        }
        world.finish();
        let mut next = 0;
        let mut seen = HashMap::new();
        for (message, qos) in &world.taken_over {
            let times = seen.entry(*message).or_insert(0);
            *times += 1;
            prop_assert!(*times == 1 || *qos == QoS::AtLeastOnce, "QoS 2 message {message} came twice");
            if *times == 1 {
                prop_assert!(*message >= next, "message {message} came late");
                next = *message + 1;
            }
        }
        for message in 0..world.offered {
            prop_assert!(seen.contains_key(&message) || is_refused(message), "message {message} is lost");
        }
        prop_assert_eq!(world.outbound.in_flight(), 0);
        prop_assert!(!world.inbound.has_awaiting_pubrel());
    }
}
