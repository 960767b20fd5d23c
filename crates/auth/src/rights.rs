//! What Clients may do: rules read from files, and the set that is in force.

pub mod rulebook;
