//! The receiver's half of QoS 1 and 2: duplicates and the quota of the other end (4.3.2, 4.3.3, 3.3.4).

use alloc::vec::Vec;
use core::fmt;

use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::qos::QoS;

/// What one Session has received with QoS 1 or 2 and not finished acknowledging.
///
/// The Packet Identifiers of QoS 2 messages whose PUBREL has not come belong to the Session and outlive the Network
/// Connection; how much of the Receive Maximum is used up does not: [`Inbound::connect`] starts it afresh.
/// Identifiers are kept as bits, 64 to a block, so that a window of neighbouring ones takes a block or two.
#[derive(Debug, Default)]
pub struct Inbound {
    /// Sorted by `base`; none is empty.
    blocks: Vec<Block>,
    /// Where the last identifier was found in `blocks`.
    hint: u16,
    receive_maximum: u16,
    /// PUBLISH packets of this Network Connection that are not finished.
    used: u16,
}

/// 64 Packet Identifiers: `base * 64` to `base * 64 + 63`.
#[derive(Clone, Copy, Debug)]
struct Block {
    base: u16,
    /// PUBREL is awaited.
    awaiting: u64,
    /// The PUBLISH came on this Network Connection and counts against the Receive Maximum.
    counted: u64,
}

/// What a PUBLISH is to its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A message not seen before: take it over, then acknowledge it.
    New,
    /// A QoS 2 message taken over before: send PUBREC again and nothing else.
    Duplicate,
}

/// A PUBLISH that the sender was not allowed to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InboundError {
    /// More messages with QoS 1 and 2 are unacknowledged than this end allowed: DISCONNECT with 0x93. [MQTT-3.3.4-7]
    /// [MQTT-3.3.4-9]
    ReceiveMaximumExceeded,
    /// QoS 1 or 2 without Packet Identifier: a Malformed Packet. [MQTT-2.2.1-3] [MQTT-2.2.1-4]
    NoPacketId,
}

