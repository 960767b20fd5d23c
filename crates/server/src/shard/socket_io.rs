//! One reading and one writing of a socket that does not block.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;

/// What reading gave.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Something came.
    Bytes {
        /// So many bytes of MQTT; may be none if something else came.
        count: usize,
        /// The socket is empty now.
        is_drained: bool,
    },
    /// Nothing is there now; the poller tells when there is.
    Nothing,
    /// The other side has closed.
    End,
    /// The connection is broken.
    Failed(io::Error),
}

/// What writing did.
#[derive(Debug)]
pub(crate) enum Writing {
    /// So many bytes were taken. Were there more, the socket is full now.
    Took(usize),
    /// The connection is broken.
    Failed(io::Error),
}

/// Reads once, into `buffer`.
pub(super) fn read_once(stream: &mut TcpStream, buffer: &mut [u8]) -> Reading {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Reading::End,
            Ok(count) => return Reading::Bytes { count, is_drained: count < buffer.len() },
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Reading::Nothing,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Reading::Failed(error),
        }
    }
}

/// Writes once.
pub(super) fn write_once(stream: &mut TcpStream, bytes: &[u8]) -> Writing {
    loop {
        match stream.write(bytes) {
            Ok(count) => return Writing::Took(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Writing::Took(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Writing::Failed(error),
        }
    }
}
