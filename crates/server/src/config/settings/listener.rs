//! `[listener]`: where Clients come in.

use dunlin_net::tls::server::ClientCertificates;

use super::setting::{
    Draft, Objection, Setting, boolean, integer, listed, object, quoted, quoted_or_none, setting, shown_or,
    shown_path,
};
use crate::config::{
    model::{Config, LISTENERS_MAX, ListenerConfig, ListenerKind},
    value::Kind,
};

pub(super) const SETTINGS: &[Setting] = &[
    setting!("name", Kind::Text(1..=64), "", listener.name => text
        |name: &String| if name.is_empty() { "the kind".to_owned() } else { quoted(name) },
        "Tells it from the others, in the log for instance. Without it: its kind, and a number from the second on."),
    setting!("kind", Kind::Choice(&KINDS), "", listener.kind => listener_kind
        |kind: &ListenerKind| quoted(&kind.word()),
        "What is spoken: MQTT over TCP, TLS, WebSocket or WebSocket in TLS, or over a socket of this machine; \
         `any` tells all but the last apart by their first bytes."),
    setting!("bind", Kind::Address, "", listener.bind => address quoted,
        "An address of this machine; `0.0.0.0` or `::` for all of them."),
    setting!("port", Kind::Integer(0..=65_535), "", port => some_integer
        |port: &Option<u16>| port.as_ref().map_or("by kind".to_owned(), ToString::to_string),
        "The TCP port; 0 is any free one. By kind: 1883, `tls` 8883, `ws` 8083, `wss` 8084."),
    integer!(
        "backlog",
        1..=65_535,
        "connections",
        listener.backlog,
        "Connections that the operating system keeps until the Server accepts them; it may keep fewer."
    ),
    setting!("path", Kind::Text(1..=107), "", listener.path => path
        shown_path,
        "The socket file of kind `unix`. One that nobody listens at is replaced."),
    setting!("owner", Kind::Text(1..=256), "", listener.owner => some_text quoted_or_none,
        "Who owns the socket file: a name or a number."),
    setting!("group", Kind::Text(1..=256), "", listener.group => some_text quoted_or_none,
        "The group of the socket file: a name or a number."),
    setting!("mode", Kind::Mode, "", listener.mode => integer |mode: &u32| format!("\"{mode:o}\""),
        "The mode of the socket file: who may write to it may connect."),
    setting!("certificate_file", Kind::Texts, "", listener.certificate_files => paths shown_paths,
        "The certificate and behind it those that lead to its CA, in PEM. Several files for several names (SNI): \
         the first is for Clients that ask for none of them."),
    setting!("key_file", Kind::Texts, "", listener.key_files => paths shown_paths,
        "The private key, in PEM, without a password; with several certificates one for each, in their order."),
    setting!("client_certificates", Kind::Choice(&CLIENT_CERTIFICATES), "", listener.client_certificates => client_certificates
        |choice: &ClientCertificates| quoted(&CLIENT_CERTIFICATES[*choice as usize]),
        "Whether Clients show certificates: they are not asked, they may, or they must. One that is shown must be valid."),
    setting!("client_ca_file", Kind::Texts, "", listener.client_ca_files => paths shown_paths,
        "The CA, or several, whose certificates Clients may show, in PEM."),
    setting!("client_crl_file", Kind::Texts, "", listener.client_crl_files => paths shown_paths,
        "Lists of revoked certificates, in PEM; if there are any, each such CA must have one."),
    setting!("tls_version_min", Kind::Choice(&VERSIONS), "", listener.is_tls_1_3_only => tls_1_3_chosen
        |is_only: &bool| quoted(&VERSIONS[usize::from(*is_only)]),
        "The oldest version of TLS that is spoken."),
    setting!("websocket_paths", Kind::Texts, "", listener.websocket_paths => texts
        |paths: &[String]| listed(paths),
        "The paths at which MQTT over WebSocket is."),
    setting!("websocket_origins", Kind::Texts, "", listener.websocket_origins => texts
        |origins: &Vec<String>| listed(origins),
        "Web pages of these origins may connect, such as `https://example.com`; empty for all. \
         What is no web page has no origin and is not asked."),
    boolean!(
        "proxy_protocol",
        listener.proxy_protocol,
        "Whether connections from `trusted_proxies` begin with a PROXY header, version 1 or 2, that tells where they come from."
    ),
    setting!("trusted_proxies", Kind::Networks, "", listener.trusted_proxies => networks
        |networks: &Vec<dunlin_net::ip_network::IpNetwork>| listed(networks),
        "Who is believed about where a connection comes from, by PROXY header or `X-Forwarded-For`."),
    setting!("auth", Kind::Texts, "", listener.auth => some_texts
        |names: &Option<Vec<String>>| names.as_ref().map_or("all of them".to_owned(), |names| listed(names)),
        "The names of the providers ([[auth]]) that are asked here, in this order; `[]` asks nobody."),
    setting!("allow_anonymous", Kind::Boolean, "", listener.allow_anonymous => some_boolean
        |allowed: &Option<bool>| shown_or("without providers", allowed),
        "Whether Clients may connect here that do not say who they are. Without it: only if no provider is asked here."),
];

const KINDS: [&str; 6] = ["tcp", "tls", "ws", "wss", "unix", "any"];
const CLIENT_CERTIFICATES: [&str; 3] = ["off", "optional", "required"];
const VERSIONS: [&str; 2] = ["1.2", "1.3"];

fn shown_paths(paths: &[std::path::PathBuf]) -> String {
    if paths.is_empty() {
        "none".to_owned()
    } else {
        listed(&paths.iter().map(|path| path.display()).collect::<Vec<_>>())
    }
}

