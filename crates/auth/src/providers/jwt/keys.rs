//! The keys that tokens are signed with: of a file, or of a service that publishes them (RFC 7517).

use std::{
    path::Path,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};
use serde_json::Value;
use tokio::sync::Mutex;

use super::verifier::algorithms;
use crate::{
    authenticator::ProviderError,
    secret::Secret,
    watched_file::WatchedFile,
    web::{Web, WebConfig},
};

/// Where the keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A shared secret, for HS256 and its like.
    Secret(Secret),
    /// The same, in a file.
    SecretFile(Box<Path>),
    /// One public key in PEM.
    PublicKeyFile(Box<Path>),
    /// A JSON Web Key Set in a file.
    JwksFile(Box<Path>),
    /// A JSON Web Key Set that a service publishes, and how long one is used before it is asked again.
    JwksUrl(WebConfig, Duration),
}

/// One key, and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: Option<Box<str>>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

/// The keys there are now.
pub(super) struct Keys {
    source: Source,
    current: RwLock<Arc<Set>>,
}

#[derive(Default)]
struct Set {
    keys: Vec<Key>,
    /// When they were fetched; nothing if they were not yet.
    fetched: Option<Instant>,
}

enum Source {
    Fixed,
    File(WatchedFile, fn(&[u8]) -> Result<Vec<Key>, String>),
    Web(Box<Publisher>),
}

/// A service that publishes keys.
struct Publisher {
    name: Box<str>,
    web: Web,
    refresh: Duration,
    /// When it was asked last; locked while it is asked.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    /// Reads a file, or prepares to ask a service.
    pub(super) fn open(name: &str, source: &KeySource) -> Result<Self, ProviderError> {
        let source = match source {
            KeySource::Secret(secret) => {
                let keys = secret_key(secret.bytes()).map_err(ProviderError)?;
                let current = RwLock::new(Arc::new(Set { keys, fetched: None }));
                return Ok(Self { source: Source::Fixed, current });
            }
            KeySource::SecretFile(path) => Source::File(WatchedFile::new(path), secret_in_file),
            KeySource::PublicKeyFile(path) => Source::File(WatchedFile::new(path), public_key),
            KeySource::JwksFile(path) => Source::File(WatchedFile::new(path), |bytes| key_set(bytes, true)),
            KeySource::JwksUrl(config, refresh) => {
                let (web, asked) = (Web::new(config)?, Mutex::new(None));
                Source::Web(Box::new(Publisher { name: name.into(), web, refresh: *refresh, asked }))
            }
        };
        let keys = Self { source, current: RwLock::default() };
        keys.refresh()?;
        Ok(keys)
    }

    /// Reads the file again if it has changed.
    pub(super) fn refresh(&self) -> Result<bool, ProviderError> {
        let Source::File(file, read) = &self.source else { return Ok(false) };
        let told = |what: String| ProviderError(format!("{}: {what}", file.path().display()));
        let Some(bytes) = file.read_if_changed(BYTES_MAX).map_err(|error| told(error.to_string()))? else {
            return Ok(false);
        };
        self.put(read(&bytes).map_err(told)?);
        Ok(true)
    }

    /// The keys that a token with this `kid` may be signed with; none at all if they cannot be had now.
    pub(super) async fn of(&self, id: Option<&str>) -> Option<Vec<Key>> {
        let mut set = self.current();
        if let Source::Web(publisher) = &self.source {
            let is_old = set.fetched.is_none_or(|fetched| fetched.elapsed() >= publisher.refresh);
            let is_missing = set.find(id).is_empty();
            if is_old || is_missing {
                self.fetch(publisher, is_missing).await;
                set = self.current();
            }
            set.fetched?;
        }
        Some(set.find(id))
    }

    /// Asks the service, unless somebody does so already or has done so a short time ago. Only who needs it waits for the answer.
    async fn fetch(&self, publisher: &Publisher, must_wait: bool) {
        let Publisher { name, web, asked, .. } = publisher;
        let mut asked = match must_wait {
            true => asked.lock().await,
            false => match asked.try_lock() {
                Ok(asked) => asked,
                Err(_) => return,
            },
        };
        if asked.is_some_and(|asked| asked.elapsed() < PAUSE) {
            return;
        }
        *asked = Some(Instant::now());
        let answer = match web.get(BYTES_MAX).await {
            Ok(answer) if answer.status.is_success() => key_set(&answer.body, false),
            Ok(answer) => Err(format!("the service answers {}", answer.status)),
            Err(error) => Err(error),
        };
        match answer {
            Ok(keys) => self.put(keys),
            Err(error) => tracing::warn!(provider = &**name, "no keys for tokens from the service: {error}"),
        }
    }

    fn put(&self, keys: Vec<Key>) {
        *self.current.write().expect(LOCK) = Arc::new(Set { keys, fetched: Some(Instant::now()) });
    }

    fn current(&self) -> Arc<Set> {
        Arc::clone(&self.current.read().expect(LOCK))
    }
}

