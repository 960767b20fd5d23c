//! One publisher: what it has sent, what of it is under way, what it may send next.

use dunlin_packet::packet_type::PacketType;

use crate::due::Due;

/// A publisher of this thread.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// Its connection.
    pub(crate) at: usize,
    /// Its number among all publishers of the run.
    pub(crate) number: usize,
    /// Its templates: so many from `first_template` on.
    pub(crate) first_template: usize,
    pub(crate) topics: usize,
    /// The topic of the next message, and how many messages went to it before.
    topic: usize,
    round: u64,
    /// From one topic to the next.
    stride: usize,
    /// Messages sent; also the number of the next one.
    pub(crate) sent: u64,
    /// All messages below this are delivered to all.
    complete: u64,
    /// Messages that are still to be sent in this run.
    pub(crate) left: u64,
    /// Messages of the timetable that are due and not sent.
    pub(crate) owed: u64,
    /// It may be able to send, and stands in the list of those.
    pub(crate) is_ready: bool,
    next_packet_id: u16,
    pub(crate) acks: Acks,
}

/// Messages with QoS 1 or 2 that are not acknowledged.
#[derive(Debug)]
pub(crate) struct Acks {
    /// When each was to be sent, by number; 0 if it is acknowledged. Empty with QoS 0.
    times: Box<[u64]>,
    /// All messages below this are acknowledged.
    first: u64,
    /// The Packet Identifier of message `first`.
    first_packet_id: u16,
    pub(crate) under_way: u32,
    under_way_max: u32,
}

/// What the next message has in its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) topic: usize,
    /// Its number in its topic.
    pub(crate) round: u64,
    pub(crate) packet_id: u16,
}

/// Messages that are under way at most whatever the Server allows: Packet Identifiers must not run out.
const UNDER_WAY_MAX: usize = 60_000;

impl Publisher {
    /// A publisher that has sent nothing. `topics` are taken in turn, or far apart if `is_scattered`.
    pub(crate) fn new(
        at: usize,
        number: usize,
        first_template: usize,
        topics: usize,
        is_scattered: bool,
    ) -> Self {
        Self {
            at,
            number,
            first_template,
            topics,
            topic: 0,
            round: 0,
            stride: if is_scattered { stride(topics) } else { 1 },
            sent: 0,
            complete: 0,
            left: u64::MAX,
            owed: 0,
            is_ready: true,
            next_packet_id: 1,
            acks: Acks::default(),
        }
    }

    /// Whether `window` has room for one more message.
    #[inline]
    pub(crate) fn has_room(&self, window: u64) -> bool {
        self.left > 0 && self.sent - self.complete < window && self.acks.has_room(self.sent)
    }

    /// Looks how far the oldest messages are complete.
    #[inline]
    pub(crate) fn advance(&mut self, due: &Due) {
        while self.complete < self.sent && due.is_complete(self.complete) {
            self.complete += 1;
        }
    }

    /// Takes everything that was sent as delivered: nobody here listens.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.complete = self.sent;
    }

    /// The numbers of the messages that are not known to be complete.
    pub(crate) fn incomplete(&self) -> std::ops::Range<u64> {
        self.complete..self.sent
    }

    /// Whether nothing of it is under way.
    pub(crate) fn is_done(&self) -> bool {
        self.complete == self.sent && self.acks.under_way == 0
    }

    /// Counts one more message, which was to be sent at `time`.
    #[inline]
    pub(crate) fn send(&mut self, time: u64) -> Next {
        let next = Next { topic: self.topic, round: self.round, packet_id: self.next_packet_id };
        self.next_packet_id = following(next.packet_id);
        self.topic += self.stride;
        if self.topic >= self.topics {
            self.topic -= self.topics;
        }
        if self.topic == 0 {
            self.round += 1;
        }
        self.acks.file(self.sent, time);
        self.sent += 1;
        self.left -= 1;
        next
    }
}

impl Acks {
    /// For messages with QoS 1 or 2, of which `maximum` may be under way.
    pub(crate) fn new(maximum: usize) -> Self {
        let maximum = maximum.clamp(1, UNDER_WAY_MAX);
        // Twice as many cells: an acknowledgement that is overtaken does not stop all others.
        let times = vec![0; (2 * maximum).next_power_of_two().min(1 << 15)].into();
        Self { times, under_way_max: maximum as u32, ..Self::default() }
    }

    #[inline]
    fn has_room(&self, sent: u64) -> bool {
        self.times.is_empty()
            || self.under_way < self.under_way_max && sent - self.first < self.times.len() as u64
    }

    #[inline]
    fn file(&mut self, number: u64, time: u64) {
        if !self.times.is_empty() {
            let mask = self.times.len() - 1;
            self.times[number as usize & mask] = time;
            self.under_way += 1;
        }
    }

