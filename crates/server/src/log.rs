//! The log, on standard error: lines for people or one JSON object a line.

use std::io::{IsTerminal, stderr};

use crate::config::model::LogConfig;

/// Starts logging; in a process that logs already, nothing changes.
pub(crate) fn start(config: &LogConfig) {
    let builder = tracing_subscriber::fmt().with_max_level(config.level).with_writer(stderr);
    let started = if config.is_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(stderr().is_terminal()).try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the process logs already");
    }
}
