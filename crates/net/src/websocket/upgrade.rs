//! The HTTP request with which a WebSocket begins (RFC 6455, section 4), seen from the Server.

use data_encoding::BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::http_head::RequestHead;

/// What a listener asks of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpgradeRules {
    /// The paths at which MQTT is spoken.
    pub paths: Vec<String>,
    /// Web pages of these origins may connect; empty for all. `*` stands for all, too.
    pub origins: Vec<String>,
}

/// Why a request is no WebSocket for MQTT.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Nothing is at this path.
    #[error("an HTTP request for a path where there is nothing")]
    NotFound,
    /// It asks for something else than a WebSocket.
    #[error("an HTTP request that does not ask for a WebSocket")]
    NotWebSocket,
    /// Not version 13.
    #[error("a WebSocket of another version than 13")]
    Version,
    /// The key is not 16 bytes in Base64, or the request is not GET of HTTP/1.1.
    #[error("a WebSocket request that is not valid")]
    Invalid,
    /// A web page that may not connect.
    #[error("a web page whose origin is not in websocket_origins")]
    Origin,
    /// Only other protocols are offered.
    #[error("a WebSocket that offers other subprotocols, and not mqtt")]
    Subprotocol,
}

/// Accepts a request and returns the response that does so.
///
/// Of the subprotocols `mqtt` and `mqttv3.1` that is taken which is offered first. [MQTT-6.0.0-4] [MQTT3-6.0.0-4] Some clients offer
/// none although they must [MQTT-6.0.0-3]: they are welcome all the same and are answered without one, as RFC 6455 asks.
///
/// # Errors
/// Each [`UpgradeError`].
pub fn accept(head: &RequestHead, rules: &UpgradeRules) -> Result<Vec<u8>, UpgradeError> {
    if !rules.paths.iter().any(|path| path == head.path()) {
        return Err(UpgradeError::NotFound);
    }
    if !head.has_token("upgrade", "websocket") || !head.has_token("connection", "upgrade") {
        return Err(UpgradeError::NotWebSocket);
    }
    if head.value("sec-websocket-version") != Some("13") {
        return Err(UpgradeError::Version);
    }
    let key = head.value("sec-websocket-key").unwrap_or_default();
    if head.method != "GET"
        || !head.is_http_1_1
        || BASE64.decode(key.as_bytes()).map_or(0, |key| key.len()) != 16
    {
        return Err(UpgradeError::Invalid);
    }
    // Only web pages have an origin; they cannot lie about it.
    if let Some(origin) = head.value("origin")
        && !rules.allows(origin)
    {
        return Err(UpgradeError::Origin);
    }
    let subprotocol = subprotocol(head)?;
    Ok(response(key, subprotocol))
}

impl UpgradeRules {
    fn allows(&self, origin: &str) -> bool {
        self.origins.is_empty()
            || self.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}

fn subprotocol(head: &RequestHead) -> Result<Option<&'static str>, UpgradeError> {
    let mut offers_any = false;
    for offered in head.tokens("sec-websocket-protocol") {
        if let Some(known) = SUBPROTOCOLS.iter().find(|known| **known == offered) {
            return Ok(Some(known));
        }
        offers_any = true;
    }
    if offers_any { Err(UpgradeError::Subprotocol) } else { Ok(None) }
}

/// What `Sec-WebSocket-Accept` says to a `Sec-WebSocket-Key`.
pub(super) fn accept_value(key: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ACCEPT_SUFFIX}").as_bytes());
    BASE64.encode(hash.as_ref())
}

fn response(key: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let accept = accept_value(key);
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    );
    if let Some(subprotocol) = subprotocol {
        response += &format!("Sec-WebSocket-Protocol: {subprotocol}\r\n");
    }
    response += "\r\n";
    response.into_bytes()
}

