//! One module for each kind of provider.

pub mod certificate;
pub mod http;
pub mod jwt;
pub mod password_file;
pub mod scram;
