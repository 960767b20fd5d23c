//! Which delivery answers which due: an assignment that is corrected as more becomes known.

use std::collections::{BTreeMap, BTreeSet};

/// Deliveries, and the dues that each of them may answer; no due is answered twice.
#[derive(Clone, Debug)]
pub struct Matching<D> {
    /// For each delivery the dues it may answer, the likeliest first.
    choices: Vec<Vec<D>>,
    /// For each due the deliveries that may answer it.
    takers: BTreeMap<D, Vec<usize>>,
    answered: BTreeMap<D, usize>,
}

impl<D: Ord + Clone> Default for Matching<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Ord + Clone> Matching<D> {
    /// Makes an empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { choices: Vec::new(), takers: BTreeMap::new(), answered: BTreeMap::new() }
    }

    /// Adds a delivery that may answer one of `choices`. False if there are more deliveries now than dues for them.
    pub fn add(&mut self, choices: Vec<D>) -> bool {
        let delivery = self.choices.len();
        for due in &choices {
            self.takers.entry(due.clone()).or_default().push(delivery);
        }
        self.choices.push(choices);
        self.place(delivery, &mut BTreeSet::new())
    }

    /// Whether `due` is answered, if need be after a better assignment that takes from no due for which `is_owed` holds.
    pub fn is_answered(&mut self, due: &D, is_owed: &impl Fn(&D) -> bool) -> bool {
        self.answered.contains_key(due) || self.claim(due, is_owed, &mut BTreeSet::new())
    }

    /// The number of the delivery that answers `due`; see [`Matching::is_answered`].
    pub fn answer_to(&mut self, due: &D, is_owed: &impl Fn(&D) -> bool) -> Option<usize> {
        self.is_answered(due, is_owed).then(|| self.answered[due])
    }

    /// The due that the delivery answers for now.
    #[must_use]
    pub fn due_of(&self, delivery: usize) -> Option<&D> {
        self.choices[delivery].iter().find(|due| self.answered.get(due) == Some(&delivery))
    }

    fn place(&mut self, delivery: usize, tried: &mut BTreeSet<D>) -> bool {
        // A due that is free is found without moving anything.
        let free = self.choices[delivery].iter().find(|due| !self.answered.contains_key(due)).cloned();
        if let Some(free) = free {
            self.answered.insert(free, delivery);
            return true;
        }
        for place in 0..self.choices[delivery].len() {
            let due = self.choices[delivery][place].clone();
            if !tried.insert(due.clone()) {
                continue;
            }
            let holder = self.answered.get(&due).copied();
            if holder.is_none_or(|holder| self.place(holder, tried)) {
                self.answered.insert(due, delivery);
                return true;
            }
        }
        false
    }

    fn claim(&mut self, due: &D, is_owed: &impl Fn(&D) -> bool, tried: &mut BTreeSet<D>) -> bool {
        if !tried.insert(due.clone()) {
            return false;
        }
        for delivery in self.takers.get(due).cloned().unwrap_or_default() {
            let Some(other) = self.due_of(delivery).cloned() else { continue };
            if !is_owed(&other) || self.claim(&other, is_owed, tried) {
                if self.answered.get(&other) == Some(&delivery) {
                    self.answered.remove(&other);
                }
                self.answered.insert(due.clone(), delivery);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Matching;

    #[test]
    fn an_assignment_is_corrected_and_more_deliveries_than_dues_are_noticed() {
        let mut matching = Matching::new();
        assert!(matching.add(vec!["live", "replay"]));
        assert_eq!(matching.due_of(0), Some(&"live"));
        assert!(matching.add(vec!["live"]));
        assert_eq!(matching.due_of(0), Some(&"replay"));
        assert!(!matching.add(vec!["live", "replay"]));
    }

    #[test]
    fn a_due_that_is_owed_takes_from_one_that_is_not() {
        let mut matching = Matching::new();
        assert!(matching.add(vec!["replay", "live"]));
        assert!(matching.is_answered(&"live", &|due| *due == "live"));
        assert!(!matching.is_answered(&"replay", &|due| *due == "live"));
    }
}
