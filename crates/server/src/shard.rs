//! The threads that carry Clients: one a shard, each with its own sockets.

pub(crate) mod admission;
pub(crate) mod asking;
mod connection_io;
mod flush;
mod layered_io;
pub(crate) mod mailbox;
pub(crate) mod neighbours;
pub(crate) mod poller;
mod questions;
pub(crate) mod recovery;
pub(crate) mod resharding;
mod socket_io;
pub(crate) mod storage;
pub(crate) mod surroundings;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
pub(crate) mod turn;
