//! Where a Session or a Retained Message lives: name, slot, shard.

use crate::ids::ShardId;

/// How many slots there are. Records are filed by slot, so that the number of shards may change between runs.
pub const SLOTS: u16 = 1_024;

/// Returns the slot of a Client Identifier, Topic Name or Shared Subscription: 0 to 1,023, the same for ever.
///
/// It stands in files, so it is a fixed function (FNV-1a with a final mix) without a seed.
#[must_use]
pub fn slot_of(name: &str) -> u16 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for &byte in name.as_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The upper bits are mixed best.
    (hash >> 54) as u16
}

/// Returns the shard that owns `name` when `shards` of them (1 to 64) share the slots.
#[must_use]
pub fn home_of(name: &str, shards: u8) -> ShardId {
    if shards <= 1 {
        return ShardId(0);
    }
    ShardId((slot_of(name) % u16::from(shards)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_spread_and_fixed() {
        let mut counts = [0u32; 5];
        for number in 0..10_000 {
            counts[home_of(&format!("client-{number}"), 5).index()] += 1;
        }
        assert!(counts.iter().all(|&count| (1_700..2_300).contains(&count)), "{counts:?}");
        assert_eq!(slot_of("client-1"), slot_of("client-1"));
        assert!(slot_of("") < SLOTS);
    }
}
