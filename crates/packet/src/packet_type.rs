//! Types of Control Packets (2.1.2).

use core::fmt;

/// Names the type of a Control Packet; the number is the upper half of its first byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PacketType {
    /// Connection request, Client to Server (3.1).
    Connect = 1,
    /// Connection acknowledgement, Server to Client (3.2).
    Connack = 2,
    /// An Application Message, both ways (3.3).
    Publish = 3,
    /// Acknowledgement of QoS 1 (3.4).
    Puback = 4,
    /// QoS 2, received (3.5).
    Pubrec = 5,
    /// QoS 2, released (3.6).
    Pubrel = 6,
    /// QoS 2, complete (3.7).
    Pubcomp = 7,
    /// Subscribe request, Client to Server (3.8).
    Subscribe = 8,
    /// Subscribe acknowledgement, Server to Client (3.9).
    Suback = 9,
    /// Unsubscribe request, Client to Server (3.10).
    Unsubscribe = 10,
    /// Unsubscribe acknowledgement, Server to Client (3.11).
    Unsuback = 11,
    /// Ping request, Client to Server (3.12).
    Pingreq = 12,
    /// Ping response, Server to Client (3.13).
    Pingresp = 13,
    /// The end of the Network Connection (3.14); from the Server only in version 5.0.
    Disconnect = 14,
    /// Authentication exchange, both ways (3.15); only in version 5.0.
    Auth = 15,
}

impl PacketType {
    /// All types in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// Returns the type with this number, `None` for 0 and above 15.
    #[inline]
    #[must_use]
    pub const fn from_value(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// Returns the number, 1 to 15.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Returns the name in capitals, as the standard writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Returns who sends packets of this type, in words for a person.
    #[must_use]
    pub const fn sender(self) -> &'static str {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::Pingreq => "the Client",
            Self::Connack | Self::Suback | Self::Unsuback | Self::Pingresp => "the Server",
            _ => "the other side",
        }
    }

    /// One bit for each type, for tables.
    #[inline]
    pub(crate) const fn bit(self) -> u16 {
        1 << self.value()
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
