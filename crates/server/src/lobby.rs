//! The lobby: strangers until they are Clients (3.1.4, 4.12). Nothing slow or unauthenticated touches a
//! shard.

pub(crate) mod accept;
pub(crate) mod desk;
pub(crate) mod half_open;
mod line;
mod random;
pub(crate) mod reauthentication;
pub(crate) mod refusals;
mod welcome;
