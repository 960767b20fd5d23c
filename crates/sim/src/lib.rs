//! The whole system from one seed: virtual clock, virtual network, an oracle.
//!
//! [`run::run`] makes a world from a seed: a few shards of the broker, Clients that do anything that is allowed, some
//! that do what is not, and a network that cuts, delays and fails. Everything that passes the broker's face is shown to
//! the [`oracle`], which knows what MQTT promises. The same seed gives the same run.
#![forbid(unsafe_code)]

pub mod crash;
pub mod describe;
pub mod desk;
pub mod disk;
pub mod doom;
pub mod faults;
pub mod lobby;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod random;
pub mod reshard;
pub mod run;
pub mod script;
pub mod trace;
pub mod workload;
pub mod world;
pub mod writing;
