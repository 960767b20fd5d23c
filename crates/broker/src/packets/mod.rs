//! What the Server does on each packet, a file for each.
pub(crate) mod acks;
pub(crate) mod auth;
pub(crate) mod connect;
pub(crate) mod disconnect;
pub(crate) mod publish;
pub(crate) mod subscribe;
pub(crate) mod unsubscribe;
