//! Topic Filters with wildcards as a tree of levels in one flat table (4.7.1).

use smallvec::SmallVec;

use crate::topics::hashing::TextHash;
use crate::topics::id_table::IdTable;
use crate::topics::levels::{LEVELS_INLINE, Levels, level_end, same_bytes};
use crate::topics::slab::Slab;
use crate::topics::texts::{Text, Texts};

/// Finds the filters with wildcards that match a Topic Name.
///
/// A node stands for one level or for several that no other filter leaves in between, so there are at most
/// two nodes a filter, however many levels it has. A child is found in one table for the whole tree by its
/// parent's number and its first level; the child that begins with `+` and the filter that ends here with `#`
/// are fields of the node.
#[derive(Debug)]
pub(super) struct WildcardFilters {
    nodes: Slab<Node>,
    children: IdTable,
    labels: Texts,
    hash: TextHash,
}

/// Where a filter ends in the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct End {
    pub(super) node: u32,
    /// Whether the filter goes on with `#` below the node.
    pub(super) is_multi_level: bool,
}

#[derive(Debug)]
struct Node {
    parent: u32,
    /// The child that begins with `+`, or [`NONE`].
    single_level: u32,
    /// The number of the filter that ends with this node and `#` [MQTT-4.7.1-1], or [`NONE`].
    multi_level: u32,
    /// The number of the filter that ends with this node, or [`NONE`].
    filter: u32,
    /// How many children begin with a literal level.
    literals: u32,
    /// Their numbers, all joined by exclusive or: with one child left, this is the child.
    literals_xor: u32,
    /// The levels from the parent to here, without the `/` before the first; the root's is empty and means no
    /// level.
    label: Text,
}

