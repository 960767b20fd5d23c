//! Who may not come in: by user, Client Identifier, address, or several of them together; for some time or for good.

pub(crate) mod ban;
pub mod file;
mod flapping;
pub(crate) mod list;
