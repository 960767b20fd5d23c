//! A WebSocket connection after its HTTP request: the bytes of MQTT in its frames, and the frames about itself.

use super::frame::{CONTROL_BYTES_MAX, FrameHeader, HEADER_BYTES_MAX, Opcode, WebSocketError, apply_mask};

/// One end of a WebSocket connection.
///
/// MQTT is a stream of bytes, so no message is ever put together: what has come of a frame is handed on, and all that is kept
/// is the rest of a header or of a control frame.
#[derive(Debug)]
pub struct WebSocket {
    role: Role,
    message_bytes_max: u64,
    /// Bytes of the message that is under way, if one is.
    message: Option<u64>,
    /// The frame that is under way.
    frame: Option<Frame>,
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// What has come of a control frame.
    control: Vec<u8>,
    has_sent_close: bool,
}

/// Which end this is.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// Its frames have no mask, those of the other end must have one.
    Server,
    /// Its frames have masks: four bytes that nobody can foresee, new for each.
    Client {
        /// Gives a mask.
        mask: fn() -> [u8; 4],
    },
}

/// What came of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// So many bytes of MQTT stand at the beginning of the bytes now.
    pub len: usize,
    /// Nothing more comes.
    pub end: Option<End>,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The other side has closed.
    Closed,
    /// The other side broke a rule.
    Failed(WebSocketError),
}

#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    mask: [u8; 4],
    /// Bytes of the payload that have come.
    offset: u64,
    /// Bytes of the payload that have not.
    left: u64,
}

impl WebSocket {
    /// A connection that is open; no message that comes may have more than `message_bytes_max` bytes.
    #[must_use]
    pub fn new(role: Role, message_bytes_max: u64) -> Self {
        Self {
            role,
            message_bytes_max,
            message: None,
            frame: None,
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            control: Vec::new(),
            has_sent_close: false,
        }
    }

