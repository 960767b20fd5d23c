//! Properties of version 5.0 (2.2.2).

mod accessors;
pub mod identifier;
pub mod list;
pub mod value;
