//! `[listener]`: where Clients come in.

use super::setting::{Setting, integer, quoted, setting};
use crate::config::value::Kind;

pub(super) const SETTINGS: &[Setting] = &[
    setting!("bind", Kind::Address, "", listener.bind => address quoted,
        "An address of this machine; `0.0.0.0` or `::` for all of them."),
    integer!("port", 0..=65_535, "", listener.port, "The TCP port; 0 is any free one."),
    integer!(
        "backlog",
        1..=65_535,
        "connections",
        listener.backlog,
        "Connections that the operating system keeps until the Server accepts them; it may keep fewer."
    ),
];
