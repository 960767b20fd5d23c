//! What few Sessions have: messages that they did not get, and rights that they do not have.

use crate::{
    rights::{cache::ReceiveCache, denials::Denials},
    sessions::drops::Drops,
};

/// What a Session was not given, and why.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    pub(crate) drops: Drops,
    pub(crate) denials: Denials,
    /// From which topics it may get messages.
    pub(crate) receive_cache: ReceiveCache,
}
