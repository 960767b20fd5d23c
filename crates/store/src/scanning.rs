//! Reading on behind what the engine cannot read.

use std::ops::ControlFlow;

use dunlin_broker::{records::key::kind, slot::SLOTS};

use crate::store::{Store, StoreError};

/// What the engine could not read.
#[derive(Debug)]
pub(crate) struct Skipped {
    /// What it has said.
    pub(crate) error: StoreError,
    /// The last key before.
    pub(crate) last: Option<Vec<u8>>,
}

/// Called with each record, key and value, until it fails.
pub(crate) type TryEach<'f, E> = dyn FnMut(&[u8], &[u8]) -> Result<(), E> + 'f;

/// Scans all records of a kind, until one fails. Where the engine cannot read, it goes on with a later slot, if the kind has
/// slots, and returns that; once, even if it has to try again. Each time it passes over twice as many slots, since it may
/// take long to find out.
///
/// # Errors
/// Those of the engine, but [`StoreError::Damaged`], and those of `each`.
pub(crate) fn scan_what_can_be_read<E: From<StoreError>>(
    store: &dyn Store,
    kind: u8,
    each: &mut TryEach<'_, E>,
) -> Result<Vec<Skipped>, E> {
    let mut from = vec![kind];
    let mut last: Option<Vec<u8>> = None;
    let mut skipped = Vec::new();
    // How many slots to pass over the next time; 0 while all is well.
    let mut step = 0;
    loop {
        let mut result = Ok(());
        let scanned = store.scan(&from, &[kind + 1], &mut |key, value| {
            step = 0;
            let last = last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
            result = each(key, value);
            flow(&result)
        });
        result?;
        let error = match scanned {
            Err(error @ StoreError::Damaged { .. }) => error,
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(skipped),
        };
        if step == 0 {
            skipped.push(Skipped { error, last: last.clone() });
        }
        step = (step * 2).max(1);
        let reached = last.as_ref().map_or(&from, |last| last.max(&from));
        let Some(slot) = slot_after(kind, reached, step) else { return Ok(skipped) };
        from.truncate(1);
        from.extend_from_slice(&slot.to_be_bytes());
    }
}

fn slot_after(kind: u8, reached: &[u8], step: u16) -> Option<u16> {
    if !kind::BY_SLOT.contains(&kind) {
        return None;
    }
    let slot = reached.get(1..3).map_or(0, |slot| u16::from_be_bytes([slot[0], slot[1]]));
    slot.checked_add(step).filter(|&slot| slot < SLOTS)
}

/// A call of `each` that has failed ends the scan.
pub(crate) fn flow<T, E>(result: &Result<T, E>) -> ControlFlow<()> {
    match result {
        Ok(_) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use dunlin_broker::records::{
        batch::{Batch, Change},
        key::Key,
    };

    use super::*;
    use crate::{
        memory::Memory,
        store::{Each, Space},
    };

    /// Cannot read the records of some slots.
    struct Torn {
        inner: Memory,
        from: Vec<u8>,
        to: Vec<u8>,
    }

    impl Store for Torn {
        fn commit<'a>(
            &self,
            changes: &mut dyn Iterator<Item = Change<'a>>,
            is_synced: bool,
        ) -> Result<(), StoreError> {
            self.inner.commit(changes, is_synced)
        }

        fn scan(&self, from: &[u8], to: &[u8], each: &mut Each<'_>) -> Result<(), StoreError> {
            let is_torn = Cell::new(false);
            self.inner.scan(from, to, &mut |key, value| {
                is_torn.set((&*self.from..&*self.to).contains(&key));
                if is_torn.get() { ControlFlow::Break(()) } else { each(key, value) }
            })?;
            match is_torn.get() {
                true => Err(StoreError::Damaged { file: "0".into(), place: None, what: "torn".into() }),
                false => Ok(()),
            }
        }

        fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.inner.find(key)
        }

        fn space(&self) -> Result<Space, StoreError> {
            self.inner.space()
        }
    }

    #[test]
    fn it_goes_on_behind_what_cannot_be_read() {
        let key = |slot: u16| Key::Retained(slot, "a").to_bytes();
        let store = Torn { inner: Memory::new(), from: key(100), to: key(104) };
        let mut batch = Batch::new();
        (0..SLOTS).for_each(|slot| batch.put(&key(slot), b""));
        store.commit(&mut batch.changes(), true).unwrap();
        let mut seen = Vec::new();
        let each = &mut |key: &[u8], _: &[u8]| {
            seen.push(key.to_vec());
            Ok::<(), StoreError>(())
        };
        let skipped = scan_what_can_be_read(&store, kind::RETAINED, each).unwrap();
        let before: Vec<_> = skipped.into_iter().map(|it| it.last).collect();
        assert_eq!(before, [Some(key(99))]);
        // From 99 on it passes over 1, 2 and 4 slots.
        let expected: Vec<_> = (0..100).chain(106..SLOTS).map(key).collect();
        assert_eq!(seen, expected);
    }
}
