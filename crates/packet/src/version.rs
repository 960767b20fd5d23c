//! Protocol versions (3.1.2.1, 3.1.2.2).

use core::{error::Error, fmt, str::FromStr};

/// Tells which version of the protocol a Network Connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ProtocolVersion {
    /// MQTT 3.1, protocol name `MQIsdp`.
    V3_1 = 3,
    /// MQTT 3.1.1.
    V3_1_1 = 4,
    /// MQTT 5.0.
    V5_0 = 5,
}

impl ProtocolVersion {
    /// Tells whether packets of this version carry Properties, and Reason Codes in all acknowledgements.
    #[inline]
    #[must_use]
    pub const fn has_properties(self) -> bool {
        matches!(self, Self::V5_0)
    }

    /// Returns the Protocol Level byte that CONNECT carries: 3, 4 or 5.
    #[inline]
    #[must_use]
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// Returns the version with this Protocol Level, if it is one of the three.
    #[must_use]
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            3 => Some(Self::V3_1),
            4 => Some(Self::V3_1_1),
            5 => Some(Self::V5_0),
            _ => None,
        }
    }

    /// Returns the Protocol Name that CONNECT carries: `MQIsdp` or `MQTT`.
    #[must_use]
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::V3_1 => "MQIsdp",
            Self::V3_1_1 | Self::V5_0 => "MQTT",
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_1 => "3.1",
            Self::V3_1_1 => "3.1.1",
            Self::V5_0 => "5.0",
        })
    }
}

/// A text that names no version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownVersion;

impl FromStr for ProtocolVersion {
    type Err = UnknownVersion;

    /// Reads `3.1`, `3.1.1` and `5.0`, and what command lines call them: `mqttv31`, `mqttv311`, `mqttv5`.
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text {
            "mqttv31" | "31" | "3.1" => Ok(Self::V3_1),
            "mqttv311" | "311" | "3.1.1" => Ok(Self::V3_1_1),
            "mqttv5" | "5" | "5.0" => Ok(Self::V5_0),
            _ => Err(UnknownVersion),
        }
    }
}

impl fmt::Display for UnknownVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version is mqttv31, mqttv311 or mqttv5")
    }
}

impl Error for UnknownVersion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_by_all_their_names() {
        for (names, version) in [
            (["mqttv31", "31", "3.1"], ProtocolVersion::V3_1),
            (["mqttv311", "311", "3.1.1"], ProtocolVersion::V3_1_1),
            (["mqttv5", "5", "5.0"], ProtocolVersion::V5_0),
        ] {
            for name in names {
                assert_eq!(name.parse(), Ok(version));
            }
        }
        for wrong in ["", "4", "mqttv4", "MQTT"] {
            assert_eq!(wrong.parse::<ProtocolVersion>(), Err(UnknownVersion));
        }
    }
}
