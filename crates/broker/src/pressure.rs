//! When memory is short: what a shard does without.

/// How short memory is. Each step does what the one before does, and more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Pressure {
    /// There is enough.
    #[default]
    None,
    /// No new Clients come in; that is for who lets them in.
    Tight,
    /// Messages of QoS 1 and 2 are refused, no more Retained Messages are kept, and QoS 0 is dropped for Clients that do not read
    /// fast enough.
    Short,
    /// Those who use most are disconnected; that is for who knows all shards.
    Over,
}

impl Pressure {
    /// All of them, each more than the one before.
    pub const ALL: [Self; 4] = [Self::None, Self::Tight, Self::Short, Self::Over];
}

/// Bytes that one Client may leave unread when memory is short.
pub(crate) const OUTPUT_BYTES_WHEN_SHORT: u32 = 16 << 10;
