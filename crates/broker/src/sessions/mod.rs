//! Sessions: what outlives the Network Connection (4.1).
pub(crate) mod offer;
pub(crate) mod queue;
pub(crate) mod session;
pub(crate) mod table;
