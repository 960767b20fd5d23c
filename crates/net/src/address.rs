//! Where a Server is, as a person writes it: `host`, `host:port` or a URL.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A Server reached by TCP, and what a URL may say about the Client that goes there.
///
/// The text form is `[mqtt://[user[:password]@]]host[:port][/path][?client_id=...]`; `tcp://` is the same as
/// `mqtt://`. User, password and the values behind `?` may hold percent escapes.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, an IPv4 or an IPv6 address, the last without brackets; never empty.
    pub host: String,
    /// The TCP port, [`DEFAULT_PORT`] if none was given.
    pub port: u16,
    /// User Name, percent escapes undone.
    pub user_name: Option<String>,
    /// Password, percent escapes undone; any bytes.
    pub password: Option<Vec<u8>>,
    /// The Client Identifier of `?client_id=`, percent escapes undone.
    pub client_id: Option<String>,
    /// What follows the first slash, taken literally; nothing if that is empty. Some tools put a topic here.
    pub path: Option<String>,
}

/// The port IANA gave to MQTT over TCP.
pub const DEFAULT_PORT: u16 = 1883;

/// A text that is no address of a Server.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum AddressError {
    /// A scheme nobody uses for MQTT.
    #[error("unknown scheme `{0}://`; write mqtt://host:port or host:port")]
    UnknownScheme(String),
    /// A scheme for TLS, WebSocket, QUIC or local sockets.
    #[error("`{0}://` is not in this build, which speaks MQTT over plain TCP only; write mqtt://host:port")]
    NotInThisBuild(String),
    /// Nothing where the host should be.
    #[error("there is no host in `{0}`; write host:port or mqtt://host:port")]
    NoHost(String),
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

impl Address {
    /// The Server at `host` and `port`.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, user_name: None, password: None, client_id: None, path: None }
    }

    /// Reads an address.
    ///
    /// # Errors
    /// Each [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) => {
                check_scheme(scheme)?;
                rest
            }
            None => text,
        };
        let (authority, tail) = match rest.find(['/', '?']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let (credentials, server) = match authority.rsplit_once('@') {
            Some((credentials, server)) => (Some(credentials), server),
            None => (None, authority),
        };
        let (host, port) = split_port(server)?;
        if host.is_empty() {
            return Err(AddressError::NoHost(without_password(text)));
        }
        let mut address = Self::new(host, port);
        if let Some(credentials) = credentials {
            address.set_credentials(credentials)?;
        }
        address.set_tail(tail)?;
        Ok(address)
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

/// `host:port`, with brackets around an IPv6 address, and never the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
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

fn check_scheme(scheme: &str) -> Result<(), AddressError> {
    match scheme.to_ascii_lowercase().as_str() {
        "mqtt" | "tcp" => Ok(()),
        "mqtts" | "ssl" | "tls" | "ws" | "wss" | "unix" | "quic" => {
            Err(AddressError::NotInThisBuild(scheme.into()))
        }
        _ => Err(AddressError::UnknownScheme(scheme.into())),
    }
}

/// Splits `host`, `host:port`, `[address]`, `[address]:port` and a bare IPv6 address.
fn split_port(server: &str) -> Result<(&str, u16), AddressError> {
    if let Some(inner) = server.strip_prefix('[') {
        let Some((host, after)) = inner.split_once(']') else {
            return Err(AddressError::Brackets(server.into()));
        };
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, parse_port(port)?)),
            None if after.is_empty() => Ok((host, DEFAULT_PORT)),
            None => Err(AddressError::Brackets(server.into())),
        };
    }
    match server.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, parse_port(port)?)),
        _ => Ok((server, DEFAULT_PORT)),
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
    fn errors_say_what_is_wrong_and_hide_the_password() {
        use AddressError::{Brackets, Escape, NoHost, NotInThisBuild, Port, UnknownParameter, UnknownScheme};
        for (text, error) in [
            ("http://host", UnknownScheme("http".into())),
            ("mqtts://host", NotInThisBuild("mqtts".into())),
            ("ws://host/mqtt", NotInThisBuild("ws".into())),
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
