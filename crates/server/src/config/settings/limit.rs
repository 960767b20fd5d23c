//! `[limit]`: limits for some Clients, in the place of those in `[limits]` and `[mqtt]`.

use dunlin_broker::{
    limits::{
        exceptions::{EXCEPTIONS_MAX, Exception, Exceptional},
        excess::Excess,
    },
    permissions::who::{NamePattern, Who},
};
use dunlin_net::ip_network::IpNetwork;

use super::setting::{Draft, Objection, Setting, listed, object, quoted, setting};
use crate::config::{
    limit::LimitConfig,
    model::Config,
    value::{EXCESSES, Kind},
};

macro_rules! exceptional {
    ($key:literal, $name:ident, $bounds:expr, $unit:literal, $about:literal) => {
        setting!($key, Kind::Integer($bounds), $unit, limit.limits.$name => some_integer as_for_all, $about)
    };
}

fn as_for_all<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or("as for all".to_owned(), ToString::to_string)
}

pub(super) const SETTINGS: &[Setting] = &[
    setting!("listeners", Kind::Texts, "", limit.listeners => texts |names: &Vec<String>| listed(names),
        "The names of listeners; the Clients come to one of them."),
    setting!("groups", Kind::Texts, "", limit.groups => texts |names: &Vec<String>| listed(names),
        "Groups of users, as the provider ([[auth]]) tells them."),
    setting!("users", Kind::Texts, "", limit.users => texts |names: &Vec<String>| listed(names),
        "User names, or beginnings of them and `*`."),
    setting!("client_ids", Kind::Texts, "", limit.client_ids => texts |names: &Vec<String>| listed(names),
        "Client Identifiers, or beginnings of them and `*`."),
    setting!("addresses", Kind::Networks, "", limit.addresses => networks
        |networks: &Vec<IpNetwork>| listed(networks),
        "Addresses that the Clients come from, and ranges of them."),
    exceptional!(
        "connections_max",
        connections_max,
        0..=100_000_000,
        "connections",
        "Connections of all these Clients together; beyond it CONNECT is answered with Quota exceeded. A Client that comes again \
         before its old connection has ended needs two for a moment."
    ),
    exceptional!(
        "connections_per_address_max",
        connections_per_address_max,
        0..=100_000_000,
        "connections",
        "As in [limits]."
    ),
    exceptional!(
        "connections_per_s",
        connections_per_s,
        0..=1_000_000,
        "connections a second",
        "As in [limits]; only with `listeners` and nothing else that chooses."
    ),
    exceptional!(
        "connections_per_address_per_s",
        connections_per_address_per_s,
        0..=1_000_000,
        "connections a second",
        "As in [limits]; only with `listeners` and `addresses`, as nothing else is known yet."
    ),
    exceptional!("messages_per_s", messages_per_s, 0..=100_000_000, "messages a second", "As in [limits]."),
    exceptional!("messages_burst", messages_burst, 0..=100_000_000, "messages", "As in [limits]."),
    exceptional!("bytes_per_s", bytes_per_s, 0..=4_294_967_295, "bytes a second", "As in [limits]."),
    exceptional!("bytes_burst", bytes_burst, 0..=4_294_967_295, "bytes", "As in [limits]."),
    setting!("on_excess", Kind::Choice(&EXCESSES), "", limit.limits.on_excess => some_excess
        |excess: &Option<Excess>| as_for_all(&excess.map(|excess| quoted(&EXCESSES[excess as usize]))),
        "As in [limits]."),
    exceptional!("maximum_packet_size", maximum_packet_size, 1_024..=268_435_460, "bytes", "As in [mqtt]."),
    exceptional!("receive_maximum", receive_maximum, 1..=65_535, "messages", "As in [mqtt]."),
    exceptional!("in_flight_max", in_flight_max, 1..=65_535, "messages", "As in [mqtt]."),
    exceptional!("queue_messages_max", queue_messages_max, 1..=100_000_000, "messages", "As in [mqtt]."),
    exceptional!("queue_bytes_max", queue_bytes_max, 1_024..=1_099_511_627_776, "bytes", "As in [mqtt]."),
    exceptional!("subscriptions_max", subscriptions_max, 1..=10_000_000, "Subscriptions", "As in [limits]."),
    exceptional!("topic_levels_max", topic_levels_max, 1..=65_536, "levels", "As in [limits]."),
    exceptional!("keep_alive_min_s", keep_alive_min_s, 0..=65_535, "seconds", "As in [mqtt]."),
    exceptional!("keep_alive_max_s", keep_alive_max_s, 0..=65_535, "seconds", "As in [mqtt]."),
    exceptional!("session_expiry_max_s", session_expiry_max_s, 0..=4_294_967_295, "seconds", "As in [mqtt]."),
];

/// Another exception begins.
pub(super) fn begin(draft: &mut Draft) {
    draft.limit = LimitConfig::default();
}

/// Takes one out of a configuration.
pub(super) fn pick(draft: &mut Draft, config: &Config, number: usize) -> bool {
    let limit = config.limits.get(number);
    limit.map(|limit| draft.limit = limit.clone()).is_some()
}

/// The exception is complete: checks what only the whole shows.
pub(super) fn end(draft: &mut Draft) -> Result<(), Objection> {
    let LimitConfig { listeners, groups, users, client_ids, addresses, limits } = draft.limit.clone();
    let is_about_clients = !(groups.is_empty() && users.is_empty() && client_ids.is_empty());
    if !is_about_clients && addresses.is_empty() && listeners.is_empty() {
        return object(
            "listeners",
            "a [[limit]] that is about nobody",
            "`listeners`, `groups`, `users`, `client_ids` or `addresses` with it; what is for all stands in [limits]",
        );
    }
    if limits == Exceptional::default() {
        return object(
            "listeners",
            "a [[limit]] without a limit",
            "a limit with it, such as `messages_per_s = 10`",
        );
    }
    if limits.connections_per_s.is_some() && (is_about_clients || !addresses.is_empty()) {
        return object(
            "connections_per_s",
            "`connections_per_s` for some Clients of a listener",
            "it with `listeners` alone: who comes is not known yet",
        );
    }
    if limits.connections_per_address_per_s.is_some() && is_about_clients {
        return object(
            "connections_per_address_per_s",
            "`connections_per_address_per_s` for Clients that are not known yet",
            "it with `listeners` and `addresses` alone",
        );
    }
    if draft.broker.exceptions.len() == EXCEPTIONS_MAX {
        return object("listeners", "one [[limit]] too many", &format!("at most {EXCEPTIONS_MAX} of them"));
    }
    let patterns = |names: &[String]| names.iter().map(|name| NamePattern::parse(name)).collect();
    let boxed = |names: Vec<String>| names.into_iter().map(String::into_boxed_str).collect();
    // Both kinds of networks are written in the same way.
    let networks = addresses.iter().filter_map(|network| network.to_string().parse().ok()).collect();
    let who = Who {
        users: patterns(&users),
        groups: boxed(groups),
        client_ids: patterns(&client_ids),
        addresses: networks,
        ..Who::default()
    };
    draft.limits.push(draft.limit.clone());
    draft.broker.add_exception(Exception { listeners: boxed(listeners), who, limits });
    Ok(())
}
