//! The files of a configuration: the one that is named, and those in the folder `conf.d` beside it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::error::ConfigError;

/// A file and what stands in it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: Arc<Path>,
    pub(super) text: String,
}

/// Reads `file`, and all of `conf.d/*.toml` beside it in the order of their names: later ones go over earlier ones.
///
/// # Errors
/// [`ConfigError::Read`] for the first that cannot be read.
pub(super) fn read_all(file: &Path) -> Result<Vec<Source>, ConfigError> {
    let folder = file.parent().unwrap_or(Path::new("")).join(FOLDER);
    let more = list(&folder).map_err(|source| ConfigError::Read { file: folder, source })?;
    let mut sources = vec![read(file)?];
    for file in more {
        sources.push(read(&file)?);
    }
    Ok(sources)
}

fn read(file: &Path) -> Result<Source, ConfigError> {
    let text = read_bounded(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
    Ok(Source { file: file.into(), text })
}

/// The text of a file that is not larger than any file of settings has reason to be.
///
/// # Errors
/// What the operating system says; [`io::ErrorKind::FileTooLarge`] beyond [`BYTES_MAX`], and
/// [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub(super) fn read_bounded(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 4 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// The files of `folder`; none if it is not there.
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        // Editors and package tools leave hidden ones, and others with another ending.
        if name.starts_with(b".") || !name.ends_with(b".toml") || path.is_dir() {
            continue;
        }
        if files.len() == FILES_MAX {
            return Err(io::Error::other(format!("there are more than {FILES_MAX} files")));
        }
        files.push(path);
    }
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    Ok(files)
}

/// The folder beside the file.
const FOLDER: &str = "conf.d";

/// Bytes of the largest file.
const BYTES_MAX: u64 = 4 << 20;

/// The most files of the folder.
const FILES_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_folder_come_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("dunlin.toml");
        fs::write(&main, "main").unwrap();
        assert_eq!(read_all(&main).unwrap().len(), 1, "there is no conf.d");
        let more = folder.path().join(FOLDER);
        fs::create_dir(&more).unwrap();
        fs::create_dir(more.join("folder.toml")).unwrap();
        for name in ["20-b.toml", "10-z.toml", "A.toml", ".hidden.toml", "old.toml~", "readme"] {
            fs::write(more.join(name), name).unwrap();
        }
        let texts: Vec<String> = read_all(&main).unwrap().into_iter().map(|source| source.text).collect();
        assert_eq!(texts, ["main", "10-z.toml", "20-b.toml", "A.toml"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("dunlin.toml");
        fs::write(&main, "x".repeat(BYTES_MAX as usize + 1)).unwrap();
        let error = read_all(&main).unwrap_err().to_string();
        assert!(error.contains("dunlin.toml") && error.contains("4 MiB"), "{error}");
        fs::write(&main, b"\xff").unwrap();
        assert!(read_all(&main).unwrap_err().to_string().contains("UTF-8"));
    }
}
