//! Where records survive a crash.
//!
//! A [`Store`](store::Store) is an engine: it applies changes whole and in order, and says when they are on the disk.
//! [`Memory`](memory::Memory) keeps them in memory only,
//! [`Disk`](disk::Disk) in a data folder. The [`Writer`](writer::Writer) is the one thread that writes: it
//! gathers the batches of all shards into groups, so that many of them share one wait for the disk.
#![forbid(unsafe_code)]

mod base64;
pub mod check;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod disk;
pub mod export;
pub mod facts;
pub mod import;
mod line;
pub mod memory;
mod scanning;
mod sessions;
pub mod stat;
pub mod store;
#[cfg(test)]
mod testing;
pub mod writer;
