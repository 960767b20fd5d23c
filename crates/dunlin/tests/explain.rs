//! `dunlin explain`: asked of the running program, and of files where none runs.

#[allow(unused_macros, unused_imports, reason = "the shards are chosen by the tests themselves")]
mod support;

#[path = "explain/files.rs"]
mod files;
#[path = "explain/log.rs"]
mod log;
#[path = "explain/missing.rs"]
mod missing;
#[path = "explain/publication.rs"]
mod publication;
#[path = "explain/schema.rs"]
mod schema;
#[path = "explain/subscribing.rs"]
mod subscribing;
#[path = "explain/tool.rs"]
mod tool;
