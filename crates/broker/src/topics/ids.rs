//! Numbers that stand for a Session, a Topic Filter and a Topic Name inside one shard (4.1, 4.7).

/// Names a Session inside its shard; the Session's place in the shard's table.
///
/// At most [`SessionIndex::MAX`]: the tables keep it in 30 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionIndex(pub u32);

impl SessionIndex {
    /// The greatest index that the tables of a shard can hold, 2^30 - 1.
    pub const MAX: SessionIndex = SessionIndex((1 << 30) - 1);
}

/// Names a Topic Filter of one shard; stable while the filter has a subscriber, given to another one after.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FilterId(pub u32);

/// Names the Topic Name of a Retained Message of one shard; stable while a message is kept under that name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicId(pub u32);
