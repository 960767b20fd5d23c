//! Reading on behind what the engine cannot read.

use std::ops::ControlFlow;

use dunlin_broker::{records::key::kind, slot::SLOTS};

use crate::store::{Each, Store, StoreError};

/// Scans all records of a kind. Where the engine cannot read, it goes on with a later slot, if the kind has slots, and
/// tells `skip` the error and the last key before; once, even if it has to try again. Each time it passes over twice as many
/// slots, since it may take long to find out.
///
/// # Errors
/// Those of the engine, but [`StoreError::Damaged`].
pub(crate) fn scan_what_can_be_read(
    store: &dyn Store,
    kind: u8,
    each: &mut Each<'_>,
    skip: &mut dyn FnMut(StoreError, Option<&[u8]>),
) -> Result<(), StoreError> {
    let mut from = vec![kind];
    let mut last: Option<Vec<u8>> = None;
    // How many slots to pass over the next time; 0 while all is well.
    let mut step = 0;
    loop {
        let mut was_broken_off = false;
        let scanned = store.scan(&from, &[kind + 1], &mut |key, value| {
            step = 0;
            let last = last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
            let flow = each(key, value);
            was_broken_off = flow.is_break();
            flow
        });
        let error = match scanned {
            Err(error @ StoreError::Damaged { .. }) if !was_broken_off => error,
            result => return result,
        };
        if step == 0 {
            skip(error, last.as_deref());
        }
        step = (step * 2).max(1);
        let reached = last.as_ref().map_or(&from, |last| last.max(&from));
        let Some(slot) = slot_after(kind, reached, step) else { return Ok(()) };
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
    use crate::{memory::Memory, store::Space};

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
        let (mut seen, mut skipped) = (Vec::new(), Vec::new());
        let each = &mut |key: &[u8], _: &[u8]| {
            seen.push(key.to_vec());
            ControlFlow::Continue(())
        };
        let skip = &mut |_, last: Option<&[u8]>| skipped.push(last.map(<[u8]>::to_vec));
        scan_what_can_be_read(&store, kind::RETAINED, each, skip).unwrap();
        assert_eq!(skipped, [Some(key(99))]);
        // From 99 on it passes over 1, 2 and 4 slots.
        let expected: Vec<_> = (0..100).chain(106..SLOTS).map(key).collect();
        assert_eq!(seen, expected);
    }
}
