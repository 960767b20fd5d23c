//! What Clients may do: rules read from files, and the set that is in force.

pub mod acl_file;
pub mod error;
pub mod rulebook;
pub mod rules_file;
