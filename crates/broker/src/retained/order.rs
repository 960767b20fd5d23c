//! Topic Names in order, level by level, in blocks of numbers (4.7.1.1).

use std::cmp::Ordering;

use crate::topics::levels::same_bytes;

/// Numbers of topics in the order of their texts, which stay where the caller keeps them.
///
/// The numbers stand in blocks of some hundred. A bound between two blocks is a text of its own, and beside
/// each number stand the eight bytes of its text behind those that the block's bounds have in common. So a
/// place is found with a look at very few texts, and an insertion moves at most a block's numbers, or now and
/// then the blocks: some 18 bytes a number.
#[derive(Debug, Default)]
pub(super) struct Order {
    blocks: Vec<Block>,
}

/// At least one number and at most [`BLOCK_MAX`].
#[derive(Debug)]
struct Block {
    /// Behind all texts of the blocks before, and not behind any of this one; empty in the first block.
    bound: Box<[u8]>,
    /// How many bytes this bound and that of the next block, and so all texts between, begin with alike; 0 in
    /// the last.
    common: usize,
    heads: Vec<u64>,
    ids: Vec<u32>,
}

/// A number that is put in order with many others, and sixteen bytes of its text.
struct Entry {
    head: u128,
    id: u32,
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

    /// Puts many numbers in order at once; quicker if there are long runs among `ids` that are in order.
    pub(super) fn build<'a, I: Iterator<Item = u32>>(
        ids: impl Fn() -> I,
        text: impl Fn(u32) -> &'a [u8],
    ) -> Self {
        let Some(first) = ids().next() else { return Self::new() };
        let first = text(first);
        let common = ids().fold(first.len(), |common, id| same_bytes(&first[..common], text(id)));
        let entry = |id| Entry { head: u128::from_be_bytes(ranks(text(id), common)), id };
        let mut entries: Vec<Entry> = ids().map(entry).collect();
        entries.sort_by_key(|entry| entry.head);
        for alike in entries.chunk_by_mut(|left, right| left.head == right.head) {
            alike.sort_unstable_by(|left, right| compare(text(left.id), text(right.id)));
        }
        let block = |entries: &[Entry]| Block {
            ids: entries.iter().map(|entry| entry.id).collect(),
            ..Block::new(text(entries[0].id))
        };
        let mut order = Order { blocks: entries.chunks(BLOCK_BUILT).map(block).collect() };
        for (index, entries) in entries.chunks(BLOCK_BUILT).enumerate() {
            order.bound(index, |ids, common_here| match common_here.checked_sub(common) {
                // To look at all the texts once more takes as long as to put them in order.
                Some(more @ 0..=8) => {
                    entries.iter().map(|entry| (entry.head >> (64 - 8 * more)) as u64).collect()
                }
                _ => heads(ids, common_here, &text),
            });
        }
        order
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The place of the first topic that is not before `key`.
    pub(super) fn position<'a>(&self, key: &[u8], text: impl Fn(u32) -> &'a [u8]) -> Position {
        self.settle(self.gap(key, text))
    }

    pub(super) fn get(&self, at: Position) -> Option<u32> {
        self.blocks.get(at.block)?.ids.get(at.index).copied()
    }

    /// The place behind `at`.
    pub(super) fn next(&self, at: Position) -> Position {
        self.settle(Position { index: at.index + 1, ..at })
    }

    /// Adds `id`, which stands for the topic `key`.
    pub(super) fn insert<'a>(&mut self, id: u32, key: &[u8], text: impl Fn(u32) -> &'a [u8]) {
        let mut at = self.gap(key, &text);
        match self.blocks.get(at.block) {
            None => self.blocks.push(Block::new(&[])),
            Some(block) if block.ids.len() == BLOCK_MAX => at = self.split(at, key, text),
            Some(_) => {}
        }
        let block = &mut self.blocks[at.block];
        block.ids.insert(at.index, id);
        block.heads.insert(at.index, head(key, block.common));
    }

    /// Takes out the number at `at`.
    pub(super) fn remove<'a>(&mut self, at: Position, text: impl Fn(u32) -> &'a [u8]) {
        let block = &mut self.blocks[at.block];
        block.ids.remove(at.index);
        block.heads.remove(at.index);
        if block.ids.is_empty() {
            self.blocks.remove(at.block);
            self.refresh(at.block.saturating_sub(1), text);
        } else if block.ids.len() < BLOCK_MIN {
            self.join(at.block, &text);
            self.join(at.block.saturating_sub(1), &text);
        }
    }

    /// Makes two blocks of a full one and gives the place that `at` has become.
    fn split<'a>(&mut self, at: Position, key: &[u8], text: impl Fn(u32) -> &'a [u8]) -> Position {
        let block = &mut self.blocks[at.block];
        // Names that come in order, as from a store, fill their blocks.
        let half = if at.index == BLOCK_MAX { BLOCK_MAX } else { BLOCK_MAX / 2 };
        let mut upper = Block::new(block.ids.get(half).map_or(key, |&id| text(id)));
        upper.ids = block.ids.split_off(half);
        block.heads.truncate(half);
        self.blocks.insert(at.block + 1, upper);
        self.refresh(at.block, &text);
        self.refresh(at.block + 1, text);
        match at.index.checked_sub(half) {
            Some(index) if index > 0 || half == BLOCK_MAX => Position { block: at.block + 1, index },
            _ => at,
        }
    }

    /// Makes one block of this and the next if both are small.
    fn join<'a>(&mut self, block: usize, text: impl Fn(u32) -> &'a [u8]) {
        if let Some([lower, upper]) = self.blocks.get(block..block + 2)
            && lower.ids.len() + upper.ids.len() <= BLOCK_MAX / 2
        {
            let upper = self.blocks.remove(block + 1);
            self.blocks[block].ids.extend(upper.ids);
            self.refresh(block, text);
        }
    }

    /// Makes right what depends on a block's bounds, one of which has changed, and on what it has got from
    /// another.
    fn refresh<'a>(&mut self, block: usize, text: impl Fn(u32) -> &'a [u8]) {
        self.bound(block, |ids, common| heads(ids, common, text));
    }

    /// The same with the heads of numbers whose texts have so many bytes in common.
    fn bound(&mut self, block: usize, heads: impl FnOnce(&[u32], usize) -> Vec<u64>) {
        if let Some(first) = self.blocks.first_mut() {
            first.bound = Box::default();
        }
        let next = self.blocks.get(block + 1).map(|next| &next.bound);
        let Some(this) = self.blocks.get(block) else { return };
        let common = next.map_or(0, |next| same_bytes(&this.bound, next));
        let this = &mut self.blocks[block];
        if this.common != common || this.heads.len() != this.ids.len() {
            this.common = common;
            this.heads = heads(&this.ids, common);
        }
    }

    /// Where `key` belongs: in the last block whose bound is not behind it.
    fn gap<'a>(&self, key: &[u8], text: impl Fn(u32) -> &'a [u8]) -> Position {
        let blocks = self.blocks.partition_point(|block| compare(&block.bound, key).is_le());
        let block = blocks.saturating_sub(1);
        let index = self.blocks.get(block).map_or(0, |block| block.gap(key, text));
        Position { block, index }
    }

    /// The same place, given by the block that has a number there.
    fn settle(&self, at: Position) -> Position {
        match self.blocks.get(at.block) {
            Some(block) if at.index >= block.ids.len() => Position { block: at.block + 1, index: 0 },
            _ => at,
        }
    }
}

