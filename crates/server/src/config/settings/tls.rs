//! `[tls]`: TLS of all listeners together.

use super::setting::{Setting, integer};

pub(super) const SETTINGS: &[Setting] = &[
    integer!(
        "handshakes_max",
        1..=1_000_000,
        "connections",
        tls.handshakes_max,
        "TLS handshakes under way; beyond it the oldest of them is ended."
    ),
    integer!(
        "watch_interval_s",
        0..=86_400,
        "seconds",
        tls.watch_interval_s,
        "Time between two looks whether a file of a listener's TLS has changed, and is to be read again; 0 turns it off."
    ),
    integer!(
        "expiry_warning_days",
        0..=3_650,
        "days",
        tls.expiry_warning_days,
        "From so many days before the end of a certificate, or of a list of revoked ones, the log warns of it: at the start \
         and once a day."
    ),
];