impl WildcardFilters {
    pub(super) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::default());
        WildcardFilters { nodes, children: IdTable::new(), labels: Texts::new(), hash: TextHash::new() }
    }

    #[cfg(test)]
    fn with_hash(hash: TextHash) -> Self {
        WildcardFilters { hash, ..Self::new() }
    }

    /// The number of the filter that ends at `end`, `None` if there is none.
    pub(super) fn filter_at(&self, end: End) -> Option<u32> {
        let node = &self.nodes[end.node];
        let filter = if end.is_multi_level { node.multi_level } else { node.filter };
        (filter != NONE).then_some(filter)
    }

    /// Where `filter` ends; every filter that is kept ends somewhere, and some that are not.
    pub(super) fn find(&self, filter: &str) -> Option<End> {
        let (mut rest, is_multi_level) = split_multi_level(filter);
        let mut node = ROOT;
        while let Some(text) = rest {
            node = self.child(node, text)?;
            let label = self.label(node);
            if shared_levels(label, text.as_bytes()) < label.len() {
                return None;
            }
            rest = text.get(label.len() + 1..);
        }
        Some(End { node, is_multi_level })
    }

    /// Makes a place for `filter`, to be used by [`WildcardFilters::set`] at once.
    pub(super) fn make(&mut self, filter: &str) -> End {
        let (mut rest, is_multi_level) = split_multi_level(filter);
        let mut node = ROOT;
        while let Some(text) = rest {
            let Some(child) = self.child(node, text) else {
                node = self.add_leaf(node, text);
                break;
            };
            let label = self.label(child);
            let shared = shared_levels(label, text.as_bytes());
            node = if shared < label.len() { self.split(child, shared) } else { child };
            rest = text.get(shared + 1..);
        }
        End { node, is_multi_level }
    }

    /// Puts the filter with this number at `end`.
    pub(super) fn set(&mut self, end: End, filter: u32) {
        *self.place(end) = filter;
    }

    /// Takes the filter at `end` away, and the nodes that only it needed.
    pub(super) fn remove(&mut self, end: End) {
        *self.place(end) = NONE;
        let mut node = end.node;
        while node != ROOT && self.nodes[node].is_idle() {
            let parent = self.nodes[node].parent;
            match self.nodes[node].only_child() {
                Some(child) => return self.merge(node, child),
                None if self.nodes[node].has_children() => return,
                None => self.remove_leaf(node),
            }
            node = parent;
        }
    }

    /// Appends the text of the filter that ends at `end`.
    pub(super) fn append_text(&self, end: End, out: &mut String) {
        let mut path = Vec::new();
        let mut node = end.node;
        while node != ROOT {
            path.push(node);
            node = self.nodes[node].parent;
        }
        for (depth, &node) in path.iter().rev().enumerate() {
            out.push_str(if depth == 0 { "" } else { "/" });
            out.push_str(self.labels.text_of(self.nodes[node].label));
        }
        if end.is_multi_level {
            out.push_str(if end.node == ROOT { "#" } else { "/#" });
        }
    }

    /// Calls `each` with the number of every filter that matches `name`.
    ///
    /// Each node is looked at once at most, and each byte of its label compared once at most: whatever
    /// filters strangers have made up, a look-up costs no more than to read all of them once.
    pub(super) fn matches(&self, name: &str, each: &mut impl FnMut(u32)) {
        let mut levels = Levels::new(name.as_bytes(), &self.hash);
        // Children of `+` that match, to be looked at later: at most one for each level of the name.
        let mut later: SmallVec<[(u32, u32); LEVELS_INLINE]> = SmallVec::new();
        let mut next = Some((ROOT, 0));
        while let Some((number, matched)) = next.take().or_else(|| later.pop()) {
            let node = &self.nodes[number];
            // A wildcard in the first level does not match a `$` at its beginning [MQTT-4.7.2-1]
            // [MQTT3-4.7.2-1].
            let wildcards_match = number != ROOT || !name.starts_with('$');
            if node.multi_level != NONE && wildcards_match {
                each(node.multi_level); // also without any level below: `a/#` matches `a` (4.7.1.2)
            }
            let Some(level) = levels.get(matched as usize) else {
                if node.filter != NONE {
                    each(node.filter);
                }
                continue;
            };
            if node.single_level != NONE
                && wildcards_match
                && let Some(entered) = self.enter(node.single_level, SINGLE_LEVEL, matched, &mut levels)
            {
                later.push(entered); // any level, the empty one too [MQTT-4.7.1-2]
            }
            if node.literals > 0
                && let Some(child) = self.literal_child(number, level, levels.hash(matched as usize))
            {
                next = self.enter(child, level, matched, &mut levels);
            }
        }
    }

    /// Goes from `matched` levels on through the label of `child`, whose first level is `first` and matches.
    ///
    /// Gives the child and the levels matched then; `None` if another level of the label does not match.
    #[inline]
    fn enter(&self, child: u32, first: &[u8], matched: u32, levels: &mut Levels<'_>) -> Option<(u32, u32)> {
        let label = self.label(child);
        let mut matched = matched + 1;
        let mut at = first.len();
        while at < label.len() {
            let end = level_end(label, at + 1);
            let level = &label[at + 1..end];
            let name_level = levels.get(matched as usize)?;
            if level != SINGLE_LEVEL && level != name_level {
                return None;
            }
            matched += 1;
            at = end;
        }
        Some((child, matched))
    }

    fn label(&self, node: u32) -> &[u8] {
        self.labels.get(self.nodes[node].label)
    }

    /// The child of `node` that begins as `text` does.
    fn child(&self, node: u32, text: &str) -> Option<u32> {
        let level = first_level(text.as_bytes());
        if level == SINGLE_LEVEL {
            let child = self.nodes[node].single_level;
            return (child != NONE).then_some(child);
        }
        self.literal_child(node, level, self.hash.text(level))
    }

    #[inline]
    fn literal_child(&self, node: u32, level: &[u8], level_hash: u32) -> Option<u32> {
        self.children.find(self.hash.join(node, level_hash), |child| {
            self.nodes[child].parent == node && begins_with(self.label(child), level)
        })
    }

    fn place(&mut self, end: End) -> &mut u32 {
        let node = &mut self.nodes[end.node];
        if end.is_multi_level { &mut node.multi_level } else { &mut node.filter }
    }

    fn add_leaf(&mut self, parent: u32, label: &str) -> u32 {
        let label = self.labels.insert(label.as_bytes());
        let leaf = self.nodes.insert(Node { parent, label, ..Node::default() });
        self.attach(leaf);
        leaf
    }

    fn remove_leaf(&mut self, leaf: u32) {
        self.detach(leaf);
        let node = self.nodes.remove(leaf);
        self.labels.remove(node.label);
    }

    /// Cuts the label of `child` before the `/` at `at`: a new node takes its place, with `child` below.
    fn split(&mut self, child: u32, at: usize) -> u32 {
        let whole = self.nodes[child].label;
        let (upper, lower) = {
            let text = self.labels.get(whole);
            (text[..at].to_vec(), text[at + 1..].to_vec())
        };
        let upper = self.labels.insert(&upper);
        let lower = self.labels.insert(&lower);
        let middle = Node { parent: self.nodes[child].parent, label: upper, ..Node::default() };
        let middle = self.nodes.insert(middle);
        self.put_in_place_of(child, middle);
        self.labels.remove(whole);
        self.nodes[child].parent = middle;
        self.nodes[child].label = lower;
        self.attach(child);
        middle
    }

    /// Makes one node of `node` and the only child it has.
    fn merge(&mut self, node: u32, child: u32) {
        let label = [self.label(node), self.label(child)].join(&b'/');
        let label = self.labels.insert(&label);
        self.detach(child);
        self.put_in_place_of(node, child);
        let node = self.nodes.remove(node);
        let old = std::mem::replace(&mut self.nodes[child].label, label);
        self.nodes[child].parent = node.parent;
        self.labels.remove(node.label);
        self.labels.remove(old);
    }

    /// Enters `child` under the parent and label that it has.
    fn attach(&mut self, child: u32) {
        let parent = self.nodes[child].parent;
        match self.key(child) {
            None => self.nodes[parent].single_level = child,
            Some(hash) => {
                self.children.insert(hash, child);
                self.nodes[parent].literals += 1;
                self.nodes[parent].literals_xor ^= child;
            }
        }
    }

    fn detach(&mut self, child: u32) {
        let parent = self.nodes[child].parent;
        match self.key(child) {
            None => self.nodes[parent].single_level = NONE,
            Some(hash) => {
                self.children.remove(hash, child);
                self.nodes[parent].literals -= 1;
                self.nodes[parent].literals_xor ^= child;
            }
        }
    }

    /// Enters `new` under the parent and first level of `old`; both keep the labels they have.
    fn put_in_place_of(&mut self, old: u32, new: u32) {
        let parent = self.nodes[old].parent;
        match self.key(old) {
            None => self.nodes[parent].single_level = new,
            Some(hash) => {
                self.children.replace(hash, old, new);
                self.nodes[parent].literals_xor ^= old ^ new;
            }
        }
    }

    /// The hash under which `child` stands in the table; `None` if it begins with `+` and so is a field.
    fn key(&self, child: u32) -> Option<u32> {
        let level = first_level(self.label(child));
        (level != SINGLE_LEVEL).then(|| self.hash.join(self.nodes[child].parent, self.hash.text(level)))
    }
}

