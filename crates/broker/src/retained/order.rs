//! Topic Names in order, level by level, in blocks of numbers (4.7.1.1).

use std::cmp::Ordering;

use crate::topics::levels::same_bytes;

/// Numbers in an order that the caller knows; each question is asked as "does this one stand before?".
///
/// Some hundred numbers a block: a place is found by two halvings, and an insertion moves at most a block's numbers,
/// or now and then the blocks. Some six bytes a number.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// None is empty, none has more than [`BLOCK_MAX`] numbers.
    blocks: Vec<Vec<u32>>,
}

/// The place of a number, or the one behind the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    block: usize,
    index: usize,
}

impl Order {
    pub(super) const fn new() -> Self {
        Order { blocks: Vec::new() }
    }

    /// The first place of which `is_before` says no.
    pub(super) fn position(&self, is_before: impl Fn(u32) -> bool) -> Position {
        self.settle(self.gap(is_before))
    }

    pub(super) fn get(&self, at: Position) -> Option<u32> {
        self.blocks.get(at.block)?.get(at.index).copied()
    }

    /// The place behind `at`.
    pub(super) fn next(&self, at: Position) -> Position {
        self.settle(Position { index: at.index + 1, ..at })
    }

    /// Adds `id` behind all of which `is_before` says yes.
    pub(super) fn insert(&mut self, id: u32, is_before: impl Fn(u32) -> bool) {
        let at = self.gap(is_before);
        let Some(block) = self.blocks.get_mut(at.block) else {
            self.blocks.push(vec![id]);
            return;
        };
        if block.len() < BLOCK_MAX {
            return block.insert(at.index, id);
        }
        if at.index == BLOCK_MAX {
            // Names that come in order, as from a store, fill their blocks.
            return self.blocks.insert(at.block + 1, vec![id]);
        }
        let mut upper = block.split_off(BLOCK_MAX / 2);
        match at.index.checked_sub(BLOCK_MAX / 2) {
            Some(index) => upper.insert(index, id),
            None => block.insert(at.index, id),
        }
        self.blocks.insert(at.block + 1, upper);
    }

    /// Takes out the number at `at`.
    pub(super) fn remove(&mut self, at: Position) {
        let block = &mut self.blocks[at.block];
        block.remove(at.index);
        if block.is_empty() {
            self.blocks.remove(at.block);
        } else if block.len() < BLOCK_MIN {
            self.join(at.block.saturating_sub(1));
            self.join(at.block);
        }
    }

    /// Makes one block of this and the next if both are small.
    fn join(&mut self, block: usize) {
        if let Some([lower, upper]) = self.blocks.get(block..block + 2)
            && lower.len() + upper.len() <= BLOCK_MAX / 2
        {
            let upper = self.blocks.remove(block + 1);
            self.blocks[block].extend(upper);
        }
    }

    /// Where a number belongs: behind the last of which `is_before` says yes, in the same block.
    fn gap(&self, is_before: impl Fn(u32) -> bool) -> Position {
        let blocks = self.blocks.partition_point(|block| is_before(block[0]));
        let block = blocks.saturating_sub(1);
        let index = self.blocks.get(block).map_or(0, |block| block.partition_point(|&id| is_before(id)));
        Position { block, index }
    }

    /// The same place, given by the block that has a number there.
    fn settle(&self, at: Position) -> Position {
        match self.blocks.get(at.block) {
            Some(block) if at.index >= block.len() => Position { block: at.block + 1, index: 0 },
            _ => at,
        }
    }
}

/// Compares two Topic Names level by level: a topic, then all below it, then the topics beside it.
///
/// No Topic Name has a null character [MQTT-4.7.3-2], so `/` may take its place as the least of all.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let same = same_bytes(left, right);
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    left.get(same).map(rank).cmp(&right.get(same).map(rank))
}

/// Whether `topic` stands before the one that is `level` right below `above`, which ends with `/` or is empty.
pub(super) fn is_before(topic: &str, above: &str, level: &str) -> bool {
    match topic.strip_prefix(above) {
        Some(below) => compare(below, level).is_lt(),
        None => compare(topic, above).is_lt(),
    }
}

/// Whether `topic` stands before `above`, is it, or is below it.
pub(super) fn is_up_to_end_of(topic: &str, above: &str) -> bool {
    compare(topic, above).is_le() || topic.strip_prefix(above).is_some_and(|below| below.starts_with('/'))
}

/// Numbers of a block: 1 KiB.
const BLOCK_MAX: usize = 256;

/// Numbers below which a block may join its neighbour.
const BLOCK_MIN: usize = BLOCK_MAX / 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_below_a_level_follow_it() {
        let sorted = [
            "", "/", "//a", "/a", "$SYS", "$SYS/a", "a", "a/", "a//", "a/b", "a/b/c", "a/c", "a!", "a!/b",
            "ab", "b",
        ];
        for (at, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} {right}");
            }
        }
    }

    #[test]
    fn end_of_a_level_is_behind_all_below_it() {
        for (topic, above, expected) in [
            ("a", "a/b", true),
            ("a/b", "a/b", true),
            ("a/b/c", "a/b", true),
            ("a/b!", "a/b", false),
            ("a/c", "a/b", false),
        ] {
            assert_eq!(is_up_to_end_of(topic, above), expected, "{topic} {above}");
        }
        for (topic, above, level, expected) in [
            ("a", "a/", "b", true),
            ("a/a/x", "a/", "b", true),
            ("a/b", "a/", "b", false),
            ("a!", "a/", "b", false),
        ] {
            assert_eq!(is_before(topic, above, level), expected, "{topic} {above} {level}");
        }
    }

    #[test]
    fn order_agrees_with_a_sorted_vector() {
        let mut order = Order::new();
        let mut sorted: Vec<u32> = Vec::new();
        let mut number = 1_u32;
        for round in 0..20_000 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = number >> 18;
            match sorted.binary_search(&id) {
                Err(at) if round % 3 > 0 || round < 8_000 => {
                    sorted.insert(at, id);
                    order.insert(id, |other| other < id);
                }
                Ok(at) => {
                    assert_eq!(sorted.remove(at), id);
                    order.remove(order.position(|other| other < id));
                }
                Err(_) => {}
            }
        }
        let mut at = order.position(|_| false);
        for &id in &sorted {
            assert_eq!(order.get(at), Some(id));
            at = order.next(at);
        }
        assert_eq!(order.get(at), None);
        for id in sorted {
            order.remove(order.position(|other| other < id));
            assert!(order.blocks.iter().all(|block| (1..=BLOCK_MAX).contains(&block.len())));
        }
        assert!(order.blocks.is_empty());
    }
}
