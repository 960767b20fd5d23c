//! Tests of the engine on real files.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    os::unix::fs::{FileExt, PermissionsExt},
    sync::Arc,
};

use super::*;
use crate::contract::{self, Bench};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// As small as it may be, so that a short test comes to flush and compact.
fn small(folder: &Path) -> DiskOptions {
    DiskOptions { memtable: 1 << 20, reserve: 1 << 20, low: 4 << 20, ..DiskOptions::new(folder.join("data")) }
}

/// A folder in memory, if there is one: these tests wait for the disk thousands of times, and it is not what they test.
fn temporary() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn commit(disk: &Disk, fill: impl FnOnce(&mut Batch)) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    fill(&mut batch);
    disk.commit(&mut batch.changes(), true)
}

/// All records but the facts.
fn records(disk: &Disk) -> Result<Records, StoreError> {
    let mut found = Records::new();
    disk.scan(b"d", b"\xff", &mut |key, value| {
        found.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn opened(folder: &Path) -> Result<Records, StoreError> {
    records(&Disk::open(&small(folder))?)
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = temporary();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(all_files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Changes one bit.
fn flip(file: &Path, at: u64, bit: u32) {
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
}

fn is_damaged(result: &Result<Records, StoreError>, file: &Path) -> bool {
    matches!(result, Err(StoreError::Damaged { file: named, .. }) if named == file)
}

#[test]
fn it_keeps_the_contract() {
    let open = |folder: &Path| -> Arc<dyn Store> { Arc::new(Disk::open(&small(folder)).unwrap()) };
    contract::check(&Bench { open: &open, is_lasting: true, cases: 16 });
}

#[test]
fn keys_as_long_as_a_topic_may_be() {
    let folder = temporary();
    let key = |last: u8| [b"t\0\x01", &[b'a'; 65_534][..], &[last]].concat();
    let disk = Disk::open(&small(folder.path())).unwrap();
    commit(&disk, |it| {
        it.put(&key(b'a'), b"one");
        it.put(&key(b'b'), b"two");
        it.put(&key(b'c'), b"three");
        it.delete(&key(b'a'));
    })
    .unwrap();
    drop(disk);
    let expected = [(key(b'b'), b"two".to_vec()), (key(b'c'), b"three".to_vec())];
    assert!(opened(folder.path()).unwrap().into_iter().eq(expected));
    let disk = Disk::open(&small(folder.path())).unwrap();
    assert_eq!(disk.find(&key(b'b')).unwrap().as_deref(), Some(&b"two"[..]));
    let mut count = 0;
    disk.scan(&key(b'c'), b"u", &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(count, 1);
}

#[test]
fn nobody_else_may_look_or_write() {
    let folder = temporary();
    let data = folder.path().join("data");
    for _ in 0..2 {
        let disk = Disk::open(&small(folder.path())).unwrap();
        let error = Disk::open(&small(folder.path())).unwrap_err();
        assert_eq!(error, StoreError::InUse { folder: data.clone() });
        let value = [7; 1_000];
        for turn in 0..40_u8 {
            commit(&disk, |it| (0..100).for_each(|index| it.put(&[b'm', turn, index], &value))).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data), mode(&data.join("records"))), (0o700, 0o700));
        let files = all_files(&data);
        assert!(files.iter().any(|it| it.ends_with("reserve")) && files.len() > 8, "{files:?}");
        assert!(files.iter().all(|it| mode(it) == 0o600), "{files:?}");
        drop(disk);
        for file in files.iter().filter(|it| it.exists()) {
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

#[test]
fn a_folder_that_is_not_ours_is_left_alone() {
    let folder = temporary();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/photo"), "smile").unwrap();
    let error = Disk::open(&small(folder.path())).unwrap_err();
    assert!(error.to_string().ends_with("it holds other files: choose an empty folder"), "{error}");
    assert_eq!(all_files(folder.path()).len(), 1);
}

#[test]
fn a_newer_format_is_refused() {
    let folder = temporary();
    assert_eq!(opened(folder.path()), Ok(Records::new()));
    let format = folder.path().join("data/format");
    assert_eq!(fs::read_to_string(&format).unwrap(), "Dunlin data folder, format 1\n");
    fs::write(&format, "Dunlin data folder, format 2\n").unwrap();
    let error = opened(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }));
    fs::write(&format, "Dunlin data folder, format x\n").unwrap();
    assert!(is_damaged(&opened(folder.path()), &format));
    fs::remove_file(&format).unwrap();
    assert!(is_damaged(&opened(folder.path()), &format), "the format record is a commit");
}

#[test]
fn making_a_folder_may_stop_half_way() {
    let folder = temporary();
    let records = folder.path().join("data/records");
    assert_eq!(opened(folder.path()), Ok(Records::new()));
    fs::remove_dir_all(&records).unwrap();
    fs::create_dir(&records).unwrap();
    fs::write(records.join("0.jnl"), [0; 1_000]).unwrap();
    fs::remove_file(folder.path().join("data/format")).unwrap();
    assert_eq!(opened(folder.path()), Ok(Records::new()));
    assert_eq!(opened(folder.path()), Ok(Records::new()));
}

/// A folder with three commits in its journal, where they begin and end, and what they say.
fn three_commits() -> (tempfile::TempDir, [u64; 4], [Records; 3]) {
    let folder = temporary();
    let disk = Disk::open(&small(folder.path())).unwrap();
    let journal = journal_of(folder.path());
    let end = || fs::read(&journal).unwrap().iter().rposition(|&it| it != 0).map_or(0, |it| it as u64 + 1);
    let mut ends = [end(); 4];
    let states = [1, 2, 3_u8].map(|turn| {
        commit(&disk, |it| {
            it.put(b"s-last", &[turn; 20]);
            it.put_new(&[b'm', turn], &[turn; 60]);
            it.delete(&[b'm', turn - 1]);
        })
        .unwrap();
        ends[usize::from(turn)] = end();
        records(&disk).unwrap()
    });
    drop(disk);
    shorten(&journal, ends[3]);
    (folder, ends, states)
}

/// Leaves only some of the zeros at the end, so that copies are quick.
fn shorten(journal: &Path, end: u64) {
    fs::File::options().write(true).open(journal).unwrap().set_len(end + 10_000).unwrap();
}

fn journal_of(folder: &Path) -> PathBuf {
    journal::files(&folder.join("data/records")).unwrap().pop().unwrap()
}

#[test]
fn a_torn_tail_is_cut_off() {
    let (folder, ends, states) = three_commits();
    for len in ends[2]..=ends[3] {
        for is_padded in [false, true] {
            let copy = copy(folder.path());
            let file = fs::File::options().write(true).open(journal_of(copy.path())).unwrap();
            file.set_len(len).unwrap();
            if is_padded {
                file.set_len(64_000_000).unwrap();
            }
            let expected = if len == ends[3] { &states[2] } else { &states[1] };
            assert_eq!(opened(copy.path()).as_ref(), Ok(expected), "{len} of {ends:?}");
            if len % 16 == 0 {
                // And it goes on from there.
                let disk = Disk::open(&small(copy.path())).unwrap();
                commit(&disk, |it| it.put(b"s-after", b"")).unwrap();
                drop(disk);
                assert_eq!(opened(copy.path()).unwrap().len(), expected.len() + 1);
            }
        }
    }
}

#[test]
fn a_hole_in_the_tail_is_cut_off() {
    let (folder, ends, states) = three_commits();
    let middle = u64::midpoint(ends[2], ends[3]);
    let copy = copy(folder.path());
    let file = fs::File::options().write(true).open(journal_of(copy.path())).unwrap();
    file.write_all_at(&[0; 30], middle).unwrap();
    assert_eq!(opened(copy.path()).as_ref(), Ok(&states[1]));
}

#[test]
fn a_bit_that_flips_in_the_journal_is_noticed() {
    let (folder, ends, states) = three_commits();
    for at in 0..ends[3] {
        let bit = at as u32 * 5 % 8;
        let copy = copy(folder.path());
        let journal = journal_of(copy.path());
        flip(&journal, at, bit);
        let result = opened(copy.path());
        if at < ends[2] {
            assert!(is_damaged(&result, &journal), "byte {at} of {ends:?}: {result:?}");
        } else {
            // The last commit looks like one that was being written; or only its number has changed.
            let is_cut = result.as_ref() == Ok(&states[1]);
            assert!(
                is_cut || result.as_ref() == Ok(&states[2]) || is_damaged(&result, &journal),
                "{at} {result:?}"
            );
        }
    }
}

#[test]
fn a_journal_without_sync_may_have_gaps() {
    let (folder, ends, _) = three_commits();
    let disk = Disk::open(&small(folder.path())).unwrap();
    disk.commit(&mut std::iter::empty(), false).unwrap();
    drop(disk);
    // A loss of power has taken the second commit, and left the third.
    let journal = journal_of(folder.path());
    flip(&journal, ends[1] + 40, 1);
    assert_eq!(opened(folder.path()).unwrap().get(&b"s-last"[..]), Some(&vec![1; 20]));
    assert!(fs::metadata(journal).unwrap().len() >= ends[1]);
}

/// A folder with records in tables, and what they are.
fn tables() -> (tempfile::TempDir, Records) {
    let folder = temporary();
    let disk = Disk::open(&small(folder.path())).unwrap();
    for turn in 0..60_u8 {
        commit(&disk, |it| {
            for index in 0..100_u8 {
                let value: Vec<u8> = (0..400_u16).map(|it| (it * 7) as u8 ^ turn ^ index).collect();
                it.put(&[b"ms"[usize::from(index % 2)], turn, index], &value);
                it.delete(&[b'm', turn.wrapping_sub(3), index & !1]);
            }
        })
        .unwrap();
    }
    let records = records(&disk).unwrap();
    drop(disk);
    let journal = journal_of(folder.path());
    let end = fs::read(&journal).unwrap().iter().rposition(|&it| it != 0).unwrap();
    shorten(&journal, end as u64 + 1);
    (folder, records)
}

#[test]
fn a_bit_that_flips_in_any_file_never_gives_wrong_records() {
    let (folder, expected) = tables();
    let files = all_files(&folder.path().join("data/records"));
    assert!(files.iter().filter(|it| it.parent().unwrap().ends_with("tables")).count() >= 3, "{files:?}");
    let mut named = 0;
    for file in &files {
        let inside = file.strip_prefix(folder.path()).unwrap();
        let len = fs::metadata(file).unwrap().len();
        for step in 0..if len == 0 { 0 } else { 12 } {
            let at = (len * step / 12 + step * 37 % (len / 12).max(1)).min(len - 1);
            let copy = copy(folder.path());
            let file = copy.path().join(inside);
            flip(&file, at, step as u32 % 8);
            match opened(copy.path()) {
                Ok(found) => assert!(found == expected, "{} {at}", inside.display()),
                Err(StoreError::Damaged { file: found, .. }) => named += u32::from(found == file),
                Err(other) => panic!("{} {at}: {other}", inside.display()),
            }
        }
    }
    assert!(named > 20, "{named} times the file was named");
}

#[test]
fn a_file_that_is_missing_is_noticed() {
    let (folder, expected) = tables();
    for file in all_files(&folder.path().join("data/records")) {
        let inside = file.strip_prefix(folder.path()).unwrap();
        let copy = copy(folder.path());
        fs::remove_file(copy.path().join(inside)).unwrap();
        match opened(copy.path()) {
            // Its own lock, and versions that are no longer used.
            Ok(found) => assert!(found == expected, "{}", inside.display()),
            Err(StoreError::Damaged { .. }) => {}
            Err(other) => panic!("{}: {other}", inside.display()),
        }
    }
}

#[test]
fn after_a_failure_no_commit_is_tried() {
    let folder = temporary();
    let disk = Disk::open(&small(folder.path())).unwrap();
    let failure = StoreError::Failed { what: "fsync".into() };
    disk.state.lock().unwrap().failure = Some(failure.clone());
    assert_eq!(commit(&disk, |it| it.put(b"s1", b"")), Err(failure));
    assert_eq!(records(&disk).unwrap().len(), 0);
}

#[test]
fn only_a_write_without_room_may_be_tried_again() {
    let folder = temporary();
    let disk = Disk::open(&small(folder.path())).unwrap();
    let io = |kind: io::ErrorKind| fjall::Error::Io(kind.into());
    let is_full = |error: StoreError| matches!(error, StoreError::Full { .. });
    assert!(is_full(disk.judge(Trouble::Write(io(io::ErrorKind::StorageFull)))));
    assert!(is_full(disk.judge(Trouble::Write(io(io::ErrorKind::QuotaExceeded)))));
    for trouble in [
        Trouble::Write(io(io::ErrorKind::Other)),
        Trouble::Write(fjall::Error::Poisoned),
        Trouble::Sync(io(io::ErrorKind::StorageFull)),
        Trouble::Sync(io(io::ErrorKind::Other)),
    ] {
        assert!(matches!(disk.judge(trouble), StoreError::Failed { .. }));
    }
}
