//! The options of a `mosquitto.conf` that are about the Server as a whole.

use super::{
    lines::Line,
    out::{Block, Out},
    outcome::Outcome,
};

/// What becomes of an option about the Server as a whole; nothing if it is none.
pub(super) fn general(line: &Line, out: &mut Out) -> Option<Outcome> {
    let value = &*line.value;
    Some(match &*line.key {
        "per_listener_settings" => {
            Outcome::taken("what follows counts for each listener by itself, if it is true")
        }
        "user" => out.table("server").put_text("user", value).but("this machine must have that user"),
        "sys_interval" => out.table("server").put("sys_interval_s", value.to_owned()),
        "retain_available" => out.table("mqtt").put("retain_available", value.to_owned()),
        "persistence" | "retained_persistence" => persistence(value, out),
        // The location is dealt with when all lines are read: without persistence it says nothing.
        "persistence_location" => Outcome::not_needed("nothing is kept (`persistence`)"),
        "persistence_file" => {
            Outcome::not_needed("the data folder has files of its own; those of mosquitto are not read")
        }
        "autosave_interval" | "autosave_on_changes" => {
            Outcome::not_needed("what is acknowledged is on the disk at once")
        }
        "persistent_client_expiration" => match seconds(value) {
            Some(seconds) => out.table("mqtt").put("session_expiry_max_s", seconds.to_string()),
            None => Outcome::wrong("a whole number with one of h, d, w, m, y behind it"),
        },
        "pid_file" => Outcome::not_needed("whoever starts the program knows its number"),
        "set_tcp_nodelay" => Outcome::not_needed("small packets leave at once"),
        "allow_duplicate_messages" => {
            Outcome::not_needed("overlapping Subscriptions of a Client get a message once")
        }
        "check_retain_source" => by_value(
            value,
            "true",
            "the rights of a publisher are asked again for its Retained Messages",
            "the rights of a publisher are always asked again for its Retained Messages",
        ),
        "queue_qos0_messages" => by_value(
            value,
            "false",
            "QoS 0 does not wait for Clients that are away",
            "QoS 0 does not wait for Clients that are away",
        ),
        "upgrade_outgoing_qos" => {
            by_value(value, "false", "QoS is never raised", "QoS is never raised: MQTT forbids it")
        }
        "retry_interval" | "store_clean_interval" | "max_log_entries" => {
            Outcome::not_needed("mosquitto does nothing with it either")
        }
        "packet_buffer_size" => Outcome::not_needed("buffers are as large as their packets"),
        "enable_control_api" => {
            by_value(value, "false", "it is not so", "`dunlin admin` asks the Server instead")
        }
        "retain_expiry_interval" if value == "0" => Outcome::not_needed("Retained Messages stay"),
        "retain_expiry_interval" => Outcome::not_supported(
            "Retained Messages stay until their publisher's Message Expiry Interval is over",
        ),
        "websockets_log_level" | "websockets_headers_size" => {
            Outcome::not_needed("WebSocket is a part of the Server, with bounds of its own")
        }
        _ => return limits(line, out).or_else(|| log(line, out)),
    })
}

fn log(line: &Line, out: &mut Out) -> Option<Outcome> {
    let value = &*line.value;
    Some(match &*line.key {
        "log_dest" => log_destination(value),
        "log_type" => log_type(value, out),
        "log_timestamp" => by_value(value, "true", "every line has its time", "every line has its time"),
        "log_facility" | "log_timestamp_format" => {
            Outcome::not_supported("the log has one form; `format` in [log] has another")
        }
        "connection_messages" => by_value(
            value,
            "true",
            "Clients that come and go are logged",
            "`level = \"warn\"` in [log] leaves them out, with others",
        ),
        _ => return None,
    })
}

