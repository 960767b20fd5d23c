//! Where a Server is, as a person writes it: `host`, `host:port` or a URL.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A Server, how it is reached, and what a URL may say about the Client that goes there.
///
/// The text form is `[scheme://[user[:password]@]]host[:port][/path][?client_id=...]`, for a socket file
/// `unix://[user[:password]@]/path[?client_id=...]`. User, password and the values behind `?` may hold percent escapes.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// What is spoken there.
    pub scheme: Scheme,
    /// A name, an IPv4 or an IPv6 address, the last without brackets; of a socket file its path. Never empty.
    pub host: String,
    /// The TCP port, [`Scheme::default_port`] if none was given; 0 with a socket file.
    pub port: u16,
    /// User Name, percent escapes undone.
    pub user_name: Option<String>,
    /// Password, percent escapes undone; any bytes.
    pub password: Option<Vec<u8>>,
    /// The Client Identifier of `?client_id=`, percent escapes undone.
    pub client_id: Option<String>,
    /// What follows the first slash, taken literally; nothing if that is empty. With WebSocket it is the path of the HTTP request;
    /// else it means nothing to a Server, and some tools put a topic here.
    pub path: Option<String>,
}

/// What is spoken at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scheme {
    /// MQTT over TCP: `mqtt://`, or `tcp://`.
    #[default]
    Mqtt,
    /// MQTT in TLS: `mqtts://`, or `ssl://`, `tls://`.
    Mqtts,
    /// MQTT in WebSocket: `ws://`.
    Ws,
    /// MQTT in WebSocket in TLS: `wss://`.
    Wss,
    /// MQTT over a socket file: `unix://`.
    Unix,
}

/// The port IANA gave to MQTT over TCP.
pub const DEFAULT_PORT: u16 = 1883;

/// The path of the HTTP request of a WebSocket, if none was given; the slash in front is not part of it.
pub const DEFAULT_WEBSOCKET_PATH: &str = "mqtt";

/// A text that is no address of a Server.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum AddressError {
    /// A scheme nobody uses for MQTT.
    #[error(
        "unknown scheme `{0}://`; write mqtt://, mqtts://, ws:// or wss:// and host:port, or unix:// and a path"
    )]
    UnknownScheme(String),
    /// QUIC.
    #[error("`{0}://` is not in this build; write mqtts://host:port")]
    NotInThisBuild(String),
    /// Nothing where the host should be.
    #[error("there is no host in `{0}`; write host:port or mqtt://host:port")]
    NoHost(String),
    /// A socket file without an absolute path.
    #[error("there is no absolute path in `{0}`; write unix:///path")]
    NoSocketPath(String),
    /// `[` without `]`, or something else than a port after it.
    #[error("the IPv6 address in `{0}` is not closed; write [address]:port")]
    Brackets(String),
    /// Not a number from 1 to 65,535.
    #[error("`{0}` is not a port; give a number from 1 to 65535")]
    Port(String),
    /// `%` without two hexadecimal digits, or text that is not UTF-8 behind them.
    #[error("the percent escape in `{0}` is not valid; a percent sign itself is written %25")]
    Escape(String),
    /// A parameter behind `?` that means nothing here.
    #[error("unknown parameter `{0}` in the URL; only client_id is known")]
    UnknownParameter(String),
}

impl Scheme {
    /// The port that is meant if none is given: 1883, 8883 with TLS, 8083 with WebSocket, 8084 with both.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => DEFAULT_PORT,
            Self::Mqtts => 8883,
            Self::Ws => 8083,
            Self::Wss => 8084,
            Self::Unix => 0,
        }
    }

    /// As it is written in a URL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        }
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether WebSocket is spoken.
    #[must_use]
    pub fn has_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The protocol that is named within TLS (ALPN).
    #[must_use]
    pub fn protocol(self) -> &'static str {
        if self.has_websocket() { "http/1.1" } else { "mqtt" }
    }

    /// The same with TLS; of a socket file itself.
    #[must_use]
    pub fn with_tls(self) -> Self {
        match self {
            Self::Mqtt => Self::Mqtts,
            Self::Ws => Self::Wss,
            other => other,
        }
    }

    fn parse(text: &str) -> Result<Self, AddressError> {
        match text.to_ascii_lowercase().as_str() {
            "mqtt" | "tcp" => Ok(Self::Mqtt),
            "mqtts" | "ssl" | "tls" => Ok(Self::Mqtts),
            "ws" => Ok(Self::Ws),
            "wss" => Ok(Self::Wss),
            "unix" => Ok(Self::Unix),
            "quic" => Err(AddressError::NotInThisBuild(text.into())),
            _ => Err(AddressError::UnknownScheme(text.into())),
        }
    }
}

