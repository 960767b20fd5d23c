//! The sockets of one shard: a slab whose index is the [`ConnectionId`]; a connection at rest owns no buffer.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    time::Duration,
};

use dunlin_broker::ids::ConnectionId;
use mio::net::TcpStream;

/// The connections of one shard.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<ConnectionId>,
}

/// A place for one connection: 16 bytes.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    stream: Option<TcpStream>,
    /// Counts the connections that have had this place.
    serial: u32,
    /// The socket was full; it will be told when there is room.
    pub(crate) is_write_blocked: bool,
    /// The other side has closed: reading goes on until the end is read.
    pub(crate) is_read_closed: bool,
    /// It stands in the list of those to be read.
    pub(crate) is_listed: bool,
    /// It is not read because it does not read what it is sent.
    pub(crate) is_paused: bool,
    /// The broker has ended it: what is pending is written, what comes is thrown away.
    pub(crate) is_ending: bool,
    /// Its sending direction is shut.
    pub(crate) is_half_closed: bool,
    /// How much less than a whole buffer is read at once, as a power of two.
    slowness: u8,
}

/// What reading gave.
#[derive(Debug)]
pub(crate) enum Reading {
    /// So many bytes, at least one.
    Bytes(usize),
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
    /// The socket took so many bytes. Were there more, it is full now.
    Took(usize),
    /// The connection is broken.
    Failed(io::Error),
}

impl Connections {
    /// Gives `stream` a place.
    pub(crate) fn insert(&mut self, stream: TcpStream) -> ConnectionId {
        let connection = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len()).expect("descriptors are numbered with 31 bits");
            self.slots.push(Slot::default());
            ConnectionId(index)
        });
        let slot = &mut self.slots[connection.index()];
        let serial = slot.serial.wrapping_add(1);
        *slot = Slot { stream: Some(stream), serial, slowness: SLOWNESS_AT_FIRST, ..Slot::default() };
        connection
    }

    /// Closes the socket and frees the place.
    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        let slot = &mut self.slots[connection.index()];
        if slot.stream.take().is_some() {
            self.free.push(connection);
        }
    }

    /// The connection, if it is open.
    pub(crate) fn open(&mut self, connection: ConnectionId) -> Option<&mut Slot> {
        self.slots.get_mut(connection.index()).filter(|slot| slot.stream.is_some())
    }

    /// The connection, if it is open and still the same.
    pub(crate) fn open_as(&mut self, connection: ConnectionId, serial: u32) -> Option<&mut Slot> {
        self.open(connection).filter(|slot| slot.serial == serial)
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl Slot {
    /// Tells this connection from others that have had its place.
    pub(crate) fn serial(&self) -> u32 {
        self.serial
    }

    /// The socket.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect("only open slots are handed out")
    }

    /// Reads once, into `buffer`.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Reading {
        loop {
            match self.stream().read(buffer) {
                Ok(0) => return Reading::End,
                Ok(count) => return Reading::Bytes(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Reading::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Reading::Failed(error),
            }
        }
    }

    /// Writes once; if the socket does not take all, the connection counts as blocked.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Writing {
        loop {
            let count = match self.stream().write(bytes) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Writing::Failed(error),
            };
            self.is_write_blocked = count < bytes.len();
            return Writing::Took(count);
        }
    }

    /// Shuts the sending direction: the other side reads the end behind all that was written.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) fn half_close(&mut self) -> io::Result<()> {
        self.is_half_closed = true;
        self.stream().shutdown(Shutdown::Write)
    }

    /// The most bytes to read at once.
    pub(crate) fn read_max(&self) -> usize {
        READ_BYTES >> self.slowness
    }

    /// Takes note of how long the handling of `count` bytes took: what is read at once should not keep the
    /// others waiting, however many receivers each of its messages has.
    pub(crate) fn pace(&mut self, count: usize, took: Duration) {
        if took > READ_TIME {
            let times = took.as_micros().div_ceil(READ_TIME.as_micros());
            let halvings = u8::try_from(u128::BITS - times.leading_zeros()).unwrap_or(u8::MAX);
            self.slowness = self.slowness.saturating_add(halvings).min(SLOWNESS_MAX);
        } else if count == self.read_max() && took < READ_TIME / 4 {
            self.slowness = self.slowness.saturating_sub(1);
        }
    }
}

/// Bytes of a thread's read buffer.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// How long the handling of what was read at once should take at most.
const READ_TIME: Duration = Duration::from_millis(4);

/// A new connection is read 4 KiB at a time; it has to show that its bytes are quickly handled.
const SLOWNESS_AT_FIRST: u8 = 6;

/// At least 256 bytes are read at once.
const SLOWNESS_MAX: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reading_is_followed_by_shorter_ones_and_fast_ones_by_longer_ones() {
        let mut slot = Slot { slowness: SLOWNESS_AT_FIRST, ..Slot::default() };
        assert_eq!(slot.read_max(), 4 << 10);
        for _ in 0..10 {
            slot.pace(slot.read_max(), Duration::from_micros(50));
        }
        assert_eq!(slot.read_max(), READ_BYTES);
        slot.pace(READ_BYTES, Duration::from_millis(19));
        assert_eq!(slot.read_max(), READ_BYTES >> 3);
        slot.pace(100, Duration::ZERO);
        assert_eq!(slot.read_max(), READ_BYTES >> 3, "a short reading shows nothing");
        slot.pace(100, Duration::from_secs(1_000_000));
        assert_eq!(slot.read_max(), 256);
    }

    #[test]
    fn a_slot_is_small() {
        // In release builds a socket is its descriptor; with debug assertions it knows its poller too.
        let stream = size_of::<Option<TcpStream>>();
        assert!(size_of::<Slot>() <= stream + 16, "{}", size_of::<Slot>());
    }
}
