//! Random bits for Assigned Client Identifiers, fetched for many connections at once.

/// Hands out random bits of the operating system.
pub(super) struct RandomBits {
    bytes: [u8; BYTES],
    used: usize,
}

impl RandomBits {
    /// Nothing is fetched yet.
    pub(super) fn new() -> Self {
        Self { bytes: [0; BYTES], used: BYTES }
    }

    /// 128 bits that were never handed out before.
    ///
    /// # Errors
    /// If the operating system has none.
    pub(super) fn next(&mut self) -> Result<u128, getrandom::Error> {
        if self.used == BYTES {
            getrandom::fill(&mut self.bytes)?;
            self.used = 0;
        }
        let (bytes, _) = self.bytes[self.used..].split_first_chunk().expect("a multiple of 16 bytes");
        self.used += size_of::<u128>();
        Ok(u128::from_ne_bytes(*bytes))
    }
}

/// Bytes fetched at once: for 64 connections.
const BYTES: usize = 64 * size_of::<u128>();

#[cfg(test)]
mod tests {
    #[test]
    fn bits_are_never_handed_out_twice() {
        let mut random = super::RandomBits::new();
        let all: std::collections::HashSet<u128> = (0..1_000).map(|_| random.next().unwrap()).collect();
        assert_eq!(all.len(), 1_000);
    }
}
