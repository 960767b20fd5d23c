//! A disk that loses its power: of what was not synced, anything may be missing.
//!
//! `power.c` notes what was synced. Here the data folder is replaced by what such a disk may hold afterwards: the names in
//! a folder are those of its last sync or those of the last moment, and a file has what was synced of it, together with
//! none, all, or any sectors of what was written later.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    time::UNIX_EPOCH,
};

use dunlin_sim::random::Random;

/// What a disk writes at once, in bytes.
const SECTOR: usize = 512;

/// The disk below one data folder.
#[derive(Debug)]
pub(crate) struct Disk {
    library: PathBuf,
    image: PathBuf,
    data: PathBuf,
}

/// A name in a folder.
#[derive(Clone, Debug)]
struct Entry {
    is_folder: bool,
    /// Inode and time of birth.
    identity: String,
    name: String,
}

impl Disk {
    /// The disk of a Server whose data is in `folder/data`.
    pub(crate) fn new(folder: &Path) -> Disk {
        let folder = folder.canonicalize().expect("the folder of the test is there");
        let (library, image) = (folder.join("libpower.so"), folder.join("image"));
        fs::create_dir(&image).expect("a folder can be made");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/power.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
        let output = compiler.output().unwrap_or_else(|error| panic!("cc: {error}; run .ci/install"));
        assert!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        Disk { library, image, data: folder.join("data") }
    }

    /// The variables that put it below a program.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let pairs = [
            ("LD_PRELOAD", &self.library),
            ("DUNLIN_POWER_IMAGE", &self.image),
            ("DUNLIN_POWER_DATA", &self.data),
        ];
        pairs.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec()
    }

    /// One sync fails, and no later one does anything.
    pub(crate) fn fail_once(&self) {
        fs::write(self.image.join("fault"), "fail").expect("a file can be written");
    }

    /// From now on syncs succeed and do nothing.
    pub(crate) fn lie(&self) {
        fs::write(self.image.join("fault"), "lie!").expect("a file can be written");
    }

    /// The power goes and comes back. No process uses the data.
    pub(crate) fn cut_power(&self, random: &mut Random) {
        let mut now = Now::default();
        now.look(&self.data);
        let after = self.data.with_file_name("after");
        let root = identity(&self.data);
        self.restore_folder(&root, &now, &after, random);
        fs::remove_dir_all(&self.data).expect("the data can be removed");
        fs::rename(&after, &self.data).expect("a folder can be renamed");
        fs::remove_dir_all(&self.image).expect("the image can be removed");
        fs::create_dir(&self.image).expect("a folder can be made");
        self.note_all(&self.data);
    }

    fn restore_folder(&self, identity: &str, now: &Now, to: &Path, random: &mut Random) {
        fs::create_dir(to).expect("a folder can be made");
        fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("its mode can be set");
        let current = now.folders.get(identity).filter(|_| random.once_in(2));
        let synced = || match fs::read_to_string(self.image.join(identity)) {
            Ok(text) => text.lines().map(Entry::parse).collect(),
            Err(_) => Vec::new(), // never synced
        };
        let mut entries: Vec<Entry> = current.cloned().unwrap_or_else(synced);
        // The layer writes down names only; a socket has nothing that could be lost.
        entries.retain(|entry| entry.name != "admin.sock");
        for entry in entries {
            let to = to.join(&entry.name);
            match entry.is_folder {
                true => self.restore_folder(&entry.identity, now, &to, random),
                false => self.restore_file(&entry.identity, now, &to, random),
            }
        }
    }

    fn restore_file(&self, identity: &str, now: &Now, to: &Path, random: &mut Random) {
        // What was never synced may be empty.
        let synced = fs::read(self.image.join(identity)).unwrap_or_default();
        let current = now.files.get(identity).map(|path| fs::read(path).expect("a file can be read"));
        let bytes = match current {
            Some(current) => mixed(synced, &current, random),
            None => synced,
        };
        let file = fs::File::create_new(to).expect("a file can be made");
        file.set_permissions(fs::Permissions::from_mode(0o600)).expect("its mode can be set");
        file.set_len(bytes.len() as u64).expect("its length can be set");
        for (place, piece) in bytes.chunks(65_536).enumerate() {
            if piece.iter().any(|&byte| byte != 0) {
                file.write_all_at(piece, place as u64 * 65_536).expect("it can be written");
            }
        }
    }

    /// All that is there counts as synced.
    fn note_all(&self, folder: &Path) {
        let entries = entries(folder);
        let lines: String = entries.iter().map(Entry::line).collect();
        fs::write(self.image.join(identity(folder)), lines).expect("a file can be written");
        for entry in entries {
            let path = folder.join(&entry.name);
            match entry.is_folder {
                true => self.note_all(&path),
                false => drop(fs::copy(&path, self.image.join(&entry.identity)).expect("it can be copied")),
            }
        }
    }
}

/// What is there at the last moment, by identity.
#[derive(Default)]
struct Now {
    folders: HashMap<String, Vec<Entry>>,
    files: HashMap<String, PathBuf>,
}

impl Now {
    fn look(&mut self, folder: &Path) {
        let entries = entries(folder);
        for entry in &entries {
            let path = folder.join(&entry.name);
            match entry.is_folder {
                true => self.look(&path),
                false => drop(self.files.insert(entry.identity.clone(), path)),
            }
        }
        self.folders.insert(identity(folder), entries);
    }
}

impl Entry {
    fn parse(line: &str) -> Entry {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().expect("a line has a letter, an identity, and a name").to_owned();
        Entry { is_folder: word() == "d", identity: word(), name: word() }
    }

    fn line(&self) -> String {
        format!("{} {} {}\n", if self.is_folder { 'd' } else { 'f' }, self.identity, self.name)
    }
}

/// All files and folders; a socket has nothing that could be lost.
fn entries(folder: &Path) -> Vec<Entry> {
    let mut entries: Vec<Entry> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder can be read"))
        .filter(|entry| !entry.file_type().expect("it has a type").is_socket())
        .map(|entry| {
            let name = entry.file_name().into_string().expect("names are UTF-8");
            Entry { is_folder: entry.path().is_dir(), identity: identity(&entry.path()), name }
        })
        .collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    entries
}

fn identity(path: &Path) -> String {
    let facts = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let born = facts.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{}-{}-{}", facts.ino(), born.as_secs(), born.subsec_nanos())
}

/// What was synced, with none, all, or any sectors of what was written later.
fn mixed(mut synced: Vec<u8>, current: &[u8], random: &mut Random) -> Vec<u8> {
    match random.below(3) {
        0 => synced,
        1 => current.to_vec(),
        _ => {
            let length = if random.once_in(2) { current.len() } else { synced.len() };
            synced.resize(length, 0);
            for (old, new) in synced.chunks_mut(SECTOR).zip(current.chunks(SECTOR)) {
                if old.len() == new.len() && random.once_in(2) {
                    old.copy_from_slice(new);
                }
            }
            synced
        }
    }
}
