//! Password hashes, and the file that holds them: what the Server checks and `dunlin passwd` writes.
//!
//! No file is opened here: `PasswordFile` reads and writes bytes. Passwords are bytes as well, as
//! they are in CONNECT (3.1.3.6), NUL included. Without the feature `hashes` only [`scram`] is here, which Clients need as well.
#![forbid(unsafe_code)]

pub mod error;
#[cfg(feature = "hashes")]
pub mod file;
#[cfg(feature = "hashes")]
pub mod hash;
pub mod scram;

mod encoding;
