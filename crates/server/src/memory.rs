//! How much memory the process uses, how much it may use, and what is done when that is too much.

pub(crate) mod gauge;
pub(crate) mod machine;
pub(crate) mod shedding;
