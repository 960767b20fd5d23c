//! Tests of the engine on real files.

use std::sync::Arc;

use super::*;
use crate::contract::{self, Bench};

/// As small as it may be, so that a short test comes to flush and compact.
fn small(folder: &Path) -> DiskOptions {
    DiskOptions { memtable: 1 << 20, reserve: 1 << 20, low: 4 << 20, ..DiskOptions::new(folder) }
}

#[test]
fn it_keeps_the_contract() {
    let open =
        |folder: &Path| -> Arc<dyn Store> { Arc::new(Disk::open(&small(&folder.join("data"))).unwrap()) };
    contract::check(&Bench { open: &open, is_lasting: true, cases: 16 });
}
