//! Space on the disk, and the part of it that is held in reserve.
//!
//! A store that is out of space cannot even delete: deleting writes too. So new messages are refused while there is still
//! some room, and a file of real blocks is kept to be given up when even that runs out.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::store::Space;

/// How much to keep, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limits {
    /// The size of the file.
    pub(super) reserve: u64,
    /// With less than this left besides it, space is low.
    pub(super) low: u64,
}

/// Bytes of a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Disk {
    pub(super) total: u64,
    pub(super) free: u64,
}

/// How the file system of a folder stands.
pub(super) fn disk_of(folder: &Path) -> io::Result<Disk> {
    let facts = statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    Ok(Disk { total: bytes(facts.f_blocks), free: bytes(facts.f_bavail) })
}

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    limits: Limits,
    is_held: bool,
    is_low: bool,
}

impl Reserve {
    /// The file is made, if there is room for it, when [`look`](Self::look) is called first.
    pub(super) fn new(path: PathBuf, wanted: Limits, disk: Disk) -> Self {
        // On a small disk they take no more than their share.
        let limits =
            Limits { reserve: wanted.reserve.min(disk.total / 32), low: wanted.low.min(disk.total / 16) };
        let is_held = fs::metadata(&path).is_ok_and(|it| it.len() == limits.reserve);
        Self { path, limits, is_held, is_low: false }
    }

    /// What [`Store::space`](crate::store::Store::space) says; `disk` tells what is left now.
    pub(super) fn look(&mut self, disk: impl Fn() -> io::Result<Disk>) -> io::Result<Space> {
        let Limits { reserve, low } = self.limits;
        let mut free = disk()?.free;
        if self.is_held && free < low / 4 {
            self.give_up()?;
            free = disk()?.free;
        } else if !self.is_held && free >= reserve + low + low / 4 {
            self.make();
            free = disk()?.free;
        }
        // Ample again only when it is clearly more: it must not change with every message.
        let enough = if self.is_low { low + low / 4 } else { low };
        self.is_low = !self.is_held || free < enough;
        Ok(Space { is_low: self.is_low, free: Some(free) })
    }

    /// Whether it is worth trying to write, after a write found no room. The reserve is given up for it.
    pub(super) fn has_some_room(&mut self, disk: impl Fn() -> io::Result<Disk>) -> io::Result<bool> {
        self.give_up()?;
        Ok(disk()?.free >= self.limits.low / 4)
    }

    /// Gives the file back to the file system.
    fn give_up(&mut self) -> io::Result<()> {
        if self.is_held {
            tracing::warn!(file = %self.path.display(), "gave up the space in reserve: the disk is nearly full");
            fs::remove_file(&self.path)?;
            self.is_held = false;
        }
        Ok(())
    }

    fn make(&mut self) {
        match write_blocks(&self.path, self.limits.reserve) {
            Ok(()) => self.is_held = true,
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "cannot hold space in reserve");
                // Half a reserve is of no use; if it cannot be removed either, it is overwritten next time.
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}

/// A file whose blocks are really there.
fn write_blocks(path: &Path, len: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, len) {
        Ok(()) => {}
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(&mut file, len)?,
        Err(error) => return Err(error.into()),
    }
    file.sync_all()
}

fn write_zeros(file: &mut File, len: u64) -> io::Result<()> {
    let zeros = [0; 64 << 10];
    let mut left = len;
    while left > 0 {
        let count = left.min(zeros.len() as u64);
        file.write_all(&zeros[..count as usize])?;
        left -= count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What is left besides the file, if it is there.
    fn look(reserve: &mut Reserve, path: &Path, free: u64) -> (bool, bool) {
        let disk = || {
            let held = fs::metadata(path).map_or(0, |it| it.len());
            Ok(Disk { total: 6_400 * MIB, free: free - held.min(free) })
        };
        let space = reserve.look(disk).unwrap();
        assert_eq!(space.free, Some(disk().unwrap().free));
        (space.is_low, path.exists())
    }

    #[test]
    fn it_is_held_given_up_and_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reserve");
        let wanted = Limits { reserve: 2 * MIB, low: 8 * MIB };
        let disk = Disk { total: 6_400 * MIB, free: 0 };
        let mut reserve = Reserve::new(path.clone(), wanted, disk);
        assert_eq!(look(&mut reserve, &path, 100 * MIB), (false, true));
        assert!(blocks(&path) >= 2 * MIB);
        assert_eq!(look(&mut reserve, &path, 10 * MIB), (false, true));
        assert_eq!(look(&mut reserve, &path, 9 * MIB), (true, true));
        assert_eq!(look(&mut reserve, &path, 11 * MIB), (true, true), "not clearly more");
        assert_eq!(look(&mut reserve, &path, 12 * MIB), (false, true));
        assert_eq!(look(&mut reserve, &path, 4 * MIB), (true, true));
        assert_eq!(look(&mut reserve, &path, 3 * MIB), (true, false));
        assert_eq!(look(&mut reserve, &path, 11 * MIB), (true, false));
        assert_eq!(look(&mut reserve, &path, 12 * MIB), (false, true));
        let mut again = Reserve::new(path.clone(), wanted, disk);
        assert_eq!(look(&mut again, &path, 10 * MIB), (false, true));
    }

    fn blocks(path: &Path) -> u64 {
        std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap()) * 512
    }

    #[test]
    fn a_small_disk_keeps_less() {
        let disk = Disk { total: 320 * MIB, free: 320 * MIB };
        let wanted = Limits { reserve: 64 * MIB, low: 128 * MIB };
        let reserve = Reserve::new("nowhere".into(), wanted, disk);
        assert_eq!(reserve.limits, Limits { reserve: 10 * MIB, low: 20 * MIB });
    }

    #[test]
    fn zeros_are_written_where_blocks_cannot_be_asked_for() {
        let mut file = tempfile::tempfile().unwrap();
        write_zeros(&mut file, 100_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 100_000);
    }
}
