//! Variable Byte Integers (1.5.5).

use crate::error::DecodeError;

/// The greatest Variable Byte Integer, and so the greatest Remaining Length.
pub const MAX: u32 = 268_435_455;

/// What the first bytes of a Variable Byte Integer tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// The value and the number of bytes it takes, 1 to 4.
    Value {
        /// 0 to 268,435,455.
        value: u32,
        /// Bytes.
        len: usize,
    },
    /// The integer goes on after the given bytes.
    MoreBytes,
}

/// Decodes the Variable Byte Integer at the start of `bytes`.
///
/// # Errors
/// [`DecodeError::VariableByteIntegerTooLong`] after four bytes that all announce another one,
/// [`DecodeError::VariableByteIntegerNotMinimal`] if fewer bytes would do. [MQTT-1.5.5-1]
#[inline]
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    match bytes {
        [first, ..] if *first < 0x80 => Ok(Decoded::Value { value: u32::from(*first), len: 1 }),
        [first, second, ..] if *second < 0x80 && *second != 0 => {
            Ok(Decoded::Value { value: u32::from(*first & 0x7F) | u32::from(*second) << 7, len: 2 })
        }
        _ => decode_long(bytes),
    }
}

fn decode_long(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte < 0x80 {
            if byte == 0 && index > 0 {
                return Err(DecodeError::VariableByteIntegerNotMinimal);
            }
            return Ok(Decoded::Value { value, len: index + 1 });
        }
    }
    if bytes.len() >= 4 { Err(DecodeError::VariableByteIntegerTooLong) } else { Ok(Decoded::MoreBytes) }
}

/// Returns the number of bytes that `value` takes, 1 to 4; values above [`MAX`] count as 4.
#[inline]
#[must_use]
pub const fn encoded_len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Returns the bytes of `value`, of which the first [`encoded_len`] count; only the lower 28 bits are taken.
#[inline]
#[must_use]
pub const fn encode(value: u32) -> ([u8; 4], usize) {
    let len = encoded_len(value);
    let mut bytes = [0; 4];
    let mut index = 0;
    while index < len {
        let more = if index + 1 < len { 0x80 } else { 0 };
        bytes[index] = (value >> (7 * index)) as u8 & 0x7F | more;
        index += 1;
    }
    (bytes, len)
}
