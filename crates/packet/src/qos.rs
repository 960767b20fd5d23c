//! Quality of Service levels (4.3).

/// Names a Quality of Service level; the order is the order of the promise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: at most once, unacknowledged (4.3.1).
    #[default]
    AtMostOnce = 0,
    /// QoS 1: at least once, PUBACK (4.3.2).
    AtLeastOnce = 1,
    /// QoS 2: exactly once, PUBREC, PUBREL, PUBCOMP (4.3.3).
    ExactlyOnce = 2,
}

impl QoS {
    /// Returns the level with this number, `None` above 2.
    #[inline]
    #[must_use]
    pub const fn from_value(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// Returns the number on the wire: 0, 1 or 2.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u8 {
        self as u8
    }
}