impl UpgradeError {
    /// The response that tells it, for whoever looks at it with a browser or curl.
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        let (status, more, text) = match self {
            UpgradeError::NotFound => {
                ("404 Not Found", "", "Nothing is here. MQTT over WebSocket is at /mqtt.")
            }
            UpgradeError::NotWebSocket => {
                ("426 Upgrade Required", "Upgrade: websocket\r\n", "Here is MQTT over WebSocket.")
            }
            UpgradeError::Version => {
                ("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n", "WebSocket version 13 is wanted.")
            }
            UpgradeError::Invalid => ("400 Bad Request", "", "This WebSocket request is not valid."),
            UpgradeError::Origin => ("403 Forbidden", "", "Web pages of this origin may not connect."),
            UpgradeError::Subprotocol => ("400 Bad Request", "", "The WebSocket subprotocol mqtt is wanted."),
        };
        crate::http_head::short_response(status, more, text)
    }
}

const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What RFC 6455 puts behind the key.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: example\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                        Sec-WebSocket-Protocol: mqtt, other\r\n\r\n";

    fn rules(origins: &[&str]) -> UpgradeRules {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        UpgradeRules { paths: texts(&["/mqtt", "/"]), origins: texts(origins) }
    }

    fn accept_text(text: &str, origins: &[&str]) -> Result<String, UpgradeError> {
        let (head, _) = RequestHead::parse(text.as_bytes()).unwrap().unwrap();
        accept(&head, &rules(origins)).map(|response| String::from_utf8(response).unwrap())
    }

    /// The key and its answer are those of the RFC. [MQTT-6.0.0-4] [MQTT3-6.0.0-4]
    #[test]
    fn a_request_is_accepted_with_its_subprotocol() {
        let response = accept_text(GOOD, &[]).unwrap();
        assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
        assert!(
            response.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{response}"
        );
        assert!(response.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "{response}");
        let old = accept_text(&GOOD.replace("mqtt, other", "other, mqttv3.1, mqtt"), &[]).unwrap();
        assert!(old.contains("\r\nSec-WebSocket-Protocol: mqttv3.1\r\n"), "{old}");
        let none = accept_text(&GOOD.replace("Sec-WebSocket-Protocol: mqtt, other\r\n", ""), &[]).unwrap();
        assert!(!none.contains("Protocol:"), "{none}");
        accept_text(&GOOD.replace("/mqtt", "/?token=1"), &[]).unwrap();
    }

    #[test]
    fn whoever_asks_wrongly_is_told_how() {
        for (from, to, error, status) in [
            ("GET /mqtt", "GET /chat", UpgradeError::NotFound, "404"),
            ("Upgrade: WebSocket", "Upgrade: h2c", UpgradeError::NotWebSocket, "426"),
            ("keep-alive, Upgrade", "close", UpgradeError::NotWebSocket, "426"),
            ("Version: 13", "Version: 8", UpgradeError::Version, "426"),
            ("GET ", "POST ", UpgradeError::Invalid, "400"),
            ("HTTP/1.1", "HTTP/1.0", UpgradeError::Invalid, "400"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl", UpgradeError::Invalid, "400"),
            ("mqtt, other", "chat", UpgradeError::Subprotocol, "400"),
        ] {
            let found = accept_text(&GOOD.replace(from, to), &[]).unwrap_err();
            assert_eq!(found, error, "{to}");
            let response = String::from_utf8(found.response()).unwrap();
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        }
    }

    #[test]
    fn web_pages_of_other_origins_are_refused() {
        let page = GOOD.replace("Host: example", "Host: example\r\nOrigin: https://Example.com");
        for (origins, is_allowed) in [
            (&[][..], true),
            (&["*"], true),
            (&["https://example.com"], true),
            (&["https://example.org", "http://example.com"], false),
        ] {
            assert_eq!(accept_text(&page, origins).is_ok(), is_allowed, "{origins:?}");
        }
        assert!(accept_text(GOOD, &["https://example.org"]).is_ok(), "what is no web page has no origin");
    }
}
