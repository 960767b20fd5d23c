//! All options of `mosquitto.conf` up to mosquitto 2.1, with what may stand behind each.

use std::ops::RangeInclusive;

use Form::{Boolean, Listener, Number, Path, Text, Word};

use super::paths::Paths;
use crate::config::error::nearest;

/// What stands behind an option.
enum Form {
    Boolean,
    Number(RangeInclusive<i64>),
    /// One of these words, and perhaps more behind it.
    Word(&'static [&'static str]),
    Text,
    /// The path of a file or folder.
    Path,
    /// A port, or 0 with the path of a socket file.
    Listener,
}

/// What `value` is, in one form of all that mosquitto takes, with absolute paths.
///
/// # Errors
/// What was expected.
pub(super) fn read(key: &str, value: &str, paths: &Paths) -> Result<String, String> {
    let Some(form) = form_of(key) else {
        let names = OPTIONS.iter().map(|(name, _)| *name);
        let hint = nearest(key, names).map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        return Err(format!("an option of mosquitto{hint}"));
    };
    if value.is_empty() {
        return Err(format!("{} behind the option", form.expected()));
    }
    form.read(value, paths).ok_or_else(|| form.expected())
}

/// Whether mosquitto has an option of this name.
pub(super) fn is_known(key: &str) -> bool {
    form_of(key).is_some()
}

fn form_of(key: &str) -> Option<&'static Form> {
    let named = OPTIONS.iter().find(|(name, _)| *name == key).map(|(_, form)| form);
    let is_of_plugin = key.starts_with("auth_opt_") || key.starts_with("plugin_opt_");
    named.or(is_of_plugin.then_some(&Form::Text))
}

impl Form {
    fn read(&self, value: &str, paths: &Paths) -> Option<String> {
        match self {
            Self::Boolean => match &*value.to_ascii_lowercase() {
                "true" | "1" => Some("true".to_owned()),
                "false" | "0" => Some("false".to_owned()),
                _ => None,
            },
            Self::Number(bounds) => {
                let number: i64 = value.parse().ok()?;
                bounds.contains(&number).then(|| number.to_string())
            }
            Self::Word(words) => {
                let word = value.split_whitespace().next()?;
                words.contains(&word).then(|| value.to_owned())
            }
            Self::Text => Some(value.to_owned()),
            Self::Path => Some(paths.absolute(value)),
            Self::Listener => {
                let (port, place) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
                let (port, place) = (port.parse::<u16>().ok()?, place.trim());
                match (port, place) {
                    (0, "") => None,
                    (0, path) => Some(format!("0 {}", paths.absolute(path))),
                    (port, place) => Some(format!("{port} {place}")),
                }
            }
        }
    }

    fn expected(&self) -> String {
        match self {
            Self::Boolean => "true or false".to_owned(),
            Self::Number(bounds) if *bounds.end() == i64::MAX => {
                format!("a whole number from {}", bounds.start())
            }
            Self::Number(bounds) => format!("a whole number from {} to {}", bounds.start(), bounds.end()),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Text => "a text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Listener => {
                "a port from 1 to 65535 and perhaps an address, or 0 and the path of a socket".to_owned()
            }
        }
    }
}

const COUNT: Form = Number(0..=i64::MAX);

