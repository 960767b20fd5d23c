//! Looks through the engine's journals before the engine does.
//!
//! Opening a database, the engine reads its journals up to the first bytes it does not understand, and cuts off the rest:
//! right for a tail that was being written when the power went, and wrong for damage in the middle, after which there are
//! commits that were acknowledged. So we look first. A tail that is no whole commit, with no whole commit behind it, was
//! never acknowledged: it is cut off. Everything else is told.
//!
//! A journal is a row of commits: a start (tag 1, number of items, sequence number), its items (tag 2, with lengths, key
//! and value; or tag 4), an end (tag 3, checksum of all items, four fixed bytes). The rest of a file may be zeros.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use crate::store::StoreError;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// The last bytes of a commit.
const TRAILER: [u8; 4] = *b"FJL\x03";
/// Bytes of an item before its key.
const ITEM_HEADER: usize = 2 + 8 + 2 + 4 + 4;
const READ_BUFFER: usize = 256 << 10;

/// The journals of a folder, oldest first.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|it| it.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Whether there is any commit in them.
pub(super) fn is_any_written(folder: &Path) -> io::Result<bool> {
    for path in files(folder)? {
        let mut first = [0];
        if File::open(&path)?.read(&mut first)? == 1 && first != [0] {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Cuts off the tail that was being written when the process or the machine stopped.
///
/// With `was_unsynced`, commits were made without waiting for the disk: then a loss of power may leave whole commits behind
/// torn ones, and all of them are cut off.
///
/// # Errors
/// [`StoreError::Damaged`] if something else than such a tail is not as it was written.
pub(super) fn check(folder: &Path, was_unsynced: bool) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Failed { what: format!("{}: {error}", folder.display()) };
    let journals = files(folder).map_err(failed)?;
    if journals.is_empty() {
        let what = "there is no journal (*.jnl) in it".into();
        return Err(StoreError::Damaged { file: folder.to_owned(), place: None, what });
    }
    let mut newest = None;
    for (index, path) in journals.iter().enumerate() {
        let tail = read_commits(path, &mut newest).map_err(failed)?;
        let Some(Tail { at, what, has_more }) = tail else { continue };
        // An older journal was synced before the next one was begun.
        let is_newest = index + 1 == journals.len();
        if !is_newest || (has_more && !was_unsynced) {
            return Err(StoreError::Damaged { file: path.clone(), place: Some(at), what: what.to_owned() });
        }
        let len = fs::metadata(path).map_err(failed)?.len();
        tracing::warn!(
            file = %path.display(),
            at,
            bytes = len - at,
            what,
            "cut off an unfinished commit at the end of a journal"
        );
        let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        file.set_len(at).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// What comes after the last commit that can be read, if it is not only zeros.
#[derive(Debug, PartialEq, Eq)]
struct Tail {
    at: u64,
    what: &'static str,
    /// Whether there is a whole commit in it.
    has_more: bool,
}

/// Reads all commits of a journal; `newest` is the highest sequence number so far.
fn read_commits(path: &Path, newest: &mut Option<u64>) -> io::Result<Option<Tail>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut reader =
        Reader { from: BufReader::with_capacity(READ_BUFFER, file), left: len, bytes: Vec::new() };
    let mut at = 0;
    let what = loop {
        match reader.commit() {
            // No checksum covers the number, but numbers rise.
            Ok(number) if newest.is_some_and(|it| it >= number) => {
                return Ok(Some(Tail { at, what: "a commit has the wrong number", has_more: true }));
            }
            Ok(number) => {
                *newest = Some(number);
                at = len - reader.left;
            }
            Err(Stop::Zeros | Stop::Unreadable(_)) if reader.left == 0 && at == len => return Ok(None),
            Err(Stop::Zeros) => break "there are bytes after its end",
            Err(Stop::Unreadable(what)) => break what,
            Err(Stop::Failed(error)) => return Err(error),
        }
    };
    let rest = rest_of(path, at)?;
    if rest.is_empty() {
        return Ok(None);
    }
    Ok(Some(Tail { at, what, has_more: has_commit(&rest, *newest) }))
}

/// The bytes from there to the end of the file, without the zeros at the end.
fn rest_of(path: &Path, at: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    let mut rest = Vec::new();
    let mut block = vec![0; READ_BUFFER];
    // Zeros are counted, not kept: most of a young journal is nothing else.
    let mut zeros = 0;
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok(rest);
        }
        let used = block[..count].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if used > 0 {
            rest.resize(rest.len() + zeros, 0);
            rest.extend_from_slice(&block[..used]);
            zeros = 0;
        }
        zeros += count - used;
    }
}

/// Whether a whole commit, newer than all before, begins anywhere behind the first byte.
///
/// Messages of strangers are among these bytes, and may have been made to look like many commits that begin and do not end:
/// after so much reading it is taken for one, since refusing to start loses nothing.
fn has_commit(bytes: &[u8], newest: Option<u64>) -> bool {
    let mut budget = 16 * bytes.len() as u64;
    for start in 1..bytes.len() {
        let rest = &bytes[start..];
        // Start, and the tag of its first item.
        if rest[0] != START || !rest.get(13).is_some_and(|tag| [ITEM, CLEAR].contains(tag)) {
            continue;
        }
        let mut reader = Reader { from: rest, left: rest.len() as u64, bytes: Vec::new() };
        if reader.commit().is_ok_and(|number| newest.is_none_or(|it| it < number)) {
            return true;
        }
        let read = (rest.len() - reader.from.len()) as u64;
        match budget.checked_sub(read) {
            Some(left) => budget = left,
            None => return true,
        }
    }
    false
}

enum Stop {
    /// A zero where a commit would begin: the file ends here.
    Zeros,
    Unreadable(&'static str),
    Failed(io::Error),
}

struct Reader<R> {
    from: R,
    left: u64,
    bytes: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads one commit; its sequence number.
    fn commit(&mut self) -> Result<u64, Stop> {
        match self.tag()? {
            START => {}
            0 => return Err(Stop::Zeros),
            _ => return Err(Stop::Unreadable("no commit begins here")),
        }
        let count = u32::from_le_bytes(self.array()?);
        let number = u64::from_le_bytes(self.array()?);
        let mut sum = Xxh3::new();
        for _ in 0..count {
            self.item(&mut sum)?;
        }
        if self.tag()? != END {
            return Err(Stop::Unreadable("a commit does not end where it should"));
        }
        let expected: [u8; 8] = self.array()?;
        if self.array()? != TRAILER {
            return Err(Stop::Unreadable("a commit has no end"));
        }
        if u64::from_le_bytes(expected) != sum.digest() {
            return Err(Stop::Unreadable("the checksum of a commit is wrong"));
        }
        Ok(number)
    }

    fn item(&mut self, sum: &mut Xxh3) -> Result<(), Stop> {
        let tag = self.tag()?;
        sum.update(&[tag]);
        if tag == CLEAR {
            sum.update(&self.array::<8>()?);
            return Ok(());
        }
        if tag != ITEM {
            return Err(Stop::Unreadable("a commit has fewer changes than it says"));
        }
        let header: [u8; ITEM_HEADER] = self.array()?;
        sum.update(&header);
        let key_len = u16::from_le_bytes([header[10], header[11]]);
        let value_len = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
        let len = u64::from(key_len) + u64::from(value_len);
        if len > self.left {
            return Err(Stop::Unreadable("a change is longer than the file"));
        }
        self.bytes.resize(len as usize, 0);
        self.left -= len;
        self.from.read_exact(&mut self.bytes).map_err(Stop::Failed)?;
        sum.update(&self.bytes);
        Ok(())
    }

    fn tag(&mut self) -> Result<u8, Stop> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        if (N as u64) > self.left {
            self.left = 0;
            return Err(Stop::Unreadable("the file ends within a commit"));
        }
        self.left -= N as u64;
        self.from.read_exact(&mut bytes).map_err(Stop::Failed)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A commit of one item with this value, as the engine writes it.
    fn commit(number: u64, value: &[u8]) -> Vec<u8> {
        let mut item = vec![ITEM, 0, 0];
        item.extend_from_slice(&1_u64.to_le_bytes());
        item.extend_from_slice(&1_u16.to_le_bytes());
        let len = u32::try_from(value.len()).unwrap().to_le_bytes();
        item.extend([len, len].concat());
        item.push(b'k');
        item.extend_from_slice(value);
        let mut sum = Xxh3::new();
        sum.update(&item);
        let end = [&[END][..], &sum.digest().to_le_bytes(), &TRAILER].concat();
        [&[START][..], &1_u32.to_le_bytes(), &number.to_le_bytes(), &item, &end].concat()
    }

    fn tail(bytes: &[u8]) -> Option<(u64, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.jnl");
        fs::write(&path, bytes).unwrap();
        let mut newest = None;
        read_commits(&path, &mut newest).unwrap().map(|it| (it.at, it.has_more))
    }

    #[test]
    fn tails_are_told_from_damage() {
        let (one, two) = (commit(5, b"one"), commit(9, b"two"));
        let end = one.len() as u64;
        assert_eq!(tail(b""), None);
        assert_eq!(tail(&[0; 100]), None);
        assert_eq!(tail(&[&one[..], &two].concat()), None);
        assert_eq!(tail(&[&one[..], &two, &[0; 300_000]].concat()), None);
        assert_eq!(tail(&[&one[..], &two[..two.len() - 1]].concat()), Some((end, false)));
        assert_eq!(tail(&[&one[..], &[0; 300_000], &two].concat()), Some((end, true)), "a hole");
        assert_eq!(tail(&[&one[..], b"?", &two].concat()), Some((end, true)));
        assert_eq!(tail(&[&two[..], &one].concat()), Some((two.len() as u64, true)), "the wrong order");
        assert_eq!(
            tail(&[&two[..], b"?", &one].concat()),
            Some((two.len() as u64, false)),
            "left from before"
        );
    }

    #[test]
    fn a_value_that_looks_like_many_commits_is_read_in_time() {
        let begin = [&[START][..], &u32::MAX.to_le_bytes(), &u64::MAX.to_le_bytes(), &[CLEAR; 9]].concat();
        let torn = commit(9, &begin.repeat(200_000));
        let clears = commit(9, &[&begin[..], &[CLEAR; 4_000_000]].concat());
        for torn in [torn, clears] {
            assert_eq!(tail(&torn[..torn.len() - 9]).map(|it| it.0), Some(0));
        }
    }
}
