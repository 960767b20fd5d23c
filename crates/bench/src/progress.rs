//! What is seen while a run goes on: a bar on a terminal, else a line each second; on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far the run is.
pub(crate) enum Progress {
    /// Nothing is shown.
    Off,
    /// A terminal.
    Bar(ProgressBar),
    /// A file or a pipe.
    Lines,
}

impl Progress {
    /// A bar or lines, as standard error is one or the other.
    pub(crate) fn new(is_off: bool) -> Self {
        if is_off {
            return Self::Off;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {wide_msg}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// `done` of `all` are done, in any unit.
    pub(crate) fn show(&self, done: u64, all: u64, text: &str) {
        match self {
            Self::Off => {}
            Self::Bar(bar) => {
                bar.set_length(all.max(1));
                bar.set_position(done.min(all));
                bar.set_message(text.to_owned());
            }
            // If standard error is closed nobody watches.
            Self::Lines => writeln!(io::stderr(), "{text}").unwrap_or(()),
        }
    }

    /// How often it is worth showing something new.
    pub(crate) fn period(&self) -> Duration {
        match self {
            Self::Bar(_) => Duration::from_millis(500),
            Self::Off | Self::Lines => Duration::from_secs(1),
        }
    }
}

/// Takes the bar away, so that the table begins on a clean line.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
