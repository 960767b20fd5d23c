//! Under which key a record is filed.

use dunlin_packet::packet_identifier::PacketId;

use crate::ids::ShardId;

/// The Session that a record belongs to: its slot, and a number that no other Session ever had in that slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Owner {
    /// The slot of its Client Identifier.
    pub slot: u16,
    /// The number, never 0.
    pub uid: u64,
}

/// What a record is about. In bytes a key begins with the letter of its kind, and numbers are big-endian: records come in
/// the order of their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key<'a> {
    /// A fact about the whole store, by name.
    Fact(&'a str),
    /// A Session (4.1).
    Session(Owner),
    /// One Subscription of a Session, by its whole Topic Filter.
    Subscription(Owner, &'a str),
    /// The Will of a Session (3.1.2.5).
    Will(Owner),
    /// A message that a Session has not acknowledged, by its place in the queue.
    Message(Owner, u64),
    /// The state of a Packet Identifier that the Server has sent (4.3).
    InFlight(Owner, PacketId),
    /// A QoS 2 Packet Identifier that was received and not released (4.3.3).
    Received(Owner, PacketId),
    /// The Retained Message of a topic, with its slot (3.3.1.3).
    Retained(u16, &'a str),
    /// A message that several [`Key::Message`] of one shard share.
    Body(ShardId, u64),
    /// Mail that one shard has written to another.
    Transit {
        /// The sender.
        from: ShardId,
        /// The receiver.
        to: ShardId,
        /// Its place among all that this sender has written.
        number: u64,
    },
}

/// The first bytes of keys.
pub mod kind {
    /// [`Key::Fact`](super::Key::Fact).
    pub const FACT: u8 = b'c';
    /// [`Key::Session`](super::Key::Session).
    pub const SESSION: u8 = b's';
    /// [`Key::Subscription`](super::Key::Subscription).
    pub const SUBSCRIPTION: u8 = b'f';
    /// [`Key::Will`](super::Key::Will).
    pub const WILL: u8 = b'w';
    /// [`Key::Message`](super::Key::Message).
    pub const MESSAGE: u8 = b'm';
    /// [`Key::InFlight`](super::Key::InFlight).
    pub const IN_FLIGHT: u8 = b'i';
    /// [`Key::Received`](super::Key::Received).
    pub const RECEIVED: u8 = b'r';
    /// [`Key::Retained`](super::Key::Retained).
    pub const RETAINED: u8 = b't';
    /// [`Key::Body`](super::Key::Body).
    pub const BODY: u8 = b'b';
    /// [`Key::Transit`](super::Key::Transit).
    pub const TRANSIT: u8 = b'x';
    /// The kinds that are filed by slot, in the order in which they are to be restored.
    pub const BY_SLOT: [u8; 7] = [SESSION, SUBSCRIPTION, WILL, IN_FLIGHT, MESSAGE, RECEIVED, RETAINED];
}

impl Key<'_> {
    /// Appends the key in bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Fact(name) => named(out, kind::FACT, name),
            Self::Session(owner) => owned(out, kind::SESSION, owner),
            Self::Subscription(owner, filter) => {
                owned(out, kind::SUBSCRIPTION, owner);
                out.extend_from_slice(filter.as_bytes());
            }
            Self::Will(owner) => owned(out, kind::WILL, owner),
            Self::Message(owner, number) => {
                owned(out, kind::MESSAGE, owner);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::InFlight(owner, packet_id) => {
                owned(out, kind::IN_FLIGHT, owner);
                out.extend_from_slice(&packet_id.value().to_be_bytes());
            }
            Self::Received(owner, packet_id) => {
                owned(out, kind::RECEIVED, owner);
                out.extend_from_slice(&packet_id.value().to_be_bytes());
            }
            Self::Retained(slot, topic) => {
                out.push(kind::RETAINED);
                out.extend_from_slice(&slot.to_be_bytes());
                out.extend_from_slice(topic.as_bytes());
            }
            Self::Body(shard, number) => {
                out.extend_from_slice(&[kind::BODY, shard.0]);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Transit { from, to, number } => {
                out.extend_from_slice(&[kind::TRANSIT, from.0, to.0]);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    /// The key in bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }
}

impl<'a> Key<'a> {
    /// Reads a key; nothing if it is none.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        Some(match kind {
            kind::FACT => Self::Fact(std::str::from_utf8(rest).ok()?),
            kind::RETAINED => {
                let (slot, topic) = rest.split_first_chunk()?;
                Self::Retained(u16::from_be_bytes(*slot), std::str::from_utf8(topic).ok()?)
            }
            kind::BODY => {
                let (&shard, rest) = rest.split_first()?;
                Self::Body(ShardId(shard), number(rest)?)
            }
            kind::TRANSIT => {
                let (&[from, to], rest) = rest.split_first_chunk()?;
                Self::Transit { from: ShardId(from), to: ShardId(to), number: number(rest)? }
            }
            _ => Self::decode_owned(kind, rest)?,
        })
    }

    fn decode_owned(kind: u8, rest: &'a [u8]) -> Option<Self> {
        let (slot, rest) = rest.split_first_chunk()?;
        let (uid, rest) = rest.split_first_chunk()?;
        let owner = Owner { slot: u16::from_be_bytes(*slot), uid: u64::from_be_bytes(*uid) };
        Some(match (kind, rest) {
            (kind::SESSION, []) => Self::Session(owner),
            (kind::WILL, []) => Self::Will(owner),
            (kind::SUBSCRIPTION, filter) => Self::Subscription(owner, std::str::from_utf8(filter).ok()?),
            (kind::MESSAGE, rest) => Self::Message(owner, number(rest)?),
            (kind::IN_FLIGHT, rest) => Self::InFlight(owner, packet_id(rest)?),
            (kind::RECEIVED, rest) => Self::Received(owner, packet_id(rest)?),
            _ => return None,
        })
    }
}

fn named(out: &mut Vec<u8>, kind: u8, name: &str) {
    out.push(kind);
    out.extend_from_slice(name.as_bytes());
}

fn owned(out: &mut Vec<u8>, kind: u8, owner: Owner) {
    out.push(kind);
    out.extend_from_slice(&owner.slot.to_be_bytes());
    out.extend_from_slice(&owner.uid.to_be_bytes());
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn packet_id(bytes: &[u8]) -> Option<PacketId> {
    PacketId::new(u16::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back() {
        let owner = Owner { slot: 1_023, uid: 0x0102_0304_0506_0708 };
        let packet_id = PacketId::new(65_535).unwrap();
        let keys = [
            Key::Fact("format"),
            Key::Session(owner),
            Key::Subscription(owner, "$share/g/a/+"),
            Key::Will(owner),
            Key::Message(owner, u64::MAX),
            Key::InFlight(owner, packet_id),
            Key::Received(owner, packet_id),
            Key::Retained(7, "a/b"),
            Key::Body(ShardId(3), 9),
            Key::Transit { from: ShardId(1), to: ShardId(2), number: 5 },
        ];
        for key in keys {
            let bytes = key.to_bytes();
            assert_eq!(Key::decode(&bytes), Some(key));
            let shorter = Key::decode(&bytes[..bytes.len() - 1]);
            assert_ne!(shorter, Some(key));
        }
        for wrong in [&b""[..], b"?", b"s", b"m\0\0\0", b"t\0", b"i\0\0\0\0\0\0\0\0\0\0\0\0"] {
            assert_eq!(Key::decode(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn messages_come_in_the_order_of_their_numbers() {
        let owner = Owner { slot: 1, uid: 1 };
        let keys: Vec<_> = [1, 255, 256, 1 << 40].map(|it| Key::Message(owner, it).to_bytes()).into();
        assert!(keys.is_sorted());
    }
}
