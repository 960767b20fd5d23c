//! Why a Server does not start.

use std::{io, net::SocketAddr};

use dunlin_auth::chains::Chains;
use dunlin_net::tls::error::FileError;
use dunlin_store::store::StoreError;

use crate::{
    admin::socket::SocketError,
    bans::file::BansError,
    config::model::{Config, ListenerConfig},
    listen::{ListenError, is_reachable},
    privileges::PrivilegesError,
    rights::RightsError,
    shard::recovery::RecoveryError,
};

/// Why a Server does not start; its text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Strangers could do everything.
    #[error(
        "other machines can reach {0}, and nobody is asked for a password: anybody there could read and \
         write everything; add users with `dunlin passwd -c FILE USER` and an [[auth]] with that file, or listen on \
         127.0.0.1, or allow it with --allow-anonymous or `allow_anonymous_public = true` in [server]"
    )]
    Public(SocketAddr),
    /// A certificate, a key or another file of TLS cannot be used.
    #[error("listener `{name}`: {source}")]
    Certificates {
        /// The name of the listener.
        name: String,
        /// Which file, and what is wrong with it.
        source: FileError,
    },
    /// The rules cannot be used: without them nobody may do anything.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// The bans cannot be used: somebody could come in who must not.
    #[error(transparent)]
    Bans(#[from] BansError),
    /// It cannot go on as somebody else than root.
    #[error(transparent)]
    Privileges(#[from] PrivilegesError),
    /// The data folder cannot be used.
    #[error("{0}; --data-dir DIR chooses another folder")]
    Storage(#[from] StoreError),
    /// The socket for operators cannot be opened.
    #[error(transparent)]
    Admin(#[from] SocketError),
    /// What is stored cannot be restored.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The operating system gives no thread or no descriptor.
    #[error("cannot start {what}: {source}; check the limits of open files and threads (ulimit -n -u)")]
    Resources {
        /// What could not be started.
        what: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Refuses a listener that other machines reach and where nobody is asked, unless it is said that this is meant.
pub(crate) fn refuse_public(config: &Config, chains: &Chains) -> Result<(), StartError> {
    if config.server.allow_anonymous_public {
        return Ok(());
    }
    let is_unmeant = |listener: &&ListenerConfig| {
        is_reachable(listener)
            && listener.allow_anonymous != Some(true)
            && chains.of(&listener.name).is_open()
    };
    match config.listeners.iter().find(is_unmeant) {
        None => Ok(()),
        Some(listener) => Err(StartError::Public(SocketAddr::new(listener.bind, listener.port))),
    }
}
