//! The stored keys of SCRAM-SHA-256 (RFC 5802, RFC 7677), and the arithmetic of both ends.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{encoding::encode, error::ITERATIONS_MAX};
#[cfg(feature = "hashes")]
use crate::{
    encoding::{bytes, decode, number},
    error::HashError,
};

/// What a Server keeps of a password: enough to check a Client's proof, not enough to make one.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    iterations: u32,
    salt: Box<[u8]>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// What a Client computes from its password for one exchange.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramProof {
    /// Sent to the Server.
    pub client_proof: [u8; 32],
    /// What the Server must answer.
    pub server_signature: [u8; 32],
}

impl ScramKeys {
    /// Iterations of new keys. RFC 7677 asks for 4,096 or more; each Client computes them at each connection.
    pub const ITERATIONS: u32 = 10_000;
    /// The fewest that are accepted.
    pub const ITERATIONS_MIN: u32 = 4_096;

    /// Derives the keys of `password`; `iterations` are brought into bounds.
    #[must_use]
    pub fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let iterations = iterations.clamp(Self::ITERATIONS_MIN, ITERATIONS_MAX);
        let salted = salted_password(password, salt, iterations);
        Self {
            iterations,
            salt: salt.into(),
            stored_key: Sha256::digest(hmac(&salted, b"Client Key")).into(),
            server_key: hmac(&salted, b"Server Key"),
        }
    }

    /// Keys that no password has, for a user that there is not: the Client sees no difference. `seed` is a secret.
    #[must_use]
    pub fn pretended(seed: &[u8], user_name: &str, iterations: u32, salt_bytes: usize) -> Self {
        let part = |label: &[u8]| hmac(seed, &[label, user_name.as_bytes()].concat());
        let salt = part(b"salt").into_iter().cycle().take(salt_bytes.min(32)).collect();
        Self { iterations, salt, stored_key: part(b"stored"), server_key: part(b"server") }
    }

    /// `iterations:salt$stored-key:server-key`
    #[cfg(feature = "hashes")]
    pub(crate) fn parse(rest: &str) -> Result<Self, HashError> {
        let damaged = HashError::Damaged(SCRAM);
        let key = |text: &str| <[u8; 32]>::try_from(decode(text).unwrap_or_default()).ok();
        let parts = || {
            let (head, keys) = rest.split_once('$')?;
            let (iterations, salt) = head.split_once(':')?;
            let (stored_key, server_key) = keys.split_once(':')?;
            let salt = bytes(decode(salt), 8, 64)?;
            Some((number(iterations)?, salt, key(stored_key)?, key(server_key)?))
        };
        let (iterations, salt, stored_key, server_key) = parts().ok_or(damaged)?;
        if !(Self::ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(HashError::Costly(SCRAM));
        }
        Ok(Self { iterations, salt, stored_key, server_key })
    }

    /// How often the password is hashed.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Whether these are the keys of `password`, which a Client has sent as it is.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        let derived = Self::derive(password, &self.salt, self.iterations);
        derived.stored_key.ct_eq(&self.stored_key).into()
    }

    /// Whether `proof` was made with the password of these keys for `auth_message` (RFC 5802, 3).
    #[must_use]
    pub fn is_proof(&self, proof: &[u8], auth_message: &[u8]) -> bool {
        let Ok(proof) = <[u8; 32]>::try_from(proof) else { return false };
        let client_key = xor(proof, hmac(&self.stored_key, auth_message));
        Sha256::digest(client_key).as_slice().ct_eq(&self.stored_key).into()
    }

    /// What shows the Client that the Server has these keys.
    #[must_use]
    pub fn server_signature(&self, auth_message: &[u8]) -> [u8; 32] {
        hmac(&self.server_key, auth_message)
    }
}

impl ScramProof {
    /// Computes both sides of the proof from the password; slow, as `iterations` say.
    #[must_use]
    pub fn new(password: &[u8], salt: &[u8], iterations: u32, auth_message: &[u8]) -> Self {
        let salted = salted_password(password, salt, iterations);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        Self {
            client_proof: xor(client_key, hmac(&stored_key, auth_message)),
            server_signature: hmac(&hmac(&salted, b"Server Key"), auth_message),
        }
    }
}

