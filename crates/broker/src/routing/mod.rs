//! How a message finds those who want it.
pub(crate) mod asks;
pub mod group_mail;
pub(crate) mod groups;
pub mod interest;
pub mod mail;
pub(crate) mod router;
pub(crate) mod tickets;
