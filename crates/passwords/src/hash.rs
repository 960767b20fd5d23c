//! One hashed password in the forms that are read: mosquitto's, Argon2's, bcrypt's, and the stored keys of SCRAM.

use std::fmt;

use argon2::{Argon2, Params, Version};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use crate::{
    encoding::{bytes, decode, decode_unpadded, encode, encode_unpadded, number, random},
    error::{HashError, ITERATIONS_MAX},
    scram::ScramKeys,
};

/// A hashed password. What it was made from cannot be had back; [`verify`](Self::verify) compares.
#[derive(Clone)]
pub struct PasswordHash {
    text: Box<str>,
    scheme: Scheme,
}

/// How a new hash is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// `$argon2id$`: 46 MiB and some 50 ms for each try. The default.
    Argon2id,
    /// `$7$`: PBKDF2 with SHA-512, which mosquitto reads from 2.0 on.
    Pbkdf2Sha512,
    /// `$6$`: SHA-512 with a salt, which mosquitto reads since ever. Quick to guess.
    Sha512,
    /// `SCRAM-SHA-256$`: the stored keys of RFC 5803, for the Authentication Method of that name; a Client that sends the
    /// password itself is known as well.
    ScramSha256,
}

#[derive(Clone)]
enum Scheme {
    Argon2id { params: Params, salt: Box<[u8]>, hash: Box<[u8]> },
    Pbkdf2Sha512 { iterations: u32, salt: Box<[u8]>, hash: Box<[u8]> },
    Sha512 { salt: Box<[u8]>, hash: Box<[u8]> },
    Bcrypt,
    Scram(ScramKeys),
}

impl PasswordHash {
    /// Reads a hash as it stands in a file.
    ///
    /// # Errors
    /// Each [`HashError`].
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let scheme = if let Some(rest) = text.strip_prefix("$argon2id$") {
            parse_argon2id(rest)?
        } else if let Some(rest) = text.strip_prefix("$7$") {
            parse_pbkdf2(rest)?
        } else if let Some(rest) = text.strip_prefix("$6$") {
            parse_sha512(rest).ok_or(HashError::Damaged(SHA512))?
        } else if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            parse_bcrypt(text)?
        } else if let Some(rest) = text.strip_prefix("SCRAM-SHA-256$") {
            Scheme::Scram(ScramKeys::parse(rest)?)
        } else {
            return Err(HashError::Unknown);
        };
        Ok(Self { text: text.into(), scheme })
    }

    /// Hashes `password` with a new salt. `iterations` is for PBKDF2 and SCRAM; without it their defaults are taken.
    ///
    /// # Errors
    /// If the operating system has no random numbers.
    pub fn new(
        algorithm: Algorithm,
        password: &[u8],
        iterations: Option<u32>,
    ) -> Result<Self, getrandom::Error> {
        let salt = random::<SALT_BYTES>()?;
        let short_salt = &salt[..MOSQUITTO_SALT_BYTES];
        let text = match algorithm {
            Algorithm::Argon2id => {
                let mut hash = [0; 32];
                argon2(&ARGON2ID_PARAMS, password, &salt, &mut hash);
                let params = &ARGON2ID_PARAMS;
                let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
                let (salt, hash) = (encode_unpadded(&salt), encode_unpadded(&hash));
                format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}")
            }
            Algorithm::Pbkdf2Sha512 => {
                let iterations = iterations.unwrap_or(PBKDF2_ITERATIONS).clamp(1, ITERATIONS_MAX);
                let hash = pbkdf2_sha512(password, short_salt, iterations);
                format!("$7${iterations}${}${}", encode(short_salt), encode(&hash))
            }
            Algorithm::Sha512 => {
                format!("$6${}${}", encode(short_salt), encode(&sha512(password, short_salt)))
            }
            Algorithm::ScramSha256 => {
                let keys = ScramKeys::derive(password, &salt, iterations.unwrap_or(ScramKeys::ITERATIONS));
                format!("SCRAM-SHA-256${keys}")
            }
        };
        Ok(Self::parse(&text).expect("what was just written can be read"))
    }

    /// Whether this is the hash of `password`. Takes as long and as much memory for a wrong one as for the right one.
    ///
    /// PBKDF2 (`$7$` and SCRAM) cannot tell a password from the same one with NUL at its end, so with these none that ends
    /// so is right.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        match &self.scheme {
            Scheme::Argon2id { params, salt, hash } => {
                let mut computed = vec![0; hash.len()];
                argon2(params, password, salt, &mut computed);
                computed.ct_eq(hash).into()
            }
            Scheme::Pbkdf2Sha512 { iterations, salt, hash } => {
                let is_equal = pbkdf2_sha512(password, salt, *iterations).as_slice().ct_eq(hash);
                bool::from(is_equal) & !ends_with_nul(password)
            }
            Scheme::Sha512 { salt, hash } => sha512(password, salt).as_slice().ct_eq(hash).into(),
            // Longer passwords would be equal to their beginning.
            Scheme::Bcrypt => {
                let is_whole = password.len() <= BCRYPT_PASSWORD_BYTES_MAX;
                let cut = &password[..password.len().min(BCRYPT_PASSWORD_BYTES_MAX)];
                is_whole & bcrypt::verify(cut, &self.text).unwrap_or(false)
            }
            Scheme::Scram(keys) => keys.verify(password) & !ends_with_nul(password),
        }
    }

    /// Bytes of memory that [`verify`](Self::verify) takes, nearly.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match &self.scheme {
            Scheme::Argon2id { params, .. } => params.block_count() * 1_024,
            _ => 8 << 10,
        }
    }

    /// The keys for SCRAM, if it has them.
    #[must_use]
    pub fn scram_keys(&self) -> Option<&ScramKeys> {
        match &self.scheme {
            Scheme::Scram(keys) => Some(keys),
            _ => None,
        }
    }

    /// As it stands in a file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for PasswordHash {
    /// Without the hash, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// `v=19$m=47104,t=1,p=1$salt$hash`