impl fmt::Display for ScramKeys {
    /// As RFC 5803 writes them, without the name of the method.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iterations, salt, stored_key, server_key } = self;
        write!(f, "{iterations}:{}${}:{}", encode(salt), encode(stored_key), encode(server_key))
    }
}

impl fmt::Debug for ScramKeys {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(..)")
    }
}

impl fmt::Debug for ScramProof {
    /// Without the proof.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramProof(..)")
    }
}

/// `Hi(Normalize(password), salt, i)`. What is no text, or one that cannot be normalized, counts as it stands.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let normalized = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    let password = normalized.as_ref().map_or(password, |text| text.as_bytes());
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations)
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn xor(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

#[cfg(feature = "hashes")]
const SCRAM: &str =
    "SCRAM-SHA-256$ITERATIONS:SALT$STORED-KEY:SERVER-KEY in base64, 4096 to 10000000 iterations";

#[cfg(all(test, feature = "hashes"))]
mod tests {
    use super::*;

    // The example of RFC 7677, 3.
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const AUTH_MESSAGE: &[u8] = b"n=user,r=rOprNGfwEbeRWgbNEkqO,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SIGNATURE: &str = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    #[test]
    fn the_example_of_rfc_7677_is_kept() {
        let salt = decode(SALT).unwrap();
        let proof = ScramProof::new(b"pencil", &salt, 4_096, AUTH_MESSAGE);
        assert_eq!(
            (encode(&proof.client_proof), encode(&proof.server_signature)),
            (PROOF.into(), SIGNATURE.into())
        );
        let keys = ScramKeys::derive(b"pencil", &salt, 4_096);
        assert!(keys.is_proof(&proof.client_proof, AUTH_MESSAGE));
        assert_eq!(keys.server_signature(AUTH_MESSAGE), proof.server_signature);
        assert!(keys.verify(b"pencil") && !keys.verify(b"Pencil"));
        assert!(!keys.is_proof(&proof.client_proof, b"another"));
        assert!(!keys.is_proof(&proof.client_proof[1..], AUTH_MESSAGE) && !keys.is_proof(&[], AUTH_MESSAGE));
        let wrong = ScramProof::new(b"pencils", &salt, 4_096, AUTH_MESSAGE);
        assert!(!keys.is_proof(&wrong.client_proof, AUTH_MESSAGE));
    }

    #[test]
    fn keys_can_be_written_and_read() {
        let keys = ScramKeys::derive("pässword".as_bytes(), b"salt salt", 1);
        assert_eq!(keys.iterations(), ScramKeys::ITERATIONS_MIN);
        let text = keys.to_string();
        assert_eq!(ScramKeys::parse(&text).unwrap(), keys);
        for end in 0..text.len() {
            assert!(ScramKeys::parse(&text[..end]).is_err(), "{}", &text[..end]);
        }
        let few = text.replacen("4096", "4095", 1);
        assert_eq!(ScramKeys::parse(&few).unwrap_err(), HashError::Costly(SCRAM));
    }

    #[test]
    fn passwords_are_normalized_if_they_are_text() {
        // Two ways to write ª and IX (RFC 4013, 3); bytes that are no text count as they are.
        let keys = |password: &[u8]| ScramKeys::derive(password, b"12345678", 4_096);
        assert_eq!(keys("\u{AA}".as_bytes()), keys(b"a"));
        assert_eq!(keys("I\u{AD}X".as_bytes()), keys(b"IX"));
        assert_ne!(keys(b"\xff"), keys(b"\xfe"));
    }

    #[test]
    fn a_user_that_there_is_not_looks_the_same_each_time() {
        let pretended = |name: &str| ScramKeys::pretended(b"seed", name, 10_000, 16);
        assert_eq!(pretended("ann"), pretended("ann"));
        assert_ne!(pretended("ann").salt(), pretended("bob").salt());
        assert_eq!((pretended("ann").salt().len(), pretended("ann").iterations()), (16, 10_000));
        assert!(!pretended("ann").verify(b""));
    }
}
