//! The subscriber's half of a Client: what it has got, what it has acknowledged, and what must come again.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use dunlin_packet::packet::{Packet, PacketType};

use super::{
    client::Stage,
    history::Deed,
    outgoing::{ack, number_in},
    role::Role,
    wire::{Arrival, Link},
};

/// How far the Client has come with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// Nothing was answered: after a crash it must come again.
    Held,
    /// PUBREC was sent.
    Received,
    /// PUBACK or PUBCOMP was sent: the Packet Identifier may have another meaning now.
    Done,
}

#[derive(Debug)]
struct Entry {
    number: Option<u64>,
    qos: u8,
    progress: Progress,
    /// On which connection it came last.
    epoch: u32,
    /// Its place among all that came for the first time.
    place: u64,
    at: Instant,
}

/// What comes with QoS 1 leaves the Server before it is on the disk, for it may come twice anyway. If it is so young when
/// the Server is killed, it may come as if for the first time, or not, if nobody was promised it.
const YOUNG: Duration = Duration::from_millis(500);

/// What has come, by Packet Identifier.
#[derive(Debug)]
pub(crate) struct Incoming {
    entries: HashMap<u16, Entry>,
    answers: VecDeque<u16>,
    /// When the next answer is due; nothing while none is owed.
    next: Option<Instant>,
    epoch: u32,
    places: u64,
    /// The place of what came again last on this connection.
    last_again: u64,
}

impl Incoming {
    pub(crate) fn new() -> Incoming {
        let (entries, answers) = (HashMap::new(), VecDeque::new());
        Incoming { entries, answers, next: None, epoch: 0, places: 0, last_again: 0 }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.answers.is_empty() && self.entries.values().all(|entry| entry.progress == Progress::Done)
    }

    /// What is not settled, in words.
    pub(crate) fn unsettled(&self) -> String {
        let open = self.entries.iter().filter(|(_, entry)| entry.progress != Progress::Done);
        let words: Vec<String> =
            open.map(|(id, entry)| format!("{id}: {:?} {:?}", entry.number, entry.progress)).collect();
        words.join(", ")
    }

    /// A new Network Connection; `is_resumed` says that the Session goes on.
    pub(crate) fn connected(&mut self, is_resumed: bool) {
        self.epoch += 1;
        self.answers.clear();
        self.last_again = 0;
        if !is_resumed {
            self.entries.clear();
        }
    }

    /// The Server was killed.
    pub(crate) fn server_killed(&mut self, book: usize, stage: &mut Stage<'_>) {
        for entry in self.entries.values_mut().filter(|entry| entry.qos == 1 && entry.at + YOUNG > stage.now)
        {
            entry.progress = Progress::Done;
            if let Some(number) = entry.number {
                stage.ledger.spare(book, number);
            }
        }
    }

    /// A PUBLISH has come; says what is wrong with it.
    pub(crate) fn came(&mut self, book: usize, arrival: &Arrival, stage: &mut Stage<'_>) -> Option<String> {
        let number = number_in(&arrival.payload);
        if let Some(message) = number.and_then(|number| stage.ledger.message(number))
            && *message.topic != *arrival.topic
        {
            return Some(format!("a message came on {} that was sent on {}", arrival.topic, message.topic));
        }
        if arrival.qos == 0 {
            return Some("QoS 0 came, which nobody sent".to_owned());
        }
        let is_again = match self.file(arrival, number, stage.now) {
            Ok(is_again) => is_again,
            Err(text) => return Some(text),
        };
        if let Some(number) = number {
            stage.ledger.arrived(book, number, arrival.qos, arrival.packet_id, is_again);
            stage.ledger.check_ids(book, number, &arrival.ids);
        }
        self.answers.push_back(arrival.packet_id);
        None
    }

