//! Providers in their order, and what they say together (3.1.4, 4.12).

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Instant, SystemTime},
};

use dunlin_broker::{
    entry::Entry,
    handshake::Credentials,
    input::{Decision, Terms},
    permissions::{rule_set::Users, subject::Subject},
};
use dunlin_packet::reason_code::ReasonCode;
use tokio::time::sleep;

use crate::{
    authenticator::{Authenticator, Grant, NextStep, Question, Verdict},
    rights::rulebook::Rulebook,
    throttle::{Attempt, Throttle, Toll},
};

/// Providers, asked one after the other until one knows the Client. Without any, everybody is welcome.
pub struct Chain {
    providers: Vec<Link>,
    /// How those got in who need no proof, once there is one.
    entry: OnceLock<Arc<Entry>>,
    allows_anonymous: bool,
    throttle: Option<Arc<Throttle>>,
    rulebook: Arc<Rulebook>,
}

/// A provider in its place.
struct Link {
    provider: Arc<dyn Authenticator>,
    /// How those got in whom it knows, once there is one.
    entry: OnceLock<Arc<Entry>>,
}

/// What is remembered of one Client's exchange between its steps, and from one exchange to the next.
#[derive(Default)]
pub struct Exchange {
    next: Option<Box<dyn NextStep>>,
    /// The place of the provider that knows the Client.
    known_by: Option<usize>,
    /// What was asked first, without credentials: where the Client comes from.
    origin: Option<Box<Question>>,
}

impl Chain {
    /// A chain of `providers`, with rules that allow everything, and without a throttle. If there is no provider, Clients need
    /// not say who they are.
    #[must_use]
    pub fn new(providers: Vec<Box<dyn Authenticator>>) -> Self {
        Self::of(providers.into_iter().map(Arc::from).collect())
    }

    /// The same of providers that other chains have as well.
    #[must_use]
    pub fn of(providers: Vec<Arc<dyn Authenticator>>) -> Self {
        let allows_anonymous = providers.is_empty();
        let link = |provider| Link { provider, entry: OnceLock::new() };
        let providers = providers.into_iter().map(link).collect();
        Self { providers, entry: OnceLock::new(), allows_anonymous, throttle: None, rulebook: Arc::default() }
    }

    /// Whether Clients that do not say who they are are let in.
    #[must_use]
    pub fn with_anonymous(self, allows_anonymous: bool) -> Self {
        Self { allows_anonymous, ..self }
    }

    /// With delays after wrong passwords.
    #[must_use]
    pub fn with_throttle(self, throttle: Arc<Throttle>) -> Self {
        Self { throttle: Some(throttle), ..self }
    }

    /// With these rules for all whom it lets in.
    #[must_use]
    pub fn with_rulebook(self, rulebook: Arc<Rulebook>) -> Self {
        Self { rulebook, ..self }
    }

