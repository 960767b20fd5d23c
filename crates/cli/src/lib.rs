//! The command-line tools of Dunlin: `pub`, `sub` and `passwd`, for scripts written for `mosquitto_pub`, `mosquitto_sub` and
//! `mosquitto_passwd`, and `admin` and `explain`, which look into a running Server.
//!
//! The binary adds [`commands::Command`] to its own parser and exits with what [`commands::Command::run`] returns.

#![forbid(unsafe_code)]

pub mod args;
pub mod commands;

mod exit;
mod format;
mod json;
mod output;
mod properties;
mod trace;
