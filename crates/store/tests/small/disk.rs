//! A small disk below one folder, without any right to mount one: `disk.c` answers for the file system.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

const FOLDER: &str = "DUNLIN_SMALL_DISK";
const ROOM: &str = "DUNLIN_SMALL_DISK_ROOM";

/// The disk; whoever has it says how full it is.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: PathBuf,
    /// The file that says how large it is, and how much the folder may have.
    room: PathBuf,
    library: PathBuf,
    total: u64,
}

impl SmallDisk {
    /// A disk of `total` bytes with nothing on it but the folder `name` of `place`, in which its own files are as well.
    pub(crate) fn new(place: &Path, name: &str, total: u64) -> Self {
        let disk = Self::inside(place, name, total);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/small/disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
        let output = compiler.arg(&disk.library).arg(source).output();
        let output = output.unwrap_or_else(|error| panic!("cc: {error}; run .ci/install"));
        assert!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        disk.set_most(total);
        disk
    }

    /// The same disk, in a program that is above it.
    pub(crate) fn inside(place: &Path, name: &str, total: u64) -> Self {
        let place = place.canonicalize().expect("the folder of the test is there");
        let (folder, room, library) = (place.join(name), place.join("room"), place.join("libsmalldisk.so"));
        Self { folder, room, library, total }
    }

    /// The variables that put it below a program.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let pairs = [("LD_PRELOAD", &self.library), (FOLDER, &self.folder), (ROOM, &self.room)];
        pairs.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec()
    }

    /// Others take all but so many bytes of what is free.
    pub(crate) fn leave_free(&self, bytes: u64) {
        self.set_most(self.used() + bytes);
    }

    /// Others give back what they have taken.
    pub(crate) fn make_room(&self) {
        self.set_most(self.total);
    }

    /// Bytes that the files in the folder have.
    pub(crate) fn used(&self) -> u64 {
        used(&self.folder)
    }

    fn set_most(&self, most: u64) {
        // In one piece: it is read at any time.
        let draft = self.room.with_extension("new");
        fs::write(&draft, format!("{} {most}\n", self.total)).expect("a file can be written");
        fs::rename(draft, &self.room).expect("a file can be renamed");
    }
}

/// What is deleted meanwhile counts no more.
fn used(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => used(&entry.path()),
            Ok(facts) => facts.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
