//! An engine that keeps all records in memory: for tests, for simulation, and for Servers that need not remember.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    sync::{
        RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use dunlin_broker::records::batch::Change;

use crate::store::{Each, Space, Store, StoreError};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Records in memory.
#[derive(Debug, Default)]
pub struct Memory {
    records: RwLock<Records>,
    is_low: AtomicBool,
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Sets what [`space`](Store::space) says: for tests of what happens when there is little.
    pub fn set_low(&self, is_low: bool) {
        self.is_low.store(is_low, Ordering::Relaxed);
    }

    // A panic of `each` in a scan leaves the records whole.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn commit<'a>(
        &self,
        changes: &mut dyn Iterator<Item = Change<'a>>,
        _is_synced: bool,
    ) -> Result<(), StoreError> {
        // Gathered first: if the iterator panics, nothing has changed.
        let changes: Vec<_> = changes.collect();
        let mut records = self.records.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        for change in changes {
            match change {
                Change::PutNew { key, value } | Change::Put { key, value } => {
                    records.insert(key.to_vec(), value.to_vec());
                }
                Change::Delete { key } => {
                    records.remove(key);
                }
            }
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], to: &[u8], each: &mut Each<'_>) -> Result<(), StoreError> {
        if from < to {
            let range = (Bound::Included(from), Bound::Excluded(to));
            for (key, value) in self.read().range::<[u8], _>(range) {
                if let ControlFlow::Break(()) = each(key, value) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().get(key).cloned())
    }

    fn space(&self) -> Result<Space, StoreError> {
        Ok(Space { is_low: self.is_low.load(Ordering::Relaxed), ..Space::AMPLE })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract::{self, Bench};

    #[test]
    fn it_keeps_the_contract() {
        contract::check(&Bench { open: &|_| Arc::new(Memory::new()), is_lasting: false, cases: 64 });
    }
}
