//! Acknowledgements that wait until another shard has confirmed.

use std::collections::BTreeMap;

use crate::ids::ConnectionId;

/// An acknowledgement, encoded, that must not leave before it is true.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) connection: ConnectionId,
    pub(crate) bytes: Vec<u8>,
    /// The batch that has to be durable besides.
    pub(crate) batch: Option<u64>,
    /// Confirmations still to come.
    pub(crate) missing: u32,
}

/// All acknowledgements held back in one shard. At most one for each SUBSCRIBE under way.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    held: BTreeMap<u64, Held>,
    last: u64,
}

impl Tickets {
    /// The number the next ticket will have.
    pub(crate) fn next(&self) -> u64 {
        self.last + 1
    }

    /// Holds `held` back until it has been confirmed as often as it says.
    pub(crate) fn open(&mut self, held: Held) -> u64 {
        self.last += 1;
        self.held.insert(self.last, held);
        self.last
    }

    /// Forgets what was held back for a connection that is gone; its number may soon be another's.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.held.retain(|_, held| held.connection != connection);
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Takes one confirmation; returns the acknowledgement with the last one.
    pub(crate) fn confirm(&mut self, ticket: u64) -> Option<Held> {
        let held = self.held.get_mut(&ticket)?;
        held.missing -= 1;
        if held.missing > 0 {
            return None;
        }
        self.held.remove(&ticket)
    }
}
