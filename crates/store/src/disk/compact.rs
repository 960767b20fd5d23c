//! Compacting a data folder: records that were replaced or deleted give back their space.

use fjall::Keyspace;

use crate::{
    disk::{Disk, engine::error_of},
    store::StoreError,
};

impl Disk {
    /// Writes all records anew, without those that were replaced or deleted. It needs free space for as much as there is.
    ///
    /// # Errors
    /// As [`scan`](crate::store::Store::scan), and [`StoreError::Full`].
    pub fn compact(&self) -> Result<(), StoreError> {
        let engine = self.engine()?;
        let Some(engine) = engine.as_ref() else { return Ok(()) };
        for keyspace in &engine.keyspaces {
            compact(keyspace).map_err(|error| error_of(self.folder(), error))?;
        }
        Ok(())
    }
}

fn compact(keyspace: &Keyspace) -> fjall::Result<()> {
    // What is in the journal only becomes a table first.
    keyspace.rotate_memtable_and_wait()?;
    keyspace.major_compact()
}
