//! Makes the chains of the listeners from the configuration, and keeps them up to date.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};

use dunlin_auth::{
    authenticator::{Authenticator, ProviderError},
    chain::Chain,
    chains::Chains,
    hashing::HashingPool,
    providers::{
        certificate::Certificate,
        http::{Http, HttpConfig},
        jwt::{Jwt, JwtConfig, keys::KeySource},
        password_file::PasswordFile,
        scram::Scram,
    },
    secret::Secret,
    successes::Successes,
    throttle::{Throttle, ThrottleLimits},
    web::WebConfig,
};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use crate::config::{
    authentication::{AuthConfig, AuthKind, LoginConfig},
    model::{Config, ListenerConfig},
};

/// Why there is no chain; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("the provider `{name}` ([[auth]]) cannot be used: {source}")]
pub struct ChainError {
    name: String,
    source: ProviderError,
}

/// The providers of a configuration, opened, and what they share. Those that stay as they are keep what they know when the
/// configuration is read again.
#[derive(Clone)]
pub(crate) struct Providers {
    opened: Vec<(AuthConfig, Arc<dyn Authenticator>)>,
    login: LoginConfig,
    pool: Arc<HashingPool>,
    throttle: Arc<Throttle>,
}

impl Providers {
    /// Opens all providers.
    ///
    /// # Errors
    /// [`ChainError`] for the first provider that cannot be used.
    pub(crate) fn open(config: &Config) -> Result<Self, ChainError> {
        let pool = Arc::new(pool(&config.login));
        let throttle = Arc::new(Throttle::new(throttle_limits(&config.login)));
        Self::open_with(config, pool, throttle)
    }

    fn open_with(
        config: &Config,
        pool: Arc<HashingPool>,
        throttle: Arc<Throttle>,
    ) -> Result<Self, ChainError> {
        let opened = config.auths.iter().map(|provider| opened(provider, &pool)).collect::<Result<_, _>>()?;
        Ok(Self { opened, login: config.login.clone(), pool, throttle })
    }

    /// The providers of another configuration: those that it has as well stay, and the counted failures, too, unless the limits of
    /// passwords are others. All files are read, so that what cannot be used shows before anything changes.
    ///
    /// # Errors
    /// [`ChainError`] for the first provider that cannot be used.
    pub(crate) fn open_again(&self, config: &Config) -> Result<Self, ChainError> {
        if config.login != self.login {
            return Self::open(config);
        }
        let fresh = Self::open_with(config, Arc::clone(&self.pool), Arc::clone(&self.throttle))?;
        let known = |(provider, fresh): (AuthConfig, _)| {
            let known = self.opened.iter().find(|(known, _)| *known == provider);
            let opened = known.map_or(fresh, |(_, opened)| Arc::clone(opened));
            (provider, opened)
        };
        Ok(Self { opened: fresh.opened.into_iter().map(known).collect(), ..self.clone() })
    }

    /// A chain for each listener.
    pub(crate) fn chains(&self, config: &Config) -> Chains {
        let chain = |listener: &ListenerConfig| {
            let all = || self.opened.iter().map(|(_, provider)| Arc::clone(provider)).collect();
            let named = |names: &Vec<String>| {
                let find = |name: &String| self.opened.iter().find(|(other, _)| other.name == *name);
                names.iter().filter_map(find).map(|(_, provider)| Arc::clone(provider)).collect()
            };
            let chain = Chain::of(listener.auth.as_ref().map_or_else(all, named));
            let allows_anonymous = listener.allow_anonymous.unwrap_or(chain.allows_anonymous());
            let chain = chain.with_anonymous(allows_anonymous).with_throttle(Arc::clone(&self.throttle));
            (listener.name.as_str().into(), chain)
        };
        let chains: Vec<_> = config.listeners.iter().map(chain).collect();
        Chains::new(self.opened.iter().map(|(_, provider)| Arc::clone(provider)).collect(), chains)
    }
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.opened.iter().map(|(provider, _)| &provider.name)).finish()
    }
}

