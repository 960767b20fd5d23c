//! Reads everything again while the Server runs: all of it counts, or nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dunlin_auth::{chains::Chains, rights::rulebook::Rulebook};
use dunlin_broker::permissions::rule_set::RuleSet;

use crate::{
    authentication::{ChainError, Providers, tell_changes},
    config::{
        changes::{Step, step},
        error::ConfigError,
        load::{Flags, load},
        model::Config,
    },
    lobby::{
        certificates,
        desk::{Desk, Terms},
        door::{Door, ReadTls},
    },
    log::LevelSwitch,
    rights::{self, RightsError},
    start_error::{StartError, refuse_public},
    starting::{connect_timeout, connections_max, settings},
};

/// Knows how everything is read again, and what it is read for.
#[derive(Debug)]
pub(crate) struct Reloader {
    way: Way,
    running: Mutex<Running>,
    desk: Arc<Desk>,
    doors: Vec<Arc<Door>>,
    rulebook: Arc<Rulebook>,
}

/// How a Server came to its configuration. The default is that of one in a process of somebody else: it was given one, so that only the
/// files that it names can be read again.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// How the configuration is read.
    pub(crate) flags: Option<Flags>,
    /// The providers, if they were made of it.
    pub(crate) providers: Option<Providers>,
    /// How the level of the log is changed.
    pub(crate) level: Option<LevelSwitch>,
}

/// What is in force.
#[derive(Debug)]
struct Running {
    config: Config,
    providers: Option<Providers>,
}

/// What has come of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that are others now.
    pub changed: Vec<String>,
    /// Settings that would be others after a restart.
    pub restart: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A provider cannot be used.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The rules cannot be used.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// A Server would not start so.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// All that was read and waits to be put in force.
struct Prepared {
    providers: Option<Providers>,
    chains: Option<Chains>,
    rules: Arc<RuleSet>,
    /// With the numbers of their doors.
    certificates: Vec<(usize, ReadTls)>,
}

impl Reloader {
    pub(crate) fn new(
        mut way: Way,
        config: &Config,
        desk: &Arc<Desk>,
        doors: &[Arc<Door>],
        rulebook: &Arc<Rulebook>,
    ) -> Self {
        let running = Mutex::new(Running { config: config.clone(), providers: way.providers.take() });
        Self { way, running, desk: Arc::clone(desk), doors: doors.to_vec(), rulebook: Arc::clone(rulebook) }
    }

    /// Reads the configuration and all files that it names, and puts what can be changed in force; the log tells how it went. It blocks.
    ///
    /// # Errors
    /// Each [`ReloadError`]; then everything is as it was.
    pub(crate) fn reload(&self) -> Result<Reloaded, ReloadError> {
        let outcome = self.attempt(&mut self.running());
        match &outcome {
            Ok(reloaded) => tracing::info!("the configuration is read again; {reloaded}"),
            Err(error) => tracing::error!("nothing is changed, for what was read cannot be used: {error}"),
        }
        outcome
    }

    /// Reads the rules again and puts them in force.
    ///
    /// # Errors
    /// If they cannot be used; then those that were in force stay.
    pub(crate) fn reload_rights(&self) -> Result<(), RightsError> {
        let running = self.running();
        let users = self.desk.terms().chains.users();
        let revoked = certificates::revoked(&self.doors);
        rights::put_in_force(&running.config.rights, users, revoked, &self.rulebook, &self.desk.post)
    }

    /// Puts the lists of revoked certificates in force that the listeners have read, for those who are connected as well.
    pub(crate) fn renew_revoked(&self) {
        // One change of the rules after the other.
        let _running = self.running();
        rights::revoke(certificates::revoked(&self.doors), &self.rulebook, &self.desk.post);
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // What a panic has left is a configuration as good as the one before.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self, running: &mut Running) -> Result<Reloaded, ReloadError> {
        let wanted = match &self.way.flags {
            Some(flags) => load(flags)?,
            None => running.config.clone(),
        };
        let Step { config, now, restart } = step(&running.config, &wanted);
        let prepared = self.prepare(running, &config)?;
        self.put_in_force(prepared, running, config);
        Ok(Reloaded { changed: now, restart })
    }

    /// Reads all there is to read; nothing has changed yet.
    fn prepare(&self, running: &Running, config: &Config) -> Result<Prepared, ReloadError> {
        let providers = running.providers.as_ref().map(|known| known.open_again(config)).transpose()?;
        let chains = providers.as_ref().map(|providers| providers.chains(config));
        if let Some(chains) = &chains {
            refuse_public(config, chains)?;
        }
        let rules = rights::read(&config.rights, None)?;
        let mut certificates = Vec::new();
        for (number, (door, listener)) in self.doors.iter().zip(&config.listeners).enumerate() {
            if door.tls.is_some() {
                let read = ReadTls::read(listener)
                    .map_err(|source| StartError::Certificates { name: listener.name.clone(), source })?;
                certificates.push((number, read));
            }
        }
        Ok(Prepared { providers, chains, rules, certificates })
    }

    fn put_in_force(&self, prepared: Prepared, running: &mut Running, config: Config) {
        let Prepared { providers, chains, rules, certificates } = prepared;
        let terms = self.desk.terms();
        let chains = match chains {
            Some(chains) => Arc::new(chains.with_rulebook(&self.rulebook)),
            None => Arc::clone(&terms.chains),
        };
        // Those that have stayed read what is new in their files; it was read without a fault a moment ago.
        tell_changes(&chains);
        let users = chains.users().map(Arc::new);
        let settings = settings(&config);
        self.desk.change_terms(Terms {
            settings: Arc::clone(&settings),
            chains,
            connect_timeout: connect_timeout(&config),
        });
        self.change_certificates(certificates);
        // Who is revoked is asked by the rules, too.
        let rules = RuleSet::clone(&rules).with_users(users).with_revoked(certificates::revoked(&self.doors));
        rights::swap(Arc::new(rules), &self.rulebook, &self.desk.post);
        if *settings != *terms.settings {
            self.desk.post.change_settings(&settings);
        }
        self.change_limits(&config);
        if let Some(level) = self.way.level.as_ref().filter(|_| config.log.level != running.config.log.level)
        {
            level.set(config.log.level);
        }
        *running = Running { config, providers };
    }

    fn change_certificates(&self, certificates: Vec<(usize, ReadTls)>) {
        for (number, read) in certificates {
            let door = &self.doors[number];
            if let Some(tls) = &door.tls {
                tls.change(read);
                tracing::info!(listener = &*door.name, "certificates and keys are read again");
            }
        }
    }

    fn change_limits(&self, config: &Config) {
        let Config { lobby, tls, .. } = config;
        self.desk.half_open.change_limits(lobby.half_open_max, lobby.half_open_per_address_max);
        self.desk.tls_handshakes.change_limits(tls.handshakes_max, u32::MAX);
        self.desk.seats.change_max(connections_max(config));
    }
}

impl std::fmt::Display for Reloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        write!(f, "changed now: {}; needs a restart: {}", list(&self.changed), list(&self.restart))
    }
}
