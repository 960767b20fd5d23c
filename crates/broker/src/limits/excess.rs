//! What happens beyond a rate.

/// What happens when a Client sends more than it may in a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Excess {
    /// It is not read until it may send again.
    #[default]
    Delay,
    /// It is disconnected, in 5.0 with 0x96.
    Disconnect,
}
