//! `[log]`: what is told.

use tracing::Level;

use super::setting::{Setting, quoted, setting};
use crate::config::value::Kind;

pub(super) const SETTINGS: &[Setting] = &[
    setting!("level", Kind::Choice(&LEVELS), "", log.level => level
        |level: &Level| quoted(&level.to_string().to_lowercase()),
        "What is logged: this and all that is more urgent."),
    setting!("format", Kind::Choice(&FORMATS), "", log.is_json => json_chosen
        |is_json: &bool| quoted(&FORMATS[usize::from(*is_json)]),
        "Lines for people or one JSON object a line."),
];

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const FORMATS: [&str; 2] = ["text", "json"];
