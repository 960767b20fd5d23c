//! TLS 1.2 and 1.3 of a Server (5.4): what its files hold, and one connection without a socket.

pub mod certificate;
pub mod error;
pub mod files;
mod resolver;
pub mod server;
pub mod session;
