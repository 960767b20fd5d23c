//! Paths of a `mosquitto.conf` from the root on.

use std::path::{Path, PathBuf};

/// From where relative ones are taken.
#[derive(Debug)]
pub(super) struct Paths {
    /// The folder of the `mosquitto.conf`.
    beside: PathBuf,
    /// The current folder: mosquitto takes them from the one in which it is started. Nothing if no disk is looked at.
    here: Option<PathBuf>,
}

impl Paths {
    /// Of this file; the disk says which folder was meant.
    pub(super) fn of(file: &Path) -> Self {
        let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
        Self { beside: here.join(file.parent().unwrap_or(Path::new(""))), here: Some(here) }
    }

    /// Below the root, without a look at the disk.
    pub(super) fn blind() -> Self {
        Self { beside: "/".into(), here: None }
    }

    /// Whether the disk is looked at.
    pub(super) fn may_look(&self) -> bool {
        self.here.is_some()
    }

    /// The one that is meant: in the folder of the file, unless it is there in the current one only.
    pub(super) fn absolute(&self, path: &str) -> String {
        let near = self.beside.join(path);
        let there =
            self.here.as_ref().map(|here| here.join(path)).filter(|there| !near.exists() && there.exists());
        // Without `.` in between.
        let plain: PathBuf = there.unwrap_or(near).components().collect();
        plain.to_string_lossy().into_owned()
    }
}
