//! `[limits]`: what one Client, one address and all of them may use.

use dunlin_broker::limits::excess::Excess;

use super::setting::{Setting, integer, quoted, setting, shown_or};
use crate::config::value::{EXCESSES, Kind};

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
        "connections_per_address_max",
        0..=100_000_000,
        "connections",
        lobby.connections_per_address_max,
        "The same for one address (IPv6: one /64); beyond it CONNECT is answered with Quota exceeded. 0 is no bound."
    ),
    integer!(
        "connections_per_s",
        0..=1_000_000,
        "connections a second",
        lobby.connections_per_s,
        "New connections of one listener; more of them wait until they are accepted. 0 is no bound."
    ),
    integer!(
        "connections_per_address_per_s",
        0..=1_000_000,
        "connections a second",
        lobby.connections_per_address_per_s,
        "New connections of one address (IPv6: one /64) at one listener, and as many at once; beyond it a new one is closed at \
         once. 0 is no bound."
    ),
    integer!(
        "takeover_delay_max_s",
        0..=60,
        "seconds",
        lobby.takeover_delay_max_s,
        "When connections take a Client Identifier from each other for the third time, each within a minute of the one before, the \
         log names both, and newcomers wait: half a second, then twice as long each time, up to this. It is part of \
         `connect_timeout_s`. 0 turns the delay off."
    ),
    integer!(
        "flapping_connects_max",
        0..=1_000_000,
        "connections",
        bans.flapping_connects_max,
        "A Client (Client Identifier and address) that connects more often in `flapping_window_s` is banned for `flapping_ban_s`. \
         0 turns it off."
    ),
    integer!(
        "flapping_window_s",
        1..=86_400,
        "seconds",
        bans.flapping_window_s,
        "The time in which they are counted."
    ),
    integer!("flapping_ban_s", 1..=31_536_000, "seconds", bans.flapping_ban_s, "How long such a ban lasts."),
    integer!(
        "messages_per_s",
        0..=100_000_000,
        "messages a second",
        broker.messages_per_s,
        "PUBLISH packets of one Client. 0 is no bound."
    ),
    integer!(
        "messages_burst",
        0..=100_000_000,
        "messages",
        broker.messages_burst,
        "What it may send at once if it has sent little before; 0 is as many as in a second."
    ),
    integer!(
        "bytes_per_s",
        0..=4_294_967_295,
        "bytes a second",
        broker.bytes_per_s,
        "Bytes of all packets of one Client. 0 is no bound."
    ),
    integer!(
        "bytes_burst",
        0..=4_294_967_295,
        "bytes",
        broker.bytes_burst,
        "What it may send at once if it has sent little before; 0 is as many as in a second. One packet may always go beyond."
    ),
    setting!("on_excess", Kind::Choice(&EXCESSES), "", broker.on_excess => excess
        |excess: &Excess| quoted(&EXCESSES[*excess as usize]),
        "What happens when a Client sends more: it is not read until it may send again, or it is disconnected (5.0: Message rate \
         too high)."),
    setting!("memory_max_mib", Kind::Integer(0..=67_108_864), "MiB", lobby.memory_max_mib => some_integer
        |mib: &Option<u32>| shown_or("80 % of the machine's, or of the control group's", mib),
        "Memory of the process. From 80 % of it on new Clients are refused, from 90 % on QoS 1 and 2, from 100 % on the Clients that \
         use most are disconnected. 0 is no bound."),
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
