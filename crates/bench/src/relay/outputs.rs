//! What waits to be written on each connection of the relay: one write for each in a round.

use std::io::{self, Write};

use dunlin_packet::version::ProtocolVersion;
use mio::net::TcpStream;

/// A connection that reads so slowly that more than this waits is closed.
const WAITING_MAX: usize = 256 << 20;
/// Output buffers that are kept for the next who need one, and how large each may be.
const SPARE_MAX: usize = 256;
const SPARE_BYTES_MAX: usize = 1 << 20;

/// The connections, by number, and which have something to write.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) connections: Vec<Option<Connection>>,
    dirty: Vec<usize>,
    /// Empty buffers. So an idle connection has none, and a busy one need not ask the allocator.
    spare: Vec<Vec<u8>>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) version: ProtocolVersion,
    /// What it has subscribed to.
    pub(super) filters: Vec<Box<str>>,
    /// The start of a packet that is not whole yet.
    pub(super) rest: Vec<u8>,
    out: Vec<u8>,
    written: usize,
    is_dirty: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            version: ProtocolVersion::V3_1_1,
            filters: Vec::new(),
            rest: Vec::new(),
            out: Vec::new(),
            written: 0,
            is_dirty: false,
        }
    }

    /// Writes as much as there is room for. True if nothing is left.
    fn write(&mut self) -> bool {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // There is no room, or no connection: that the next read says.
                Err(_) => {
                    self.drop_written();
                    return false;
                }
            }
        }
        self.written = 0;
        self.out.clear();
        true
    }

    /// Gives room back that was written, but not for each little bit of it.
    fn drop_written(&mut self) {
        if self.written > self.out.len() / 2 {
            self.out.drain(..self.written);
            self.written = 0;
        }
    }
}

impl Outputs {
    /// The output buffer of connection `at`, written at the end of the round; nothing if it is closed.
    #[inline]
    pub(super) fn out(&mut self, at: usize) -> Option<&mut Vec<u8>> {
        let connection = self.connections[at].as_mut()?;
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(at);
            if connection.out.capacity() == 0 {
                connection.out = self.spare.pop().unwrap_or_default();
            }
        }
        Some(&mut connection.out)
    }

    /// There is room again on connection `at`: what waits is written at the end of the round.
    pub(super) fn go_on(&mut self, at: usize) {
        if self.connections[at].as_ref().is_some_and(|connection| !connection.out.is_empty()) {
            self.out(at);
        }
    }

    /// Writes what there is to write, and gives the connections of which too much waits.
    pub(super) fn flush(&mut self) -> Vec<usize> {
        let mut slow = Vec::new();
        let mut dirty = std::mem::take(&mut self.dirty);
        for at in dirty.drain(..) {
            let Some(connection) = &mut self.connections[at] else { continue };
            connection.is_dirty = false;
            if connection.write() {
                let out = std::mem::take(&mut connection.out);
                if self.spare.len() < SPARE_MAX && out.capacity() <= SPARE_BYTES_MAX {
                    self.spare.push(out);
                }
            } else if connection.out.len() - connection.written > WAITING_MAX {
                slow.push(at);
            }
        }
        self.dirty = dirty;
        slow
    }
}
