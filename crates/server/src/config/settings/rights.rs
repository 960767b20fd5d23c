//! `[rights]`: what Clients may do.

use std::path::PathBuf;

use super::setting::{Setting, boolean, quoted, setting};
use crate::config::value::Kind;

pub(super) const SETTINGS: &[Setting] = &[
    setting!("rules_file", Kind::Text(1..=4_096), "", rights.rules_file => path shown_path,
        "A file of rules: who may publish, subscribe and receive what. Without it and `acl_file` everybody may do everything."),
    setting!("acl_file", Kind::Text(1..=4_096), "", rights.acl_file => path shown_path,
        "An ACL file of mosquitto, instead of `rules_file`."),
    boolean!(
        "close_denied_3x",
        broker.close_denied_3x,
        "Whether a 3.x Client is disconnected when it may not publish or subscribe; otherwise its message is acknowledged \
         and dropped, and its SUBSCRIBE is answered with 0x80 (of 3.1, which has no such answer, it is disconnected anyway)."
    ),
    boolean!(
        "bind_client_id",
        broker.bind_client_id,
        "Whether a Client Identifier that is connected, or has a Session that is kept, is refused to other users."
    ),
];

/// In quotes, or `none`.
fn shown_path(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or("none".to_owned(), |path| quoted(&path.display()))
}
