//! The sender's half of QoS 1 and 2: Packet Identifiers, order, resending and send quota (2.2.1, 4.3, 4.4, 4.6, 4.9).

use alloc::collections::VecDeque;
use core::fmt;
use core::mem;

use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::qos::QoS;

/// All Application Messages of one Session, with QoS 1 or 2, that this end has sent and the other end has not
/// finished acknowledging, in the order of sending.
///
/// It belongs to the Session and outlives the Network Connection; [`Outbound::connect`] starts it on a new one.
/// Packet Identifiers are handed out in sequence, so that finding a message by its identifier is a subtraction:
/// every operation takes constant time, [`Outbound::connect`] and [`Outbound::drain`] excepted, and none
/// allocates while no more messages are in flight than were before.
///
/// `M` is whatever the owner keeps for a message until it is acknowledged.
#[derive(Debug)]
pub struct Outbound<M> {
    /// In sequence of their Packet Identifiers; the first is never [`Slot::Free`].
    slots: VecDeque<Slot<M>>,
    /// The Packet Identifier of `slots[0]`, or the next one to hand out, less one: 0 to 65,534.
    first: u16,
    /// PUBLISH packets that may still be sent before an acknowledgement (4.9).
    quota: u16,
    /// What `quota` was at the start of this Network Connection.
    receive_maximum: u16,
    /// So many slots, counted from the back, the resending has not come to yet.
    unsent: u16,
    /// The same for PUBREL packets, which go ahead when the quota holds PUBLISH packets back.
    unsent_pubrels: u16,
    /// Slots that hold a message or a PUBREL.
    in_flight: u16,
}

#[derive(Debug)]
enum Slot<M> {
    /// Acknowledged before an earlier one was.
    Free,
    /// Lent to a SUBSCRIBE or UNSUBSCRIBE.
    Reserved,
    /// PUBLISH to be acknowledged [MQTT-4.3.3-3]. Counted: it has been sent on this Network Connection and took quota.
    Publish { qos: QoS, is_counted: bool, message: M },
    /// PUBREL to be acknowledged. Counted: its PUBLISH took quota on this Network Connection.
    Pubrel { is_counted: bool, is_sent: bool },
}

/// One packet to send again after a reconnect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resend<'a, M> {
    /// Send this PUBLISH again, with DUP set.
    Publish {
        /// The identifier it was first sent with.
        packet_id: PacketId,
        /// 1 or 2.
        qos: QoS,
        /// What was given to [`Outbound::send`].
        message: &'a M,
    },
    /// Send PUBREL again.
    Pubrel {
        /// The identifier its PUBLISH was first sent with.
        packet_id: PacketId,
    },
}

/// What a PUBREC asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pubrec<M> {
    /// The other end owns the message now: forget it and send PUBREL.
    Release(M),
    /// The other end refused the message; its identifier is free and nothing is to be sent.
    Refused(M),
    /// It was released before: send PUBREL again.
    AlreadyReleased,
}

/// A message that is not acknowledged, as [`Outbound::iter`] shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InFlight<'a, M> {
    /// The identifier it was first sent with.
    pub packet_id: PacketId,
    /// 1 or 2.
    pub qos: QoS,
    /// Nothing once PUBREC came and only PUBCOMP is awaited.
    pub message: Option<&'a M>,
}

/// An acknowledgement that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckError {
    /// Nothing is in flight under this Packet Identifier. Answer a PUBREC with PUBREL 0x92, pass over the others
    /// (3.6.2.1).
    UnknownPacketId,
    /// Something is in flight under it, but it is acknowledged by another kind of packet: a Protocol Error.
    WrongPacket,
}

