//! What can become of a line.

use std::fmt;

/// What has become of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The configuration says the same.
    TakenOver,
    /// It is so anyway.
    NotNeeded,
    /// It is not so, and cannot be said.
    NotSupported,
    /// Mosquitto would not take it either; the note says what it expects.
    Wrong,
}

/// A verdict and its note.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) note: String,
}

impl Outcome {
    pub(super) fn taken(note: &str) -> Self {
        Self { verdict: Verdict::TakenOver, note: note.to_owned() }
    }

    pub(super) fn not_needed(note: &str) -> Self {
        Self { verdict: Verdict::NotNeeded, note: note.to_owned() }
    }

    pub(super) fn not_supported(note: &str) -> Self {
        Self { verdict: Verdict::NotSupported, note: note.to_owned() }
    }

    pub(super) fn wrong(expected: &str) -> Self {
        Self { verdict: Verdict::Wrong, note: format!("expected {expected}") }
    }

    /// Whether the line counts for nothing.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.verdict, Verdict::NotSupported | Verdict::Wrong)
    }

    /// With a note behind, if it is taken over.
    pub(super) fn but(self, note: &str) -> Self {
        if self.verdict == Verdict::TakenOver {
            Self { note: format!("{}; {note}", self.note), ..self }
        } else {
            self
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TakenOver => "taken over",
            Self::NotNeeded => "not needed",
            Self::NotSupported => "NOT SUPPORTED",
            Self::Wrong => "WRONG",
        })
    }
}
