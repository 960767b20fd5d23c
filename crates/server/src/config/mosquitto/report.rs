//! What becomes of each line.

use std::{fmt, path::Path, sync::Arc};

use super::{
    known::is_known,
    lines::Line,
    outcome::{Outcome, Verdict},
};

/// One line of a `mosquitto.conf`, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The file it stands in.
    pub file: Arc<Path>,
    /// Its number, from 1.
    pub number: usize,
    /// The line, without secrets.
    pub text: String,
    /// What has become of it.
    pub verdict: Verdict,
    /// Why, or what else is to know; may be empty.
    pub note: String,
}

impl Reported {
    pub(super) fn new(line: &Line, outcome: Outcome) -> Self {
        let Outcome { verdict, note } = outcome;
        let is_secret =
            ["pass", "psk", "auth_opt_", "plugin_opt_"].iter().any(|word| line.key.contains(word));
        let name = || line.key.chars().take(NAME_MAX).collect::<String>();
        let text = match () {
            () if line.written.is_empty() => name(),
            () if is_secret && !line.key.ends_with("_file") || !is_known(&line.key) => {
                format!("{} (hidden)", name())
            }
            () => format!("{} {}", line.key, line.written),
        };
        Self { file: Arc::clone(&line.file), number: line.number, text, verdict, note }
    }
}

/// So much of a name is told; none is longer.
const NAME_MAX: usize = 64;

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, number, text, verdict, note } = self;
        let plain =
            |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
        write!(f, "{}:{number}: {verdict:<13}  {}", file.display(), plain(text))?;
        if note.is_empty() { Ok(()) } else { write!(f, ": {}", plain(note)) }
    }
}
