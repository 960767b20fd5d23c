//! Password hashes, and the file that holds them: what the Server checks and `dunlin passwd` writes.
//!
//! No file is opened here: [`PasswordFile`](file::PasswordFile) reads and writes bytes. Passwords are bytes as well, as
//! they are in CONNECT (3.1.3.6), NUL included.
#![forbid(unsafe_code)]

pub mod error;
pub mod file;
pub mod hash;
pub mod scram;

mod encoding;
