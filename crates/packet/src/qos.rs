//! Quality of Service levels (4.3).

use core::{error::Error, fmt, str::FromStr};

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

/// A text that is not the number of a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownQoS;

impl FromStr for QoS {
    type Err = UnknownQoS;

    /// Reads the number of a level, as people write it.
    fn from_str(text: &str) -> Result<Self, UnknownQoS> {
        text.parse().ok().and_then(Self::from_value).ok_or(UnknownQoS)
    }
}

impl fmt::Display for UnknownQoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a QoS is 0, 1 or 2")
    }
}

impl Error for UnknownQoS {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_they_are_written() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let digit = char::from(b'0' + qos.value());
            assert_eq!(digit.encode_utf8(&mut [0; 4]).parse(), Ok(qos));
        }
        for wrong in ["", "3", "-1", "one", "1 "] {
            assert_eq!(wrong.parse::<QoS>(), Err(UnknownQoS));
        }
    }
}