impl Node {
    /// Whether no filter ends here.
    fn is_idle(&self) -> bool {
        self.filter == NONE && self.multi_level == NONE
    }

    fn has_children(&self) -> bool {
        self.literals > 0 || self.single_level != NONE
    }

    fn only_child(&self) -> Option<u32> {
        match (self.literals, self.single_level) {
            (0, NONE) => None,
            (0, child) => Some(child),
            (1, NONE) => Some(self.literals_xor),
            _ => None,
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Node {
            parent: ROOT,
            single_level: NONE,
            multi_level: NONE,
            filter: NONE,
            literals: 0,
            literals_xor: 0,
            label: Text::default(),
        }
    }
}

/// The levels before a `#` at the end, `None` if there are none, and whether there is a `#`.
fn split_multi_level(filter: &str) -> (Option<&str>, bool) {
    match filter.strip_suffix('#') {
        Some(path) => (path.strip_suffix('/'), true),
        None => (Some(filter), false),
    }
}

fn first_level(text: &[u8]) -> &[u8] {
    &text[..level_end(text, 0)]
}

fn begins_with(label: &[u8], level: &[u8]) -> bool {
    label.strip_prefix(level).is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
}

/// The length of the levels that both texts begin with; their first levels are equal.
fn shared_levels(left: &[u8], right: &[u8]) -> usize {
    let same = same_bytes(left, right);
    let is_end = |text: &[u8]| text.get(same).is_none_or(|&byte| byte == b'/');
    if is_end(left) && is_end(right) {
        return same;
    }
    left[..same].iter().rposition(|&byte| byte == b'/').expect("the first levels are equal")
}

/// The node of no level. It is nobody's child.
const ROOT: u32 = 0;

/// No node, or no filter.
const NONE: u32 = u32::MAX;

/// The level that matches any one level.
const SINGLE_LEVEL: &[u8] = b"+";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn insert(tree: &mut WildcardFilters, filter: &str, number: u32) -> End {
        let end = tree.make(filter);
        tree.set(end, number);
        end
    }

