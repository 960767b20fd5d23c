//! What can go wrong while rows are printed, and how their cells look to people.

use std::{fmt::Write as _, io};

use jiff::{Timestamp, tz::TimeZone};

use crate::exit::Failure;

/// Why the work ends early.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It has failed.
    Failed(Failure),
    /// Standard output is closed: whoever read it has seen enough.
    NobodyReads,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Failed(Failure::other(format!("standard output: {error}"))),
        }
    }
}

/// Text of strangers, without what a terminal would obey.
pub(crate) fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            write!(safe, "\\u{{{:x}}}", u32::from(character)).expect("a String takes everything");
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Turns the direction of writing, or joins what looks apart.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A number of bytes: `512 B`, `1.5 KB`, `20 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut size = count as f64;
    if count < 1_000 {
        return format!("{count} B");
    }
    for unit in ["KB", "MB", "GB"] {
        size /= 1_000.0;
        if size < 999.5 {
            let decimals = usize::from(size < 9.95);
            return format!("{size:.decimals$} {unit}");
        }
    }
    format!("{:.1} TB", size / 1_000.0)
}

/// A length of time: `5 s`, `3 min 20 s`, `2 d 4 h`.
pub(crate) fn seconds(count: u64) -> String {
    let (minutes, hours, days) = (count / 60, count / 3_600, count / 86_400);
    match count {
        0..60 => format!("{count} s"),
        60..3_600 => format!("{minutes} min {} s", count % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A moment, in the time of this machine.
pub(crate) fn moment(ms: u64) -> String {
    let Ok(timestamp) = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)) else {
        return format!("{ms} ms");
    };
    timestamp.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KB"),
            (9_940, "9.9 KB"),
            (20_000_000, "20 MB"),
            (999_600_000, "1.0 GB"),
            (5_000_000_000_000, "5.0 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (count, text) in [(59, "59 s"), (200, "3 min 20 s"), (7_260, "2 h 1 min"), (187_200, "2 d 4 h")] {
            assert_eq!(seconds(count), text);
        }
    }

    #[test]
    fn a_terminal_is_not_told_anything_by_strangers() {
        assert_eq!(safe("a\u{1b}[2Jb\nc\u{202e}d ä"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}d ä");
    }
}