/// Opens all providers and makes a chain for each listener.
///
/// # Errors
/// [`ChainError`] for the first provider that cannot be used.
pub fn chains(config: &Config) -> Result<Chains, ChainError> {
    Ok(Providers::open(config)?.chains(config))
}

/// What is wrong with the providers, each by itself.
pub(crate) fn faults(config: &Config) -> Vec<ChainError> {
    let pool = Arc::new(pool(&config.login));
    config.auths.iter().filter_map(|provider| opened(provider, &pool).err()).collect()
}

fn opened(
    provider: &AuthConfig,
    pool: &Arc<HashingPool>,
) -> Result<(AuthConfig, Arc<dyn Authenticator>), ChainError> {
    match open(provider, pool) {
        Ok(opened) => Ok((provider.clone(), opened)),
        Err(source) => Err(ChainError { name: provider.name.clone(), source }),
    }
}

fn open(provider: &AuthConfig, pool: &Arc<HashingPool>) -> Result<Arc<dyn Authenticator>, ProviderError> {
    let name = &provider.name;
    let file = provider.file.as_deref().unwrap_or(Path::new(""));
    Ok(match provider.kind {
        Some(AuthKind::PasswordFile) => {
            let lifetime = seconds(provider.cache_s.unwrap_or(PASSWORD_CACHE_S));
            let successes = Successes::new(provider.cache_entries_max as usize, lifetime)
                .map_err(|error| ProviderError(format!("there are no random numbers: {error}")))?;
            Arc::new(PasswordFile::open(name, file, Arc::clone(pool), successes)?)
        }
        Some(AuthKind::Scram) => Arc::new(Scram::open(name, file)?),
        Some(AuthKind::Certificate) => Arc::new(Certificate::new(name, provider.user_name)),
        Some(AuthKind::Jwt) => Arc::new(Jwt::open(name, jwt(provider))?),
        Some(AuthKind::Http) => Arc::new(Http::open(name, &http(provider)?)?),
        None => return Err(ProviderError("it has no `kind`".to_owned())),
    })
}

fn jwt(provider: &AuthConfig) -> JwtConfig {
    let path = |path: &Option<PathBuf>| path.as_deref().unwrap_or(Path::new("")).into();
    let keys = match provider {
        AuthConfig { secret: Some(secret), .. } => KeySource::Secret(secret.clone()),
        AuthConfig { secret_file: file @ Some(_), .. } => KeySource::SecretFile(path(file)),
        AuthConfig { public_key_file: file @ Some(_), .. } => KeySource::PublicKeyFile(path(file)),
        AuthConfig { jwks_url: Some(url), .. } => {
            KeySource::JwksUrl(web(provider, url, None), seconds(provider.jwks_refresh_s))
        }
        AuthConfig { jwks_file, .. } => KeySource::JwksFile(path(jwks_file)),
    };
    JwtConfig {
        keys,
        algorithms: provider.algorithms.clone(),
        issuers: provider.issuers.clone(),
        audiences: provider.audiences.clone(),
        leeway_s: provider.leeway_s,
        needs_expiry: provider.needs_expiry,
        user_name_claim: provider.user_name_claim.clone(),
        client_id_claim: provider.client_id_claim.clone(),
        groups_claim: provider.groups_claim.clone(),
        rights_claim: provider.rights_claim.clone(),
    }
}

fn http(provider: &AuthConfig) -> Result<HttpConfig, ProviderError> {
    let authorization = match &provider.authorization_file {
        Some(file) => Some(Secret::read(file)?),
        None => provider.authorization.clone(),
    };
    Ok(HttpConfig {
        web: web(provider, provider.url.as_deref().unwrap_or_default(), authorization),
        on_failure: provider.on_failure,
        cache_time: seconds(provider.cache_s.unwrap_or(ANSWER_CACHE_S)),
        cache_entries_max: provider.cache_entries_max,
    })
}

