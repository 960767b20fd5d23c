//! What an acknowledgement promises: a setting.

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// That the disk has it.
    #[default]
    Sync,
    /// That the operating system has it, and the disk soon: a loss of power loses the last moments.
    Interval,
    /// That the operating system has it: a loss of power loses whatever it had not written.
    None,
}