fn limits(line: &Line, out: &mut Out) -> Option<Outcome> {
    let value = &*line.value;
    Some(match &*line.key {
        "max_inflight_messages" => number_or(out.table("mqtt"), "in_flight_max", value, "65535"),
        "max_inflight_bytes" => by_value(
            value,
            "0",
            "there is no such limit",
            "in-flight messages are limited by number: `in_flight_max` in [mqtt]",
        ),
        "max_keepalive" => out.table("mqtt").put("keep_alive_max_s", value.to_owned()),
        "max_packet_size" => match value.parse::<u64>() {
            Ok(bytes @ 20..=1_023) => out
                .table("mqtt")
                .put("maximum_packet_size", "1024".to_owned())
                .but(&format!("{bytes} is too little; it is 1024")),
            _ => number_or(out.table("mqtt"), "maximum_packet_size", value, "268435460"),
        },
        "max_queued_messages" => {
            drop_newest(number_or(out.table("mqtt"), "queue_messages_max", value, "100000000"), out)
        }
        "max_queued_bytes" => {
            let value = if value.parse::<u64>().is_ok_and(|bytes| (1..1_024).contains(&bytes)) {
                "1024"
            } else {
                value
            };
            drop_newest(number_or(out.table("mqtt"), "queue_bytes_max", value, "1099511627776"), out)
        }
        "global_max_connections" | "global_max_clients" => {
            out.table("limits").put("connections_max", value.to_owned())
        }
        "memory_limit" | "message_size_limit" if value == "0" => {
            Outcome::not_needed("there is no such limit")
        }
        "memory_limit" => match value.parse::<u64>() {
            Ok(bytes) => out
                .table("limits")
                .put("memory_max_mib", bytes.div_ceil(1 << 20).to_string())
                .but("the whole process counts"),
            Err(_) => Outcome::wrong("a number of bytes"),
        },
        "message_size_limit" => Outcome::not_supported(
            "`maximum_packet_size` in [mqtt] limits the whole packet, and closes the connection",
        ),
        _ => return None,
    })
}

/// Mosquitto drops what does not fit any more.
fn drop_newest(outcome: Outcome, out: &mut Out) -> Outcome {
    let other = out.table("mqtt").put_text("queue_overflow", "drop-newest");
    if other.is_lost() {
        other
    } else {
        outcome.but("with `queue_overflow = \"drop-newest\"`, as mosquitto does it")
    }
}

fn persistence(value: &str, out: &mut Out) -> Outcome {
    let outcome = out.table("storage").put("memory_only", (value != "true").to_string());
    match value {
        "true" => outcome.but("what mosquitto has kept so far is not brought along"),
        _ => outcome,
    }
}

fn log_destination(value: &str) -> Outcome {
    match value.split_whitespace().next().unwrap_or_default() {
        "stderr" => Outcome::not_needed("the log goes there"),
        "none" => Outcome::not_supported(
            "the log goes to standard error; `level = \"error\"` in [log] is the least",
        ),
        _ => Outcome::not_supported("the log goes to standard error: to the journal under systemd"),
    }
}

/// Several lines may name several types: what is logged is the most of them.
fn log_type(value: &str, out: &mut Out) -> Outcome {
    const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];
    let level = match value {
        "error" | "none" => 0,
        "warning" => 1,
        "notice" | "information" | "subscribe" | "unsubscribe" | "websockets" | "internal" => 2,
        _ => 3,
    };
    let log = out.table("log");
    let known = LEVELS.iter().position(|known| log.text_of("level") == Some(known)).unwrap_or(0);
    let outcome = log.put_text("level", LEVELS[level.max(known)]);
    if value == "none" { outcome.but("errors are always logged") } else { outcome }
}

/// Seconds of a number with a unit behind it, as mosquitto counts them.
fn seconds(value: &str) -> Option<u32> {
    const HOUR: u32 = 3_600;
    let unit = match value.chars().last()? {
        'h' => HOUR,
        'd' => 24 * HOUR,
        'w' => 7 * 24 * HOUR,
        'm' => 30 * 24 * HOUR,
        'y' => 365 * 24 * HOUR,
        _ => return None,
    };
    let number: u32 = value[..value.len() - 1].trim().parse().ok()?;
    // Longer than the longest is for ever.
    Some(number.saturating_mul(unit))
}

fn by_value(value: &str, wanted: &str, why: &str, why_not: &str) -> Outcome {
    if value == wanted { Outcome::not_needed(why) } else { Outcome::not_supported(why_not) }
}

/// Where 0 is no limit, the greatest there is here.
fn number_or(block: &mut Block, key: &'static str, value: &str, greatest: &str) -> Outcome {
    match value {
        "0" => block
            .put(key, greatest.to_owned())
            .but("0 is no limit for mosquitto, and this is the greatest here"),
        value => block.put(key, value.to_owned()),
    }
}
