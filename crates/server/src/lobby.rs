//! The lobby: strangers until they are Clients (3.1.4, 4.12). Nothing slow or unauthenticated touches a
//! shard.

pub(crate) mod accept;
pub(crate) mod certificates;
pub(crate) mod desk;
pub(crate) mod door;
mod entrance;
pub(crate) mod fights;
pub(crate) mod half_open;
mod line;
pub(crate) mod listener;
mod random;
pub(crate) mod rates;
pub(crate) mod reauthentication;
pub(crate) mod refusals;
mod welcome;