    /// Whether nobody is asked, so that every Client is welcome.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.providers.is_empty() && self.allows_anonymous
    }

    /// Whether Clients that do not say who they are are let in.
    #[must_use]
    pub fn allows_anonymous(&self) -> bool {
        self.allows_anonymous
    }

    /// All users there are, if each provider has a list of them.
    #[must_use]
    pub fn users(&self) -> Option<Users> {
        let mut users = Users { allows_anonymous: self.allows_anonymous, ..Users::default() };
        for Link { provider, .. } in &self.providers {
            users.names.extend(provider.user_names()?);
        }
        (!self.providers.is_empty()).then_some(users)
    }

    /// Decides one step of the exchange.
    pub async fn authenticate(&self, question: &Question, exchange: &mut Exchange) -> Decision {
        let next = exchange.next.take();
        let is_continued = question.credentials.is_continued;
        if !is_continued {
            exchange.note_origin(question);
        }
        let user_name = match &next {
            Some(next) if is_continued => next.user_name(),
            _ => question.credentials.user_name.as_deref(),
        };
        let attempt = self.attempt(question, user_name);
        if let Err(code) = self.pay(attempt).await {
            return Decision::Deny(code);
        }
        let verdict = match next {
            Some(next) if is_continued => next.judge(question).await,
            // An answer without a challenge.
            None if is_continued => Verdict::Deny(ReasonCode::ProtocolError),
            _ => self.first_step(question, &mut exchange.known_by).await,
        };
        self.note(attempt, question, &verdict);
        self.decision(verdict, question, exchange)
    }

    /// Asks one provider after the other; `known_by` is then the place of the one that knows the Client.
    async fn first_step(&self, question: &Question, known_by: &mut Option<usize>) -> Verdict {
        let credentials = &question.credentials;
        *known_by = None;
        if self.is_open() && credentials.method.is_none() {
            return Verdict::Grant { grant: Grant::default(), data: Vec::new() };
        }
        for (place, Link { provider, .. }) in self.providers.iter().enumerate() {
            match provider.judge(question).await {
                Verdict::NotMine => {}
                verdict => {
                    *known_by = Some(place);
                    return verdict;
                }
            }
        }
        if self.allows_anonymous && is_anonymous(credentials) {
            return Verdict::Grant { grant: Grant::default(), data: Vec::new() };
        }
        Verdict::NotMine
    }

    /// Who tries it, if it is something that can be guessed.
    fn attempt(&self, question: &Question, user_name: Option<&str>) -> Option<Attempt> {
        let credentials = &question.credentials;
        // The first step of a method does not say yet who it is.
        let guesses_nothing = user_name.is_none() && credentials.method.is_some();
        let throttle = self.throttle.as_deref().filter(|_| !guesses_nothing && !is_anonymous(credentials))?;
        Some(throttle.attempt(question.peer.ip(), user_name))
    }

    /// Waits, or refuses, after failures.
    async fn pay(&self, attempt: Option<Attempt>) -> Result<(), ReasonCode> {
        let (Some(throttle), Some(attempt)) = (&self.throttle, attempt) else { return Ok(()) };
        match throttle.toll(attempt, Instant::now()) {
            Toll::Free => {}
            Toll::Wait(time) => sleep(time).await,
            Toll::Refuse(_) => return Err(ReasonCode::ConnectionRateExceeded),
        }
        Ok(())
    }

    fn note(&self, attempt: Option<Attempt>, question: &Question, verdict: &Verdict) {
        let (Some(throttle), Some(attempt)) = (&self.throttle, attempt) else { return };
        match verdict {
            Verdict::Grant { .. } => throttle.succeeded(attempt),
            Verdict::NotMine | Verdict::Deny(ReasonCode::BadUserNameOrPassword) => {
                throttle.failed(attempt, Instant::now());
            }
            // So a method says that a proof was wrong.
            Verdict::Deny(ReasonCode::NotAuthorized) if question.credentials.method.is_some() => {
                throttle.failed(attempt, Instant::now());
            }
            // Nothing was guessed, such as with a token that is over, or nobody could say whether it was right.
            Verdict::Deny(_) | Verdict::Challenge { .. } => {}
        }
    }

    fn decision(&self, verdict: Verdict, question: &Question, exchange: &mut Exchange) -> Decision {
        match verdict {
            Verdict::Grant { grant, data } => self.grant(grant, data, question, exchange.known_by.take()),
            Verdict::Challenge { data, next } => {
                exchange.next = Some(next);
                Decision::Challenge(data)
            }
            Verdict::Deny(code) if code.is_error() => Decision::Deny(code),
            // A provider that refuses with a code of success must not let anybody in.
            Verdict::Deny(_) => Decision::Deny(ReasonCode::NotAuthorized),
            Verdict::NotMine => Decision::Deny(nobody_knows(&question.credentials)),
        }
    }

    fn grant(&self, grant: Grant, data: Vec<u8>, question: &Question, known_by: Option<usize>) -> Decision {
        let Grant { user_name, groups, rules, expires, client_id } = grant;
        let valid_for = match expires.map(|expires| expires.duration_since(SystemTime::now())) {
            None => None,
            Some(Ok(valid_for)) if !valid_for.is_zero() => Some(valid_for),
            Some(_) => return Decision::Deny(ReasonCode::NotAuthorized),
        };
        let subject = Subject {
            user_name,
            client_id: client_id.clone().unwrap_or_else(|| question.credentials.client_id.clone()),
            groups,
            address: question.peer.ip().to_canonical(),
            certificate: question.certificate.clone(),
        };
        let permissions = self.rulebook.permissions(subject, rules);
        let entry = Some(self.entry(&question.listener_name, known_by));
        Decision::Grant { permissions, data, terms: Terms { client_id, valid_for, entry } }
    }

    /// How a Client gets in whom this provider knows, or none. All that come the same way share it.
    fn entry(&self, listener_name: &str, known_by: Option<usize>) -> Arc<Entry> {
        let link = known_by.and_then(|place| self.providers.get(place));
        let new = || {
            let provider = link.map(|link| link.provider.name().into());
            Arc::new(Entry { listener: listener_name.into(), provider })
        };
        let known = link.map_or(&self.entry, |link| &link.entry).get_or_init(new);
        // A chain may serve several listeners.
        if *known.listener == *listener_name { Arc::clone(known) } else { new() }
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl Exchange {
    /// The question about a step of a re-authentication, from where the Client came when it connected; nothing if it did not come
    /// through a chain.
    #[must_use]
    pub fn question_again(&self, credentials: Credentials) -> Option<Question> {
        let origin = self.origin.as_deref()?.clone();
        Some(Question { credentials, is_reauthentication: true, ..origin })
    }

    fn note_origin(&mut self, question: &Question) {
        // Only who named a method can come again.
        if question.credentials.method.is_some() && self.origin.is_none() {
            let mut origin = question.clone();
            origin.credentials.password = None;
            origin.credentials.data = Vec::new();
            self.origin = Some(Box::new(origin));
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.providers.iter().map(|link| link.provider.name())).finish()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("is_open", &self.next.is_some()).finish()
    }
}

/// Whether the Client says nothing about itself.
fn is_anonymous(credentials: &Credentials) -> bool {
    credentials.user_name.is_none() && credentials.password.is_none() && credentials.method.is_none()
}

fn nobody_knows(credentials: &Credentials) -> ReasonCode {
    if credentials.method.is_some() {
        ReasonCode::BadAuthenticationMethod // [MQTT-4.12.0-1]
    } else if is_anonymous(credentials) {
        ReasonCode::NotAuthorized
    } else {
        ReasonCode::BadUserNameOrPassword
    }
}

#[cfg(test)]
mod tests;
