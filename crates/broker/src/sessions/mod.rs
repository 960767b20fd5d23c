//! Sessions: what outlives the Network Connection (4.1).

pub(crate) mod filing;
pub(crate) mod keeping;
pub(crate) mod offer;
pub(crate) mod paging;
pub(crate) mod pump;
pub(crate) mod queue;
pub(crate) mod session;
pub(crate) mod table;
