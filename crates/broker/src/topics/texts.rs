//! The texts of a table in one block of memory, without a heap allocation for each (4.7).

use crate::topics::slab::reserve;

/// Names a text of a [`Texts`]; the one who holds it frees it.
///
/// A text has at most 65,535 bytes, as a Topic Filter has [MQTT-4.7.3-3].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text {
    pub(crate) start: u32,
    pub(crate) len: u16,
}

/// Many short texts, each in units of four bytes.
///
/// A freed text's place goes to the next text of the same size class: one class a unit up to 256 bytes, eight
/// classes for each doubling above, so at most an eighth of a place is idle. The block holds at most 16 GiB.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    units: Vec<[u8; UNIT]>,
    /// For each class the first free place, which holds the number of the next one. Made when first needed.
    free: Vec<u32>,
    units_in_use: usize,
}

impl Texts {
    pub(crate) const fn new() -> Self {
        Texts { units: Vec::new(), free: Vec::new(), units_in_use: 0 }
    }

    /// Keeps a copy of `text`.
    pub(crate) fn insert(&mut self, text: &[u8]) -> Text {
        let len = u16::try_from(text.len()).expect("a Topic Filter has at most 65,535 bytes");
        if len == 0 {
            return Text::default();
        }
        let (class, units) = class_of(text.len());
        let start = self.take_free(class).unwrap_or_else(|| self.grow(units));
        self.units_in_use += units;
        let place = &mut self.units[start as usize..start as usize + units];
        place.as_flattened_mut()[..text.len()].copy_from_slice(text);
        Text { start, len }
    }

    /// Frees the place of `text`.
    pub(crate) fn remove(&mut self, text: Text) {
        if text.len == 0 {
            return;
        }
        let (class, units) = class_of(usize::from(text.len));
        if self.free.is_empty() {
            self.free = vec![NONE; CLASSES];
        }
        self.units[text.start as usize] = self.free[class].to_le_bytes();
        self.free[class] = text.start;
        self.units_in_use -= units;
        if self.units_in_use == 0 {
            *self = Texts::new();
        }
    }

    /// The bytes of `text`.
    #[inline]
    pub(crate) fn get(&self, text: Text) -> &[u8] {
        let start = text.start as usize * UNIT;
        &self.units.as_flattened()[start..start + usize::from(text.len)]
    }

    /// The bytes of `text` as the text they were.
    pub(crate) fn text_of(&self, text: Text) -> &str {
        std::str::from_utf8(self.get(text)).expect("only whole levels of valid texts are kept")
    }

    #[cfg(test)]
    pub(crate) fn units_in_use(&self) -> usize {
        self.units_in_use
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.units.capacity()
    }

    fn take_free(&mut self, class: usize) -> Option<u32> {
        let start = *self.free.get(class)?;
        if start == NONE {
            return None;
        }
        self.free[class] = u32::from_le_bytes(self.units[start as usize]);
        Some(start)
    }

    fn grow(&mut self, units: usize) -> u32 {
        let start =
            u32::try_from(self.units.len()).expect("the texts of a shard's table take less than 16 GiB");
        reserve(&mut self.units, units);
        self.units.resize(self.units.len() + units, [0; UNIT]);
        start
    }
}

/// The size class of a text of `len` bytes, at least 1, and the units that each place of the class has.
fn class_of(len: usize) -> (usize, usize) {
    let units = len.div_ceil(UNIT);
    if units <= EXACT_UNITS {
        return (units - 1, units);
    }
    // Above, the three bits below the highest name the class; a place has what the greatest of the class
    // needs.
    let shift = units.ilog2() - 3;
    let steps = (units - 1) >> shift;
    let doubling = (shift - EXACT_SHIFT) as usize;
    (EXACT_UNITS + doubling * 8 + steps - 8, (steps + 1) << shift)
}

/// Bytes of a unit: enough for the link between free places.
const UNIT: usize = 4;

/// Places of up to so many units have a class for each size.
const EXACT_UNITS: usize = 64;

/// `class_of`'s shift for the smallest size above `EXACT_UNITS`.
const EXACT_SHIFT: u32 = EXACT_UNITS.ilog2() - 3;

/// Classes of all texts up to 65,535 bytes, which take 16,384 units: eight doublings of 64.
const CLASSES: usize = EXACT_UNITS + 8 * 8;

/// No free place.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_dense_and_large_enough() {
        let mut last = (0, 1);
        for len in 1..=65_535 {
            let (class, units) = class_of(len);
            assert!(units * UNIT >= len && class < CLASSES);
            assert!(units * UNIT <= len + 3 || units * UNIT * 8 <= len * 9 + 32, "{len} {units}");
            assert!(last == (class, units) || (last.0 + 1 == class && last.1 < units), "{len}");
            last = (class, units);
        }
    }

    #[test]
    fn texts_come_back_whole_and_places_are_used_again() {
        let mut texts = Texts::new();
        let all: Vec<String> = (0..600).map(|len| "x".repeat(len) + &len.to_string()).collect();
        let keeper = texts.insert(b"keeper");
        let mut size = 0;
        for round in 0..4 {
            let kept: Vec<Text> = all.iter().map(|text| texts.insert(text.as_bytes())).collect();
            assert!(all.iter().zip(&kept).all(|(text, &kept)| texts.text_of(kept) == text));
            kept.iter().for_each(|&text| texts.remove(text));
            assert!(round == 0 || texts.units.len() == size);
            size = texts.units.len();
        }
        assert_eq!(texts.text_of(keeper), "keeper");
        texts.remove(keeper);
        assert_eq!(texts.units.capacity(), 0);
    }

    #[test]
    fn empty_text_takes_no_place() {
        let mut texts = Texts::new();
        let empty = texts.insert(b"");
        assert_eq!((texts.text_of(empty), texts.units.len()), ("", 0));
        texts.remove(empty);
    }
}
