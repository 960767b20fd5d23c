//! The rules in force: swapped as a whole, while Clients come and go.

use std::sync::{Arc, RwLock};

use dunlin_broker::permissions::{Permissions, rule_set::RuleSet, subject::Subject};

/// The rule set by which new Clients are judged. Whoever swaps it tells the shards, too.
#[derive(Debug, Default)]
pub struct Rulebook {
    current: RwLock<Arc<RuleSet>>,
}

impl Rulebook {
    /// A book with `rules`.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self { current: RwLock::new(rules) }
    }

    /// The rules in force.
    #[must_use]
    pub fn current(&self) -> Arc<RuleSet> {
        Arc::clone(&self.current.read().expect("nobody panics while holding the lock of the rules"))
    }

    /// Puts `rules` in force for all Clients that come from now on.
    pub fn swap(&self, rules: Arc<RuleSet>) {
        *self.current.write().expect("nobody panics while holding the lock of the rules") = rules;
    }

    /// The rights of `subject`: by `own` rules, if some came with the Client, or by those in force.
    #[must_use]
    pub fn permissions(&self, subject: Subject, own: Option<Arc<RuleSet>>) -> Permissions {
        Permissions::new(Arc::new(subject), own.unwrap_or_else(|| self.current()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_rules_stand_in_the_place_of_those_in_force() {
        let book = Rulebook::new(Arc::new(RuleSet::open("main")));
        book.swap(Arc::new(RuleSet::open("newer")));
        let rules_of = |own| book.permissions(Subject::default(), own).rules().name().map(str::to_owned);
        assert_eq!(rules_of(None).as_deref(), Some("newer"));
        assert_eq!(rules_of(Some(Arc::new(RuleSet::default()))), None);
    }
}
