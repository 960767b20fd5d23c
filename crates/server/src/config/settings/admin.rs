//! `[admin]`: the operator's door.

use std::path::PathBuf;

use super::setting::{Setting, quoted, setting};
use crate::config::value::Kind;

pub(super) const SETTINGS: &[Setting] = &[setting!("socket", Kind::Text(0..=107), "", admin.socket => path
    |path: &Option<PathBuf>| path.as_ref().map_or("the usual".to_owned(), |path| quoted(&path.display())),
    "The Unix socket that `dunlin admin` talks to, with mode 0600; empty for none. The usual one is `admin.sock` in \
     `$RUNTIME_DIRECTORY`, which systemd sets for a service, or else in the data folder.")];
