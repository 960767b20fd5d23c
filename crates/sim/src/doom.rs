//! An end of the Server that is still to come.

use crate::oracle::state::Oracle;

/// The Server is going to end: what is told to Clients from now on may not be durable.
#[derive(Debug)]
pub struct Doom {
    /// The model of what will be durable; none if that is still being written.
    pub(crate) durable: Option<Box<Oracle>>,
    /// How it comes about.
    pub(crate) way: Way,
    /// Steps until it happens.
    pub(crate) steps: u64,
}

/// How the Server ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// It is killed: nothing is committed any more.
    Crash,
    /// It is killed while it writes: so many batches more become durable, and nobody learns of it.
    Torn {
        /// Batches.
        batches: u64,
    },
    /// The disk fails first, and the Server goes on without it for a while.
    Failure,
}
