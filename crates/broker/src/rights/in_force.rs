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
    /// limits it, unless its certificate is revoked.
    pub(crate) fn permissions(&self, identity: &Identity) -> Permissions {
        let rules = match identity.rules.as_deref() {
            None => self.withdrawn(&identity.subject, &RuleSet::default()).unwrap_or_default(),
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
        let (subject, rules) = (permissions.subject(), permissions.rules());
        let newer = match self.sets.iter().find(|known| known.name() == rules.name()) {
            Some(newer) => Some(newer).filter(|newer| !Arc::ptr_eq(newer, rules)).map(Arc::clone),
            None => self.withdrawn(subject, rules),
        };
        if let Some(newer) = newer {
            *permissions = Permissions::new(Arc::clone(subject), newer);
        }
    }

    /// The rules that came with a Client, if its certificate is revoked and they do not say so.
    fn withdrawn(&self, subject: &Subject, own: &RuleSet) -> Option<Arc<RuleSet>> {
        let rules =
            self.sets.iter().find(|rules| rules.is_revoked(subject)).filter(|_| !own.is_revoked(subject))?;
        Some(Arc::new(own.clone().with_revoked(Arc::clone(rules.revoked()?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions::{
        revoked::Revoked,
        ruling::Ground,
        subject::{CertificateFacts, Subject},
    };

    #[test]
    fn a_revoked_certificate_withdraws_rules_that_came_with_the_client_too() {
        let mut revoked = Revoked::default();
        revoked.add("CN=CA", ["07"]);
        let mut in_force = InForce::default();
        in_force.put(Arc::new(RuleSet::open("main")));
        for (serial, expected) in [("07", Some(Ground::CertificateRevoked)), ("08", None)] {
            let facts = CertificateFacts {
                issuer: "CN=CA".into(),
                serial: serial.into(),
                ..CertificateFacts::default()
            };
            let subject = Arc::new(Subject { certificate: Some(Arc::new(facts)), ..Subject::default() });
            in_force.put(Arc::new(RuleSet::open("main")));
            let mut own = Permissions::new(Arc::clone(&subject), Arc::default());
            in_force.refresh(&mut own);
            assert_eq!(own.withdrawal(), None);
            in_force.put(Arc::new(RuleSet::open("main").with_revoked(Arc::new(revoked.clone()))));
            in_force.refresh(&mut own);
            assert_eq!(own.withdrawal(), expected, "{serial}");
            let rules = Arc::clone(own.rules());
            in_force.refresh(&mut own);
            assert!(Arc::ptr_eq(&rules, own.rules()), "{serial}: it is known");
            let gone = in_force.permissions(&own.identity());
            assert_eq!(gone.withdrawal(), expected, "{serial}");
        }
    }
}