    /// Files it under its Packet Identifier, and tells whether it is a second attempt.
    fn file(&mut self, arrival: &Arrival, number: Option<u64>, at: Instant) -> Result<bool, String> {
        let Arrival { packet_id, qos, is_dup, .. } = *arrival;
        let epoch = self.epoch;
        if !is_dup {
            self.check_nothing_is_due(packet_id, number)?;
        }
        if let Some(entry) = self.entries.get_mut(&packet_id) {
            let is_same = entry.number == number && entry.qos == qos;
            let is_second_attempt = is_dup && is_same && entry.epoch < epoch;
            let is_open = entry.progress != Progress::Done;
            if is_open && !is_second_attempt {
                return Err(format!(
                    "{packet_id} came with message {number:?}, QoS {qos}, DUP {is_dup}, while it stood for {entry:?}"
                ));
            }
            // After PUBCOMP a message of QoS 2 must not come again: it counts as another one. A message without payload may
            // be another one.
            if is_second_attempt && (is_open || qos == 1 && number.is_some()) {
                if entry.place < self.last_again {
                    return Err(format!("message {number:?} came again, but not in its order"));
                }
                self.last_again = entry.place;
                entry.epoch = epoch;
                return Ok(true);
            }
        }
        self.places += 1;
        let place = self.places;
        self.entries.insert(packet_id, Entry { number, qos, progress: Progress::Held, epoch, place, at });
        Ok(false)
    }

    /// New messages come after those that were under way when the connection ended.
    fn check_nothing_is_due(&self, packet_id: u16, number: Option<u64>) -> Result<(), String> {
        let is_due = |entry: &&Entry| entry.epoch < self.epoch && entry.progress == Progress::Held;
        match self.entries.values().filter(is_due).min_by_key(|entry| entry.place) {
            Some(entry) => Err(format!(
                "message {number:?} came, with {packet_id}, before what was under way was sent again: {entry:?}"
            )),
            None => Ok(()),
        }
    }

    /// PUBREL has come; says what is wrong with it.
    pub(crate) fn released(
        &mut self,
        book: usize,
        packet_id: u16,
        link: &mut Link,
        stage: &mut Stage<'_>,
    ) -> Option<String> {
        let entry = self.entries.get_mut(&packet_id);
        let Some(entry) = entry.filter(|entry| entry.qos == 2 && entry.progress != Progress::Held) else {
            return Some(format!("PUBREL came for {packet_id}, for which no PUBREC was sent"));
        };
        entry.progress = Progress::Done;
        entry.epoch = self.epoch;
        if let Some(number) = entry.number {
            stage.ledger.tick();
            stage.ledger.note(number, Deed::CompletedBy { book });
        }
        link.send(&Packet::Pubcomp(ack(packet_id)));
        None
    }

    /// Sends what acknowledgements are due, in the order of the messages.
    pub(crate) fn step(&mut self, role: &Role, book: usize, link: &mut Link, stage: &mut Stage<'_>) {
        let is_prompt = role.answer_ms == 0 || stage.is_drain();
        if self.answers.is_empty() {
            self.next = None;
            return;
        }
        let wait = if is_prompt { 0 } else { stage.random.below(2 * role.answer_ms) };
        let due = *self.next.get_or_insert(stage.now + Duration::from_millis(wait));
        if stage.now < due && !is_prompt {
            return;
        }
        self.next = None;
        let count = if is_prompt { self.answers.len() } else { stage.random.between(1, 8) as usize };
        for _ in 0..count.min(self.answers.len()) {
            let Some(packet_id) = self.answers.pop_front() else { break };
            self.answer(book, packet_id, link, stage);
        }
    }

    fn answer(&mut self, book: usize, packet_id: u16, link: &mut Link, stage: &mut Stage<'_>) {
        let entry = self.entries.get_mut(&packet_id).expect("what is to be answered has come");
        let packet_type = if entry.qos == 2 { PacketType::Pubrec } else { PacketType::Puback };
        if entry.progress == Progress::Held {
            entry.progress = if entry.qos == 2 { Progress::Received } else { Progress::Done };
        }
        if let Some(number) = entry.number {
            stage.ledger.tick();
            stage.ledger.note(number, Deed::AnsweredBy { book });
        }
        link.send(&match packet_type {
            PacketType::Pubrec => Packet::Pubrec(ack(packet_id)),
            _ => Packet::Puback(ack(packet_id)),
        });
    }
}
