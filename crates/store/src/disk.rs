//! Placeholder while the engine is written.
use crate::{memory::Memory, store::*};
use dunlin_broker::records::batch::Change;
use std::path::Path;
pub struct Disk(Memory);
#[derive(Default)]
pub struct DiskOptions {
    pub reserve: u64,
    pub cache: u64,
}
impl Disk {
    pub fn open(_: &Path, _: DiskOptions) -> Result<Self, StoreError> {
        Ok(Self(Memory::default()))
    }
}
impl Store for Disk {
    fn commit<'a>(
        &self,
        changes: &mut dyn Iterator<Item = Change<'a>>,
        is_synced: bool,
    ) -> Result<(), StoreError> {
        self.0.commit(changes, is_synced)
    }
    fn scan(&self, from: &[u8], to: &[u8], each: &mut Each<'_>) -> Result<(), StoreError> {
        self.0.scan(from, to, each)
    }
    fn find(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.find(key)
    }
    fn space(&self) -> Result<Space, StoreError> {
        self.0.space()
    }
}