    /// Takes bytes from the other side, cut anywhere, and leaves those of MQTT at their beginning. Packets may share a frame or
    /// span several. [MQTT-6.0.0-2] [MQTT3-6.0.0-2]
    ///
    /// What is to be answered is appended to `replies`: of several Pings only the last has a Pong (RFC 6455, section 5.5.3), so
    /// answers are never more than questions; a Close has a Close.
    pub fn receive(&mut self, bytes: &mut [u8], replies: &mut Vec<u8>) -> Received {
        let (mut read, mut written) = (0, 0);
        let mut pong = None;
        let end = loop {
            let frame = match &mut self.frame {
                Some(frame) => frame,
                None => match self.begin_frame(&bytes[read..]) {
                    Ok(used) => {
                        read += used;
                        match &mut self.frame {
                            Some(frame) => frame,
                            None => break None,
                        }
                    }
                    Err(error) => break Some(End::Failed(error)),
                },
            };
            let count = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len() - read);
            let piece = read..read + count;
            let offset = (frame.offset % 4) as usize;
            frame.offset += count as u64;
            frame.left -= count as u64;
            read += count;
            if frame.opcode.is_control() {
                let start = self.control.len();
                self.control.extend_from_slice(&bytes[piece]);
                apply_mask(&mut self.control[start..], frame.mask, offset);
            } else {
                bytes.copy_within(piece, written);
                apply_mask(&mut bytes[written..written + count], frame.mask, offset);
                written += count;
            }
            if frame.left > 0 {
                break None;
            }
            if let Some(end) = self.end_frame(&mut pong, replies) {
                break Some(end);
            }
        };
        if let Some(payload) = pong.filter(|_| !self.has_sent_close) {
            self.write_frame(Opcode::Pong, &payload, replies);
        }
        if let Some(End::Failed(error)) = end {
            self.close(error.close_code(), replies);
        }
        Received { len: written, end }
    }

    /// Appends `bytes` as one binary frame; nothing after a Close (RFC 6455, section 5.5.1).
    pub fn send(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.has_sent_close {
            self.write_frame(Opcode::Binary, bytes, out);
        }
    }

    /// Appends a Close with `code`, unless there was one; after it nothing may be sent.
    pub fn close(&mut self, code: u16, out: &mut Vec<u8>) {
        if !self.has_sent_close {
            self.has_sent_close = true;
            self.write_frame(Opcode::Close, &code.to_be_bytes(), out);
        }
    }

    /// Reads a header, or what there is of it, and returns how many bytes it took.
    fn begin_frame(&mut self, bytes: &[u8]) -> Result<usize, WebSocketError> {
        let kept = usize::from(self.header_len);
        let count = bytes.len().min(HEADER_BYTES_MAX - kept);
        self.header[kept..kept + count].copy_from_slice(&bytes[..count]);
        let Some((header, len)) = FrameHeader::decode(&self.header[..kept + count])? else {
            self.header_len = (kept + count) as u8;
            return Ok(count);
        };
        self.header_len = 0;
        let mask = match (self.role, header.mask) {
            (Role::Server, Some(mask)) => mask,
            (Role::Server, None) => return Err(WebSocketError::Unmasked),
            (Role::Client { .. }, None) => [0; 4],
            (Role::Client { .. }, Some(_)) => return Err(WebSocketError::Masked),
        };
        self.check_message(&header)?;
        let FrameHeader { is_final, opcode, payload_len, .. } = header;
        self.frame = Some(Frame { opcode, is_final, mask, offset: 0, left: payload_len });
        Ok(len - kept)
    }

    /// Checks the place of a data frame in its message, and its length.
    fn check_message(&mut self, header: &FrameHeader) -> Result<(), WebSocketError> {
        let so_far = match (header.opcode, self.message) {
            (Opcode::Text, _) => return Err(WebSocketError::Text),
            (Opcode::Binary, None) => 0,
            (Opcode::Continuation, Some(so_far)) => so_far,
            (Opcode::Binary, Some(_)) | (Opcode::Continuation, None) => {
                return Err(WebSocketError::Fragments);
            }
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
        };
        let len = so_far.saturating_add(header.payload_len);
        if len > self.message_bytes_max {
            return Err(WebSocketError::MessageTooLong(self.message_bytes_max));
        }
        self.message = Some(len);
        Ok(())
    }

    fn end_frame(&mut self, pong: &mut Option<Vec<u8>>, replies: &mut Vec<u8>) -> Option<End> {
        let frame = self.frame.take()?;
        match frame.opcode {
            Opcode::Ping => *pong = Some(std::mem::take(&mut self.control)),
            Opcode::Pong => self.control = Vec::new(),
            Opcode::Close => return Some(self.closed(replies)),
            Opcode::Continuation | Opcode::Text | Opcode::Binary if frame.is_final => self.message = None,
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        None
    }

    /// Answers a Close with its own code.
    fn closed(&mut self, replies: &mut Vec<u8>) -> End {
        let payload = std::mem::take(&mut self.control);
        let code = match &payload[..] {
            [] => NORMAL,
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !may_be_sent(code) || std::str::from_utf8(reason).is_err() {
                    return End::Failed(WebSocketError::Close);
                }
                code
            }
            [_] => return End::Failed(WebSocketError::Close),
        };
        self.close(code, replies);
        End::Closed
    }

    fn write_frame(&self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let mask = match self.role {
            Role::Server => None,
            Role::Client { mask } => Some(mask()),
        };
        debug_assert!(!opcode.is_control() || payload.len() <= CONTROL_BYTES_MAX);
        FrameHeader { is_final: true, opcode, mask, payload_len: payload.len() as u64 }.encode(out);
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(mask) = mask {
            apply_mask(&mut out[start..], mask, 0);
        }
    }
}

