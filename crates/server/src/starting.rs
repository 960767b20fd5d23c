//! What a configuration means for the parts of a Server, at its start and when it is read again.

use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use dunlin_auth::chains::Chains;
use dunlin_broker::limits::Settings;

use crate::{
    bans::{file::BansError, list::Bans},
    config::model::Config,
    lobby::{
        desk::{Desk, Terms},
        half_open::HalfOpen,
        rates::ConnectionRates,
        refusals::Refusals,
    },
    process::raise_open_files_limit,
    seats::Seats,
    shard::surroundings::Surroundings,
    storage,
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

/// As many seats as there may be.
pub(crate) fn seats(config: &Config, settings: &Arc<Settings>) -> Arc<Seats> {
    Seats::with_rows(connections_max(config), config.lobby.connections_per_address_max, settings)
}

/// Where bans are kept.
fn bans_file(config: &Config) -> Option<PathBuf> {
    (!config.storage.is_memory_only).then(|| storage::data_dir(config).join(BANS_NAME))
}

/// The name of the file of the bans in the data folder.
const BANS_NAME: &str = "bans.jsonl";

/// What all in the lobby share.
///
/// # Errors
/// If the bans that are kept cannot be used.
pub(crate) fn desk(
    config: &Config,
    around: &Surroundings,
    settings: &Arc<Settings>,
    chains: &Arc<Chains>,
) -> Result<Arc<Desk>, BansError> {
    let bans = Arc::new(Bans::open(&config.bans, bans_file(config))?);
    let rates = ConnectionRates::new(settings, &config.lobby);
    let (settings, chains) = (Arc::clone(settings), Arc::clone(chains));
    let terms = Terms { settings, chains, connect_timeout: connect_timeout(config) };
    Ok(Arc::new(Desk {
        terms: RwLock::new(Arc::new(terms)),
        post: Arc::clone(&around.post),
        husks: Arc::clone(&around.husks),
        seats: Arc::clone(&around.seats),
        half_open: HalfOpen::new(config.lobby.half_open_max, config.lobby.half_open_per_address_max),
        tls_handshakes: HalfOpen::new(config.tls.handshakes_max, u32::MAX),
        rates,
        memory: Arc::clone(&around.memory),
        bans,
        fights: Arc::clone(&around.fights),
        refusals: Refusals::new(),
        counts: Arc::clone(&around.counts),
    }))
}

/// Descriptors for all that is not a Client: standard streams, listeners, pollers, wakers, and some in the
/// lobby.
const OTHER_DESCRIPTORS: u64 = 64;
