//! Threads, sockets and configuration around the broker.
//!
//! [`serve`](serve::serve) is the program, [`in_process`] the same inside another one. Unsafe code is in
//! `process.rs` only.

mod admin;
pub mod authentication;
pub mod bans;
pub mod check;
mod clock;
pub mod config;
mod counts;
mod husks;
pub mod in_process;
pub mod listen;
mod lobby;
mod log;
mod memory;
pub mod privileges;
mod process;
pub mod reload;
pub mod rights;
mod seats;
pub mod serve;
pub mod server;
mod shard;
mod socket_file;
mod source;
pub mod start_error;
mod starting;
pub mod storage;
mod sys_topics;
