//! How Clients get in.

/// How Clients get in: one for all that come the same way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The name of the listener that they have come to.
    pub listener: Box<str>,
    /// The name of the provider that knows them; nothing if no proof was needed.
    pub provider: Option<Box<str>>,
}
