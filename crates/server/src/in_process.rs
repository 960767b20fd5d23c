//! A Server inside another program: for tests, and for whoever embeds one.

use dunlin_auth::{chain::Chain, chains::Chains};

use crate::{
    config::model::{Config, loopback_listeners},
    server::Server,
    start_error::StartError,
};

/// Starts a Server with `shards` shards on a free port, for this machine only, that keeps nothing on the disk. Its port is that of the first
/// of its [`addresses`](Server::addresses); dropping it stops it.
///
/// # Errors
/// Each [`StartError`].
pub fn start(shards: u8) -> Result<Server, StartError> {
    let mut config = Config::default();
    config.server.shards = shards;
    start_with(config, Chain::default())
}

/// Starts a Server with `config`, on a free port for this machine only, and with the providers of `chains`. It keeps nothing
/// on the disk unless `config` names a data folder.
///
/// # Errors
/// Each [`StartError`].
pub fn start_with(mut config: Config, chains: impl Into<Chains>) -> Result<Server, StartError> {
    config.listeners = loopback_listeners(0);
    config.storage.is_memory_only |= config.server.data_dir.is_none();
    Server::start(&config, chains)
}
