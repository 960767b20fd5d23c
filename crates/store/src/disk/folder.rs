//! The data folder: who may see it, who uses it, and whether it is ours.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    process::umask,
};

use crate::store::StoreError;

/// The newest format of a data folder that this program knows.
pub(super) const FORMAT: u32 = 1;

const LOCK: &str = "dunlin.lock";
const FORMAT_FILE: &str = "format";
const UNSYNCED: &str = "unsynced";
const FORMAT_TEXT: &str = "Dunlin data folder, format ";

/// A data folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked while it is open.
    _lock: File,
}

impl Folder {
    /// Opens it, or makes a new one. From then on only its owner may read the files that this process makes, since the
    /// engine makes some at any time.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |what: String| StoreError::Folder { folder: path.to_owned(), what };
        umask(Mode::from_raw_mode(0o077));
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|it| unusable(it.to_string()))?;
        let is_ours = path.join(LOCK).exists();
        if !is_ours && !is_empty(path).map_err(|it| unusable(it.to_string()))? {
            return Err(unusable("it holds other files: choose an empty folder".into()));
        }
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path.join(LOCK))
            .map_err(|it| unusable(format!("{LOCK}: {it}")))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(unusable(error.to_string())),
        }
        close_to_others(path).map_err(|it| unusable(format!("its permissions cannot be set: {it}")))?;
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.sync().and_then(|()| sync_parent(path)).map_err(|it| unusable(it.to_string()))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine has its files.
    pub(super) fn records(&self) -> PathBuf {
        self.path.join("records")
    }

    /// The file of the [`Reserve`](super::reserve::Reserve).
    pub(super) fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    /// The format in which it was made; nothing if making it was never finished.
    pub(super) fn format(&self) -> Result<Option<u32>, StoreError> {
        let path = self.path.join(FORMAT_FILE);
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(100).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(StoreError::Failed { what: format!("{}: {error}", path.display()) }),
        }
        let format = text.trim_end().strip_prefix(FORMAT_TEXT).and_then(|it| it.parse().ok());
        let what = "it does not say the format of the data folder".into();
        format.map(Some).ok_or(StoreError::Damaged { file: path, place: None, what })
    }

    /// Notes that it is made.
    pub(super) fn set_format(&self) -> io::Result<()> {
        let path = self.path.join(FORMAT_FILE);
        let draft = self.path.join("format.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        writeln!(file, "{FORMAT_TEXT}{FORMAT}")?;
        file.sync_all()?;
        fs::rename(draft, path)?;
        self.sync()
    }

    /// Whether commits were made without waiting for the disk since it was opened, or when it was used last.
    pub(super) fn was_unsynced(&self) -> bool {
        self.path.join(UNSYNCED).exists()
    }

    pub(super) fn set_unsynced(&self, was_unsynced: bool) -> io::Result<()> {
        let path = self.path.join(UNSYNCED);
        if was_unsynced {
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.sync_all()?;
        } else if path.exists() {
            fs::remove_file(path)?;
        }
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Whether there is nothing in it but what a new file system brings along, and the socket of a Server that kept nothing.
fn is_empty(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() != "lost+found" && !entry.file_type()?.is_socket() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whatever is in it already: folders 0700 and files 0600.
fn close_to_others(path: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?;
    let wanted = if kind.is_dir() { 0o700 } else { 0o600 };
    if kind.is_symlink() {
        // A link of the user's own to a folder on another disk, at the top.
        return close_to_others(&fs::canonicalize(path)?);
    }
    if kind.permissions().mode() & 0o777 != wanted {
        fs::set_permissions(path, Permissions::from_mode(wanted))?;
    }
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_name() != "lost+found" && !entry.file_type()?.is_symlink() {
                close_to_others(&entry.path())?;
            }
        }
    }
    Ok(())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match fs::canonicalize(path)?.parent() {
        // Not every parent may be read: then its owner has made the folder, and long ago.
        Some(parent) => File::open(parent).map_or(Ok(()), |it| it.sync_all()),
        None => Ok(()),
    }
}
