//! The HTTP request with which a WebSocket begins (RFC 6455, section 4), seen from the Client.

use data_encoding::BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

use super::upgrade::accept_value;

/// A request that waits for its response.
#[derive(Debug)]
pub struct Opening {
    /// What `Sec-WebSocket-Accept` must say.
    accept: String,
    /// What was asked for, for words.
    path: String,
    /// What has come of the response.
    head: Vec<u8>,
}

/// Why there is no WebSocket for MQTT.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum OpeningError {
    /// The Server says no.
    #[error("the Server answers HTTP {status} {reason} to the request for {path}{hint}")]
    Status {
        /// The number.
        status: u16,
        /// The words behind it.
        reason: String,
        /// What was asked for.
        path: String,
        /// What that may mean.
        hint: &'static str,
    },
    /// What comes is no HTTP.
    #[error("what the Server answers is not HTTP; it may be a port for MQTT without WebSocket")]
    NotHttp,
    /// The response has no end.
    #[error("the Server answers with an HTTP head of more than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    /// The response is no upgrade, or one for somebody else.
    #[error("the Server answers HTTP 101, but not as WebSocket asks for: {0}")]
    NotWebSocket(&'static str),
}

impl Opening {
    /// A request for `path` at `authority`, which is host and port, and its bytes. MQTT is the subprotocol. [MQTT-6.0.0-3]
    /// [MQTT3-6.0.0-3]
    #[must_use]
    pub fn new(authority: &str, path: &str) -> (Self, Vec<u8>) {
        let mut key = [0; 16];
        SystemRandom::new().fill(&mut key).expect("the operating system gives random bytes");
        let key = BASE64.encode(&key);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        let opening = Self { accept: accept_value(&key), path: path.into(), head: Vec::new() };
        (opening, request.into_bytes())
    }

    /// Takes what has come; once the response is there, what stands behind it.
    ///
    /// # Errors
    /// Each [`OpeningError`].
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, OpeningError> {
        self.head.extend_from_slice(bytes);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&self.head) {
            Ok(httparse::Status::Complete(len)) => {
                self.check(&response)?;
                Ok(Some(self.head[len..].to_vec()))
            }
            Ok(httparse::Status::Partial) if self.head.len() >= HEAD_BYTES_MAX => Err(OpeningError::TooLong),
            Ok(httparse::Status::Partial) => Ok(None),
            Err(_) => Err(OpeningError::NotHttp),
        }
    }

    fn check(&self, response: &httparse::Response<'_, '_>) -> Result<(), OpeningError> {
        let status = response.code.unwrap_or_default();
        if status != 101 {
            let reason = response.reason.unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
            let path = self.path.clone();
            return Err(OpeningError::Status { status, reason, path, hint: hint(status) });
        }
        let value = |name: &str| {
            let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(field.value).ok().map(str::trim)
        };
        if !value("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
            return Err(OpeningError::NotWebSocket("it does not name websocket"));
        }
        if value("sec-websocket-accept") != Some(&self.accept) {
            return Err(OpeningError::NotWebSocket("Sec-WebSocket-Accept does not belong to the request"));
        }
        // Some Servers name none; another one is not MQTT.
        if value("sec-websocket-protocol").is_some_and(|value| value != "mqtt") {
            return Err(OpeningError::NotWebSocket("another subprotocol than mqtt"));
        }
        Ok(())
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        404 | 410 => "; MQTT may be at another path",
        401 | 403 | 407 => "; a proxy in front of it may ask who you are",
        301 | 302 | 307 | 308 => "; it is elsewhere, or wants TLS (wss://)",
        400 | 426 => "; is that a listener for WebSocket?",
        502..=504 => "; the Server behind the proxy may be down",
        _ => "",
    }
}

/// Bytes of the longest response.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// The most header fields.
const FIELDS_MAX: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        http_head::RequestHead,
        websocket::upgrade::{UpgradeRules, accept},
    };

    fn rules() -> UpgradeRules {
        UpgradeRules { paths: vec!["/mqtt".into()], origins: Vec::new() }
    }

    /// [MQTT-6.0.0-3] [MQTT3-6.0.0-3]
    #[test]
    fn our_server_accepts_our_request_and_we_its_response() {
        let (mut opening, request) = Opening::new("[::1]:8083", "/mqtt");
        let (head, len) = RequestHead::parse(&request).unwrap().unwrap();
        assert_eq!((len, head.value("host")), (request.len(), Some("[::1]:8083")));
        let mut response = accept(&head, &rules()).unwrap();
        assert!(String::from_utf8_lossy(&response).contains("Sec-WebSocket-Protocol: mqtt\r\n"));
        response.extend_from_slice(b"\x82\x00");
        for byte in &response[..response.len() - 3] {
            assert_eq!(opening.take(&[*byte]), Ok(None));
        }
        assert_eq!(opening.take(&response[response.len() - 3..]), Ok(Some(b"\x82\x00".to_vec())));
    }

    #[test]
    fn whatever_else_is_answered_is_told() {
        let take = |text: &str| {
            let (mut opening, _) = Opening::new("host", "/x");
            opening.take(text.as_bytes()).unwrap_err().to_string()
        };
        let said = take("HTTP/1.1 404 Not Found\r\n\r\n");
        assert_eq!(
            said,
            "the Server answers HTTP 404 Not Found to the request for /x; MQTT may be at another path"
        );
        assert!(take("\x20\x02\0\x01").contains("not HTTP"));
        assert!(take("SSH-2.0-x\r\n").contains("not HTTP"));
        let wrong = "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
        assert!(take(wrong).contains("Sec-WebSocket-Accept"), "{}", take(wrong));
        assert!(take("HTTP/1.1 101 Yes\r\n\r\n").contains("does not name websocket"));
        assert!(take(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX))).contains("more than"));
    }
}
