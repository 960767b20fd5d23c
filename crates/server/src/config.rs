//! The configuration: what can be set, and how it is read.

pub mod authentication;
pub mod bans;
pub(crate) mod changes;
pub mod durability;
pub mod environment;
pub mod error;
mod files;
pub mod limit;
pub mod load;
pub mod model;
pub mod mosquitto;
pub mod origin;
mod settings;
mod sheet;
pub mod show;
mod value;

#[cfg(test)]
mod handbook;