impl Set {
    /// With an id: those that have it, or have none. Without: all.
    fn find(&self, id: Option<&str>) -> Vec<Key> {
        let fits = |key: &&Key| match (id, key.id.as_deref()) {
            (Some(id), Some(other)) => id == other,
            _ => true,
        };
        self.keys.iter().filter(fits).cloned().collect()
    }
}

fn secret_in_file(bytes: &[u8]) -> Result<Vec<Key>, String> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    secret_key(text.strip_suffix(b"\r").unwrap_or(text))
}

fn secret_key(bytes: &[u8]) -> Result<Vec<Key>, String> {
    if bytes.len() < SECRET_BYTES_MIN {
        return Err(format!("the secret has {} bytes; expected {SECRET_BYTES_MIN} or more", bytes.len()));
    }
    Ok(vec![key(None, DecodingKey::from_secret(bytes))])
}

fn public_key(pem: &[u8]) -> Result<Vec<Key>, String> {
    let readers = [DecodingKey::from_rsa_pem, DecodingKey::from_ec_pem, DecodingKey::from_ed_pem];
    let found = readers.iter().find_map(|read| read(pem).ok()).map(|found| key(None, found));
    match found.filter(|key| !key.algorithms.is_empty()) {
        Some(key) => Ok(vec![key]),
        None => Err("expected one public key in PEM: RSA, P-256, P-384 or Ed25519".to_owned()),
    }
}

/// Keys of kinds that are not known here are passed over; secrets are taken from files only.
fn key_set(bytes: &[u8], takes_secrets: bool) -> Result<Vec<Key>, String> {
    let expected = "expected a JSON Web Key Set, {\"keys\": [...]}";
    let set: Value = serde_json::from_slice(bytes).map_err(|error| format!("{error}; {expected}"))?;
    let values = set.get("keys").and_then(Value::as_array).ok_or_else(|| expected.to_owned())?;
    if values.len() > KEYS_MAX {
        return Err(format!("there are {} keys; expected at most {KEYS_MAX}", values.len()));
    }
    let read = |value: &Value| {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let is_for_signatures = value.get("use").and_then(Value::as_str).is_none_or(|usage| usage == "sig");
        let is_secret = value.get("kty").and_then(Value::as_str) == Some("oct");
        let mut key = key(jwk.common.key_id.as_deref(), DecodingKey::from_jwk(&jwk).ok()?);
        if let Some(only) = value.get("alg").and_then(Value::as_str) {
            key.algorithms.retain(|algorithm| format!("{algorithm:?}") == only);
        }
        (is_for_signatures && (takes_secrets || !is_secret) && !key.algorithms.is_empty()).then_some(key)
    };
    let keys: Vec<Key> = values.iter().filter_map(read).collect();
    if keys.is_empty() { Err(format!("there is no key for signatures in it; {expected}")) } else { Ok(keys) }
}

fn key(id: Option<&str>, key: DecodingKey) -> Key {
    Key { id: id.map(Into::into), algorithms: algorithms(&key), key }
}

const LOCK: &str = "nobody panics while holding the lock of the keys";
/// The largest set of keys, and how many of them.
const BYTES_MAX: usize = 256 << 10;
const KEYS_MAX: usize = 100;
/// Shorter ones can be guessed from a single token.
const SECRET_BYTES_MIN: usize = 16;
/// The shortest time between two questions to the service, however many unknown keys tokens name.
const PAUSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_keys_is_read_as_far_as_it_is_known() {
        let set = br#"{"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "1", "alg": "ES256", "use": "sig",
             "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
            {"kty": "EC", "crv": "P-256", "kid": "2", "use": "enc",
             "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
            {"kty": "oct", "kid": "3", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQ"},
            {"kty": "new", "kid": "4"}]}"#;
        let ids = |takes_secrets| {
            let keys = key_set(set, takes_secrets).unwrap();
            keys.iter().map(|key| (key.id.clone().unwrap(), key.algorithms.clone())).collect::<Vec<_>>()
        };
        assert_eq!(ids(false), [("1".into(), vec![Algorithm::ES256])]);
        assert_eq!(ids(true).len(), 2);
        for wrong in ["", "[]", "{}", "{\"keys\": []}", "{\"keys\": [{\"kty\": \"new\"}]}"] {
            assert!(
                key_set(wrong.as_bytes(), true).unwrap_err().contains("expected a JSON Web Key Set"),
                "{wrong}"
            );
        }
        let many = format!("{{\"keys\": [{}]}}", ["{}"; 101].join(","));
        assert!(key_set(many.as_bytes(), true).unwrap_err().contains("at most 100"));
    }

    #[test]
    fn short_secrets_and_other_files_are_refused() {
        assert!(secret_key(b"short").is_err() && secret_in_file(b"sixteen bytes !!\n").is_ok());
        assert!(public_key(b"-----BEGIN NOTHING-----").err().unwrap().contains("public key in PEM"));
    }
}
