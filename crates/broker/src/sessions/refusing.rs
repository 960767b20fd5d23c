//! Which full queues have publishers refused: known to every shard.

use crate::routing::group_mail::Member;

/// A Session with a full queue that is not to lose anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Whose it is.
    pub client_id: Box<str>,
    /// What it subscribes to.
    pub filters: Vec<Box<str>>,
}

/// All of them, also those of other shards.
#[derive(Debug, Default)]
pub(crate) struct Refusing {
    full: Vec<(Member, Refusal)>,
}

impl Refusing {
    pub(crate) fn add(&mut self, member: Member, refusal: Refusal) {
        self.remove(member);
        self.full.push((member, refusal));
    }

    pub(crate) fn remove(&mut self, member: Member) {
        self.full.retain(|(full, _)| *full != member);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.full.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.full.iter().map(|(_, refusal)| refusal)
    }
}