    fn matches(tree: &WildcardFilters, name: &str) -> Vec<u32> {
        let mut found = Vec::new();
        tree.matches(name, &mut |filter| found.push(filter));
        found.sort_unstable();
        found
    }

    fn text(tree: &WildcardFilters, end: End) -> String {
        let mut text = String::new();
        tree.append_text(end, &mut text);
        text
    }

    fn assert_is_empty(tree: &WildcardFilters) {
        assert_eq!((tree.nodes.len(), tree.children.len()), (1, 0));
        assert!(!tree.nodes[ROOT].has_children() && tree.nodes[ROOT].is_idle());
        assert_eq!(tree.labels.units_in_use(), 0);
    }

    /// Filters of few different levels, so that they share heads, and some very long ones.
    fn filters() -> Vec<String> {
        let mut number = 7_u32;
        let mut next = move |below: u32| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (number >> 16) % below
        };
        let mut filters: Vec<String> = (0..400)
            .map(|_| {
                let levels: Vec<&str> =
                    (0..next(7)).map(|_| ["", "a", "b", "ab", "+"][next(5) as usize]).collect();
                let last = ["+", "#", "+/a"][next(3) as usize];
                levels.iter().map(|level| format!("{level}/")).collect::<String>() + last
            })
            .collect();
        filters.extend([1, 10, 100].map(|levels| "a/".repeat(levels) + "+/x"));
        filters.sort_unstable();
        filters.dedup();
        filters
    }

    /// Nodes are where a filter ends and where filters part, and the root.
    fn nodes_needed<'a>(filters: impl Iterator<Item = &'a str>) -> usize {
        let mut below: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for filter in filters {
            let mut prefix = String::new();
            for level in filter.split('/') {
                // The filter's own end counts as two ways on; so does `#`, which ends at the level above.
                let ways = if level == "#" { ["#", "the end"] } else { [level, level] };
                below.entry(prefix.clone()).or_default().extend(ways);
                prefix = prefix + level + "/";
            }
            if !filter.ends_with('#') {
                below.entry(prefix).or_default().extend(["#", "the end"]);
            }
        }
        below.remove("");
        1 + below.values().filter(|ways| ways.len() > 1).count()
    }

    #[test]
    fn tree_has_the_nodes_it_needs_and_empties() {
        insert_and_remove(WildcardFilters::new());
    }

    #[test]
    fn children_with_one_hash_are_told_apart() {
        insert_and_remove(WildcardFilters::with_hash(TextHash::colliding()));
    }

    fn insert_and_remove(mut tree: WildcardFilters) {
        let filters = filters();
        let mut kept = BTreeMap::new();
        for round in 0..4_000 {
            let number = round * 7_919 % filters.len();
            let filter = filters[number].as_str();
            let found = tree.find(filter).and_then(|end| tree.filter_at(end).map(|_| end));
            assert_eq!(found, kept.get(filter).copied(), "{filter}");
            match found {
                Some(end) if round % 3 > 0 => {
                    tree.remove(end);
                    kept.remove(filter);
                }
                Some(_) => {}
                None => {
                    kept.insert(filter, insert(&mut tree, filter, number as u32));
                }
            }
            assert!(tree.nodes.len() <= 2 * kept.len() + 1);
            if round % 20 == 0 {
                assert_eq!(tree.nodes.len(), nodes_needed(kept.keys().copied()));
            }
            assert_eq!(tree.find("b/no such/+"), None);
        }
        for (filter, end) in kept {
            assert_eq!(text(&tree, end), filter);
            tree.remove(end);
        }
        assert_is_empty(&tree);
    }

    #[test]
    fn memory_is_used_again() {
        let mut tree = WildcardFilters::new();
        insert(&mut tree, "keeper/+", 0);
        let mut sizes = Vec::new();
        for round in 0..20 {
            let ends: Vec<End> = (0..500)
                .map(|number| insert(&mut tree, &format!("a/{round:03}/{number:03}/+/#"), number))
                .collect();
            sizes.push((tree.nodes.capacity(), tree.labels.capacity()));
            ends.into_iter().for_each(|end| tree.remove(end));
        }
        assert!(sizes.iter().all(|&size| size == sizes[0]), "{sizes:?}");
    }

    /// Each of 2^k filters of `a` and `+` matches the one name, and each node is reached by one way only.
    #[test]
    fn all_combinations_of_wildcards_are_found_once() {
        let mut tree = WildcardFilters::new();
        for number in 0..1_u32 << 10 {
            let levels: Vec<&str> =
                (0..10).map(|level| if number >> level & 1 == 1 { "+" } else { "a" }).collect();
            insert(&mut tree, &(levels.join("/") + "/#"), number);
        }
        let all: Vec<u32> = (0..1 << 10).collect();
        assert_eq!(matches(&tree, &["a"; 10].join("/")), all); // [MQTT-4.7.1-1]
        assert_eq!(matches(&tree, &["a"; 40].join("/")), all);
        assert_eq!(matches(&tree, &["b"; 10].join("/")), [(1 << 10) - 1]); // [MQTT-4.7.1-2]
        assert_eq!(matches(&tree, &["a"; 9].join("/")), []);
    }

    #[test]
    fn filter_of_very_many_levels_is_one_node() {
        let mut tree = WildcardFilters::new();
        let many = "+/".repeat(32_767) + "#";
        let empty = "/".repeat(65_534) + "+";
        let ends = [insert(&mut tree, &many, 1), insert(&mut tree, &empty, 2)];
        assert_eq!(tree.nodes.len(), 3);
        assert_eq!(matches(&tree, &"/".repeat(65_535)), [1]);
        assert_eq!(matches(&tree, &"/".repeat(65_534)), [1, 2]);
        assert_eq!(matches(&tree, &"/".repeat(32_766)), [1]);
        assert_eq!(matches(&tree, &"/".repeat(32_765)), []);
        assert_eq!(ends.map(|end| text(&tree, end)), [many, empty]);
        ends.into_iter().for_each(|end| tree.remove(end));
        assert_is_empty(&tree);
    }
}