fn parse_argon2id(rest: &str) -> Result<Scheme, HashError> {
    let damaged = HashError::Damaged(ARGON2ID);
    let [version, costs, salt, hash] = split(rest).ok_or(damaged)?;
    if version != "v=19" {
        return Err(damaged);
    }
    let mut numbers = costs.split(',');
    let mut number = |name: &str| number(numbers.next()?.strip_prefix(name)?);
    let (m, t, p) = (|| Some((number("m=")?, number("t=")?, number("p=")?)))().ok_or(damaged)?;
    if numbers.next().is_some() {
        return Err(damaged);
    }
    if m > ARGON2_KIB_MAX || t > 64 || p > 64 {
        return Err(HashError::Costly(ARGON2ID));
    }
    let salt = bytes(decode_unpadded(salt), 8, 64).ok_or(damaged)?;
    let hash = decode_unpadded(hash).filter(|hash| matches!(hash.len(), 16 | 32 | 64)).ok_or(damaged)?;
    let hash = hash.into_boxed_slice();
    let params = Params::new(m, t, p, Some(hash.len())).map_err(|_| damaged)?;
    Ok(Scheme::Argon2id { params, salt, hash })
}

/// `iterations$salt$hash`
fn parse_pbkdf2(rest: &str) -> Result<Scheme, HashError> {
    let damaged = HashError::Damaged(PBKDF2);
    let [iterations, salt, hash] = split(rest).ok_or(damaged)?;
    let iterations = number(iterations).filter(|&number| number > 0).ok_or(damaged)?;
    if iterations > ITERATIONS_MAX {
        return Err(HashError::Costly(PBKDF2));
    }
    let salt = bytes(decode(salt), 1, 64).ok_or(damaged)?;
    let hash = bytes(decode(hash), 64, 64).ok_or(damaged)?;
    Ok(Scheme::Pbkdf2Sha512 { iterations, salt, hash })
}

/// `salt$hash`
fn parse_sha512(rest: &str) -> Option<Scheme> {
    let [salt, hash] = split(rest)?;
    Some(Scheme::Sha512 { salt: bytes(decode(salt), 1, 64)?, hash: bytes(decode(hash), 64, 64)? })
}

/// `$2b$12$` and 53 characters.
fn parse_bcrypt(text: &str) -> Result<Scheme, HashError> {
    let damaged = HashError::Damaged(BCRYPT);
    let cost = text.get(4..6).and_then(number).ok_or(damaged)?;
    if !(4..=BCRYPT_COST_MAX).contains(&cost) {
        return Err(HashError::Costly(BCRYPT));
    }
    let is_bcrypt64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let bytes = text.as_bytes();
    if bytes.len() != 60 || bytes[6] != b'$' || !bytes[7..].iter().all(|&byte| is_bcrypt64(byte)) {
        return Err(damaged);
    }
    // Only what the library can read may become a user.
    match text.parse::<bcrypt::HashParts>() {
        Ok(_) => Ok(Scheme::Bcrypt),
        Err(_) => Err(damaged),
    }
}

fn split<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('$').collect::<Vec<_>>().try_into().ok()
}

fn argon2(params: &Params, password: &[u8], salt: &[u8], hash: &mut [u8]) {
    Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into(password, salt, hash)
        .expect("lengths and costs were checked, and a password has less than 4 GiB");
}

/// HMAC fills its key up with zeros.
fn ends_with_nul(password: &[u8]) -> bool {
    password.ends_with(&[0])
}

fn pbkdf2_sha512(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 64] {
    pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations)
}

fn sha512(password: &[u8], salt: &[u8]) -> [u8; 64] {
    Sha512::new().chain_update(password).chain_update(salt).finalize().into()
}

/// 46 MiB, one pass, one lane: what mosquitto 2.1 takes.
const ARGON2ID_PARAMS: Params = match Params::new(47_104, 1, 1, Some(32)) {
    Ok(params) => params,
    Err(_) => panic!("these costs are within bounds"),
};
const ARGON2_KIB_MAX: u32 = 1 << 20;
const SALT_BYTES: usize = 16;
/// mosquitto 2.0 reads no others.
const MOSQUITTO_SALT_BYTES: usize = 12;
const PBKDF2_ITERATIONS: u32 = 1_000;
const BCRYPT_COST_MAX: u32 = 16;
/// What bcrypt looks at.
const BCRYPT_PASSWORD_BYTES_MAX: usize = 72;

