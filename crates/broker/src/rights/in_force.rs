//! The rule sets by which this shard judges.

use std::sync::Arc;

use crate::permissions::{Permissions, identity::Identity, rule_set::RuleSet, subject::Subject};

/// The rule sets in force, by name. The first is the one for whoever names none of the others.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    sets: Vec<Arc<RuleSet>>,
}

impl InForce {
    /// Puts a set in force, in the place of the one with the same name.
    pub(crate) fn put(&mut self, rules: Arc<RuleSet>) {
        match self.sets.iter_mut().find(|known| known.name() == rules.name()) {
            Some(known) => *known = rules,
            None => self.sets.push(rules),
        }
    }

    /// Whether anybody may be denied anything.
    pub(crate) fn limits_anybody(&self) -> bool {
        self.sets.iter().any(|rules| rules.limits_anybody())
    }

    /// The rights of a Client that is gone, by the rules of today. Rules that came with it went with it: then nothing
    /// limits it.
    pub(crate) fn permissions(&self, identity: &Identity) -> Permissions {
        let rules = match identity.rules.as_deref() {
            None => Arc::default(),
            Some(name) => {
                let known = self.sets.iter().find(|rules| rules.name() == Some(name));
                known.or(self.sets.first()).map_or_else(|| Arc::new(RuleSet::open(name)), Arc::clone)
            }
        };
        Permissions::new(Arc::clone(&identity.subject), rules)
    }

    /// The rights that a Client would have that comes now, without rules of its own.
    pub(crate) fn permissions_of_stranger(&self, subject: Arc<Subject>) -> Permissions {
        Permissions::new(subject, self.sets.first().map(Arc::clone).unwrap_or_default())
    }

    /// Brings rights that were given by an older set up to date.
    pub(crate) fn refresh(&self, permissions: &mut Permissions) {
        let rules = permissions.rules();
        let newer = self.sets.iter().find(|known| known.name() == rules.name());
        if let Some(newer) = newer.filter(|newer| !Arc::ptr_eq(newer, rules)) {
            *permissions = Permissions::new(Arc::clone(permissions.subject()), Arc::clone(newer));
        }
    }
}