fn web(provider: &AuthConfig, url: &str, authorization: Option<Secret>) -> WebConfig {
    WebConfig {
        url: url.to_owned(),
        authorization,
        time_limit: Duration::from_millis(u64::from(provider.time_limit_ms)),
        concurrent_max: provider.concurrent_max,
        ca_file: provider.ca_file.as_deref().map(Into::into),
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(u64::from(number))
}

fn pool(login: &LoginConfig) -> HashingPool {
    let spare = available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1);
    let threads = if login.hashing_threads == 0 { spare } else { usize::from(login.hashing_threads) };
    HashingPool::new(threads, login.hashing_memory_bytes_max)
}

fn throttle_limits(login: &LoginConfig) -> ThrottleLimits {
    ThrottleLimits {
        free: login.failed_logins_free,
        delay_max: seconds(login.failed_login_delay_max_s),
        entries_max: login.failed_login_entries_max,
    }
}

/// Looks at the files of the providers that are in force now and then, until `stop`; `on_change` is called when one was read again.
pub(crate) async fn keep_up_to_date(
    chains: impl Fn() -> Arc<Chains> + Send,
    on_change: impl Fn() + Send + Sync + 'static,
    mut stop: watch::Receiver<bool>,
) {
    let on_change = Arc::new(on_change);
    loop {
        tokio::select! {
            () = sleep(LOOK_TIME) => {}
            _ = stop.changed() => return,
        }
        let (chains, on_change) = (chains(), Arc::clone(&on_change));
        if !chains.has_providers() {
            continue;
        }
        let look = move || {
            if tell_changes(&chains) {
                on_change();
            }
        };
        if spawn_blocking(look).await.is_err() {
            tracing::error!("the files of the providers cannot be looked at");
        }
    }
}

/// Has the providers read what has changed, and tells the log; says whether anything has.
pub(crate) fn tell_changes(chains: &Chains) -> bool {
    let mut has_changed = false;
    for (provider, outcome) in chains.refresh() {
        match outcome {
            Ok(()) => {
                has_changed = true;
                tracing::info!(provider, "read its file again");
            }
            Err(error) => tracing::error!(provider, "{error}; what was read before stays in force"),
        }
    }
    has_changed
}

const PASSWORD_CACHE_S: u32 = 86_400;
const ANSWER_CACHE_S: u32 = 60;

/// How often the files are looked at.
const LOOK_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse;

    fn read(text: &str) -> Config {
        parse(Path::new("test.toml"), text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn each_listener_asks_its_own_providers_in_its_own_order() {
        let chains = chains(&read(
            "[[auth]]\nname = \"a\"\nkind = \"certificate\"\n[[auth]]\nname = \"b\"\nkind = \"jwt\"\n\
             secret = \"a secret of the tests\"\n[[listener]]\nname = \"all\"\n[[listener]]\nname = \"turned\"\nport = 1\n\
             auth = [\"b\", \"a\"]\nallow_anonymous = true\n[[listener]]\nname = \"none\"\nport = 2\nauth = []\n\
             [[listener]]\nname = \"closed\"\nport = 3\nauth = []\nallow_anonymous = false\n",
        ))
        .unwrap();
        let shown = |name: &str| {
            let chain = chains.of(name);
            format!("{chain:?} {} {}", chain.allows_anonymous(), chain.is_open())
        };
        assert_eq!(shown("all"), "[\"a\", \"b\"] false false");
        assert_eq!(shown("turned"), "[\"b\", \"a\"] true false");
        assert_eq!(shown("none"), "[] true true");
        assert_eq!(shown("closed"), "[] false false");
        assert_eq!(shown("of another configuration"), "[] false false");
    }

    #[test]
    fn a_provider_that_cannot_be_used_is_named() {
        let config = read("[[auth]]\nname = \"ours\"\nkind = \"http\"\nurl = \"nowhere\"\n");
        let error = chains(&config).unwrap_err().to_string();
        assert!(error.starts_with("the provider `ours` ([[auth]]) cannot be used: the url "), "{error}");
        let config =
            read("[[auth]]\nkind = \"http\"\nurl = \"http://x\"\nauthorization_file = \"/nowhere\"\n");
        assert!(chains(&config).unwrap_err().to_string().contains("cannot read /nowhere"));
    }
}
