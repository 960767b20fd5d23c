//! What a stranger speaks, told by its first bytes.

/// What may come to a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    /// CONNECT of MQTT (3.1).
    Mqtt,
    /// ClientHello of TLS.
    Tls,
    /// A request of HTTP, perhaps for a WebSocket.
    Http,
    /// A header of the PROXY protocol.
    Proxy,
    /// Something else.
    Unknown,
}

/// Tells what begins with `bytes`; `None` if there are too few. It never asks for more than [`FIRST_BYTES`].
#[must_use]
pub fn tell(bytes: &[u8]) -> Option<Speech> {
    let &first = bytes.first()?;
    match first {
        0x10 => Some(Speech::Mqtt),
        // A handshake record of SSL 3.0, TLS 1.0 or newer.
        0x16 => bytes.get(1).map(|&major| if major == 3 { Speech::Tls } else { Speech::Unknown }),
        0x0D => Some(Speech::Proxy),
        _ => {
            if bytes.starts_with(b"PROXY ") {
                return Some(Speech::Proxy);
            }
            let word = METHODS.iter().chain([&"PROXY "]).find(|word| {
                let len = word.len().min(bytes.len());
                word.as_bytes()[..len] == bytes[..len]
            });
            match word {
                None => Some(Speech::Unknown),
                Some(word) if bytes.len() < word.len() => None,
                Some(_) => Some(Speech::Http),
            }
        }
    }
}

/// So many bytes are always enough.
pub const FIRST_BYTES: usize = 8;

const METHODS: [&str; 9] =
    ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH "];

impl Speech {
    /// For the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Speech::Mqtt => "plain MQTT",
            Speech::Tls => "TLS",
            Speech::Http => "HTTP",
            Speech::Proxy => "the PROXY protocol",
            Speech::Unknown => "something else",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_what_is_spoken() {
        for (bytes, speech) in [
            (&b"\x10"[..], Some(Speech::Mqtt)),
            (b"\x16", None),
            (b"\x16\x03", Some(Speech::Tls)),
            (b"\x16\x04", Some(Speech::Unknown)),
            (b"G", None),
            (b"GET ", Some(Speech::Http)),
            (b"P", None),
            (b"PO", None),
            (b"POST /", Some(Speech::Http)),
            (b"PROXY TCP4", Some(Speech::Proxy)),
            (b"PROXX", Some(Speech::Unknown)),
            (b"\r\n\r\n\0", Some(Speech::Proxy)),
            (b"SSH-2.0", Some(Speech::Unknown)),
            (b"", None),
        ] {
            assert_eq!(tell(bytes), speech, "{bytes:?}");
        }
        for first in 0..=255 {
            for second in [0, b'E', b'O', 3] {
                assert!(tell(&[first, second, 0, 0, 0, 0, 0, 0]).is_some());
            }
        }
    }
}
