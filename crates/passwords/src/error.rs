//! Why a text is no hash.

/// Why a text is no hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HashError {
    /// It begins like none of them.
    #[error(
        "this is no password hash; expected one that begins with $argon2id$, $7$, $6$, $2b$ or SCRAM-SHA-256$, such as \
         `dunlin passwd` writes (`dunlin passwd -U` hashes a file of plain passwords)"
    )]
    Unknown,
    /// It begins like this one, but does not go on so.
    #[error("this hash is damaged or cut off; expected {0}")]
    Damaged(&'static str),
    /// Checking it once would take too long or too much memory.
    #[error("checking this hash would cost too much; expected {0}")]
    Costly(&'static str),
}

/// The most that is computed for one password.
pub(crate) const ITERATIONS_MAX: u32 = 10_000_000;
