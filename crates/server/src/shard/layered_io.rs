//! Reading and writing a socket through what lies over it: TLS, WebSocket.

use std::io;

use dunlin_net::layer::{End, Layer, Scratch};
use mio::net::TcpStream;

use super::socket_io::{Reading, Writing, read_once, write_once};

/// Reads the socket once, at most `most` bytes, and leaves the bytes of MQTT at the beginning of `buffer`.
pub(super) fn read(
    stream: &mut TcpStream,
    layer: &mut Layer,
    buffer: &mut [u8],
    most: usize,
    scratch: &mut Scratch,
) -> Reading {
    match layer.end() {
        None => {}
        Some(End::Closed) => return Reading::End,
        Some(End::Failed(error)) => return Reading::Failed(io::Error::other(error.clone())),
    }
    let start = layer.kept_len();
    let stop = buffer.len().min(start + most);
    let (count, is_drained) = match read_once(stream, &mut buffer[start..stop]) {
        Reading::Bytes { count, is_drained } => (count, is_drained),
        reading => return reading,
    };
    layer.begin(buffer);
    let count = layer.receive(&mut buffer[..start + count], scratch);
    // After an end the next reading tells it.
    Reading::Bytes { count, is_drained: is_drained && layer.end().is_none() }
}

/// Writes what the layer has to say itself, and then `bytes`, until all is written or the socket is full. What is on its way counts as
/// taken: the layer keeps it.
pub(super) fn write(
    stream: &mut TcpStream,
    layer: &mut Layer,
    bytes: &[u8],
    scratch: &mut Scratch,
) -> Writing {
    if !write_unsent(stream, layer) {
        return Writing::Took(0);
    }
    let mut took = 0;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        scratch.out.clear();
        if let Err(error) = layer.send(chunk, scratch) {
            return Writing::Failed(io::Error::other(error));
        }
        took += chunk.len();
        match write_once(stream, &scratch.out) {
            Writing::Took(count) if count < scratch.out.len() => {
                layer.keep_unsent(&scratch.out[count..]);
                break;
            }
            Writing::Took(_) => {}
            failed @ Writing::Failed(_) => return failed,
        }
    }
    if scratch.out.capacity() > SCRATCH_BYTES_MAX {
        scratch.out = Vec::new();
    }
    Writing::Took(took)
}

/// Writes what is unsent; returns whether all of it is written. A broken socket tells it when it is written to next, or read.
fn write_unsent(stream: &mut TcpStream, layer: &mut Layer) -> bool {
    if layer.unsent().is_empty() {
        return true;
    }
    match write_once(stream, layer.unsent()) {
        Writing::Took(count) => {
            layer.sent(count);
            layer.unsent().is_empty()
        }
        Writing::Failed(_) => false,
    }
}

/// Bytes of MQTT that are encrypted or framed together, and of which the layer may have to keep a copy.
const CHUNK_BYTES: usize = 128 << 10;

/// What a thread keeps for its next writing.
const SCRATCH_BYTES_MAX: usize = 512 << 10;
