//! What Clients may do, asked where it matters: rules in force, denials, and who set which Retained Message.

pub(crate) mod cache;
pub mod denials;
pub(crate) mod enforcing;
pub(crate) mod in_force;
pub(crate) mod publishers;
