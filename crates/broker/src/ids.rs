//! Small numbers that name things: connections, shards, Sessions.

/// Names a Network Connection inside one shard.
///
/// The owner of the sockets chooses it; a number is free again when its socket is closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The number as an index.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names a shard of this node: 0 to 63.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u8);

impl ShardId {
    /// The most shards one node may have: one bit each in an [`Interest`](crate::routing::interest::Interest) word.
    pub const MAX_COUNT: u8 = 64;

    /// The number as an index.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The shard's bit in an answer of [`Interest`](crate::routing::interest::Interest).
    #[inline]
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// The record that a letter has while it is under way: the receiver takes it away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt(pub(crate) u64);

impl Receipt {
    /// There is no record.
    pub const NONE: Self = Self(0);
}
