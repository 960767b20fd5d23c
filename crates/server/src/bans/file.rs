//! The file of the bans: one JSON object a line, replaced as a whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::ban::Ban;

/// Why the bans cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BansError {
    /// The file cannot be read.
    #[error("the bans cannot be read: {}: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line is damaged: without it somebody could come in who must not.
    #[error(
        "{}:{line}: this is no ban: {what}; repair the line or remove it, and the ban with it",
        file.display()
    )]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// Reads all bans; none if there is no file.
pub(super) fn read(file: &Path) -> Result<Vec<Ban>, BansError> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(BansError::Read { file: file.to_owned(), source }),
    };
    let lines = bytes.split(|&byte| byte == b'\n').zip(1..).filter(|(line, _)| !line.trim_ascii().is_empty());
    let ban = |(text, line): (&[u8], usize)| {
        let damaged = |what| BansError::Damaged { file: file.to_owned(), line, what };
        let ban: Ban = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        ban.who().map_err(damaged)?;
        Ok(ban)
    };
    lines.map(ban).collect()
}

/// Puts `bans` in the place of those in the file, all or none of them.
pub(super) fn write<'a>(file: &Path, bans: impl Iterator<Item = &'a Ban>) -> io::Result<()> {
    let mut text = Vec::new();
    for ban in bans {
        serde_json::to_writer(&mut text, ban)?;
        text.push(b'\n');
    }
    let draft = file.with_extension("new");
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replaced = write_draft(&draft, &text).and_then(|()| fs::rename(&draft, file));
    if replaced.is_err() {
        // It may not even be there.
        fs::remove_file(&draft).ok();
    }
    replaced.and_then(|()| File::open(folder)?.sync_all())
}

fn write_draft(draft: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(draft)?;
    file.write_all(text)?;
    file.sync_all()
}