impl Address {
    /// The Server at `host` and `port`, which speaks MQTT over TCP.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self::with_scheme(Scheme::Mqtt, host, port)
    }

    /// The Server at `host` and `port`, or with [`Scheme::Unix`] at the path `host`.
    #[must_use]
    pub fn with_scheme(scheme: Scheme, host: impl Into<String>, port: u16) -> Self {
        let (host, path) = (host.into(), None);
        Self { scheme, host, port, user_name: None, password: None, client_id: None, path }
    }

    /// Reads an address.
    ///
    /// # Errors
    /// Each [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Scheme::parse(scheme)?, rest),
            None => (Scheme::Mqtt, text),
        };
        let (authority, tail) = match rest.find(['/', '?']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let (credentials, server) = match authority.rsplit_once('@') {
            Some((credentials, server)) => (Some(credentials), server),
            None => (None, authority),
        };
        let mut address = match scheme {
            Scheme::Unix => Self::with_scheme(scheme, "", 0),
            _ => {
                let (host, port) = split_port(server, scheme.default_port())?;
                Self::with_scheme(scheme, host, port)
            }
        };
        if let Some(credentials) = credentials {
            address.set_credentials(credentials)?;
        }
        address.set_tail(tail)?;
        if scheme == Scheme::Unix {
            let path = address.path.take().filter(|_| server.is_empty());
            let path = path.ok_or_else(|| AddressError::NoSocketPath(without_password(text)))?;
            address.host = format!("/{path}");
        } else if address.host.is_empty() {
            return Err(AddressError::NoHost(without_password(text)));
        }
        Ok(address)
    }

    /// The path of the HTTP request of a WebSocket, with its slash.
    #[must_use]
    pub fn websocket_path(&self) -> String {
        format!("/{}", self.path.as_deref().unwrap_or(DEFAULT_WEBSOCKET_PATH))
    }

    /// `host:port`, with brackets around an IPv6 address, as HTTP wants it.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn set_credentials(&mut self, credentials: &str) -> Result<(), AddressError> {
        let (user_name, password) = match credentials.split_once(':') {
            Some((user_name, password)) => (user_name, Some(password)),
            None => (credentials, None),
        };
        if !user_name.is_empty() {
            self.user_name = Some(unescape_text(user_name)?);
        }
        if let Some(password) = password {
            self.password =
                Some(unescape(password).ok_or_else(|| AddressError::Escape("the password".into()))?);
        }
        Ok(())
    }

    fn set_tail(&mut self, tail: &str) -> Result<(), AddressError> {
        let (path, parameters) = tail.split_once('?').unwrap_or((tail, ""));
        let path = path.strip_prefix('/').unwrap_or_default();
        if !path.is_empty() {
            self.path = Some(path.into());
        }
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("client_id", value)) => self.client_id = Some(unescape_text(value)?),
                _ => return Err(AddressError::UnknownParameter(parameter.into())),
            }
        }
        Ok(())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// `host:port`, with the scheme in front unless that is `mqtt`, and never the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Mqtt => f.write_str(&self.authority()),
            Scheme::Mqtts => write!(f, "mqtts://{}", self.authority()),
            Scheme::Ws | Scheme::Wss => {
                write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.websocket_path())
            }
            Scheme::Unix => write!(f, "unix://{}", self.host),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("server", &format_args!("{self}"))
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("client_id", &self.client_id)
            .field("path", &self.path)
            .finish()
    }
}

/// Splits `host`, `host:port`, `[address]`, `[address]:port` and a bare IPv6 address.
fn split_port(server: &str, default_port: u16) -> Result<(&str, u16), AddressError> {
    if let Some(inner) = server.strip_prefix('[') {
        let Some((host, after)) = inner.split_once(']') else {
            return Err(AddressError::Brackets(server.into()));
        };
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, parse_port(port)?)),
            None if after.is_empty() => Ok((host, default_port)),
            None => Err(AddressError::Brackets(server.into())),
        };
    }
    match server.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, parse_port(port)?)),
        _ => Ok((server, default_port)),
    }
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(AddressError::Port(text.into())),
    }
}

