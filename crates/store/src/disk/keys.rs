//! Keys that the engine can hold.
//!
//! It takes keys of up to 65,535 bytes, and a topic alone may be that long. A key that is too long is filed under its first
//! bytes and a checksum of all of it; what is missing stands before its value.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_128;

/// Longer keys are filed in two parts.
pub(super) const KEPT: usize = 65_000;
/// The length of a key that was too long, in the engine.
const FILED: usize = KEPT + 16;

/// What the engine is given for a record.
pub(super) fn filed<'k>(key: &'k [u8], value: &'k [u8]) -> (Cow<'k, [u8]>, Cow<'k, [u8]>) {
    let Some((_, rest)) = key.split_at_checked(KEPT).filter(|(_, rest)| !rest.is_empty()) else {
        return (Cow::Borrowed(key), Cow::Borrowed(value));
    };
    let len = u32::try_from(rest.len()).expect("a key is a little longer than a text of MQTT");
    (filed_key(key), Cow::Owned([&len.to_be_bytes(), rest, value].concat()))
}

/// The engine's key of a record.
pub(super) fn filed_key(key: &[u8]) -> Cow<'_, [u8]> {
    match key.split_at_checked(KEPT) {
        Some((kept, rest)) if !rest.is_empty() => Cow::Owned([kept, &xxh3_128(key).to_be_bytes()].concat()),
        _ => Cow::Borrowed(key),
    }
}

/// The record that the engine has given; nothing if it is none.
pub(super) fn record<'k>(key: &'k [u8], value: &'k [u8]) -> Option<(Cow<'k, [u8]>, &'k [u8])> {
    if key.len() != FILED {
        return Some((Cow::Borrowed(key), value));
    }
    let (len, rest) = value.split_first_chunk()?;
    let (rest, value) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some((Cow::Owned([&key[..KEPT], rest].concat()), value))
}

/// The bounds between which the engine is to look for records between two keys. Some that it finds may lie outside.
pub(super) fn bounds<'k>(from: &'k [u8], to: &'k [u8]) -> (&'k [u8], Cow<'k, [u8]>) {
    let from = &from[..from.len().min(KEPT)];
    if to.len() <= KEPT {
        return (from, Cow::Borrowed(to));
    }
    // Behind all keys with these first bytes.
    (from, Cow::Owned([&to[..KEPT], &[0xff; 17]].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_come_back() {
        for len in [1, KEPT - 1, KEPT, KEPT + 1, FILED, 65_546] {
            let key: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
            let (filed_as, value) = filed(&key, b"value");
            assert!(filed_as.len() <= FILED && filed_as == filed_key(&key));
            let (found, value) = record(&filed_as, &value).unwrap();
            assert!(*found == *key && value == b"value");
            let mut after = key.clone();
            after.push(0);
            let (from, to) = bounds(&key, &after);
            assert!(from <= &*filed_as && *filed_as < *to);
        }
        assert!(record(&[b't'; FILED], b"abc").is_none());
    }
}
