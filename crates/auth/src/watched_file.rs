//! A file that is read again when it has changed.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Where a file is, and which version of it was read last.
#[derive(Debug)]
pub(crate) struct WatchedFile {
    path: PathBuf,
    seen: Mutex<Option<Version>>,
}

/// What changes with the file: also if another one is put in its place, or a link is turned to another one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Version {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl WatchedFile {
    /// Nothing is read yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: Mutex::new(None) }
    }

    /// The path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file if it is another one than at the last time, however that ended.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::FileTooLarge`] beyond `bytes_max`.
    pub(crate) fn read_if_changed(&self, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut seen = self.seen.lock().expect("nobody panics while holding the lock of a file");
        // Of a file that is not there each look is told.
        let version = Version::of(&fs::metadata(&self.path).inspect_err(|_| *seen = None)?);
        if seen.as_ref() == Some(&version) {
            return Ok(None);
        }
        let mut file = File::open(&self.path)?;
        let version = Version::of(&file.metadata()?);
        let mut bytes = Vec::new();
        file.by_ref().take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        *seen = Some(version);
        match bytes.len() <= bytes_max {
            true => Ok(Some(bytes)),
            false => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_for_each_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = WatchedFile::new(&path);
        assert_eq!(file.read_if_changed(10).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(&path, "one").unwrap();
        assert_eq!(file.read_if_changed(10).unwrap().unwrap(), b"one");
        assert!(file.read_if_changed(10).unwrap().is_none());
        fs::write(folder.path().join("other"), "two").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        assert_eq!(file.read_if_changed(10).unwrap().unwrap(), b"two");
        fs::write(&path, "longer than ten").unwrap();
        assert_eq!(file.read_if_changed(10).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(file.read_if_changed(10).unwrap().is_none(), "told once");
    }
}
