//! `[ban]`: who may not come in.

use super::setting::{Draft, Objection, Setting, object, quoted_or_none, setting};
use crate::{
    bans::ban::Ban,
    config::{bans::BanConfig, model::Config, value::Kind},
};

pub(super) const SETTINGS: &[Setting] = &[
    setting!("user", Kind::Text(1..=65_535), "", ban.user => some_text quoted_or_none,
        "A user name, or its beginning and `*`."),
    setting!("client_id", Kind::Text(1..=65_535), "", ban.client_id => some_text quoted_or_none,
        "A Client Identifier, or its beginning and `*`."),
    setting!("address", Kind::Text(1..=64), "", ban.address => some_text quoted_or_none,
        "An address, or a range of them such as `192.0.2.0/24`."),
    setting!("reason", Kind::Text(1..=1_024), "", ban.reason => some_text quoted_or_none,
        "Why, for the log."),
];

/// Another ban begins.
pub(super) fn begin(draft: &mut Draft) {
    draft.ban = BanConfig::default();
}

/// Takes one out of a configuration.
pub(super) fn pick(draft: &mut Draft, config: &Config, number: usize) -> bool {
    let ban = config.bans.bans.get(number);
    ban.map(|ban| draft.ban = ban.clone()).is_some()
}

/// The ban is complete: whom is it about?
pub(super) fn end(draft: &mut Draft) -> Result<(), Objection> {
    if let Err(what) = Ban::from(draft.ban.clone()).who() {
        return object("address", &what, "`user`, `client_id`, `address` or several of them");
    }
    draft.bans.bans.push(draft.ban.clone());
    Ok(())
}