impl Inbound {
    /// An empty one that accepts nothing but QoS 0 until [`Inbound::connect`]. It allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { blocks: Vec::new(), hint: 0, receive_maximum: 0, used: 0 }
    }

    /// Starts on a new Network Connection, whose other end was told `receive_maximum`.
    pub fn connect(&mut self, receive_maximum: u16) {
        self.receive_maximum = receive_maximum;
        self.used = 0;
        for block in &mut self.blocks {
            block.counted = 0;
        }
    }

    /// Takes a PUBLISH with `qos` and the identifier it came with.
    ///
    /// A QoS 1 PUBLISH is always new, whatever its DUP flag says: once PUBACK is sent, the identifier means another
    /// message. [MQTT-4.3.2-5] With QoS 2 the identifier decides until PUBREL comes. [MQTT-4.3.3-10]
    ///
    /// # Errors
    /// [`InboundError::ReceiveMaximumExceeded`], [`InboundError::NoPacketId`].
    #[inline]
    pub fn publish(&mut self, qos: QoS, packet_id: Option<PacketId>) -> Result<Received, InboundError> {
        match (qos, packet_id) {
            (QoS::AtMostOnce, _) => Ok(Received::New), // not counted [MQTT-3.3.4-8]
            (_, None) => Err(InboundError::NoPacketId),
            (QoS::AtLeastOnce, Some(_)) => self.count().map(|()| Received::New),
            (QoS::ExactlyOnce, Some(packet_id)) => self.publish_qos2(packet_id),
        }
    }

    /// Says that PUBACK was sent for a QoS 1 message, whatever its Reason Code.
    #[inline]
    pub fn acknowledged(&mut self, packet_id: PacketId) {
        let _ = packet_id;
        self.used = self.used.saturating_sub(1);
    }

    /// Says that a QoS 2 message is refused with a PUBREC of 0x80 or greater: the next PUBLISH with this identifier
    /// is a new message. [MQTT-4.3.3-9]
    pub fn refuse(&mut self, packet_id: PacketId) {
        self.forget(packet_id);
    }

    /// Takes a PUBREL: answer PUBCOMP with 0x00 if `true`, with 0x92 if the identifier was not awaited (3.7.2.1).
    /// [MQTT-4.3.3-11] The next PUBLISH with this identifier is a new message. [MQTT-4.3.3-12] Whether the message has
    /// expired does not matter. [MQTT-4.3.3-13]
    pub fn pubrel(&mut self, packet_id: PacketId) -> bool {
        self.forget(packet_id)
    }

    /// Whether any PUBREL is awaited: there is Session state to keep.
    #[must_use]
    #[inline]
    pub fn has_awaiting_pubrel(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// The identifiers whose PUBREL is awaited, in ascending order.
    pub fn awaiting_pubrel(&self) -> impl Iterator<Item = PacketId> + '_ {
        self.blocks.iter().flat_map(|block| {
            let base = block.base * 64;
            (0..64u16)
                .filter(|bit| block.awaiting & (1 << bit) != 0)
                .filter_map(move |bit| PacketId::new(base + bit))
        })
    }

    /// Puts back, after a restart and before [`Inbound::connect`], that PUBREL is awaited for `packet_id`.
    pub fn restore(&mut self, packet_id: PacketId) {
        let (base, bit) = place(packet_id);
        let index = self.find_or_insert(base);
        self.blocks[index].awaiting |= bit;
    }

    /// Messages of this Network Connection that are not finished.
    #[must_use]
    pub fn in_flight(&self) -> u16 {
        self.used
    }

    /// Ends the Session: forgets everything. Nothing but QoS 0 is accepted until the next [`Inbound::connect`].
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Frees all memory if no PUBREL is awaited; cheap to call then, and without effect otherwise.
    #[inline]
    pub fn release_memory(&mut self) {
        if self.blocks.is_empty() && self.blocks.capacity() > 0 {
            self.blocks = Vec::new();
        }
    }

    fn publish_qos2(&mut self, packet_id: PacketId) -> Result<Received, InboundError> {
        let (base, bit) = place(packet_id);
        let Ok(index) = self.find(base) else {
            self.count()?;
            let index = self.find_or_insert(base);
            self.blocks[index].awaiting |= bit;
            self.blocks[index].counted |= bit;
            return Ok(Received::New);
        };
        let block = self.blocks[index];
        if block.counted & bit == 0 {
            self.count()?;
            self.blocks[index].counted |= bit;
            self.blocks[index].awaiting |= bit;
        }
        Ok(if block.awaiting & bit == 0 { Received::New } else { Received::Duplicate })
    }

    #[inline]
    fn count(&mut self) -> Result<(), InboundError> {
        if self.used >= self.receive_maximum {
            return Err(InboundError::ReceiveMaximumExceeded);
        }
        self.used += 1;
        Ok(())
    }

    fn forget(&mut self, packet_id: PacketId) -> bool {
        let (base, bit) = place(packet_id);
        let Ok(index) = self.find(base) else { return false };
        let block = &mut self.blocks[index];
        if block.awaiting & bit == 0 {
            return false;
        }
        if block.counted & bit != 0 {
            self.used = self.used.saturating_sub(1);
        }
        block.awaiting &= !bit;
        block.counted &= !bit;
        if block.awaiting == 0 {
            self.blocks.remove(index);
        }
        true
    }

    #[inline]
    fn find(&mut self, base: u16) -> Result<usize, usize> {
        let hint = usize::from(self.hint);
        if self.blocks.get(hint).is_some_and(|block| block.base == base) {
            return Ok(hint);
        }
        let found = self.blocks.binary_search_by_key(&base, |block| block.base);
        if let Ok(index) = found {
            self.hint = index as u16;
        }
        found
    }

    fn find_or_insert(&mut self, base: u16) -> usize {
        self.find(base).unwrap_or_else(|index| {
            self.blocks.insert(index, Block { base, awaiting: 0, counted: 0 });
            index
        })
    }
}

/// The block of an identifier, and its bit there.
#[inline]
fn place(packet_id: PacketId) -> (u16, u64) {
    (packet_id.value() / 64, 1 << (packet_id.value() % 64))
}

impl fmt::Display for InboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReceiveMaximumExceeded => {
                "more messages are unacknowledged than the Receive Maximum allows"
            }
            Self::NoPacketId => "a message with QoS 1 or 2 has no Packet Identifier",
        })
    }
}

impl core::error::Error for InboundError {}

#[cfg(test)]
mod tests {
    use super::*;
    use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    fn connected(receive_maximum: u16) -> Inbound {
        let mut inbound = Inbound::new();
        inbound.connect(receive_maximum);
        inbound
    }

    #[test]
    fn it_is_small_and_new_allocates_nothing() {
        assert!(size_of::<Inbound>() <= 40);
        let mut inbound = connected(1);
        assert_eq!(inbound.blocks.capacity(), 0);
        inbound.publish(ExactlyOnce, Some(id(1))).unwrap();
        assert!(inbound.pubrel(id(1)));
        inbound.release_memory();
        assert_eq!(inbound.blocks.capacity(), 0);
    }

