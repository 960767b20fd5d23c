//! A crash that is still to come.

use crate::oracle::state::Oracle;

/// A crash that is going to happen: nothing is committed any more.
#[derive(Debug)]
pub struct Doom {
    /// The model as it was at the last commit.
    pub(crate) durable: Box<Oracle>,
    /// Steps until it happens.
    pub(crate) steps: u64,
}