    /// Takes the last acknowledgement of the message with `packet_id` and gives the time at which the message was to be
    /// sent; nothing if there is no such message.
    #[inline]
    pub(crate) fn complete(&mut self, packet_id: u16, sent: u64) -> Option<u64> {
        // Packet Identifiers are given in turn, 1 to 65,535: the distance from the oldest gives the number.
        let (packet_id_of_first, round) = (u32::from(self.first_packet_id), u32::from(u16::MAX));
        let distance = match u32::from(packet_id) {
            packet_id if packet_id >= packet_id_of_first => packet_id - packet_id_of_first,
            packet_id => packet_id + round - packet_id_of_first,
        };
        let number = self.first + u64::from(distance);
        if packet_id == 0 || number >= sent || self.times.is_empty() {
            return None;
        }
        let mask = self.times.len() - 1;
        let time = std::mem::take(&mut self.times[number as usize & mask]);
        if time == 0 {
            return None;
        }
        self.under_way -= 1;
        while self.first < sent && self.times[self.first as usize & mask] == 0 {
            self.first += 1;
            self.first_packet_id = following(self.first_packet_id);
        }
        Some(time)
    }
}

/// As there are with QoS 0: none.
impl Default for Acks {
    fn default() -> Self {
        Self { times: Box::default(), first: 0, first_packet_id: 1, under_way: 0, under_way_max: 0 }
    }
}

/// The Packet Identifier after `packet_id`; 0 is none (2.2.1).
#[inline]
fn following(packet_id: u16) -> u16 {
    if packet_id == u16::MAX { 1 } else { packet_id + 1 }
}

/// About the golden part of `topics`, without a divisor in common with it: all topics come before one comes again.
fn stride(topics: usize) -> usize {
    let common = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let wanted = (topics as f64 * 0.618) as usize;
    (wanted.max(1)..=topics.max(1)).find(|stride| common(*stride, topics) == 1).unwrap_or(1)
}

/// The packet that ends the delivery of a message with this QoS.
pub(crate) fn last_acknowledgement(packet_type: PacketType) -> bool {
    matches!(packet_type, PacketType::Puback | PacketType::Pubcomp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_taken_in_turn_and_numbered_each_for_itself() {
        let mut publisher = Publisher::new(0, 0, 0, 3, false);
        let sent: Vec<_> =
            (0..7).map(|time| publisher.send(time + 1)).map(|next| (next.topic, next.round)).collect();
        assert_eq!(sent, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]);
    }

    #[test]
    fn scattered_topics_all_come_before_one_comes_again() {
        for topics in [1, 2, 6, 100, 1_000] {
            let mut publisher = Publisher::new(0, 0, 0, topics, true);
            let mut seen: Vec<usize> = (0..topics).map(|_| publisher.send(1).topic).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..topics).collect::<Vec<_>>());
        }
    }

    #[test]
    fn acknowledgements_find_their_message_in_any_order() {
        let mut publisher = Publisher::new(0, 0, 0, 1, false);
        publisher.acks = Acks::new(4);
        for time in 10..14 {
            assert!(publisher.has_room(u64::MAX));
            publisher.send(time);
        }
        assert!(!publisher.has_room(u64::MAX), "four are under way");
        assert_eq!(publisher.acks.complete(2, publisher.sent), Some(11));
        assert_eq!(publisher.acks.complete(2, publisher.sent), None);
        assert_eq!(publisher.acks.complete(1, publisher.sent), Some(10));
        assert_eq!(publisher.acks.complete(5, publisher.sent), None, "never sent");
        assert!(publisher.has_room(u64::MAX));
        assert_eq!(publisher.acks.under_way, 2);
    }

    #[test]
    fn packet_identifiers_go_round() {
        let mut publisher = Publisher::new(0, 0, 0, 1, false);
        publisher.acks = Acks::new(2);
        for time in 1..200_000_u64 {
            let next = publisher.send(time);
            assert_ne!(next.packet_id, 0);
            assert_eq!(publisher.acks.complete(next.packet_id, publisher.sent), Some(time));
        }
    }

    #[test]
    fn the_window_follows_the_oldest_message() {
        let due = Due::new(4, 0, 1);
        let mut publisher = Publisher::new(0, 0, 0, 1, false);
        for number in 0..4 {
            due.file(number, 1);
            publisher.send(1);
        }
        assert!(!publisher.has_room(4));
        due.take(1);
        publisher.advance(&due);
        assert!(!publisher.has_room(4), "the oldest is not complete");
        due.take(0);
        publisher.advance(&due);
        assert_eq!(publisher.incomplete(), 2..4);
    }
}
