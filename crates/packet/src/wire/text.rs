//! UTF-8 Encoded Strings (1.5.4).

use crate::error::EncodeError;

/// What is wrong with the bytes of a UTF-8 Encoded String.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextFault {
    /// Not UTF-8: a surrogate, an overlong form, a stray byte. [MQTT-1.5.4-1] [MQTT3-1.5.3-1]
    NotUtf8,
    /// The null character U+0000. [MQTT-1.5.4-2] [MQTT3-1.5.3-2]
    NullCharacter,
}

/// Takes the bytes as text; a byte order mark stays what it is. [MQTT-1.5.4-3] [MQTT3-1.5.3-3]
///
/// # Errors
/// Both variants of [`TextFault`].
#[inline]
pub fn parse(bytes: &[u8]) -> Result<&str, TextFault> {
    let text = core::str::from_utf8(bytes).map_err(|_| TextFault::NotUtf8)?;
    if bytes.contains(&0) { Err(TextFault::NullCharacter) } else { Ok(text) }
}

/// Returns the number of bytes `text` takes with its length in front, if it may be sent.
///
/// # Errors
/// [`EncodeError::TooLong`] above 65,535 bytes, [`EncodeError::NullCharacter`].
pub(crate) fn encoded_len(text: &str) -> Result<usize, EncodeError> {
    if text.as_bytes().contains(&0) {
        return Err(EncodeError::NullCharacter);
    }
    binary_encoded_len(text.as_bytes())
}

/// Returns the number of bytes `data` takes with its length in front (1.5.6).
///
/// # Errors
/// [`EncodeError::TooLong`] above 65,535 bytes.
#[inline]
pub(crate) const fn binary_encoded_len(data: &[u8]) -> Result<usize, EncodeError> {
    if data.len() > u16::MAX as usize { Err(EncodeError::TooLong) } else { Ok(data.len() + 2) }
}
