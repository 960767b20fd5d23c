//! What must survive a crash: records, their keys and bytes, and the batches they are made durable in.

pub mod batch;
pub mod content;
mod identity;
pub mod key;
mod reader;
pub mod record;
pub mod traces;
pub mod writing;