fn unescape_text(text: &str) -> Result<String, AddressError> {
    let error = || AddressError::Escape(text.into());
    String::from_utf8(unescape(text).ok_or_else(error)?).map_err(|_| error())
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(plain)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// For messages: a password does not belong on a screen.
fn without_password(text: &str) -> String {
    let hidden = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, server))) => Cow::Owned(format!("{scheme}://...@{server}")),
        (None, Some((_, server))) => Cow::Owned(format!("...@{server}")),
        (_, None) => Cow::Borrowed(text),
    };
    hidden.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> (String, u16) {
        let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (address.host, address.port)
    }

    #[test]
    fn hosts_and_ports_in_all_their_forms() {
        for (text, host, port) in [
            ("localhost", "localhost", 1883),
            ("localhost:1884", "localhost", 1884),
            ("192.0.2.1:1", "192.0.2.1", 1),
            ("[2001:db8::1]:1884", "2001:db8::1", 1884),
            ("[2001:db8::1]", "2001:db8::1", 1883),
            ("2001:db8::1", "2001:db8::1", 1883),
            ("mqtt://broker", "broker", 1883),
            ("MQTT://broker:1885/", "broker", 1885),
            ("tcp://broker:65535", "broker", 65535),
            ("mqtt://[::1]:1884/a", "::1", 1884),
            ("mqtts://broker", "broker", 8883),
            ("ssl://[::1]", "::1", 8883),
            ("tls://broker:1", "broker", 1),
            ("ws://broker", "broker", 8083),
            ("wss://broker/mqtt", "broker", 8084),
            ("unix:///run/dunlin/mqtt.sock", "/run/dunlin/mqtt.sock", 0),
        ] {
            assert_eq!(server(text), (host.into(), port), "{text}");
        }
    }

    #[test]
    fn a_url_says_who_the_client_is() {
        let address = Address::parse("mqtt://us%3Aer:p%40ss:%FF@host:1884/a/+/#?client_id=me%20too").unwrap();
        assert_eq!(address.user_name.as_deref(), Some("us:er"));
        assert_eq!(address.password.as_deref(), Some(&b"p@ss:\xFF"[..]));
        assert_eq!(address.client_id.as_deref(), Some("me too"));
        assert_eq!(address.path.as_deref(), Some("a/+/#"));
        assert_eq!(address.to_string(), "host:1884");
        assert!(!format!("{address:?}").contains("p@ss"), "no password in logs");
        let address = Address::parse("mqtt://user@host?client_id=me").unwrap();
        assert_eq!((address.user_name.as_deref(), address.password), (Some("user"), None));
        assert_eq!(address.client_id.as_deref(), Some("me"));
    }

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        for (text, shown) in [
            ("tcp://host", "host:1883"),
            ("SSL://u:p@host/topic", "mqtts://host:8883"),
            ("ws://[::1]", "ws://[::1]:8083/mqtt"),
            ("wss://host:443/deep/path?client_id=x", "wss://host:443/deep/path"),
            ("unix://u:p@/run/mqtt?client_id=x", "unix:///run/mqtt"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let address = Address::parse("unix://u:p@/run/mqtt?client_id=x").unwrap();
        assert_eq!((address.user_name.as_deref(), address.client_id.as_deref()), (Some("u"), Some("x")));
    }

    #[test]
    fn errors_say_what_is_wrong_and_hide_the_password() {
        use AddressError::{
            Brackets, Escape, NoHost, NoSocketPath, NotInThisBuild, Port, UnknownParameter, UnknownScheme,
        };
        for (text, error) in [
            ("http://host", UnknownScheme("http".into())),
            ("quic://host", NotInThisBuild("quic".into())),
            ("unix://run/mqtt", NoSocketPath("unix://run/mqtt".into())),
            ("unix://", NoSocketPath("unix://".into())),
            ("", NoHost("".into())),
            ("mqtt://u:secret@:1883", NoHost("mqtt://...@:1883".into())),
            ("[::1", Brackets("[::1".into())),
            ("[::1]x", Brackets("[::1]x".into())),
            ("host:0", Port("0".into())),
            ("host:65536", Port("65536".into())),
            ("host:", Port("".into())),
            ("mqtt://u%4@host", Escape("u%4".into())),
            ("mqtt://u:secret%@host", Escape("the password".into())),
            ("mqtt://%FF@host", Escape("%FF".into())),
            ("mqtt://host?clean=1", UnknownParameter("clean=1".into())),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }
}
