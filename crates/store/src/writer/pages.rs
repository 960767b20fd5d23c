//! Reading a part of a long queue.

use std::ops::ControlFlow;

use dunlin_broker::{
    ids::ShardId,
    input::{Page, PageRecord},
    output::PageRequest,
    records::record::shared_body,
};

use crate::store::{Store, StoreError};

/// The records that are asked for, each with the body that it shares with others.
pub(super) fn read(store: &dyn Store, shard: ShardId, request: PageRequest) -> Result<Page, StoreError> {
    let mut records = Vec::new();
    let (mut bytes, mut is_last) = (0, true);
    store.scan(&request.from, &request.to, &mut |key, value| {
        if bytes >= request.bytes_max && !records.is_empty() {
            is_last = false;
            return ControlFlow::Break(());
        }
        bytes += key.len() + value.len();
        records.push(PageRecord { key: key.to_vec(), value: value.to_vec(), body: None });
        ControlFlow::Continue(())
    })?;
    for record in &mut records {
        if let Some(body) = shared_body(shard, &record.key, &record.value) {
            record.body = store.find(&body.to_bytes())?;
        }
    }
    Ok(Page { reader: request.reader, records, is_last })
}
