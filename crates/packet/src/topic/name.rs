//! Topic Names (4.7).

use core::{fmt, str::Split};

use crate::{
    error::TopicError,
    wire::text::{self, TextFault},
};

/// A valid Topic Name: 1 to 65,535 bytes of UTF-8 without wildcards and without U+0000.
///
/// Names are compared byte for byte, case included. [MQTT-4.7.3-4] [MQTT3-4.7.3-4]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Takes `text` as a Topic Name.
    ///
    /// # Errors
    /// [`TopicError::Empty`], [`TopicError::TooLong`], [`TopicError::NullCharacter`],
    /// [`TopicError::WildcardInTopicName`].
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty); // [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
        }
        if text.len() > usize::from(u16::MAX) {
            return Err(TopicError::TooLong); // [MQTT-4.7.3-3] [MQTT3-4.7.3-3]
        }
        if contains_mark(text.as_bytes()) {
            return Err(mark_error(text.as_bytes()));
        }
        Ok(Self(text))
    }

    /// Takes the bytes of a string field, at most 65,535, as a Topic Name: UTF-8 and all else in one go.
    ///
    /// # Errors
    /// The outer one for bytes that are no UTF-8 Encoded String at all, the inner one for an invalid name.
    #[inline]
    pub(crate) fn from_field(bytes: &'a [u8]) -> Result<Result<Self, TopicError>, TextFault> {
        match core::str::from_utf8(bytes) {
            Ok(name) if !contains_mark(bytes) && !name.is_empty() => Ok(Ok(Self(name))),
            _ => text::parse(bytes).map(Self::parse),
        }
    }

    /// Returns the text.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns the levels from the first to the last; a level may be empty (4.7.1.1).
    #[inline]
    pub fn levels(self) -> Split<'a, char> {
        self.0.split('/')
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Tells which of the three forbidden characters is there.
#[cold]
fn mark_error(bytes: &[u8]) -> TopicError {
    if bytes.contains(&0) {
        TopicError::NullCharacter // [MQTT-4.7.3-2] [MQTT3-4.7.3-2]
    } else {
        TopicError::WildcardInTopicName // [MQTT-3.3.2-2] [MQTT3-3.3.2-2] [MQTT-4.7.0-1] [MQTT3-4.7.1-1]
    }
}

/// Tells whether U+0000, `+` or `#` is among the bytes; eight bytes a step.
#[inline]
fn contains_mark(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<8>() {
        let words = bytes.as_chunks::<8>().0;
        let found = words
            .iter()
            .fold(marks(u64::from_le_bytes(*last)), |found, word| found | marks(u64::from_le_bytes(*word)));
        return found != 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let word = u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
        return marks(word) != 0;
    }
    bytes.iter().any(|byte| matches!(byte, 0 | b'+' | b'#'))
}

/// Returns zero if none of the eight bytes is U+0000, `+` or `#`. The two wildcards differ in one bit only.
#[inline]
const fn marks(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let wildcard = (word | (EACH * 0x08)) ^ (EACH * 0x2B);
    zero_bytes(word) | zero_bytes(wildcard)
}

/// Returns zero if no byte of `word` is zero.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_found_at_each_place_and_nothing_else_is() {
        for len in 1..40 {
            for place in 0..len {
                for byte in 0..=0x7F_u8 {
                    let mut bytes = [b'a'; 40];
                    bytes[place] = byte;
                    let expected = matches!(byte, 0 | b'+' | b'#');
                    assert_eq!(contains_mark(&bytes[..len]), expected, "{byte:#x} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn names_are_refused_for_the_right_reason() {
        assert_eq!(TopicName::parse(""), Err(TopicError::Empty)); // [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
        assert_eq!(TopicName::parse("a/+"), Err(TopicError::WildcardInTopicName)); // [MQTT-3.3.2-2]
        assert_eq!(TopicName::parse("a\0+"), Err(TopicError::NullCharacter)); // [MQTT-4.7.3-2]
        assert!(TopicName::parse("$SYS//ä/\u{FEFF}").is_ok());
    }
}
