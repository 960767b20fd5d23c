//! The configuration: what can be set, and how it is read.

pub mod authentication;
pub mod durability;
pub mod error;
pub mod load;
pub mod model;
mod settings;
mod value;

#[cfg(test)]
mod handbook;