/// Whether a Close may have this code (RFC 6455, section 7.4).
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The code of a Close without a complaint.
pub const NORMAL: u16 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [7, 200, 3, 0xFF];

    fn client() -> WebSocket {
        WebSocket::new(Role::Client { mask: || MASK }, 1_000)
    }

    fn server() -> WebSocket {
        WebSocket::new(Role::Server, 1_000)
    }

    fn frame(is_final: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let header = FrameHeader { is_final, opcode, mask: Some(MASK), payload_len: payload.len() as u64 };
        header.encode(&mut bytes);
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        apply_mask(&mut bytes[start..], MASK, 0);
        bytes
    }

    /// What a fresh server makes of `bytes`, in pieces of `size`: the stream, its answers, its end.
    fn play(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<u8>, Option<End>) {
        let mut server = server();
        let (mut stream, mut replies) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            let mut piece = piece.to_vec();
            let Received { len, end } = server.receive(&mut piece, &mut replies);
            stream.extend_from_slice(&piece[..len]);
            if end.is_some() {
                return (stream, replies, end);
            }
        }
        (stream, replies, None)
    }

    #[test]
    fn both_ends_understand_each_other() {
        let (mut client, mut server) = (client(), server());
        let message: Vec<u8> = (0..=255).cycle().take(700).collect();
        let mut wire = Vec::new();
        client.send(&message, &mut wire);
        assert_ne!(&wire[8..], message, "a client masks what it sends");
        let received = server.receive(&mut wire, &mut Vec::new());
        assert_eq!((&wire[..received.len], received.end), (&message[..], None));
        let mut wire = Vec::new();
        server.send(&message, &mut wire);
        assert_eq!(client.receive(&mut wire, &mut Vec::new()).len, 700);
        assert_eq!(&wire[..700], message);
    }

    /// [MQTT-6.0.0-2] [MQTT3-6.0.0-2]
    #[test]
    fn the_stream_does_not_depend_on_frames_and_cuts() {
        let mut bytes = frame(false, Opcode::Binary, b"ab");
        bytes.extend(frame(true, Opcode::Ping, b"there?"));
        bytes.extend(frame(false, Opcode::Continuation, b""));
        bytes.extend(frame(true, Opcode::Continuation, b"cdefg"));
        bytes.extend(frame(true, Opcode::Binary, &[b'h'; 200]));
        let mut expected = b"abcdefg".to_vec();
        expected.extend([b'h'; 200]);
        for size in 1..bytes.len() {
            let (stream, replies, end) = play(&bytes, size);
            assert_eq!((stream, end), (expected.clone(), None), "in pieces of {size}");
            assert_eq!(replies, b"\x8A\x06there?");
        }
    }

    #[test]
    fn of_many_pings_the_last_is_answered() {
        let mut bytes = Vec::new();
        (0..100).for_each(|number| bytes.extend(frame(true, Opcode::Ping, &[number])));
        assert_eq!(play(&bytes, bytes.len()), (vec![], vec![0x8A, 1, 99], None));
        assert_eq!(play(&frame(true, Opcode::Pong, b"unasked"), 64), (vec![], vec![], None));
    }

    #[test]
    fn a_close_is_answered_and_what_came_before_counts() {
        let mut bytes = frame(true, Opcode::Binary, b"last");
        bytes.extend(frame(true, Opcode::Close, b"\x03\xE9away"));
        bytes.extend(b"never read");
        for size in 1..bytes.len() {
            let closed = (b"last".to_vec(), b"\x88\x02\x03\xE9".to_vec(), Some(End::Closed));
            assert_eq!(play(&bytes, size), closed, "in pieces of {size}");
        }
        let no_code = (vec![], b"\x88\x02\x03\xE8".to_vec(), Some(End::Closed));
        assert_eq!(play(&frame(true, Opcode::Close, b""), 64), no_code);
    }

    #[test]
    fn a_close_is_sent_once() {
        let mut server = server();
        let mut replies = Vec::new();
        server.close(NORMAL, &mut replies);
        server.send(b"too late", &mut replies);
        let mut bytes = frame(true, Opcode::Ping, b"");
        bytes.extend(frame(true, Opcode::Close, b"\x03\xE8"));
        assert_eq!(server.receive(&mut bytes, &mut replies).end, Some(End::Closed));
        assert_eq!(replies, b"\x88\x02\x03\xE8");
    }

    /// [MQTT-6.0.0-1] [MQTT3-6.0.0-1]
    #[test]
    fn whoever_breaks_a_rule_is_told_which() {
        let unmasked = b"\x82\x01a".to_vec();
        let mut inside = frame(false, Opcode::Binary, b"a");
        inside.extend(frame(true, Opcode::Binary, b"b"));
        let mut long = frame(false, Opcode::Binary, &[0; 999]);
        long.extend(frame(true, Opcode::Continuation, b"ab"));
        for (bytes, error, code) in [
            (frame(true, Opcode::Text, b"text"), WebSocketError::Text, 1003_u16),
            (unmasked, WebSocketError::Unmasked, 1002),
            (inside, WebSocketError::Fragments, 1002),
            (frame(true, Opcode::Continuation, b""), WebSocketError::Fragments, 1002),
            (long, WebSocketError::MessageTooLong(1_000), 1009),
            (frame(true, Opcode::Close, b"\x03"), WebSocketError::Close, 1002),
            (frame(true, Opcode::Close, b"\x03\xED"), WebSocketError::Close, 1002),
            (frame(true, Opcode::Close, b"\x03\xE8\xFF"), WebSocketError::Close, 1002),
        ] {
            let (_, replies, end) = play(&bytes, bytes.len());
            assert_eq!(end, Some(End::Failed(error)));
            assert_eq!(replies, [&[0x88, 2][..], &code.to_be_bytes()].concat(), "{error}");
        }
        let mut masked = frame(true, Opcode::Binary, b"a");
        let end = client().receive(&mut masked, &mut Vec::new()).end;
        assert_eq!(end, Some(End::Failed(WebSocketError::Masked)));
    }
}
