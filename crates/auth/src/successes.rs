//! Who has lately proved a password: so that all Clients can come back at once after a loss of power.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use dunlin_passwords::hash::PasswordHash;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::recent::Recent;

/// Remembers that a password was right for a hash, without the password: an HMAC of both, with a key that only this process has
/// and that ends with it. Another hash of the same user, such as after a change of the file, is another memory.
pub struct Successes {
    /// With the key, and nothing else yet.
    keyed: Hmac<Sha256>,
    lifetime: Duration,
    seen: Mutex<Recent<Box<str>, Seen>>,
}

struct Seen {
    tag: [u8; 32],
    until: Instant,
}

impl Successes {
    /// Remembers `max` users, each for `lifetime` after it was last proved slowly; nobody if either is zero.
    ///
    /// # Errors
    /// If the operating system has no random numbers.
    pub fn new(max: usize, lifetime: Duration) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let keyed = Hmac::new_from_slice(&key).expect("a key may have any length");
        let lifetime = if max == 0 { Duration::ZERO } else { lifetime };
        Ok(Self { keyed, lifetime, seen: Mutex::new(Recent::new(max)) })
    }

    /// Whether this password was right for this hash a short time ago.
    pub(crate) fn knows(&self, user_name: &str, hash: &PasswordHash, password: &[u8], now: Instant) -> bool {
        if self.lifetime.is_zero() {
            return false;
        }
        let tag = self.tag(user_name, hash, password);
        let mut seen = self.seen.lock().expect(LOCK);
        seen.find(user_name).is_some_and(|seen| bool::from(seen.tag.ct_eq(&tag)) & (seen.until > now))
    }

    /// The password was right for the hash.
    pub(crate) fn note(&self, user_name: &str, hash: &PasswordHash, password: &[u8], now: Instant) {
        if self.lifetime.is_zero() {
            return;
        }
        let seen = Seen { tag: self.tag(user_name, hash, password), until: now + self.lifetime };
        self.seen.lock().expect(LOCK).insert(user_name.into(), seen);
    }

    /// A number below `bound` that belongs to this name as long as this process lives.
    pub(crate) fn pick(&self, name: &str, bound: usize) -> usize {
        let mac = self.mac(&[b"pick", name.as_bytes()]);
        let number = u64::from_be_bytes(std::array::from_fn(|i| mac[i]));
        usize::try_from(number % bound.max(1) as u64).unwrap_or(0)
    }

    fn tag(&self, user_name: &str, hash: &PasswordHash, password: &[u8]) -> [u8; 32] {
        self.mac(&[user_name.as_bytes(), hash.as_str().as_bytes(), password])
    }

    /// Each part with its length, so that no two lists of parts are the same.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Successes {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Successes").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

const LOCK: &str = "nobody panics while holding the lock of the successes";

#[cfg(test)]
mod tests {
    use dunlin_passwords::hash::Algorithm;

    use super::*;

    #[test]
    fn only_the_same_password_for_the_same_hash_is_known_and_not_for_ever() {
        let successes = Successes::new(100, Duration::from_secs(10)).unwrap();
        let hash = || PasswordHash::new(Algorithm::Sha512, b"one", None).unwrap();
        let (old, new, now) = (hash(), hash(), Instant::now());
        assert!(!successes.knows("ann", &old, b"one", now));
        successes.note("ann", &old, b"one", now);
        assert!(successes.knows("ann", &old, b"one", now));
        assert!(!successes.knows("ann", &old, b"one\0", now));
        assert!(!successes.knows("bob", &old, b"one", now));
        assert!(!successes.knows("ann", &new, b"one", now), "another line in the file");
        assert!(!successes.knows("ann", &old, b"one", now + Duration::from_secs(10)));
        let off = Successes::new(0, Duration::from_secs(10)).unwrap();
        off.note("ann", &old, b"one", now);
        assert!(!off.knows("ann", &old, b"one", now));
        assert_eq!(format!("{off:?}"), "Successes { lifetime: 0ns, .. }");
    }
}
