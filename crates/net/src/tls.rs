//! TLS 1.2 and 1.3 (5.4) of Servers and Clients: what files hold, and one connection without a socket.

pub mod certificate;
pub mod client;
pub mod error;
pub mod failure;
pub mod files;
mod resolver;
pub mod server;
pub mod session;
mod verifier;
