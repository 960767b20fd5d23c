//! The frames of WebSocket (RFC 6455, section 5.2): their headers and their masks.

use thiserror::Error;

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// Goes on with the message of the frame before.
    Continuation,
    /// Begins a message of text.
    Text,
    /// Begins a message of bytes.
    Binary,
    /// Ends the connection.
    Close,
    /// Asks whether the other side is there.
    Ping,
    /// Answers a Ping.
    Pong,
}

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Whether the message ends with this frame.
    pub is_final: bool,
    /// What the frame is for.
    pub opcode: Opcode,
    /// What the payload is masked with, if it is: always from a client, never from a server.
    pub mask: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub payload_len: u64,
}

/// What the other side did against the rules of WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum WebSocketError {
    /// Bits that only an extension gives a meaning, and none was agreed on.
    #[error("a WebSocket frame with reserved bits")]
    ReservedBits,
    /// An opcode that nobody has defined.
    #[error("a WebSocket frame with the unknown opcode {0}")]
    UnknownOpcode(u8),
    /// A length in more bytes than it needs, or beyond 63 bits.
    #[error("a WebSocket frame whose length is not written as it must be")]
    Length,
    /// Close, Ping or Pong in pieces or with more than 125 bytes.
    #[error("a WebSocket control frame that is cut or longer than 125 bytes")]
    Control,
    /// A client's frame without a mask.
    #[error("a WebSocket frame without a mask")]
    Unmasked,
    /// A server's frame with a mask.
    #[error("a WebSocket frame with a mask from the server")]
    Masked,
    /// A continuation of nothing, or a new message within another.
    #[error("a WebSocket message that begins or goes on at the wrong place")]
    Fragments,
    /// A message of text. [MQTT-6.0.0-1] [MQTT3-6.0.0-1]
    #[error("a WebSocket message of text; MQTT goes in binary ones")]
    Text,
    /// A message longer than allowed.
    #[error("a WebSocket message of more than {0} bytes")]
    MessageTooLong(u64),
    /// A Close with half a code, a code that must not be sent, or a reason that is not UTF-8.
    #[error("a WebSocket Close that is not valid")]
    Close,
}

impl Opcode {
    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }

    /// Whether the frame is about the connection, not about a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }

    fn from_value(value: u8) -> Result<Self, WebSocketError> {
        Ok(match value {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(WebSocketError::UnknownOpcode(value)),
        })
    }
}

impl WebSocketError {
    /// The code of the Close that tells it (RFC 6455, section 7.4.1).
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            WebSocketError::Text => 1003,
            WebSocketError::MessageTooLong(_) => 1009,
            _ => 1002,
        }
    }
}

impl FrameHeader {
    /// Reads a header at the beginning of `bytes` and says how long it is; `None` if it is not all there.
    ///
    /// # Errors
    /// Those of [`WebSocketError`] that a header alone can break.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, WebSocketError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(WebSocketError::ReservedBits);
        }
        let (is_final, opcode) = (first & 0x80 != 0, Opcode::from_value(first & 0x0F)?);
        let short = u64::from(second & 0x7F);
        if opcode.is_control() && (!is_final || short > CONTROL_BYTES_MAX as u64) {
            return Err(WebSocketError::Control);
        }
        let (payload_len, len_bytes, least) = match (short, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2, 126),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8, 1 << 16)
            }
            (126 | 127, _) => return Ok(None),
            _ => (short, 0, 0),
        };
        if payload_len < least || payload_len > i64::MAX as u64 {
            return Err(WebSocketError::Length);
        }
        let rest = &rest[len_bytes..];
        let mask = match (second & 0x80 != 0, rest) {
            (false, _) => None,
            (true, [a, b, c, d, ..]) => Some([*a, *b, *c, *d]),
            (true, _) => return Ok(None),
        };
        let len = 2 + len_bytes + if mask.is_some() { 4 } else { 0 };
        Ok(Some((Self { is_final, opcode, mask, payload_len }, len)))
    }

    /// Appends the header, its length in as few bytes as it needs.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_final) << 7 | self.opcode.value());
        let masked = u8::from(self.mask.is_some()) << 7;
        match self.payload_len {
            0..126 => out.push(masked | self.payload_len as u8),
            126..0x1_0000 => {
                out.push(masked | 126);
                out.extend_from_slice(&(self.payload_len as u16).to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&self.payload_len.to_be_bytes());
            }
        }
        out.extend(self.mask.into_iter().flatten());
    }
}

/// Puts the mask on `bytes`, or takes it off, from the `offset`th byte of the payload on; 8 bytes at a time.
pub fn apply_mask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let [a, b, c, d] = std::array::from_fn(|index| mask[(index + offset) % 4]);
    let pattern = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ pattern).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d].into_iter().cycle()) {
        *byte ^= key;
    }
}

/// Bytes of the longest header.
pub const HEADER_BYTES_MAX: usize = 14;

/// Bytes of the longest payload of a control frame.
pub const CONTROL_BYTES_MAX: usize = 125;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        for payload_len in [0, 1, 125, 126, 0xFFFF, 0x1_0000, i64::MAX as u64] {
            for (opcode, mask) in [(Opcode::Binary, None), (Opcode::Continuation, Some([1, 2, 3, 4]))] {
                let header = FrameHeader { is_final: payload_len % 2 == 0, opcode, mask, payload_len };
                let mut bytes = Vec::new();
                header.encode(&mut bytes);
                for end in 0..bytes.len() {
                    assert_eq!(FrameHeader::decode(&bytes[..end]), Ok(None), "{header:?} cut at {end}");
                }
                assert!(bytes.len() <= HEADER_BYTES_MAX);
                bytes.push(0xFF);
                assert_eq!(FrameHeader::decode(&bytes), Ok(Some((header, bytes.len() - 1))));
            }
        }
    }

    #[test]
    fn bad_headers_are_told_apart() {
        for (bytes, error) in [
            (&[0xC2, 0][..], WebSocketError::ReservedBits),
            (&[0x83, 0], WebSocketError::UnknownOpcode(3)),
            (&[0x8B, 0], WebSocketError::UnknownOpcode(11)),
            (&[0x09, 0], WebSocketError::Control),
            (&[0x88, 126], WebSocketError::Control),
            (&[0x82, 126, 0, 125], WebSocketError::Length),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], WebSocketError::Length),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], WebSocketError::Length),
        ] {
            assert_eq!(FrameHeader::decode(bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn a_mask_goes_on_where_it_stopped() {
        let mask = [0xA1, 0xB2, 0xC3, 0xD4];
        let plain: Vec<u8> = (0..=255).collect();
        let expected: Vec<u8> =
            plain.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
        for cut in 0..plain.len() {
            let mut bytes = plain.clone();
            let (front, back) = bytes.split_at_mut(cut);
            apply_mask(front, mask, 0);
            apply_mask(back, mask, cut);
            assert_eq!(bytes, expected, "cut at {cut}");
        }
    }
}
