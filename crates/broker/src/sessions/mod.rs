//! Sessions: what outlives the Network Connection (4.1).

pub mod drops;
pub(crate) mod filing;
pub(crate) mod keeping;
pub(crate) mod offer;
pub(crate) mod overflow;
pub(crate) mod paging;
pub(crate) mod pump;
pub(crate) mod queue;
pub mod refusing;
pub(crate) mod session;
pub(crate) mod table;
pub(crate) mod troubles;
