//! Reading on behind what the engine cannot read.

use std::ops::ControlFlow;

use dunlin_broker::{records::key::kind, slot::SLOTS};

use crate::store::{Each, Store, StoreError};

/// Scans all records of a kind. Where the engine cannot read, it goes on with the next slot, if the kind has slots, and
/// tells `skip` the error and the last key before; once, even if several slots are passed over.
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
    let mut is_skipping = false;
    loop {
        let mut was_broken_off = false;
        let scanned = store.scan(&from, &[kind + 1], &mut |key, value| {
            is_skipping = false;
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
        if !is_skipping {
            skip(error, last.as_deref());
            is_skipping = true;
        }
        let reached = last.as_ref().map_or(&from, |last| last.max(&from));
        let Some(slot) = next_slot(kind, reached) else { return Ok(()) };
        from.truncate(1);
        from.extend_from_slice(&slot.to_be_bytes());
    }
}

fn next_slot(kind: u8, reached: &[u8]) -> Option<u16> {
    if !kind::BY_SLOT.contains(&kind) {
        return None;
    }
    let slot = reached.get(1..3).map_or(0, |slot| u16::from_be_bytes([slot[0], slot[1]]));
    slot.checked_add(1).filter(|&slot| slot < SLOTS)
}

/// A call of `each` that has failed ends the scan.
pub(crate) fn flow<T, E>(result: &Result<T, E>) -> ControlFlow<()> {
    match result {
        Ok(_) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}