/// Another listener begins.
pub(super) fn begin(draft: &mut Draft) {
    (draft.listener, draft.port) = (ListenerConfig::default(), None);
}

/// The listener with this number.
pub(super) fn pick(draft: &mut Draft, config: &Config, number: usize) -> bool {
    let Some(listener) = config.listeners.get(number) else { return false };
    let port = (listener.kind != ListenerKind::Unix).then_some(listener.port);
    (draft.listener, draft.port) = (listener.clone(), port);
    true
}

/// The listener is complete: checks what only the whole shows.
pub(super) fn end(draft: &mut Draft) -> Result<(), Objection> {
    let mut listener = draft.listener.clone();
    listener.port = draft.port.unwrap_or(listener.kind.usual_port());
    check_socket(&listener, draft.port)?;
    check_tls(&listener)?;
    if let Some(path) = listener.websocket_paths.iter().find(|path| !path.starts_with('/')) {
        return object(
            "websocket_paths",
            &format!("the path `{path}`"),
            "paths that begin with a slash, such as \"/mqtt\"",
        );
    }
    if listener.proxy_protocol && listener.trusted_proxies.is_empty() && listener.kind != ListenerKind::Unix {
        return object(
            "proxy_protocol",
            "`proxy_protocol` without `trusted_proxies`",
            "the addresses of the proxies: anybody else could say it came from anywhere",
        );
    }
    let is_plain = matches!(listener.kind, ListenerKind::Tcp | ListenerKind::Tls);
    if is_plain && !listener.proxy_protocol && !listener.trusted_proxies.is_empty() {
        return object(
            "trusted_proxies",
            &format!(
                "`trusted_proxies` of a listener of kind `{}`, which are not asked",
                listener.kind.word()
            ),
            "`proxy_protocol = true` with it",
        );
    }
    name(&mut listener, &draft.listeners)?;
    if draft.listeners.len() == LISTENERS_MAX {
        return object("name", "one listener too many", &format!("at most {LISTENERS_MAX} of them"));
    }
    draft.listeners.push(listener);
    Ok(())
}

fn check_socket(listener: &ListenerConfig, port: Option<u16>) -> Result<(), Objection> {
    if listener.kind == ListenerKind::Unix {
        if listener.path.is_none() {
            return object("kind", "a listener of kind `unix` without `path`", "the path of its socket file");
        }
        if port.is_some() {
            return object("port", "a port of a listener of kind `unix`", "only a `path`, or another kind");
        }
        return Ok(());
    }
    let of_unix = [
        ("path", listener.path.is_some()),
        ("owner", listener.owner.is_some()),
        ("group", listener.group.is_some()),
    ];
    match of_unix.iter().find(|(_, is_there)| *is_there) {
        Some((key, _)) => {
            let kind = listener.kind.word();
            object(key, &format!("`{key}` of a listener of kind `{kind}`"), "`kind = \"unix\"` with it")
        }
        None => Ok(()),
    }
}

fn check_tls(listener: &ListenerConfig) -> Result<(), Objection> {
    let kind = listener.kind.word();
    let count = listener.certificate_files.len();
    if listener.kind.needs_tls() && count == 0 {
        return object(
            "kind",
            &format!("a listener of kind `{kind}` without `certificate_file`"),
            "`certificate_file` and `key_file`",
        );
    }
    if listener.key_files.len() != count {
        let found = format!("{count} of `certificate_file` and {} of `key_file`", listener.key_files.len());
        return object("key_file", &found, "a key for each certificate");
    }
    let of_tls = [
        ("certificate_file", count > 0),
        ("client_ca_file", !listener.client_ca_files.is_empty()),
        ("client_crl_file", !listener.client_crl_files.is_empty()),
        ("client_certificates", listener.client_certificates != ClientCertificates::Off),
        ("tls_version_min", listener.is_tls_1_3_only),
    ];
    let has_tls = listener.kind.may_have_tls() && count > 0;
    if let Some((key, _)) = of_tls.iter().find(|(_, is_there)| *is_there && !has_tls) {
        let found = format!("`{key}` of a listener of kind `{kind}`, which is without TLS");
        return object(
            key,
            &found,
            "`kind = \"tls\"`, `\"wss\"` or `\"any\"`, with `certificate_file` and `key_file`",
        );
    }
    let asks = listener.client_certificates != ClientCertificates::Off;
    if asks && listener.client_ca_files.is_empty() {
        return object(
            "client_certificates",
            "`client_certificates` without `client_ca_file`",
            "the CA that issues the certificates of Clients",
        );
    }
    for (key, files) in
        [("client_ca_file", &listener.client_ca_files), ("client_crl_file", &listener.client_crl_files)]
    {
        if !asks && !files.is_empty() {
            return object(
                key,
                &format!("`{key}`, but Clients are not asked for certificates"),
                "`client_certificates = \"required\"` or `\"optional\"` with it",
            );
        }
    }
    Ok(())
}

/// Gives a name to a listener without one, and refuses one that another has.
fn name(listener: &mut ListenerConfig, others: &[ListenerConfig]) -> Result<(), Objection> {
    let is_taken = |name: &str| others.iter().any(|other| other.name == name);
    if listener.name.is_empty() {
        let word = listener.kind.word();
        let numbered = (2..).map(|number| format!("{word}-{number}"));
        let free = std::iter::once(word.to_owned()).chain(numbered).find(|name| !is_taken(name));
        listener.name = free.unwrap_or_default();
    }
    if is_taken(&listener.name) {
        return object(
            "name",
            &format!("a second listener with the name `{}`", listener.name),
            "a name of its own",
        );
    }
    Ok(())
}