impl<M> Default for Outbound<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Outbound<M> {
    /// An empty one that allows nothing to be sent until [`Outbound::connect`]. It allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            first: 0,
            quota: 0,
            receive_maximum: 0,
            unsent: 0,
            unsent_pubrels: 0,
            in_flight: 0,
        }
    }

    /// Starts on a new Network Connection whose other end takes `receive_maximum` messages at a time.
    ///
    /// The quota starts afresh, everything unacknowledged is to be sent again by [`Outbound::resend`], and
    /// identifiers lent by [`Outbound::reserve`] are free again: a SUBSCRIBE dies with its connection.
    pub fn connect(&mut self, receive_maximum: u16) {
        self.receive_maximum = receive_maximum;
        self.quota = receive_maximum; // [MQTT-4.9.0-1]
        for slot in &mut self.slots {
            match slot {
                Slot::Free => {}
                Slot::Reserved => *slot = Slot::Free,
                Slot::Publish { is_counted, .. } => *is_counted = false,
                Slot::Pubrel { is_counted, is_sent } => (*is_counted, *is_sent) = (false, false),
            }
        }
        self.unsent = self.slots.len() as u16;
        self.unsent_pubrels = self.unsent;
        self.drop_free_front();
    }

    /// Whether [`Outbound::send`] would take a message now.
    #[must_use]
    #[inline]
    pub fn can_send(&self) -> bool {
        // New messages wait until the old ones have been sent again. [MQTT-4.6.0-1]
        self.quota > 0 && self.unsent == 0 && self.slots.len() < self.span_max() // [MQTT-4.9.0-2]
    }

    /// Takes `message` for sending with `qos` 1 or 2 and returns its Packet Identifier, or nothing, dropping
    /// `message`, if [`Outbound::can_send`] says no.
    #[inline]
    pub fn send(&mut self, qos: QoS, message: M) -> Option<PacketId> {
        debug_assert!(qos != QoS::AtMostOnce, "QoS 0 is not acknowledged");
        if !self.can_send() {
            return None;
        }
        self.quota -= 1; // [MQTT-3.3.4-7] [MQTT-3.3.4-9]
        self.in_flight += 1;
        Some(self.push(Slot::Publish { qos, is_counted: true, message })) // [MQTT-2.2.1-4] [MQTT3-2.3.1-4]
    }

    /// The next packet to send again after [`Outbound::connect`], or nothing if all are sent or a PUBLISH has to
    /// wait for quota: then ask again after the next acknowledgement.
    ///
    /// Packets keep their identifiers and their order [MQTT-4.4.0-1] [MQTT3-4.4.0-1] [MQTT-4.6.0-1]
    /// [MQTT3-4.6.0-1]; PUBREL packets keep the order of their PUBLISH packets, and so of the PUBREC packets
    /// [MQTT-4.6.0-4] [MQTT3-4.6.0-4]. A PUBREL is never held back by the quota. [MQTT-3.3.4-8] [MQTT-4.9.0-3]
    pub fn resend(&mut self) -> Option<Resend<'_, M>> {
        let offset = self.next_resend()?;
        let packet_id = self.id_at(offset);
        match &mut self.slots[offset] {
            Slot::Publish { qos, is_counted, message } => {
                *is_counted = true;
                self.quota -= 1;
                Some(Resend::Publish { packet_id, qos: *qos, message })
            }
            Slot::Pubrel { is_sent, .. } => {
                *is_sent = true;
                Some(Resend::Pubrel { packet_id })
            }
            Slot::Free | Slot::Reserved => None,
        }
    }

    /// Whether [`Outbound::resend`] has more to send, now or when there is quota again.
    #[must_use]
    pub fn is_resending(&self) -> bool {
        self.unsent > 0
    }

    /// Takes a PUBACK, whatever its Reason Code, and gives the message back: it is never sent again.
    /// [MQTT-4.4.0-2] [MQTT-4.3.2-3]
    ///
    /// # Errors
    /// [`AckError::UnknownPacketId`], or [`AckError::WrongPacket`] if it is not a QoS 1 message.
    #[inline]
    pub fn puback(&mut self, packet_id: PacketId) -> Result<M, AckError> {
        let offset = self.offset_of(packet_id)?;
        match self.slots[offset] {
            Slot::Publish { qos: QoS::AtLeastOnce, .. } => {
                self.complete(offset).ok_or(AckError::UnknownPacketId)
            }
            Slot::Free => Err(AckError::UnknownPacketId),
            _ => Err(AckError::WrongPacket),
        }
    }

    /// Takes a PUBREC; `is_error` says that its Reason Code is 0x80 or greater.
    ///
    /// # Errors
    /// [`AckError::UnknownPacketId`]: answer PUBREL with 0x92. [`AckError::WrongPacket`] if it is not a QoS 2
    /// message, or if a message taken over before is refused now.
    pub fn pubrec(&mut self, packet_id: PacketId, is_error: bool) -> Result<Pubrec<M>, AckError> {
        let offset = self.offset_of(packet_id)?;
        let slot = &mut self.slots[offset];
        match slot {
            Slot::Publish { qos: QoS::ExactlyOnce, .. } if is_error => {
                // Refused is acknowledged. [MQTT-4.4.0-2] [MQTT-4.3.3-4]
                self.complete(offset).map(Pubrec::Refused).ok_or(AckError::UnknownPacketId)
            }
            Slot::Publish { qos: QoS::ExactlyOnce, is_counted, .. } => {
                // From here on PUBREL is resent, never PUBLISH. [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT3-4.3.3-1]
                let pubrel = Slot::Pubrel { is_counted: *is_counted, is_sent: true };
                match mem::replace(slot, pubrel) {
                    Slot::Publish { message, .. } => Ok(Pubrec::Release(message)), // [MQTT-4.3.3-4]
                    _ => Err(AckError::WrongPacket),
                }
            }
            Slot::Pubrel { is_sent, .. } if !is_error => {
                *is_sent = true;
                Ok(Pubrec::AlreadyReleased)
            }
            Slot::Free => Err(AckError::UnknownPacketId),
            _ => Err(AckError::WrongPacket),
        }
    }

    /// Takes a PUBCOMP, whatever its Reason Code: the Packet Identifier is free.
    ///
    /// # Errors
    /// [`AckError::UnknownPacketId`], or [`AckError::WrongPacket`] if no PUBREL was sent under `packet_id`.
    pub fn pubcomp(&mut self, packet_id: PacketId) -> Result<(), AckError> {
        let offset = self.offset_of(packet_id)?;
        match self.slots[offset] {
            Slot::Pubrel { .. } => {
                self.complete(offset);
                Ok(())
            }
            Slot::Free => Err(AckError::UnknownPacketId),
            _ => Err(AckError::WrongPacket),
        }
    }

    /// Lends an unused Packet Identifier for a SUBSCRIBE or UNSUBSCRIBE [MQTT-2.2.1-3] [MQTT3-2.3.1-1], or nothing
    /// if all 65,535 are in use. It takes no quota. [MQTT-4.9.0-3]
    pub fn reserve(&mut self) -> Option<PacketId> {
        if self.slots.len() >= PACKET_IDS {
            return None;
        }
        if self.unsent > 0 {
            self.unsent += 1;
            self.unsent_pubrels += 1;
        }
        Some(self.push(Slot::Reserved))
    }

    /// Takes back an identifier that [`Outbound::reserve`] lent; `false` if it was not lent.
    pub fn release(&mut self, packet_id: PacketId) -> bool {
        let Ok(offset) = self.offset_of(packet_id) else { return false };
        if !matches!(self.slots[offset], Slot::Reserved) {
            return false;
        }
        self.slots[offset] = Slot::Free;
        self.drop_free_front();
        true
    }

    /// The message sent under `packet_id`; nothing if none is, or once PUBREC came.
    #[must_use]
    pub fn message(&self, packet_id: PacketId) -> Option<&M> {
        match self.slots.get(self.distance(packet_id)) {
            Some(Slot::Publish { message, .. }) => Some(message),
            _ => None,
        }
    }

    /// How many messages are not finished, whether PUBACK, PUBREC or PUBCOMP is awaited.
    #[must_use]
    #[inline]
    pub fn in_flight(&self) -> usize {
        usize::from(self.in_flight)
    }

    /// Whether neither a message nor a lent identifier is outstanding.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// PUBLISH packets with QoS 1 or 2 that may still be sent on this Network Connection before an acknowledgement.
    #[must_use]
    pub fn send_quota(&self) -> u16 {
        self.quota
    }

    /// How many messages with QoS 1 or 2 this Network Connection takes before an acknowledgement.
    #[must_use]
    pub fn receive_maximum(&self) -> u16 {
        self.receive_maximum
    }

    /// Everything unfinished, in order of sending.
    pub fn iter(&self) -> impl Iterator<Item = InFlight<'_, M>> {
        self.slots.iter().enumerate().filter_map(|(offset, slot)| {
            let packet_id = self.id_at(offset);
            match slot {
                Slot::Publish { qos, message, .. } => {
                    Some(InFlight { packet_id, qos: *qos, message: Some(message) })
                }
                Slot::Pubrel { .. } => Some(InFlight { packet_id, qos: QoS::ExactlyOnce, message: None }),
                Slot::Free | Slot::Reserved => None,
            }
        })
    }

    /// Ends the Session: empties this machine and returns the messages nobody has taken over, in order of sending.
    /// Nothing can be sent until the next [`Outbound::connect`].
    pub fn drain(&mut self) -> impl Iterator<Item = (QoS, M)> + use<M> {
        let emptied = Self { first: self.next_index(), ..Self::new() };
        let ended = mem::replace(self, emptied);
        ended.slots.into_iter().filter_map(|slot| match slot {
            Slot::Publish { qos, message, .. } => Some((qos, message)),
            Slot::Free | Slot::Reserved | Slot::Pubrel { .. } => None,
        })
    }

    /// Puts back, after a restart and before [`Outbound::connect`], a message sent under `packet_id`. The oldest one
    /// comes first; `false` if the identifier is taken.
    pub fn restore_publish(&mut self, packet_id: PacketId, qos: QoS, message: M) -> bool {
        self.restore(packet_id, Slot::Publish { qos, is_counted: false, message })
    }

    /// Puts back, after a restart and before [`Outbound::connect`], that PUBCOMP is awaited for `packet_id`. The
    /// oldest one comes first; `false` if the identifier is taken.
    pub fn restore_pubrel(&mut self, packet_id: PacketId) -> bool {
        self.restore(packet_id, Slot::Pubrel { is_counted: false, is_sent: false })
    }

    /// Frees all memory if nothing is outstanding; cheap to call then, and without effect otherwise.
    #[inline]
    pub fn release_memory(&mut self) {
        if self.slots.is_empty() && self.slots.capacity() > 0 {
            self.slots = VecDeque::new();
        }
    }

    fn restore(&mut self, packet_id: PacketId, slot: Slot<M>) -> bool {
        if self.slots.is_empty() {
            self.first = packet_id.value() - 1;
        }
        let offset = self.distance(packet_id);
        while self.slots.len() <= offset {
            self.slots.push_back(Slot::Free);
        }
        if !matches!(self.slots[offset], Slot::Free) {
            return false;
        }
        self.slots[offset] = slot;
        self.in_flight += 1;
        true
    }

    /// The offset of the next slot whose packet may be sent again now.
    fn next_resend(&mut self) -> Option<usize> {
        while self.unsent > 0 {
            let offset = self.slots.len() - usize::from(self.unsent);
            match self.slots[offset] {
                Slot::Publish { is_counted: false, .. } if self.quota == 0 => return self.next_pubrel(),
                Slot::Publish { is_counted: false, .. } | Slot::Pubrel { is_sent: false, .. } => {
                    return Some(offset);
                }
                _ => self.unsent -= 1,
            }
        }
        None
    }

    /// The same for PUBREL packets alone, behind a PUBLISH that waits for quota.
    fn next_pubrel(&mut self) -> Option<usize> {
        self.unsent_pubrels = self.unsent_pubrels.min(self.unsent);
        while self.unsent_pubrels > 0 {
            let offset = self.slots.len() - usize::from(self.unsent_pubrels);
            if matches!(self.slots[offset], Slot::Pubrel { is_sent: false, .. }) {
                return Some(offset);
            }
            self.unsent_pubrels -= 1;
        }
        None
    }

    /// Frees the slot at `offset` and returns its message and its share of the quota.
    #[inline]
    fn complete(&mut self, offset: usize) -> Option<M> {
        let (is_counted, message) = match mem::replace(&mut self.slots[offset], Slot::Free) {
            Slot::Publish { is_counted, message, .. } => (is_counted, Some(message)),
            Slot::Pubrel { is_counted, .. } => (is_counted, None),
            Slot::Free | Slot::Reserved => return None,
        };
        self.in_flight -= 1;
        // What took nothing gives nothing back: a PUBREL sent again does not count. [MQTT-4.9.0-2]
        if is_counted && self.quota < self.receive_maximum {
            self.quota += 1;
        }
        self.drop_free_front();
        message
    }

    #[inline]
    fn push(&mut self, slot: Slot<M>) -> PacketId {
        let packet_id = self.id_at(self.slots.len());
        self.slots.push_back(slot);
        packet_id
    }

    #[inline]
    fn drop_free_front(&mut self) {
        while let Some(Slot::Free) = self.slots.front() {
            self.slots.pop_front();
            self.first = if usize::from(self.first) + 1 == PACKET_IDS { 0 } else { self.first + 1 };
        }
        let len = self.slots.len() as u16;
        self.unsent = self.unsent.min(len);
        self.unsent_pubrels = self.unsent_pubrels.min(len);
    }

    #[inline]
    fn offset_of(&self, packet_id: PacketId) -> Result<usize, AckError> {
        let offset = self.distance(packet_id);
        if offset < self.slots.len() { Ok(offset) } else { Err(AckError::UnknownPacketId) }
    }

    /// How far `packet_id` is, in sequence, from that of the first slot: 0 to 65,534.
    #[inline]
    fn distance(&self, packet_id: PacketId) -> usize {
        let (index, first) = (usize::from(packet_id.value() - 1), usize::from(self.first));
        if index >= first { index - first } else { index + PACKET_IDS - first }
    }

    #[inline]
    fn id_at(&self, offset: usize) -> PacketId {
        let index = usize::from(self.first) + offset;
        let index = if index >= PACKET_IDS { index - PACKET_IDS } else { index };
        PacketId::new(index as u16 + 1).expect("an index is at most 65,534")
    }

    fn next_index(&self) -> u16 {
        self.id_at(self.slots.len() % PACKET_IDS).value() - 1
    }

    /// A peer that acknowledges all but one message cannot make the deque longer than this.
    #[inline]
    fn span_max(&self) -> usize {
        (usize::from(self.receive_maximum) * 16 + 16).min(PACKET_IDS)
    }
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPacketId => "acknowledges a Packet Identifier that is not in use",
            Self::WrongPacket => "is not the packet that acknowledges this Packet Identifier now",
        })
    }
}

impl core::error::Error for AckError {}

/// Packet Identifiers there are: 1 to 65,535. [MQTT-2.2.1-3]
const PACKET_IDS: usize = 65_535;

#[cfg(test)]
mod tests;
