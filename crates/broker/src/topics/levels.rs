//! Topic levels of a name as they are needed (4.7.1.1): where they stand in the text, and their hashes.

use smallvec::SmallVec;

use crate::topics::hashing::TextHash;

/// Where the level that holds the byte `from` ends: the place of the next `/`, or the end of the text.
#[inline]
pub(crate) fn level_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = chunk_at(text, at) {
        let slashes = slashes(u64::from_le_bytes(*chunk));
        if slashes != 0 {
            return at + (slashes.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    // Fewer than eight bytes are left; where the text is long enough, read the last eight and shift the known
    // out.
    if let Some(chunk) = text.last_chunk::<8>() {
        let left = text.len() - at;
        if left == 0 {
            return at;
        }
        let slashes = slashes(u64::from_le_bytes(*chunk) >> (64 - 8 * left));
        return if slashes == 0 { text.len() } else { at + (slashes.trailing_zeros() / 8) as usize };
    }
    text[at..].iter().position(|&byte| byte == b'/').map_or(text.len(), |offset| at + offset)
}

/// How many bytes at the beginning of both texts are the same.
#[inline]
pub(crate) fn same_bytes(left: &[u8], right: &[u8]) -> usize {
    let mut same = 0;
    while let (Some(left), Some(right)) = (chunk_at(left, same), chunk_at(right, same)) {
        let differences = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
        if differences != 0 {
            return same + (differences.trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    same + left[same..].iter().zip(&right[same..]).take_while(|(left, right)| left == right).count()
}

fn chunk_at(text: &[u8], at: usize) -> Option<&[u8; 8]> {
    text.get(at..)?.first_chunk()
}

/// Sets the highest bit of each byte that is `/`; bits above the first one set may be wrong.
fn slashes(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let zero_if_slash = word ^ (LOW * b'/' as u64);
    zero_if_slash.wrapping_sub(LOW) & !zero_if_slash & (LOW << 7)
}

/// The levels of one Topic Name, found and hashed when they are asked for, each once.
///
/// Up to [`LEVELS_INLINE`] levels take no memory from the heap.
pub(crate) struct Levels<'a> {
    text: &'a [u8],
    hash: &'a TextHash,
    marks: SmallVec<[Mark; LEVELS_INLINE]>,
    /// Where the next unknown level begins; beyond the text if all are known.
    next: usize,
}

/// A known level. A name has at most 65,535 bytes, so places fit in 16 bits [MQTT-4.7.3-3].
struct Mark {
    start: u16,
    end: u16,
    /// 0 until it is asked for.
    hash: u32,
}

impl<'a> Levels<'a> {
    /// Begins with no level known.
    #[inline]
    pub(crate) fn new(text: &'a [u8], hash: &'a TextHash) -> Self {
        Levels { text, hash, marks: SmallVec::new(), next: 0 }
    }

    /// The level number `index`, `None` beyond the last.
    #[inline]
    pub(crate) fn get(&mut self, index: usize) -> Option<&'a [u8]> {
        while self.marks.len() <= index {
            self.find_next()?;
        }
        let mark = &self.marks[index];
        Some(&self.text[usize::from(mark.start)..usize::from(mark.end)])
    }

    /// The hash of the level number `index`, which [`Levels::get`] has given.
    #[inline]
    pub(crate) fn hash(&mut self, index: usize) -> u32 {
        let mark = &mut self.marks[index];
        if mark.hash == 0 {
            mark.hash = self.hash.text(&self.text[usize::from(mark.start)..usize::from(mark.end)]);
        }
        mark.hash
    }

    #[inline]
    fn find_next(&mut self) -> Option<()> {
        let start = self.next;
        if start > self.text.len() {
            return None;
        }
        let end = level_end(self.text, start);
        self.marks.push(Mark { start: start as u16, end: end as u16, hash: 0 });
        self.next = end + 1;
        Some(())
    }
}

/// Levels that few names exceed.
pub(crate) const LEVELS_INLINE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_end_agrees_with_a_plain_search() {
        for len in 0..40_usize {
            for slash in 0..=len {
                for byte in [b'.', b'0', 0xaf, 0x01] {
                    let mut text = vec![byte; len];
                    if slash < len {
                        text[slash] = b'/';
                    }
                    for from in 0..=len {
                        let plain = (from..len).find(|&at| text[at] == b'/').unwrap_or(len);
                        assert_eq!(level_end(&text, from), plain, "{len} {slash} {from}");
                    }
                }
            }
        }
    }

    #[test]
    fn same_bytes_agrees_with_a_plain_count() {
        for len in 0..30 {
            for differs in 0..=len {
                let left = vec![b'a'; len];
                let mut right = vec![b'a'; len + differs % 3];
                if differs < len {
                    right[differs] = b'b';
                }
                assert_eq!((same_bytes(&left, &right), same_bytes(&right, &left)), (differs, differs));
            }
        }
    }

    #[test]
    fn levels_are_those_between_slashes() {
        let hash = TextHash::new();
        for text in ["a", "/", "a/b", "/a//b/", "fleet/vehicle-17/engine/temperature", "ä/ö"] {
            let mut levels = Levels::new(text.as_bytes(), &hash);
            let plain: Vec<&str> = text.split('/').collect();
            assert_eq!(levels.get(plain.len()), None);
            for (index, level) in plain.iter().enumerate() {
                assert_eq!(levels.get(index), Some(level.as_bytes()));
                assert_eq!(levels.hash(index), hash.text(level.as_bytes()));
            }
        }
    }
}