impl Block {
    fn new(bound: &[u8]) -> Self {
        Block { bound: bound.into(), common: 0, heads: Vec::new(), ids: Vec::new() }
    }

    /// How many texts of the block are before `key`, which is between the block's bounds.
    fn gap<'a>(&self, key: &[u8], text: impl Fn(u32) -> &'a [u8]) -> usize {
        let head = head(key, self.common);
        let from = self.heads.partition_point(|&other| other < head);
        let alike = self.heads[from..].partition_point(|&other| other == head);
        from + self.ids[from..from + alike].partition_point(|&id| compare(text(id), key).is_lt())
    }
}

/// Compares two Topic Names level by level: a topic, then all below it, then the topics beside it.
pub(super) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let same = same_bytes(left, right);
    left.get(same).map(rank).cmp(&right.get(same).map(rank))
}

/// Makes of the text of a topic the one that is the next in order, if it is a topic.
pub(super) fn make_next(text: &mut String) {
    text.push('/');
}

/// Makes of the text of a topic one that is behind all topics below, and before all others that were behind
/// it.
pub(super) fn make_end(text: &mut String) {
    text.push(LEAST);
}

/// Eight bytes of a text as a number that says which of two texts is before, if they are the same up to
/// `from`.
fn head(text: &[u8], from: usize) -> u64 {
    u64::from_be_bytes(ranks(text, from))
}

fn heads<'a>(ids: &[u32], common: usize, text: impl Fn(u32) -> &'a [u8]) -> Vec<u64> {
    ids.iter().map(|&id| head(text(id), common)).collect()
}

fn ranks<const N: usize>(text: &[u8], from: usize) -> [u8; N] {
    let bytes = text.get(from..).unwrap_or_default();
    let mut ranks = [0; N];
    ranks.iter_mut().zip(bytes).for_each(|(at, byte)| *at = rank(byte));
    ranks
}

/// No Topic Name has a null character [MQTT-4.7.3-2], so `/` may take its place as the least of all.
fn rank(byte: &u8) -> u8 {
    if *byte == b'/' { 0 } else { *byte }
}

/// The least character but `/`.
const LEAST: char = '\u{1}';

/// Numbers of a block: 3 KiB with their heads.
const BLOCK_MAX: usize = 256;

