//! Finds the conversations of a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{language::Script, parser::parse};

/// All conversations below `folder`, by file name; their names in messages begin with `spec/conversations`.
///
/// # Errors
/// A file that cannot be read, or the first mistake in each file that is no conversation.
pub fn load(folder: &Path) -> Result<Vec<Script>, String> {
    let mut files = Vec::new();
    collect(folder, &mut files).map_err(|error| format!("{}: {error}", folder.display()))?;
    files.sort();
    let mut scripts = Vec::new();
    let mut errors = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let name = Path::new("spec/conversations").join(file.strip_prefix(folder).unwrap_or(&file));
        match parse(&name.to_string_lossy(), &text) {
            Ok(script) => scripts.push(script),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(scripts) } else { Err(errors.join("\n")) }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    Ok(())
}
