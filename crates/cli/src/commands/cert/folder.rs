//! The folder of certificates and keys.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use crate::exit::Failure;

/// The certificate of the CA.
pub(super) const CA_CERTIFICATE: &str = "ca.pem";
/// Its key.
pub(super) const CA_KEY: &str = "ca.key";
/// The list of certificates that it has revoked.
pub(super) const REVOKED: &str = "revoked.pem";

/// Where files are read and written.
#[derive(Debug)]
pub(super) struct Folder {
    path: Option<PathBuf>,
    may_replace: bool,
}

impl Folder {
    /// The current folder if there is no `path`.
    pub(super) fn new(path: Option<PathBuf>, may_replace: bool) -> Self {
        Self { path, may_replace }
    }

    /// The file `name`, as it is written on a command line here.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        match &self.path {
            None => name.into(),
            Some(path) => path.join(name),
        }
    }

    /// Whether `names` may be written: either there are no such files, or they may be replaced.
    pub(super) fn check_free(&self, names: &[&str]) -> Result<(), Failure> {
        let taken = names.iter().map(|name| self.file(name)).find(|file| file.symlink_metadata().is_ok());
        match taken {
            Some(file) if !self.may_replace => {
                Err(Failure::usage(format!("{} is there already; --force replaces it", file.display())))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.file(name).exists()
    }

    pub(super) fn read(&self, name: &str) -> Result<String, Failure> {
        let file = self.file(name);
        fs::read_to_string(&file).map_err(|error| failed("read", &file, &error))
    }

    /// Writes a file that its owner alone may read.
    pub(super) fn write_key(&self, name: &str, text: &str) -> Result<(), Failure> {
        self.place(name, text, 0o600)
    }

    /// Writes a file that everybody may read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        self.place(name, text, 0o644)
    }

    /// Writes a file in the place of an old one that it goes on with.
    pub(super) fn replace(&self, name: &str, text: &str) -> Result<(), Failure> {
        self.place(name, text, 0o644)
    }

    /// Puts a file in its place, whole at once.
    fn place(&self, name: &str, text: &str, mode: u32) -> Result<(), Failure> {
        if let Some(path) = &self.path {
            fs::create_dir_all(path).map_err(|error| failed("make", path, &error))?;
        }
        let file = self.file(name);
        let draft = self.file(&format!(".{name}.{}", process::id()));
        let written = write_new(&draft, text, mode).and_then(|()| fs::rename(&draft, &file));
        written.map_err(|error| {
            // If it cannot be removed either, the first error tells more.
            fs::remove_file(&draft).ok();
            failed("write", &file, &error)
        })
    }
}

fn write_new(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::other(format!("cannot {what} {}: {error}", path.display()))
}
