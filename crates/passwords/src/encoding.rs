//! Base64, numbers and random bytes.

use base64::Engine;
#[cfg(feature = "hashes")]
use base64::{alphabet::STANDARD, engine::GeneralPurpose, engine::general_purpose::NO_PAD};

/// With `=` at the end, as mosquitto and SCRAM write it.
pub(crate) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Without, as Argon2 writes it.
#[cfg(feature = "hashes")]
pub(crate) fn encode_unpadded(bytes: &[u8]) -> String {
    UNPADDED.encode(bytes)
}

/// With `=` at the end.
#[cfg(feature = "hashes")]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// Without.
#[cfg(feature = "hashes")]
pub(crate) fn decode_unpadded(text: &str) -> Option<Vec<u8>> {
    UNPADDED.decode(text).ok()
}

/// Fresh random bytes.
///
/// # Errors
/// If the operating system has none.
#[cfg(feature = "hashes")]
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Digits only: no sign, no blank.
#[cfg(feature = "hashes")]
pub(crate) fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Those of a length within bounds.
#[cfg(feature = "hashes")]
pub(crate) fn bytes(bytes: Option<Vec<u8>>, min: usize, max: usize) -> Option<Box<[u8]>> {
    bytes.filter(|bytes| (min..=max).contains(&bytes.len())).map(Vec::into_boxed_slice)
}

#[cfg(feature = "hashes")]
const UNPADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD);
