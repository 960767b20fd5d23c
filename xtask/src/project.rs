//! The files of the project, read once: all texts, and the Rust files parsed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::finding::Finding;
use crate::rust_file::RustFile;

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: [&str; 7] =
    ["target", ".git", "node_modules", ".venv", "__pycache__", "artifacts", "corpus"];
/// Larger files are data, not text.
const TEXT_BYTES_MAX: u64 = 1024 * 1024;
/// Where our own Rust files are.
const RUST_FOLDERS: [&str; 4] = ["crates/", "xtask/", "tests/", "fuzz/"];

/// A file that is valid UTF-8.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Everything the checks look at, sorted by path.
#[derive(Debug, Default)]
pub(crate) struct Project {
    pub(crate) texts: Vec<TextFile>,
    pub(crate) rust_files: Vec<RustFile>,
    /// Rust files that do not parse.
    pub(crate) unreadable: Vec<Finding>,
}

impl Project {
    /// Reads the project at `root`.
    ///
    /// # Errors
    /// Any error of the file system.
    pub(crate) fn read(root: &Path) -> Result<Project> {
        let mut texts = Vec::new();
        collect_texts(root, "", &mut texts)?;
        Ok(Project::from_texts(texts))
    }

    pub(crate) fn from_texts(mut texts: Vec<TextFile>) -> Project {
        texts.sort_by(|a, b| a.path.cmp(&b.path));
        let mut project = Project { texts, ..Project::default() };
        for text in project.texts.iter().filter(|file| is_our_rust(&file.path)) {
            match RustFile::parse(&text.path, &text.text) {
                Ok(file) => project.rust_files.push(file),
                Err(error) => project.unreadable.push(error),
            }
        }
        mark_test_modules(&mut project.rust_files);
        project
    }

    /// A project from `(path, text)` pairs.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Project {
        let text = |(path, text): &(&str, &str)| TextFile { path: (*path).into(), text: (*text).into() };
        Project::from_texts(files.iter().map(text).collect())
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}

fn is_our_rust(path: &str) -> bool {
    path.ends_with(".rs") && RUST_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

fn collect_texts(folder: &Path, prefix: &str, texts: &mut Vec<TextFile>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                collect_texts(&entry.path(), &format!("{path}/"), texts)?;
            }
        } else if kind.is_file() && entry.metadata()?.len() <= TEXT_BYTES_MAX {
            let bytes = fs::read(entry.path()).with_context(|| format!("reading {path}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                texts.push(TextFile { path, text });
            }
        }
    }
    Ok(())
}

/// `#[cfg(test)] mod tests;` makes the file it names, and all below it, test code.
fn mark_test_modules(files: &mut [RustFile]) {
    let folders: Vec<String> = files
        .iter()
        .flat_map(|file| file.test_modules.iter().map(|name| format!("{}/{name}", file.module_folder())))
        .collect();
    for file in files {
        let is_named = |folder: &String| {
            file.path.strip_prefix(folder.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if folders.iter().any(is_named) {
            file.is_test = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_test_code() {
        let project = Project::of(&[
            ("crates/a/src/lib.rs", "mod x;\n"),
            ("crates/a/src/x.rs", "#[cfg(test)]\nmod tests;\n"),
            ("crates/a/src/x/tests.rs", "mod more;\n"),
            ("crates/a/src/x/tests/more.rs", "fn f() {}\n"),
            ("crates/a/src/x/testsuite.rs", "fn f() {}\n"),
        ]);
        let tests: Vec<_> =
            project.rust_files.iter().filter(|file| file.is_test).map(|file| file.path.as_str()).collect();
        assert_eq!(tests, ["crates/a/src/x/tests.rs", "crates/a/src/x/tests/more.rs"]);
    }

    #[test]
    fn a_file_that_does_not_parse_is_told() {
        let project = Project::of(&[("crates/a/src/lib.rs", "//! A.\nfn f( {\n")]);
        assert_eq!(project.unreadable.len(), 1);
        assert_eq!(project.unreadable[0].path, "crates/a/src/lib.rs");
    }
}
