//! The masks of a client's frames (RFC 6455, section 5.3): four bytes that nobody can foresee, new for each.

use std::cell::RefCell;

use ring::rand::{SecureRandom, SystemRandom};

/// Random bytes of this thread, fetched many at a time.
struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

/// Gives a mask.
#[must_use]
pub fn random() -> [u8; 4] {
    POOL.with_borrow_mut(Pool::next)
}

impl Pool {
    fn next(&mut self) -> [u8; 4] {
        if self.used == POOL_BYTES {
            SystemRandom::new().fill(&mut self.bytes).expect("the operating system gives random bytes");
            self.used = 0;
        }
        let mask = [0, 1, 2, 3].map(|at| self.bytes[self.used + at]);
        self.used += 4;
        mask
    }
}

const POOL_BYTES: usize = 4096;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_BYTES], used: POOL_BYTES }) };
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn masks_do_not_repeat() {
        let masks: HashSet<_> = (0..POOL_BYTES).map(|_| random()).collect();
        // Among 4,096 of four billion two are alike once in five hundred times.
        assert!(masks.len() >= POOL_BYTES - 3);
    }
}
