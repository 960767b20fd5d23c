//! Hashes of names and levels, seeded by chance so that a stranger cannot choose colliding topics (4.7).

use std::hash::{BuildHasher, Hasher};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

/// Hashes the texts of one table. Clones give the same hashes; two instances made by `new` do not.
#[derive(Clone, Debug)]
pub(crate) struct TextHash {
    state: SeedableRandomState,
    /// Odd, so that joining never loses a bit of what is joined.
    factor: u64,
}

impl TextHash {
    pub(crate) fn new() -> Self {
        Self::from_state(SeedableRandomState::random())
    }

    /// Gives the same hashes for the same seed in every run.
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self::from_state(SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()))
    }

    /// Joins everything to the same hash.
    #[cfg(test)]
    pub(crate) fn colliding() -> Self {
        TextHash { factor: 0, ..Self::new() }
    }

    fn from_state(state: SeedableRandomState) -> Self {
        let factor = state.hash_one(0x5eed_u64) | 1;
        TextHash { state, factor }
    }

    /// The hash of a text.
    pub(crate) fn text(&self, text: &[u8]) -> u32 {
        let mut hasher = self.state.build_hasher();
        hasher.write(text);
        fold(hasher.finish())
    }

    /// The hash of a level that stands below something: a node of a tree, or a head that is hashed already.
    pub(crate) fn join(&self, above: u32, level: u32) -> u32 {
        let both = u64::from(above) << 32 | u64::from(level);
        let product = u128::from(both ^ self.factor) * u128::from(self.factor);
        fold((product as u64) ^ (product >> 64) as u64)
    }
}

/// Brings 64 bits down to 32 without dropping any.
fn fold(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_spread_over_few_buckets() {
        let hash = TextHash::new();
        let mut texts = [0_u32; 256];
        let mut joined = [0_u32; 256];
        for number in 0..25_600_u32 {
            let level = hash.text(format!("{number}").as_bytes());
            texts[(level & 255) as usize] += 1;
            joined[(hash.join(number, 7) & 255) as usize] += 1;
        }
        assert!(texts.iter().chain(&joined).all(|&count| (40..=180).contains(&count)));
    }

    #[test]
    fn clone_hashes_alike() {
        let hash = TextHash::new();
        assert_eq!(hash.clone().text(b"a/b"), hash.text(b"a/b"));
        assert_eq!(hash.clone().join(1, 2), hash.join(1, 2));
        assert_ne!(hash.join(1, 2), hash.join(2, 1));
    }

    #[test]
    fn seed_decides() {
        let [one, again, other] = [1, 1, 2].map(TextHash::with_seed);
        assert_eq!((one.text(b"a/b"), one.join(1, 2)), (again.text(b"a/b"), again.join(1, 2)));
        assert_ne!((one.text(b"a/b"), one.join(1, 2)), (other.text(b"a/b"), other.join(1, 2)));
    }
}
