//! Lines for people, on standard error and standard output.

use std::fmt::Display;
use std::io::{self, Write};

use crate::exit::Failure;

/// Tells of a failure and returns its exit code.
pub(crate) fn fail(is_quiet: bool, failure: &Failure) -> i32 {
    if !is_quiet || failure.is_usage {
        error_line(format_args!("Error: {}", failure.message));
    }
    failure.code
}

/// Tells of something that is not right and does not stop the work.
pub(crate) fn warn(is_quiet: bool, message: impl Display) {
    if !is_quiet {
        error_line(format_args!("Warning: {message}"));
    }
}

/// Tells that `-W` has run out, in the words scripts know.
pub(crate) fn timed_out(is_quiet: bool) {
    if !is_quiet {
        error_line("Timed out");
    }
}

/// A line on standard output, for `-d`.
pub(crate) fn debug_line(line: impl Display) {
    // A reader that has gone is noticed where messages are printed.
    writeln!(io::stdout(), "{line}").ok();
}

fn error_line(line: impl Display) {
    // There is nowhere else to tell that standard error is closed.
    writeln!(io::stderr(), "{line}").ok();
}
