//! One module for each kind of provider.

pub mod password_file;
