//! Another service is asked by HTTP: a POST with what the Client says, answered with who it is.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use dunlin_packet::reason_code::ReasonCode;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    authenticator::{Authenticator, Grant, ProviderError, Question, Verdict, VerdictFuture},
    claims::{self, Claims},
    recent::Recent,
    web::{Web, WebConfig},
};

/// Asks a service about all Clients that name no Authentication Method.
pub struct Http {
    name: Box<str>,
    web: Web,
    on_failure: OnFailure,
    cache: Option<Cache>,
}

/// Which service, and what its answers are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it is.
    pub web: WebConfig,
    /// What happens if it does not answer.
    pub on_failure: OnFailure,
    /// How long it is not asked again about a Client that it has let in; not at all if it is zero.
    pub cache_time: Duration,
    /// About how many Clients that is remembered.
    pub cache_entries_max: u32,
}

/// What happens to a Client if the service does not answer, or with what cannot be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// It is refused, with Server unavailable.
    #[default]
    Deny,
    /// The next provider is asked.
    Ignore,
}

/// Whom the service has let in, under an HMAC of all that it was asked.
struct Cache {
    keyed: Hmac<Sha256>,
    time: Duration,
    granted: Mutex<Recent<[u8; 32], (Grant, Instant)>>,
}

impl Http {
    /// Prepares to ask.
    ///
    /// # Errors
    /// [`ProviderError`] if the URL is none, there are no certificates to trust, or no random numbers.
    pub fn open(name: &str, config: &HttpConfig) -> Result<Self, ProviderError> {
        let has_cache = !config.cache_time.is_zero() && config.cache_entries_max > 0;
        let cache = if has_cache { Some(Cache::new(config)?) } else { None };
        let web = Web::new(&config.web)?;
        Ok(Self { name: name.into(), web, on_failure: config.on_failure, cache })
    }

    async fn ask(&self, question: &Question) -> Verdict {
        let json = body(question).to_string().into_bytes();
        let tag = self.cache.as_ref().map(|cache| cache.tag(&json));
        if let (Some(cache), Some(tag)) = (&self.cache, &tag)
            && let Some(grant) = cache.find(tag, Instant::now())
        {
            return Verdict::Grant { grant, data: Vec::new() };
        }
        let verdict = match self.web.post(json, ANSWER_BYTES_MAX).await {
            Ok(answer) if answer.status.is_client_error() => Verdict::Deny(ReasonCode::BadUserNameOrPassword),
            Ok(answer) if answer.status.is_success() => {
                verdict(&answer.body, question).unwrap_or_else(|error| self.failed(&error))
            }
            Ok(answer) => self.failed(&format!("it answers {}", answer.status)),
            Err(error) => self.failed(&error),
        };
        if let (Some(cache), Some(tag), Verdict::Grant { grant, .. }) = (&self.cache, tag, &verdict) {
            cache.put(tag, grant.clone(), Instant::now());
        }
        verdict
    }

    fn failed(&self, why: &str) -> Verdict {
        tracing::warn!(provider = &*self.name, "the service cannot be asked: {why}");
        match self.on_failure {
            OnFailure::Deny => Verdict::Deny(ReasonCode::ServerUnavailable),
            OnFailure::Ignore => Verdict::NotMine,
        }
    }
}

impl Authenticator for Http {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        let is_mine = question.credentials.method.is_none();
        Box::pin(async move { if is_mine { self.ask(question).await } else { Verdict::NotMine } })
    }
}

impl Cache {
    fn new(config: &HttpConfig) -> Result<Self, ProviderError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| ProviderError(format!("there are no random numbers: {error}")))?;
        Ok(Self {
            keyed: Hmac::new_from_slice(&key).expect("a key may have any length"),
            time: config.cache_time,
            granted: Mutex::new(Recent::new(config.cache_entries_max as usize)),
        })
    }

    fn tag(&self, json: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(json);
        mac.finalize().into_bytes().into()
    }

    fn find(&self, tag: &[u8; 32], now: Instant) -> Option<Grant> {
        let mut granted = self.granted.lock().expect(LOCK);
        let (grant, until) = granted.find(tag)?;
        let is_over = *until <= now || grant.expires.is_some_and(|expires| expires <= SystemTime::now());
        (!is_over).then(|| grant.clone())
    }

    fn put(&self, tag: [u8; 32], grant: Grant, now: Instant) {
        self.granted.lock().expect(LOCK).insert(tag, (grant, now + self.time));
    }
}

impl OnFailure {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Deny, Self::Ignore];

    /// As it is written in a configuration file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Ignore => "ignore",
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the service is told. The port of the Client is left out: it is another one each time.
fn body(question: &Question) -> Value {
    let credentials = &question.credentials;
    let mut body = json!({
        "client_id": credentials.client_id,
        "user_name": credentials.user_name,
        "address": question.peer.ip().to_canonical().to_string(),
        "listener": &*question.listener_name,
    });
    let fields = body.as_object_mut().expect("it is an object");
    match credentials.password.as_deref().map(|password| (password, str::from_utf8(password))) {
        None => {}
        Some((_, Ok(password))) => drop(fields.insert("password".to_owned(), password.into())),
        Some((bytes, Err(_))) => {
            drop(fields.insert("password_base64".to_owned(), BASE64_STANDARD.encode(bytes).into()));
        }
    }
    if let Some(facts) = &question.certificate {
        let fingerprint: String = facts.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        let certificate = json!({
            "subject": facts.subject,
            "common_name": facts.common_name,
            "fingerprint": fingerprint,
        });
        fields.insert("certificate".to_owned(), certificate);
    }
    body
}

/// What an answer with a status of success says.
fn verdict(body: &[u8], question: &Question) -> Result<Verdict, String> {
    let claims: Claims =
        serde_json::from_slice(body).map_err(|error| format!("its answer is no JSON object: {error}"))?;
    match claims.get("result").and_then(Value::as_str) {
        Some("allow") => {
            let grant = Grant {
                user_name: claims::text(&claims, "user_name")?.or(question.credentials.user_name.clone()),
                groups: claims::texts(&claims, "groups")?,
                rules: claims::rights(&claims, "rights", "the answer of the service")?,
                expires: claims::time(&claims, "expires_at")?,
                client_id: claims::text(&claims, "client_id")?,
            };
            Ok(Verdict::Grant { grant, data: Vec::new() })
        }
        Some("deny") => Ok(Verdict::Deny(ReasonCode::BadUserNameOrPassword)),
        Some("ignore") => Ok(Verdict::NotMine),
        _ => Err("its answer has no `result` of allow, deny or ignore".to_owned()),
    }
}

const LOCK: &str = "nobody panics while holding the lock of the answers";
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests;
