//! What is told.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// Prints `text`; a screen that cannot be written to is a failure.
pub(super) fn say(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Tells what is wrong.
pub(super) fn fail(mistakes: impl IntoIterator<Item = impl Display>) -> ExitCode {
    for mistake in mistakes {
        eprintln!("dunlin: {mistake}");
    }
    ExitCode::FAILURE
}
