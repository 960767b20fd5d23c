//! Packet Identifiers (2.2.1).

use core::{fmt, num::NonZeroU16};

/// A Packet Identifier; never zero. [MQTT-2.2.1-3]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The first identifier.
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The last identifier, 65,535.
    pub const MAX: Self = Self(NonZeroU16::MAX);

    /// Returns the identifier with this number, `None` for 0.
    #[inline]
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// Returns the number, 1 to 65,535.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
