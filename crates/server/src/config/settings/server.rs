//! `[server]`: the process as a whole.

use std::path::PathBuf;

use super::setting::{Setting, boolean, integer, quoted, setting};
use crate::config::value::Kind;

pub(super) const SETTINGS: &[Setting] = &[
    integer!(
        "shards",
        0..=64,
        "threads",
        server.shards,
        "Threads that carry Clients; 0 is one for each core."
    ),
    setting!("data_dir", Kind::Text(1..=4_096), "", server.data_dir => path
        |path: &Option<PathBuf>| path.as_ref().map_or("the user's".to_owned(), |path| quoted(&path.display())),
        "The folder in which Sessions and messages are kept, made with mode 0700 if it is not there. The user's is \
         `$XDG_DATA_HOME/dunlin` or `~/.local/share/dunlin`; root's is `/var/lib/dunlin`."),
    setting!("user", Kind::Text(1..=256), "", server.user => some_text
        |user: &Option<String>| user.as_ref().map_or("dunlin or nobody".to_owned(), quoted),
        "Who the Server is once its doors are bound, if root starts it: it takes this user's rights and groups, and root's are gone. \
         Without it `dunlin`, or `nobody` if there is no such user; `root` stays root. For others than root it means nothing."),
    boolean!(
        "allow_anonymous_public",
        server.allow_anonymous_public,
        "Whether anybody may connect from other machines without saying who it is. \
         Without it a listener that other machines reach does not start."
    ),
    integer!(
        "sys_interval_s",
        0..=86_400,
        "seconds",
        server.sys_interval_s,
        "Time between two publications of the topics below `$SYS`; 0 publishes none."
    ),
];
