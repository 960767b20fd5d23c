//! `[limits]`: what one Client, one address and all of them may use.

use super::setting::{Setting, integer};

pub(super) const SETTINGS: &[Setting] = &[
    integer!(
        "connect_timeout_s",
        1..=3_600,
        "seconds",
        lobby.connect_timeout_s,
        "Time from the TCP connection to the end of CONNECT and authentication."
    ),
    integer!(
        "connect_packet_size_max",
        256..=268_435_460,
        "bytes",
        broker.connect_packet_size_max,
        "Largest packet before the Client is authenticated."
    ),
    integer!(
        "half_open_max",
        1..=1_000_000,
        "connections",
        lobby.half_open_max,
        "Connections that are not authenticated yet; beyond it the oldest of them is closed."
    ),
    integer!(
        "half_open_per_address_max",
        1..=1_000_000,
        "connections",
        lobby.half_open_per_address_max,
        "The same for one address (IPv6: one /64); beyond it a new one is closed at once."
    ),
    integer!(
        "connections_max",
        1..=100_000_000,
        "connections",
        lobby.connections_max,
        "Connections of Clients; beyond it CONNECT is answered with Server busy. \
         The limit of open files may be lower."
    ),
    integer!(
        "output_bytes_max",
        4_096..=1_073_741_824,
        "bytes",
        broker.output_bytes_max,
        "Bytes that one Client has not read yet; beyond it QoS 1 and 2 wait in its queue \
         and QoS 0 is dropped."
    ),
    integer!(
        "subscriptions_max",
        1..=10_000_000,
        "Subscriptions",
        broker.subscriptions_max,
        "Subscriptions of one Session."
    ),
    integer!(
        "topic_levels_max",
        1..=65_536,
        "levels",
        broker.topic_levels_max,
        "Levels of a Topic Name or Topic Filter."
    ),
    integer!(
        "user_properties_max",
        0..=65_536,
        "Properties",
        broker.user_properties_max,
        "User Properties in one packet."
    ),
    integer!("sessions_max", 1..=100_000_000, "Sessions", broker.sessions_max, "Sessions of one shard."),
    integer!(
        "retained_messages_max",
        0..=4_000_000_000,
        "messages",
        broker.retained_messages_max,
        "Retained Messages of one shard."
    ),
    integer!(
        "retained_bytes_max",
        0..=1_099_511_627_776,
        "bytes",
        broker.retained_bytes_max,
        "Topics, Properties and payloads of the Retained Messages of one shard."
    ),
    integer!(
        "hashing_threads",
        0..=1_024,
        "threads",
        login.hashing_threads,
        "Passwords that are hashed at a time; 0 is one less than there are cores, and at least one."
    ),
    integer!(
        "hashing_memory_bytes_max",
        1_048_576..=1_099_511_627_776,
        "bytes",
        login.hashing_memory_bytes_max,
        "Memory for hashing them; each password of Argon2 takes 46 MiB of it, and waits until they are free."
    ),
    integer!(
        "failed_logins_free",
        1..=1_000_000,
        "failures",
        login.failed_logins_free,
        "Wrong passwords of one user from one address before the next ones are delayed; for one address, or one user, in \
         all ten times as many."
    ),
    integer!(
        "failed_login_delay_max_s",
        0..=86_400,
        "seconds",
        login.failed_login_delay_max_s,
        "Longest time for which they are refused after a wrong one; it begins with a second and doubles. After this time a \
         failure is forgotten. 0 turns it off."
    ),
    integer!(
        "failed_login_entries_max",
        1_000..=100_000_000,
        "entries",
        login.failed_login_entries_max,
        "Entries of each of the tables in which failures are counted; beyond it the oldest are forgotten."
    ),
];