const OPTIONS: [(&str, Form); 140] = [
    ("accept_protocol_versions", Text),
    ("acl_file", Path),
    ("address", Text),
    ("addresses", Text),
    ("allow_anonymous", Boolean),
    ("allow_duplicate_messages", Boolean),
    ("allow_zero_length_clientid", Boolean),
    ("auth_plugin", Text),
    ("auth_plugin_deny_special_chars", Boolean),
    ("auto_id_prefix", Text),
    ("autosave_interval", COUNT),
    ("autosave_on_changes", Boolean),
    ("bind_address", Text),
    ("bind_interface", Text),
    ("bridge_alpn", Text),
    ("bridge_attempt_unsubscribe", Boolean),
    ("bridge_bind_address", Text),
    ("bridge_cafile", Path),
    ("bridge_capath", Path),
    ("bridge_certfile", Path),
    ("bridge_ciphers", Text),
    ("bridge_ciphers_tls1.3", Text),
    ("bridge_clean_start", Text),
    ("bridge_identity", Text),
    ("bridge_insecure", Boolean),
    ("bridge_keyfile", Path),
    ("bridge_max_packet_size", COUNT),
    ("bridge_max_topic_alias", COUNT),
    ("bridge_outgoing_retain", Boolean),
    ("bridge_protocol_version", Word(&["mqttv31", "mqttv311", "mqttv50"])),
    ("bridge_psk", Text),
    ("bridge_receive_maximum", COUNT),
    ("bridge_reload_type", Text),
    ("bridge_require_ocsp", Boolean),
    ("bridge_session_expiry_interval", COUNT),
    ("bridge_tcp_keepalive", Text),
    ("bridge_tcp_user_timeout", COUNT),
    ("bridge_tls_use_os_certs", Text),
    ("bridge_tls_version", Text),
    ("cafile", Path),
    ("capath", Path),
    ("certfile", Path),
    ("check_retain_source", Boolean),
    ("ciphers", Text),
    ("ciphers_tls1.3", Text),
    ("cleansession", Boolean),
    ("clientid", Text),
    ("clientid_prefixes", Text),
    ("connection", Text),
    ("connection_messages", Boolean),
    ("crlfile", Path),
    ("dhparamfile", Path),
    ("disable_client_cert_date_checks", Boolean),
    ("enable_control_api", Boolean),
    ("enable_proxy_protocol", Number(0..=65_535)),
    ("enable_proxy_protocol_v1", Boolean),
    ("global_max_clients", COUNT),
    ("global_max_connections", COUNT),
    ("global_plugin", Text),
    ("http_dir", Path),
    ("idle_timeout", COUNT),
    ("include_dir", Path),
    ("keepalive_interval", COUNT),
    ("keyfile", Path),
    ("listener", Listener),
    ("listener_allow_anonymous", Text),
    ("listener_auto_id_prefix", Text),
    ("local_cleansession", Boolean),
    ("local_clientid", Text),
    ("local_password", Text),
    ("local_username", Text),
    ("log_dest", Word(&["stdout", "stderr", "syslog", "topic", "file", "dlt", "none", "android"])),
    ("log_facility", Number(0..=7)),
    ("log_timestamp", Boolean),
    ("log_timestamp_format", Text),
    (
        "log_type",
        Word(&[
            "debug",
            "error",
            "warning",
            "notice",
            "information",
            "none",
            "subscribe",
            "unsubscribe",
            "websockets",
            "internal",
            "all",
        ]),
    ),
    ("max_connections", Number(i64::MIN..=i64::MAX)),
    ("max_inflight_bytes", COUNT),
    ("max_inflight_messages", Number(0..=65_535)),
    ("max_keepalive", Number(0..=65_535)),
    ("max_packet_size", COUNT),
    ("max_qos", Number(0..=2)),
    ("max_queued_bytes", COUNT),
    ("max_queued_messages", COUNT),
    ("max_topic_alias", Number(0..=65_535)),
    ("memory_limit", COUNT),
    ("message_size_limit", COUNT),
    ("mount_point", Text),
    ("notification_topic", Text),
    ("notifications", Boolean),
    ("notifications_local_only", Boolean),
    ("packet_buffer_size", COUNT),
    ("password", Text),
    ("password_file", Path),
    ("per_listener_settings", Boolean),
    ("persistence", Boolean),
    ("persistence_file", Text),
    ("persistence_location", Path),
    ("persistent_client_expiration", Text),
    ("pid_file", Path),
    ("plugin", Text),
    ("plugin_load", Text),
    ("plugin_use", Text),
    ("port", Number(1..=65_535)),
    ("protocol", Text),
    ("proxy_protocol_v2_require_tls", Boolean),
    ("psk_file", Path),
    ("psk_hint", Text),
    ("queue_qos0_messages", Boolean),
    ("remote_clientid", Text),
    ("remote_password", Text),
    ("remote_username", Text),
    ("require_certificate", Boolean),
    ("restart_timeout", Text),
    ("retain_available", Boolean),
    ("retain_expiry_interval", COUNT),
    ("retained_persistence", Boolean),
    ("retry_interval", COUNT),
    ("round_robin", Boolean),
    ("set_tcp_nodelay", Boolean),
    ("socket_domain", Word(&["ipv4", "ipv6"])),
    ("start_type", Word(&["automatic", "lazy", "once", "manual"])),
    ("store_clean_interval", COUNT),
    ("sys_interval", Number(0..=65_535)),
    ("threshold", COUNT),
    ("tls_engine", Text),
    ("tls_engine_kpass_sha1", Text),
    ("tls_keyform", Word(&["pem", "engine"])),
    ("tls_version", Text),
    ("topic", Text),
    ("try_private", Boolean),
    ("upgrade_outgoing_qos", Boolean),
    ("use_identity_as_username", Boolean),
    ("use_subject_as_username", Boolean),
    ("use_username_as_clientid", Boolean),
    ("user", Text),
    ("username", Text),
    ("websockets_headers_size", COUNT),
    ("websockets_log_level", COUNT),
    ("websockets_origin", Text),
];

/// All options, each with something that may stand behind it.
#[cfg(test)]
pub(super) fn samples() -> impl Iterator<Item = (&'static str, String)> {
    OPTIONS.iter().map(|(name, form)| {
        let sample = match form {
            Form::Boolean => "true".to_owned(),
            Form::Number(bounds) => bounds.end().to_string(),
            Form::Word(words) => words[0].to_owned(),
            Form::Text => "text".to_owned(),
            Form::Path => "path".to_owned(),
            Form::Listener => "1883".to_owned(),
        };
        (*name, sample)
    })
}
