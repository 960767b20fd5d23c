//! The chains of all listeners.

use std::{collections::HashMap, sync::Arc};

use dunlin_broker::{input::Decision, permissions::rule_set::Users};

use crate::{
    authenticator::{Authenticator, ProviderError, Question},
    chain::{Chain, Exchange},
    rights::rulebook::Rulebook,
};

/// A chain for each listener, by its name. Providers may stand in several of them.
#[derive(Debug)]
pub struct Chains {
    by_listener: HashMap<Box<str>, Chain>,
    /// For all other listeners.
    others: Chain,
    providers: Vec<Provider>,
}

struct Provider(Arc<dyn Authenticator>);

impl Chains {
    /// Chains of these `providers`, with the names of their listeners. At any other listener nobody is let in.
    #[must_use]
    pub fn new(
        providers: Vec<Arc<dyn Authenticator>>,
        chains: impl IntoIterator<Item = (Box<str>, Chain)>,
    ) -> Self {
        Self {
            by_listener: chains.into_iter().collect(),
            others: Chain::default().with_anonymous(false),
            providers: providers.into_iter().map(Provider).collect(),
        }
    }

    /// The chain of this listener.
    #[must_use]
    pub fn of(&self, listener_name: &str) -> &Chain {
        self.by_listener.get(listener_name).unwrap_or(&self.others)
    }

    /// With these rules for all whom any of the chains lets in.
    #[must_use]
    pub fn with_rulebook(self, rulebook: &Arc<Rulebook>) -> Self {
        let with = |chain: Chain| chain.with_rulebook(Arc::clone(rulebook));
        let by_listener = self.by_listener.into_iter().map(|(name, chain)| (name, with(chain))).collect();
        Self { by_listener, others: with(self.others), ..self }
    }

    /// All users there are at any listener, if each provider has a list of them.
    #[must_use]
    pub fn users(&self) -> Option<Users> {
        if self.by_listener.is_empty() {
            return self.others.users();
        }
        let mut all = Users::default();
        for chain in self.by_listener.values() {
            let users = chain.users()?;
            all.names.extend(users.names);
            all.allows_anonymous |= users.allows_anonymous;
        }
        Some(all)
    }

    /// Decides one step of an exchange, by the chain of the listener that the Client has come to.
    pub async fn authenticate(&self, question: &Question, exchange: &mut Exchange) -> Decision {
        self.of(&question.listener_name).authenticate(question, exchange).await
    }

    /// Has each provider read its files if they have changed; with each that had a change or a complaint, its name. It blocks.
    #[must_use]
    pub fn refresh(&self) -> Vec<(&str, Result<(), ProviderError>)> {
        let changed = |Provider(provider): &'_ Provider| match provider.refresh() {
            Ok(false) => None,
            Ok(true) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        self.providers.iter().filter_map(|it| Some((it.0.name(), changed(it)?))).collect()
    }

    /// Whether there is anything to [`refresh`](Self::refresh).
    #[must_use]
    pub fn has_providers(&self) -> bool {
        !self.providers.is_empty()
    }
}

impl From<Chain> for Chains {
    /// The same chain for all listeners.
    fn from(chain: Chain) -> Self {
        Self { by_listener: HashMap::new(), others: chain, providers: Vec::new() }
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}
