//! `[storage]`: what is kept, and how.

use super::setting::{Setting, boolean, integer, quoted, setting};
use crate::config::{durability::Durability, value::Kind};

pub(super) const SETTINGS: &[Setting] = &[
    boolean!(
        "memory_only",
        storage.is_memory_only,
        "Whether nothing is kept on the disk: Sessions and Retained Messages end with the program, and an \
         acknowledgement promises nothing beyond it."
    ),
    setting!("durability", Kind::Choice(&DURABILITIES), "", storage.durability => durability
        |durability: &Durability| quoted(&DURABILITIES[*durability as usize]),
        "What an acknowledgement promises: `sync` that the disk has the message. UNSAFE when power is lost: \
         `interval` writes to the disk every `interval_ms`, `none` whenever the operating system likes."),
    integer!(
        "interval_ms",
        1..=3_600_000,
        "milliseconds",
        storage.interval_ms,
        "Time between two writes to the disk with `durability = \"interval\"`."
    ),
    integer!(
        "reserve_bytes",
        0..=1_099_511_627_776,
        "bytes",
        storage.reserve_bytes,
        "Size of a file that is given up when the disk is full, so that what is acknowledged can still be deleted. \
         Below this much free space messages that would have to be kept are refused with Quota exceeded."
    ),
    integer!(
        "cache_bytes",
        1_048_576..=1_099_511_627_776,
        "bytes",
        storage.cache_bytes,
        "Memory for what was read from the disk."
    ),
    integer!(
        "memtable_bytes",
        1_048_576..=1_073_741_824,
        "bytes",
        storage.memtable_bytes,
        "Memory for what was written lately, for each of three groups of records; for moments it may be three times as \
         much. More means fewer writes; 4 MiB is enough for small machines."
    ),
    integer!(
        "pending_bytes_max",
        65_536..=1_073_741_824,
        "bytes",
        storage.pending_bytes_max,
        "What one shard may have waiting for the disk before it reads no more from its Clients."
    ),
];

/// In the order of [`Durability`].
const DURABILITIES: [&str; 3] = ["sync", "interval", "none"];