    /// [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT3-4.3.3-2]
    #[test]
    fn qos2_identifier_is_a_duplicate_until_pubrel_also_after_reconnect() {
        let mut inbound = connected(10);
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(5))), Ok(Received::New));
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(5))), Ok(Received::Duplicate));
        inbound.connect(10);
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(5))), Ok(Received::Duplicate));
        assert!(inbound.pubrel(id(5)));
        assert!(!inbound.pubrel(id(5)), "PUBCOMP 0x92");
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(5))), Ok(Received::New));
    }

    /// [MQTT-4.3.3-9]
    #[test]
    fn a_refused_qos2_identifier_is_new_again() {
        let mut inbound = connected(1);
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(5))), Ok(Received::New));
        inbound.refuse(id(5));
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(5))), Ok(Received::New));
    }

    /// [MQTT-4.3.2-5]
    #[test]
    fn a_qos1_publish_is_always_new() {
        let mut inbound = connected(1);
        for _ in 0..3 {
            assert_eq!(inbound.publish(AtLeastOnce, Some(id(5))), Ok(Received::New));
            inbound.acknowledged(id(5));
        }
    }

    /// [MQTT-3.3.4-7] [MQTT-3.3.4-9]
    #[test]
    fn the_receive_maximum_counts_qos_1_and_2_until_the_last_acknowledgement() {
        let mut inbound = connected(2);
        inbound.publish(AtLeastOnce, Some(id(1))).unwrap();
        inbound.publish(ExactlyOnce, Some(id(2))).unwrap();
        let exceeded = Err(InboundError::ReceiveMaximumExceeded);
        assert_eq!(inbound.publish(AtLeastOnce, Some(id(3))), exceeded);
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(3))), exceeded);
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(300))), exceeded);
        assert!(!inbound.pubrel(id(3)), "what exceeded left no trace");
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(2))), Ok(Received::Duplicate), "counted once");
        assert_eq!(inbound.publish(AtMostOnce, None), Ok(Received::New), "QoS 0 does not count");
        inbound.acknowledged(id(1));
        inbound.publish(ExactlyOnce, Some(id(3))).unwrap();
        assert_eq!(inbound.publish(AtLeastOnce, Some(id(4))), exceeded);
        assert!(inbound.pubrel(id(2)));
        inbound.publish(AtLeastOnce, Some(id(4))).unwrap();
        assert_eq!(inbound.in_flight(), 2);
    }

    #[test]
    fn the_quota_of_an_earlier_connection_is_neither_used_nor_given_back() {
        let mut inbound = connected(2);
        inbound.publish(ExactlyOnce, Some(id(1))).unwrap();
        inbound.publish(ExactlyOnce, Some(id(2))).unwrap();
        inbound.connect(1);
        inbound.publish(AtLeastOnce, Some(id(3))).unwrap();
        assert!(inbound.pubrel(id(1)));
        assert_eq!(inbound.publish(AtLeastOnce, Some(id(4))), Err(InboundError::ReceiveMaximumExceeded));
        assert_eq!(
            inbound.publish(ExactlyOnce, Some(id(2))),
            Err(InboundError::ReceiveMaximumExceeded),
            "sent again, it counts again"
        );
        assert!(inbound.pubrel(id(2)));
    }

    #[test]
    fn qos_1_and_2_need_an_identifier() {
        assert_eq!(connected(1).publish(AtLeastOnce, None), Err(InboundError::NoPacketId));
    }

    #[test]
    fn every_identifier_has_its_place() {
        let mut inbound = connected(u16::MAX);
        for value in (1..=u16::MAX).rev() {
            assert_eq!(inbound.publish(ExactlyOnce, Some(id(value))), Ok(Received::New));
        }
        assert!(inbound.awaiting_pubrel().map(PacketId::value).eq(1..=u16::MAX));
        for value in 1..=u16::MAX {
            assert!(inbound.pubrel(id(value)));
        }
        assert!(!inbound.has_awaiting_pubrel());
    }

    #[test]
    fn a_restored_identifier_is_a_duplicate() {
        let mut inbound = Inbound::new();
        inbound.restore(id(9));
        inbound.connect(1);
        assert_eq!(inbound.publish(ExactlyOnce, Some(id(9))), Ok(Received::Duplicate));
        inbound.clear();
        assert!(!inbound.has_awaiting_pubrel());
    }
}
