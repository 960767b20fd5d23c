//! What happened in a run: a hash of all of it, and lines for a person when asked for.

use std::collections::VecDeque;

/// Takes note of everything that passes the broker's face.
///
/// The hash says whether two runs were the same. Lines are only made in a run that is to be read.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    lines: Option<VecDeque<String>>,
    /// Put in front of each line.
    moment: String,
}

impl Trace {
    /// Keeps a hash and no lines.
    #[must_use]
    pub fn silent() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: None, moment: String::new() }
    }

    /// Keeps a hash and the last lines.
    #[must_use]
    pub fn telling() -> Self {
        Self { lines: Some(VecDeque::new()), ..Self::silent() }
    }

    /// The hash of all so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Adds a number to the hash.
    pub fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Adds bytes to the hash.
    pub fn mix_bytes(&mut self, bytes: &[u8]) {
        self.mix(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        rest.iter().for_each(|&byte| self.mix(u64::from(byte)));
    }

    /// Whether lines are wanted.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.lines.is_some()
    }

    /// Says what time it is for the lines to come.
    pub fn at(&mut self, tick: u64, elapsed_ms: u64) {
        if self.lines.is_some() {
            self.moment = format!("{tick:>7} {:>5}.{:03}s", elapsed_ms / 1_000, elapsed_ms % 1_000);
        }
    }

    /// Adds a line; `line` is only called if lines are wanted.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else { return };
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(format!("{}  {}", self.moment, line()));
    }

    /// The last `count` lines.
    pub fn last_lines(&self, count: usize) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter().flatten();
        let skipped = self.lines.as_ref().map_or(0, |lines| lines.len().saturating_sub(count));
        lines.skip(skipped).map(String::as_str)
    }

    /// The last `count` lines that name one of `words`.
    #[must_use]
    pub fn lines_about(&self, words: &[String], count: usize) -> Vec<&str> {
        let lines = self.lines.iter().flatten().map(String::as_str);
        let about: Vec<&str> = lines.filter(|line| words.iter().any(|word| has_word(line, word))).collect();
        about[about.len().saturating_sub(count)..].to_vec()
    }
}

/// Whether `word` stands in `line` and is not a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_part =
        |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    line.match_indices(word).any(|(at, _)| {
        !is_part(line[..at].chars().next_back()) && !is_part(line[at + word.len()..].chars().next())
    })
}

/// Lines kept.
const LINES_MAX: usize = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_order_and_lines_are_found_by_whole_words() {
        let hash = |numbers: [u64; 2]| {
            let mut trace = Trace::silent();
            numbers.iter().for_each(|&number| trace.mix(number));
            trace.hash()
        };
        assert_ne!(hash([1, 2]), hash([2, 1]));
        let mut trace = Trace::telling();
        trace.note(|| "c1 sends m12".to_owned());
        trace.note(|| "c11 sends m1".to_owned());
        assert_eq!(trace.lines_about(&["c1".to_owned()], 9).len(), 1);
        assert_eq!(trace.lines_about(&["m1".to_owned()], 9).len(), 1);
        assert_eq!(trace.last_lines(1).count(), 1);
    }
}
