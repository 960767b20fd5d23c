//! How a message finds those who want it.
pub(crate) mod asks;
pub mod bundle;
pub mod group_mail;
pub(crate) mod groups;
pub mod interest;
pub mod interests;
pub mod mail;
pub(crate) mod retained_call;
pub(crate) mod router;
pub(crate) mod sharing;
pub(crate) mod target;
pub(crate) mod tickets;
