//! A file that is replaced whole or not at all, by one program at a time.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use dunlin_passwords::file::BYTES_MAX;

use crate::exit::Failure;

/// A place for a file, locked as long as this lives.
#[derive(Debug)]
pub(super) struct SafeFile {
    /// Where the file is, links followed.
    path: PathBuf,
    folder: File,
}

/// Reads all of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| failed("read", path, &error))?;
    Ok(bytes)
}

impl SafeFile {
    /// Waits a little if another `dunlin passwd` is at work in the same folder. It is the folder that is locked: the file
    /// will be another one.
    pub(super) fn lock(path: &Path) -> Result<Self, Failure> {
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(failed("find", path, &error)),
        };
        let folder_path = folder_of(&path);
        let folder = File::open(folder_path).map_err(|error| failed("open the folder of", &path, &error))?;
        let deadline = Instant::now() + WAIT;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(Self { path, folder }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let folder = folder_path.display();
                    return Err(Failure::coded(
                        LOCKED,
                        format!("another dunlin passwd is at work in {folder}; try again"),
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(failed("lock", &path, &error)),
            }
        }
    }

    /// Puts a file with this `text` in the place, for its owner only. One that was there hands on its owner, and what its
    /// group may read.
    pub(super) fn replace(&self, text: &str) -> Result<(), Failure> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let draft = folder_of(&self.path).join(format!(".{name}.{}", process::id()));
        let result = self.write(&draft, text).and_then(|()| fs::rename(&draft, &self.path));
        // The new name must survive a loss of power as well.
        match result.and_then(|()| self.folder.sync_all()) {
            Ok(()) => Ok(()),
            Err(error) => {
                // If it cannot be removed either, the first error tells more.
                fs::remove_file(&draft).ok();
                Err(failed("write", &self.path, &error))
            }
        }
    }

    fn write(&self, draft: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
        match fs::metadata(&self.path) {
            Ok(old) => {
                let new = file.metadata()?;
                if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                    fchown(&file, Some(old.uid()), Some(old.gid()))?;
                }
                file.set_permissions(Permissions::from_mode(old.mode() & 0o640 | 0o600))?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::other(format!("cannot {what} {}: {error}", path.display()))
}

/// The exit code if another one is at work.
pub(super) const LOCKED: i32 = 4;
/// How long another one is waited for,
const WAIT: Duration = Duration::from_secs(2);
/// and how long between two looks.
const PAUSE: Duration = Duration::from_millis(20);