/// Numbers of a block that is made with many others: some more find room.
const BLOCK_BUILT: usize = BLOCK_MAX / 4 * 3;

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
                assert_eq!(compare(left.as_bytes(), right.as_bytes()), at.cmp(&other), "{left} {right}");
                let (left, right) = (head(left.as_bytes(), 0), head(right.as_bytes(), 0));
                assert!(left.cmp(&right) == at.cmp(&other) || left == right);
            }
        }
    }

    #[test]
    fn end_of_a_topic_is_behind_all_below_it() {
        let mut end = String::from("a/b");
        make_end(&mut end);
        for (topic, is_before) in
            [("a", true), ("a/b", true), ("a/b/", true), ("a/b/c", true), ("a/b!", false)]
        {
            assert_eq!(compare(topic.as_bytes(), end.as_bytes()).is_lt(), is_before, "{topic}");
        }
    }

    /// Texts with long common beginnings, some equal up to where a head ends.
    fn texts() -> Vec<String> {
        let text = |number: usize| match number % 3 {
            0 => format!("fleet/vehicle-{:05}/{}", number / 30, number % 10),
            1 => format!("fleet/vehicle-{:05}", number / 3),
            _ => format!("{number:o}/").repeat(1 + number % 4) + "x",
        };
        (0..9_000).map(text).collect()
    }

    #[test]
    fn what_is_built_at_once_is_what_is_inserted_one_by_one() {
        let texts = texts();
        let text = |id: u32| texts[id as usize].as_bytes();
        for count in [0, 1, 2, BLOCK_BUILT, BLOCK_BUILT + 1, texts.len()] {
            // In no order at all; some texts are not there yet.
            let mut ids: Vec<u32> = (0..count as u32).map(|id| id * 7_919 % texts.len() as u32).collect();
            ids.sort_unstable_by_key(|id| id.wrapping_mul(2_654_435_761));
            ids.dedup_by(|one, other| text(*one) == text(*other));
            let mut seen = std::collections::BTreeSet::new();
            ids.retain(|&id| seen.insert(text(id)));
            let mut built = Order::build(|| ids.iter().copied(), text);
            for id in 0..texts.len() as u32 {
                if seen.insert(text(id)) {
                    built.insert(id, text(id), text);
                    ids.push(id);
                }
            }
            ids.sort_unstable_by(|&left, &right| compare(text(left), text(right)));
            let mut at = built.position(b"", text);
            for &id in &ids {
                assert_eq!(built.get(at), Some(id), "{count} built at once");
                assert_eq!(built.position(text(id), text), at);
                at = built.next(at);
            }
            assert_eq!(built.get(at), None);
        }
    }

    /// Inserts in order, then by chance, removes nearly all, and so on: blocks part, join and vanish.
    #[test]
    fn order_agrees_with_a_sorted_vector() {
        let texts = texts();
        let text = |id: u32| texts[id as usize].as_bytes();
        let mut order = Order::new();
        let mut sorted: Vec<u32> = Vec::new();
        let mut number = 1_u32;
        for round in 0..60_000 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = if round < 4_000 { round } else { (number >> 8) % texts.len() as u32 };
            let grows = round / 15_000 % 2 == 0;
            match sorted.binary_search_by(|&other| compare(text(other), text(id))) {
                Err(at) if grows || round % 16 == 0 => {
                    sorted.insert(at, id);
                    order.insert(id, text(id), text);
                }
                Ok(at) if !grows || round % 16 == 1 => {
                    let id = sorted.remove(at);
                    assert_eq!(order.get(order.position(text(id), text)), Some(id));
                    order.remove(order.position(text(id), text), text);
                }
                Ok(_) | Err(_) => {}
            }
            if round % 1_000 == 0 {
                assert_holds(&order, &sorted, text);
            }
        }
        sorted.iter().for_each(|&id| order.remove(order.position(text(id), text), text));
        assert!(order.blocks.is_empty());
    }

    fn assert_holds<'a>(order: &Order, sorted: &[u32], text: impl Fn(u32) -> &'a [u8]) {
        let mut at = Position { block: 0, index: 0 };
        for &id in sorted {
            assert_eq!(order.get(at), Some(id));
            at = order.next(at);
        }
        assert_eq!(order.get(at), None);
        for (number, block) in order.blocks.iter().enumerate() {
            let texts: Vec<&[u8]> = block.ids.iter().map(|&id| text(id)).collect();
            let next = order.blocks.get(number + 1).map(|next| &*next.bound);
            assert!((1..=BLOCK_MAX).contains(&texts.len()));
            assert_eq!(block.bound.is_empty(), number == 0);
            assert!(compare(&block.bound, texts[0]).is_le());
            assert!(next.is_none_or(|next| compare(texts[texts.len() - 1], next).is_lt()));
            let same = |next: &[u8]| same_bytes(&block.bound, next);
            assert_eq!(block.common, next.map_or(0, same));
            let heads: Vec<u64> = texts.iter().map(|text| head(text, block.common)).collect();
            assert_eq!(block.heads, heads);
        }
    }
}
