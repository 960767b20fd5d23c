//! The MQTT Server as a pure machine: inputs in, an outbox out.
//!
//! No socket, clock, file, thread, lock or `async` is here: time is an argument, and what is to be done stands in the
//! [`Outbox`](output::Outbox). A [`Shard`](shard::Shard) owns a part of all Sessions; several of them make a Server.
#![forbid(unsafe_code)]

mod connection;
mod ending;
pub mod entry;
mod fanout;
pub mod handshake;
mod held;
mod holding;
pub mod ids;
pub mod input;
pub mod inspect;
pub mod limits;
pub mod message;
pub mod metrics;
pub mod output;
mod pace;
mod packets;
pub mod permissions;
mod publication;
pub mod records;
mod reply;
pub mod restore;
mod restoring;
pub mod retained;
pub mod rights;
pub mod routing;
pub mod sessions;
pub mod shard;
pub mod slot;
mod state;
mod stays;
pub mod subscriptions;
mod telling;
mod timers;
pub mod topics;
mod visits;
