//! What Clients do: everything that is allowed, and some of what is not.

pub mod acts;
pub mod choices;
pub mod client;
pub mod receiving;
pub mod requests;
pub mod rogue;
