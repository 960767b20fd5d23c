//! What is wrong with a file of rules: where, what, and what was expected.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Why a file of rules cannot be used. It counts as a whole: no rule of it is taken.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file cannot be read.
    #[error("cannot read the rules {}: {source}", .file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file has mistakes, at least one.
    #[error("{}", list(.0))]
    Mistakes(Vec<Mistake>),
}

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, found, expected } = self;
        write!(f, "{}:{line}: {found}; expected {expected}", file.display())
    }
}

/// Mistakes that are told; a file of another kind would have no end of them.
pub(super) const MISTAKES_MAX: usize = 20;

/// Bytes of the largest file of rules.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads all of a file that is text.
pub(super) fn read(file: &Path) -> Result<String, RulesError> {
    let error = |source| RulesError::Read { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(file).and_then(|it| it.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(error)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(error(io::Error::other("it has more than 64 MiB")));
    }
    String::from_utf8(bytes).map_err(|wrong| {
        let before = &wrong.as_bytes()[..wrong.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() as u32 + 1;
        RulesError::Mistakes(vec![Mistake {
            file: file.to_owned(),
            line,
            found: "bytes that are no text".into(),
            expected: "text in UTF-8".into(),
        }])
    })
}

/// A piece of a file for a message: short, and nothing that a terminal would obey.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut short: String =
        text.chars().take(CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
