//! `[queue]`: exceptions for single queues.

use dunlin_broker::limits::Overflow;

use super::setting::{Setting, quoted, setting, shown_text};
use crate::config::value::{Kind, OVERFLOWS};

pub(super) const SETTINGS: &[Setting] = &[
    setting!("client_id", Kind::Text(1..=65_535), "", queue.client_id => some_text shown_text,
        "Whose queues: a Client Identifier, or its beginning and `*`. Without it all."),
    setting!("topic_filter", Kind::Filter, "", queue.topic_filter => some_text shown_text,
        "Which messages: a Topic Filter. Without it all."),
    setting!("overflow", Kind::Choice(&OVERFLOWS), "", queue.overflow => overflow
        |overflow: &Overflow| quoted(&OVERFLOWS[*overflow as usize]),
        "What happens to them when the queue is full. The first table that fits counts, before `queue_overflow`."),
];
