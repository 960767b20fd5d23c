//! Any bytes at both ends of a WebSocket: no panic, no more bytes out than in, and the same however they are cut.
//!
//! Input: one byte for the end and the size of the pieces, then the stream.
#![no_main]

use dunlin_net::websocket::stream::{End, Role, WebSocket};
use libfuzzer_sys::fuzz_target;

/// Bytes of a message.
const MESSAGE_BYTES_MAX: u64 = 1_000;

fuzz_target!(|input: &[u8]| {
    let Some((first, stream)) = input.split_first() else { return };
    let role = || if first & 1 == 0 { Role::Server } else { Role::Client { mask: || [1, 2, 3, 4] } };
    let size = usize::from(first >> 1) + 1;
    let (whole, end) = play(WebSocket::new(role(), MESSAGE_BYTES_MAX), stream, stream.len().max(1));
    let (pieces, end_of_pieces) = play(WebSocket::new(role(), MESSAGE_BYTES_MAX), stream, size);
    assert_eq!(whole, pieces);
    assert_eq!(end, end_of_pieces);
    assert!(whole.len() <= stream.len());
    echo(&whole);
});

/// The stream that came out, and the end.
fn play(mut socket: WebSocket, stream: &[u8], size: usize) -> (Vec<u8>, Option<End>) {
    let (mut out, mut replies) = (Vec::new(), Vec::new());
    for piece in stream.chunks(size) {
        let mut piece = piece.to_vec();
        let before = replies.len();
        let received = socket.receive(&mut piece, &mut replies);
        // A Pong as long as its Ping, with a mask, and a Close.
        assert!(replies.len() - before <= piece.len() + 140);
        out.extend_from_slice(&piece[..received.len]);
        if received.end.is_some() {
            return (out, received.end);
        }
    }
    (out, None)
}

/// What one end sends, the other gets.
fn echo(bytes: &[u8]) {
    let mut client = WebSocket::new(Role::Client { mask: || [9, 0, 200, 77] }, u64::MAX);
    let mut server = WebSocket::new(Role::Server, u64::MAX);
    let mut wire = Vec::new();
    client.send(bytes, &mut wire);
    client.close(1000, &mut wire);
    let mut replies = Vec::new();
    let received = server.receive(&mut wire, &mut replies);
    assert_eq!(&wire[..received.len], bytes);
    assert_eq!(received.end, Some(End::Closed));
    assert_eq!(replies, [0x88, 2, 0x03, 0xE8]);
}
