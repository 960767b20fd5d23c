//! Who may connect: the interface of an authentication provider, and the chain of them (3.1.4, 4.12).
//!
//! A provider is asked once, while a Client waits in the lobby; its verdict carries the [`Permissions`] of
//! the Client as data, so that nobody is asked again while packets flow.
//!
//! [`Permissions`]: dunlin_broker::permissions::Permissions
#![forbid(unsafe_code)]

pub mod authenticator;
pub mod chain;
pub mod chains;
pub mod hashing;
pub mod providers;
pub mod rights;
pub mod secret;
pub mod successes;
pub mod throttle;

mod claims;
mod recent;
#[cfg(test)]
mod testing;
mod watched_file;
pub mod web;