const ARGON2ID: &str = "$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH in base64 without =, at most 1048576 KiB, 64 passes and 64 lanes";
const PBKDF2: &str = "$7$ITERATIONS$SALT$HASH in base64, 1 to 10000000 iterations and a hash of 64 bytes";
const SHA512: &str = "$6$SALT$HASH in base64, with a hash of 64 bytes, as mosquitto writes it";
const BCRYPT: &str = "$2b$COST$ and 53 characters, with a cost of 04 to 16";

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Debian's `mosquitto_passwd` 2.0.11, by `crypt` of libxcrypt, and by the reference program of Argon2.
    const KNOWN: [(&str, &[u8]); 4] = [
        (
            "$7$101$3TCKWFnMVfR2qT/j$I7Q0P79ZXTSTX7hQfVIlcFt6wQgItahy6l8viRTMhydR7InBMw82k+FBRlEoVtzNanYVHkOT+pq4UqLIk8MWvA==",
            b"secret",
        ),
        (
            "$6$zOaA2Ru9YlU8itU0$i3obDyfjJHIcDmjbRAB7UhIEOfOAnZsgPp0UkJ4s1EtkwN4kxejekkWzWI2hgqbsVbFCOXUffUL0OxlOlAMuQQ==",
            b"secret",
        ),
        ("$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", b"secret"),
        ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", b"password"),
    ];

    #[test]
    fn hashes_of_other_programs_are_understood() {
        for (text, password) in KNOWN {
            let hash = PasswordHash::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(hash.verify(password), "{text}");
            for wrong in [&password[1..], &[password, b"\0"].concat(), b"Secret", b""] {
                assert!(!hash.verify(wrong), "{text} {wrong:?}");
            }
            assert_eq!(hash.as_str(), text);
        }
    }

    #[test]
    fn passwords_are_bytes_up_to_their_end() {
        let password = b"a\0\xffb";
        for algorithm in
            [Algorithm::Argon2id, Algorithm::Pbkdf2Sha512, Algorithm::Sha512, Algorithm::ScramSha256]
        {
            let hash = PasswordHash::new(algorithm, password, None).unwrap();
            assert!(hash.verify(password), "{algorithm:?}");
            for wrong in [&b"a"[..], b"a\0", b"a\0\xff", b"a\0\xffb\0", b""] {
                assert!(!hash.verify(wrong), "{algorithm:?} {wrong:?}");
            }
            let again = PasswordHash::new(algorithm, password, None).unwrap();
            assert_ne!(hash.as_str(), again.as_str(), "each has a salt of its own");
        }
        let bcrypt = PasswordHash::parse(&bcrypt::hash("x".repeat(72), 4).unwrap()).unwrap();
        assert!(bcrypt.verify(&[b'x'; 72]) && !bcrypt.verify(&[b'x'; 73]));
    }

    #[test]
    fn the_memory_of_argon2_is_told() {
        let hash = PasswordHash::new(Algorithm::Argon2id, b"x", None).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=47104,t=1,p=1$"));
        assert_eq!(hash.memory_bytes(), 46 << 20);
    }

    #[test]
    fn iterations_can_be_chosen() {
        let hash = PasswordHash::new(Algorithm::Pbkdf2Sha512, b"x", Some(7)).unwrap();
        assert!(hash.as_str().starts_with("$7$7$") && hash.verify(b"x"));
    }

    #[test]
    fn what_is_cut_off_or_changed_is_no_hash() {
        for (text, password) in KNOWN {
            for end in 0..text.len() {
                // Half a hash of Argon2 looks like a short one, but is the hash of nothing.
                let is_known = |hash: PasswordHash| hash.verify(password);
                assert!(!PasswordHash::parse(&text[..end]).is_ok_and(is_known), "{}", &text[..end]);
            }
            for more in ["$", "=", " ", "$x"] {
                assert!(PasswordHash::parse(&format!("{text}{more}")).is_err(), "{text}{more}");
            }
        }
        for (text, error) in [
            ("plain", HashError::Unknown),
            ("", HashError::Unknown),
            ("$1$salt$hash", HashError::Unknown),
            ("$7$0$AAAA$AAAA", HashError::Damaged(PBKDF2)),
            ("$7$-1$AAAA$AAAA", HashError::Damaged(PBKDF2)),
            ("$7$4000000000$AAAA$AAAA", HashError::Costly(PBKDF2)),
            (
                "$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
                HashError::Costly(ARGON2ID),
            ),
            ("$argon2id$v=16$m=64,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", HashError::Damaged(ARGON2ID)),
            ("$argon2id$v=19$m=1,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", HashError::Damaged(ARGON2ID)),
            ("$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", HashError::Costly(BCRYPT)),
        ] {
            assert_eq!(PasswordHash::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_hash_is_not_shown() {
        let hash = PasswordHash::parse(KNOWN[0].0).unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }
}
