//! What is wrong in a configuration file, shown with file, line, column and the line itself.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}; {}", .file.display(), advice(.source))]
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

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// What was found.
    pub found: String,
    /// What was expected, and perhaps a hint.
    pub expected: String,
}

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(Spot),
    /// In a variable of the environment: its name.
    Variable(String),
}

/// A place in a file, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Which file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    quoted: String,
    carets: usize,
}

impl Spot {
    /// The bytes `span` of `text`.
    pub(super) fn new(file: &Path, text: &str, span: Range<usize>) -> Self {
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = floor(text, span.end.clamp(start, line_end));
        Self {
            file: file.to_owned(),
            line: line_of(text, start),
            column: text[line_start..start].chars().count() + 1,
            // One column for each character, and nothing that a terminal would obey.
            quoted: without_secret(&text[..line_end], line_start)
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect(),
            carets: text[start..end].chars().count().max(1),
        }
    }
}

/// The line, from 1, in which the byte `index` of `text` stands.
pub(super) fn line_of(text: &str, index: usize) -> usize {
    text[..floor(text, index)].matches('\n').count() + 1
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, found, expected } = self;
        match place {
            Place::Variable(name) => write!(f, "{name}: {found}\n  = expected {expected}"),
            Place::File(Spot { file, line, column, quoted, carets }) => {
                let margin = line.to_string().len();
                writeln!(f, "{}:{line}:{column}: {found}", file.display())?;
                writeln!(f, "{:margin$} |", "")?;
                writeln!(f, "{line} | {quoted}")?;
                writeln!(f, "{:margin$} | {:indent$}{:^<carets$}", "", "", "", indent = column - 1)?;
                write!(f, "{:margin$} = expected {expected}", "")
            }
        }
    }
}

/// The last line of `text`, which begins at `line_start`, up to where a secret may stand.
fn without_secret(text: &str, line_start: usize) -> &str {
    let Some(value) = last_secret(&text[..line_start]) else {
        let line = &text[line_start..];
        return &line[..first_secret(line).unwrap_or(line.len())];
    };
    let value = text[value..line_start].trim_start();
    let mark = value.get(..3).filter(|mark| ["\"\"\"", "'''"].contains(mark));
    // The line may be one of a secret over several lines.
    if mark.is_some_and(|mark| value.matches(mark).count() % 2 == 1) {
        return "";
    }
    let line = &text[line_start..];
    &line[..first_secret(line).unwrap_or(line.len())]
}

/// Where the value of the first secret begins: behind its `=`.
fn first_secret(text: &str) -> Option<usize> {
    SECRETS.iter().flat_map(|key| text.match_indices(key)).filter_map(|found| value_of(text, found)).min()
}

/// The same of the last one.
fn last_secret(text: &str) -> Option<usize> {
    SECRETS.iter().flat_map(|key| text.match_indices(key)).filter_map(|found| value_of(text, found)).max()
}

/// Where the value of this key begins, if it is a key.
fn value_of(text: &str, (start, key): (usize, &str)) -> Option<usize> {
    let rest = text[start + key.len()..].trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
    rest.starts_with('=').then(|| text.len() - rest.len() + 1)
}

/// The keys whose values are shown nowhere.
pub(super) const SECRETS: [&str; 2] = ["secret", "authorization"];

/// What to do about a file that cannot be read.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::InvalidData => "it has to be text in UTF-8",
        io::ErrorKind::PermissionDenied => "check who may read it",
        _ => "check the path after --config",
    }
}

fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The greatest character boundary up to `index`.
fn floor(text: &str, index: usize) -> usize {
    let index = index.min(text.len());
    (0..=index).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The word of `known` that begins with `word` or is most like it, if one is so like it that it may be meant.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    // Nobody means a name by that, and to compare it would take long.
    if word.len() > NAME_BYTES_MAX {
        return None;
    }
    // Not all of a long name was written.
    if let Some(longer) = known.clone().find(|other| word.len() >= 5 && other.starts_with(word)) {
        return Some(longer);
    }
    let (distance, best) = known.map(|other| (distance(word, other), other)).min()?;
    (distance <= 1 + word.chars().count().max(best.chars().count()) / 4).then_some(best)
}

/// Longer than any name.
const NAME_BYTES_MAX: usize = 64;

/// How many characters must be put in, taken out or changed to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_quoted_with_a_caret() {
        let text = "[mqtt]\nretäin = 7\n";
        let spot = |span| Spot::new(Path::new("a.toml"), text, span);
        let mistake = Mistake {
            place: Place::File(spot(17..18)),
            found: "found this".into(),
            expected: "something else".into(),
        };
        assert_eq!(
            mistake.to_string(),
            "a.toml:2:10: found this\n  |\n2 | retäin = 7\n  |          ^\n  = expected something else"
        );
        // Spans outside, empty, over several lines: always one line and at least one caret.
        for span in [0..0, 19..19, 300..400, 3..19] {
            assert!(spot(span).carets >= 1);
        }
    }

    #[test]
    fn what_stands_behind_the_key_of_a_secret_is_not_quoted() {
        for (text, line, quoted) in [
            ("secret = \"hush\"", 1, "secret ="),
            ("auth = [{ kind = \"jwt\", secret=\"hush\" }]", 1, "auth = [{ kind = \"jwt\", secret="),
            ("\"authorization\" = 'hush'", 1, "\"authorization\" ="),
            ("secret = \"\"\"\nhush\n\"\"\"\nkind = 1", 2, ""),
            ("secret = \"\"\"\nhush\n\"\"\"\nkind = 1", 4, "kind = 1"),
            ("secret_file = \"path\"", 1, "secret_file = \"path\""),
        ] {
            let start = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
            let spot = Spot::new(Path::new("a"), text, start..start + 1);
            assert_eq!((spot.line, &*spot.quoted), (line, quoted), "{text}");
        }
    }

    #[test]
    fn the_nearest_word_is_found_unless_it_is_far() {
        let known = ["receive_maximum", "retain_available", "port"];
        for (word, meant) in [
            ("recieve_maximum", Some("receive_maximum")),
            ("retained_available", Some("retain_available")),
            ("prot", Some("port")),
            ("receive", Some("receive_maximum")),
            ("rec", None),
            ("colour", None),
            (&"port".repeat(1_000_000), None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}
