//! The head of an HTTP/1.x request, and short answers to it: all of HTTP that a listener for MQTT needs.

use std::net::IpAddr;

use thiserror::Error;

use crate::ip_network::IpNetwork;

/// A request line and its header fields; what may follow them is not looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// `GET`, for instance.
    pub method: String,
    /// As it stands in the request.
    pub target: String,
    /// Otherwise it is HTTP/1.0.
    pub is_http_1_1: bool,
    /// Names and values in their order; a value that is not UTF-8 is left out.
    fields: Vec<(String, String)>,
}

/// Why bytes are no head of a request.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HeadError {
    /// Longer than [`HEAD_BYTES_MAX`].
    #[error("an HTTP head of more than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    /// Too many header fields.
    #[error("an HTTP head of more than {FIELDS_MAX} fields")]
    TooManyFields,
    /// Against the grammar.
    #[error("not an HTTP head: {0}")]
    Invalid(httparse::Error),
}

impl RequestHead {
    /// Reads a head at the beginning of `bytes` and says how long it is; `None` if it is not all there.
    ///
    /// # Errors
    /// Each [`HeadError`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let looked_at = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let len = match request.parse(looked_at) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if bytes.len() >= HEAD_BYTES_MAX => return Err(HeadError::TooLong),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyFields),
            Err(error) => return Err(HeadError::Invalid(error)),
        };
        let field = |field: &httparse::Header<'_>| {
            let value = std::str::from_utf8(field.value).ok()?;
            Some((field.name.to_owned(), value.to_owned()))
        };
        let head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            is_http_1_1: request.version == Some(1),
            fields: request.headers.iter().filter_map(field).collect(),
        };
        Ok(Some((head, len)))
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of the field `name`, if there is exactly one.
    #[must_use]
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut values = self.values(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The words of all fields `name`, which are lists with commas.
    pub fn tokens<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.values(name).flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
    }

    /// Whether one of the fields `name` has the word `token`, in any case.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|word| word.eq_ignore_ascii_case(token))
    }

    /// Where the request comes from, by its `X-Forwarded-For`: each proxy has appended whom it has heard it from, so the last address that
    /// is not a proxy of `trusted` counts. `None` without such a field, or if it holds something else.
    #[must_use]
    pub fn forwarded_for(&self, trusted: &[IpNetwork]) -> Option<IpAddr> {
        let mut first = None;
        for word in self.tokens("x-forwarded-for").rev() {
            let address: IpAddr = word.parse().ok()?;
            let address = address.to_canonical();
            first = Some(address);
            if !trusted.iter().any(|network| network.contains(address)) {
                break;
            }
        }
        first
    }

    fn values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// A response of one line of text, after which the connection is closed. Each of the fields `more` ends with CR LF.
#[must_use]
pub fn short_response(status: &str, more: &str, text: &str) -> Vec<u8> {
    let len = text.len() + 1;
    let fields = format!(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len}\r\nConnection: close\r\n{more}"
    );
    format!("HTTP/1.1 {status}\r\n{fields}\r\n{text}\n").into_bytes()
}

/// Bytes of the longest head.
pub const HEAD_BYTES_MAX: usize = 8 << 10;

/// The most header fields.
const FIELDS_MAX: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_all_there() {
        let text = b"GET /mqtt?x=1 HTTP/1.1\r\nHost: a\r\nX-List: a , b\r\nx-list: c\r\n\r\nrest";
        let len = text.len() - 4;
        for end in 0..len {
            assert_eq!(RequestHead::parse(&text[..end]), Ok(None), "cut at {end}");
        }
        let (head, found) = RequestHead::parse(text).unwrap().unwrap();
        assert_eq!((found, &*head.method, head.path(), head.is_http_1_1), (len, "GET", "/mqtt", true));
        assert_eq!(head.value("HOST"), Some("a"));
        assert_eq!(head.value("x-list"), None, "there are two");
        assert_eq!(head.tokens("x-list").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_no_head_or_too_long_is_told() {
        assert!(matches!(RequestHead::parse(b"\x10\x0C\x00\x04MQTT"), Err(HeadError::Invalid(_))));
        let mut long = b"GET / HTTP/1.1\r\nX: ".to_vec();
        long.resize(HEAD_BYTES_MAX, b'x');
        assert_eq!(RequestHead::parse(&long), Err(HeadError::TooLong));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(RequestHead::parse(many.as_bytes()), Err(HeadError::TooManyFields));
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for (value, address) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("203.0.113.9, 192.0.2.1, 10.1.2.3", Some("192.0.2.1")),
            ("10.9.9.9, 10.1.2.3", Some("10.9.9.9")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("192.0.2.1, nonsense", None),
            ("", None),
        ] {
            let text = format!("GET / HTTP/1.1\r\nX-Forwarded-For: {value}\r\n\r\n");
            let (head, _) = RequestHead::parse(text.as_bytes()).unwrap().unwrap();
            let expected: Option<IpAddr> = address.map(|address| address.parse().unwrap());
            assert_eq!(head.forwarded_for(&trusted), expected, "{value}");
        }
    }
}
