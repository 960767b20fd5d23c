//! The lines of a `mosquitto.conf`, with those of the folders that it includes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{known, outcome::Outcome, paths::Paths};
use crate::config::{error::ConfigError, files::read_bounded};

/// One line that says something.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) file: Arc<Path>,
    /// From 1.
    pub(super) number: usize,
    pub(super) key: String,
    /// As it stands there.
    pub(super) written: String,
    /// The same in one form of several, and with absolute paths.
    pub(super) value: String,
    /// What becomes of it, if that is known by now.
    pub(super) outcome: Option<Outcome>,
}

/// Reads `file` and what it includes, in mosquitto's order.
///
/// # Errors
/// If the file cannot be read. Folders that cannot be read are faults of their lines.
pub(super) fn read_all(file: &Path, paths: &Paths) -> Result<Vec<Line>, ConfigError> {
    let text = read_bounded(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
    let mut all = Vec::new();
    for mut line in split(file, &text, paths) {
        if line.key != "include_dir" || line.outcome.is_some() {
            all.push(line);
            continue;
        }
        let (outcome, lines) = match included(Path::new(&line.value), paths) {
            Ok(lines) => (Outcome::taken("the lines of its files follow"), lines),
            Err(error) => (Outcome::wrong(&format!("a folder that can be read: {error}")), Vec::new()),
        };
        line.outcome = Some(outcome);
        all.push(line);
        all.extend(lines);
    }
    Ok(all)
}

/// The lines of `text`, without comments and empty ones.
pub(super) fn split(file: &Path, text: &str, paths: &Paths) -> Vec<Line> {
    let file: Arc<Path> = file.into();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let (key, written) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
        let (key, written) = (key.to_owned(), written.trim().to_owned());
        let (value, outcome) = match known::read(&key, &written, paths) {
            Ok(value) => (value, None),
            Err(expected) => (String::new(), Some(Outcome::wrong(&expected))),
        };
        lines.push(Line { file: Arc::clone(&file), number, key, written, value, outcome });
    }
    lines
}

fn included(folder: &Path, paths: &Paths) -> io::Result<Vec<Line>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "conf") && path.is_file() {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(io::Error::other(format!("there are more than {FILES_MAX} files")));
        }
    }
    files.sort_by_key(|path| order(path));
    let mut lines = Vec::new();
    for file in files {
        let text = read_bounded(&file)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
        lines.extend(split(&file, &text, paths));
        if lines.len() > LINES_MAX {
            return Err(io::Error::other(format!("there are more than {LINES_MAX} lines in its files")));
        }
    }
    // Mosquitto reads such a line in the main file only.
    for line in lines.iter_mut().filter(|line| line.key == "include_dir" && line.outcome.is_none()) {
        line.outcome = Some(Outcome::not_needed("it counts in the main file only"));
    }
    Ok(lines)
}

/// The most files of a folder.
const FILES_MAX: usize = 1_000;

/// The most lines of them.
const LINES_MAX: usize = 1_000_000;

/// By letter, and of each letter the capital first.
fn order(path: &Path) -> Vec<(char, char)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars().map(|c| (c.to_ascii_lowercase(), c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_the_order_of_mosquitto() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "A.conf", "01.conf", "a.conf", "B.conf", "00.conf", "c.other"] {
            fs::write(folder.path().join(name), format!("user {name}\n")).unwrap();
        }
        let main = folder.path().join("main");
        let text = format!(
            "# comment\n\n  user  x y \ninclude_dir {}\ninclude_dir /nowhere\nport\n",
            folder.path().display()
        );
        fs::write(&main, text).unwrap();
        let lines = read_all(&main, &Paths::of(&main)).unwrap();
        let shown: Vec<_> = lines.iter().map(|line| (line.number, &*line.key, &*line.value)).collect();
        assert_eq!(shown[0], (3, "user", "x y"));
        let values: Vec<_> = shown[2..8].iter().map(|(_, _, value)| *value).collect();
        assert_eq!(values, ["00.conf", "01.conf", "A.conf", "a.conf", "B.conf", "b.conf"]);
        assert!(lines[8].outcome.as_ref().unwrap().note.contains("No such file"));
        assert_eq!((shown[9], lines[9].outcome.is_some()), ((6, "port", ""), true));
    }
}
