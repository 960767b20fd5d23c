//! The groups of Shared Subscriptions that the oracle knows (4.8.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use crate::oracle::{messages::MessageKey, subscriptions::matches};

/// All groups that have ever had a member, by their whole Topic Filter.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    pub(crate) groups: BTreeMap<Rc<str>, Group>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// Sessions that have ever been members, by number.
    pub(crate) members: BTreeSet<usize>,
    /// Accepted messages that match and have not been checked.
    pub(crate) unchecked: Vec<usize>,
    /// Accepted messages that a member must have got, by number.
    pub(crate) owed: BTreeSet<usize>,
    /// What was sent to members.
    pub(crate) sent: BTreeMap<MessageKey, Vec<Sent>>,
}

/// A message that a member was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) session: usize,
    /// Its number among the deliveries of the Session.
    pub(crate) delivery: usize,
    /// Accepted messages that it may be, by number.
    pub(crate) choices: Vec<usize>,
}

impl Groups {
    /// A message has been accepted.
    pub fn note(&mut self, topic: &str, number: usize) {
        for (filter, group) in &mut self.groups {
            if matches(filter, topic) {
                group.unchecked.push(number);
            }
        }
    }

    /// The Session with number `index` has the Shared Subscription `filter`.
    pub fn join(&mut self, filter: &Rc<str>, index: usize) {
        self.groups.entry(Rc::clone(filter)).or_default().members.insert(index);
    }
}
