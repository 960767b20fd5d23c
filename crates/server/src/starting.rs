//! What a configuration means for the parts of a Server, at its start and when it is read again.

use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use dunlin_auth::chains::Chains;
use dunlin_broker::limits::Settings;

use crate::{
    config::model::Config,
    lobby::{
        desk::{Desk, Terms},
        half_open::HalfOpen,
        refusals::Refusals,
    },
    process::raise_open_files_limit,
    shard::turn::Surroundings,
};

/// The settings of the broker.
pub(crate) fn settings(config: &Config) -> Arc<Settings> {
    Arc::new(Settings { is_durable: !config.storage.is_memory_only, ..config.broker.clone() })
}

/// Time for TLS, WebSocket, CONNECT and authentication together.
pub(crate) fn connect_timeout(config: &Config) -> Duration {
    Duration::from_secs(u64::from(config.lobby.connect_timeout_s))
}

/// What is configured, or what the descriptors allow if that is less.
pub(crate) fn connections_max(config: &Config) -> u32 {
    match raise_open_files_limit() {
        Ok(limit) => {
            let allowed = u32::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(u32::MAX);
            config.lobby.connections_max.min(allowed.max(1))
        }
        Err(error) => {
            tracing::warn!(%error, "the limit of open files is not known");
            config.lobby.connections_max
        }
    }
}

/// What all in the lobby share.
pub(crate) fn desk(
    config: &Config,
    around: &Surroundings,
    settings: &Arc<Settings>,
    chains: &Arc<Chains>,
) -> Arc<Desk> {
    let (settings, chains) = (Arc::clone(settings), Arc::clone(chains));
    let terms = Terms { settings, chains, connect_timeout: connect_timeout(config) };
    Arc::new(Desk {
        terms: RwLock::new(Arc::new(terms)),
        post: Arc::clone(&around.post),
        husks: Arc::clone(&around.husks),
        seats: Arc::clone(&around.seats),
        half_open: HalfOpen::new(config.lobby.half_open_max, config.lobby.half_open_per_address_max),
        tls_handshakes: HalfOpen::new(config.tls.handshakes_max, u32::MAX),
        refusals: Refusals::new(),
        counts: Arc::clone(&around.counts),
    })
}

/// Descriptors for all that is not a Client: standard streams, listeners, pollers, wakers, and some in the
/// lobby.
const OTHER_DESCRIPTORS: u64 = 64;
