//! The sockets of one shard: a slab whose index is the [`ConnectionId`]; a connection at rest owns no buffer.

use std::{io, net::Shutdown, time::Duration};

use dunlin_broker::ids::ConnectionId;
use dunlin_net::layer::{Layer, Scratch};
use mio::net::TcpStream;

use super::{
    admission::Passage,
    layered_io,
    socket_io::{Reading, Writing, read_once, write_once},
};

/// The connections of one shard.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<ConnectionId>,
}

/// A place for one connection: 24 bytes.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    stream: Option<TcpStream>,
    /// Nothing for MQTT in TCP and nothing else.
    passage: Option<Box<Passage>>,
    /// Counts the connections that have had this place.
    serial: u32,
    /// The socket was full; it will be told when there is room.
    pub(crate) is_write_blocked: bool,
    /// The other side has closed: reading goes on until the end is read.
    pub(crate) is_read_closed: bool,
    /// It stands in the list of those to be read.
    pub(crate) is_listed: bool,
    /// Why it is not read for now.
    pauses: Pauses,
    /// The broker has ended it: what is pending is written, what comes is thrown away.
    pub(crate) is_ending: bool,
    /// Its sending direction is shut.
    pub(crate) is_half_closed: bool,
    /// How much less than a whole buffer is read at once, as a power of two.
    slowness: u8,
    /// The listener it came to.
    door: u8,
}

/// Why a connection is not read, if it is not; each ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Pauses(u8);

impl Pauses {
    /// It does not read what it is sent.
    pub(crate) const BACKLOG: Self = Self(1);
    /// It has sent more than it may for now.
    pub(crate) const RATE: Self = Self(2);
}

impl Connections {
    /// Gives `stream` a place.
    pub(crate) fn insert(
        &mut self,
        stream: TcpStream,
        passage: Option<Box<Passage>>,
        door: u8,
    ) -> ConnectionId {
        let connection = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len()).expect("descriptors are numbered with 31 bits");
            self.slots.push(Slot::default());
            ConnectionId(index)
        });
        let slot = &mut self.slots[connection.index()];
        let serial = slot.serial.wrapping_add(1);
        let stream = Some(stream);
        *slot = Slot { stream, passage, serial, slowness: SLOWNESS_AT_FIRST, door, ..Slot::default() };
        connection
    }

    /// Closes the socket and frees the place.
    pub(crate) fn remove(&mut self, connection: ConnectionId) {
        let slot = &mut self.slots[connection.index()];
        if slot.stream.take().is_some() {
            slot.passage = None;
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

    /// The listener it came to: its place among them.
    pub(crate) fn door(&self) -> u8 {
        self.door
    }

    /// Whether it is not to be read for now.
    pub(crate) fn is_paused(&self) -> bool {
        self.pauses != Pauses::default()
    }

    /// From now on there is, or there is not, this cause not to read it.
    pub(crate) fn pause(&mut self, cause: Pauses, is_there: bool) {
        match is_there {
            true => self.pauses.0 |= cause.0,
            false => self.pauses.0 &= !cause.0,
        }
        if is_there && cause == Pauses::RATE {
            // What waits for it in memory is little.
            self.slowness = self.slowness.max(SLOWNESS_AT_FIRST);
        }
    }

    /// Whether there is this cause not to read it.
    pub(crate) fn is_paused_for(&self, cause: Pauses) -> bool {
        self.pauses.0 & cause.0 != 0
    }

    /// Whatever the causes were, there are none any more.
    pub(crate) fn unpause(&mut self) {
        self.pauses = Pauses::default();
    }

    /// Whether there is more between the socket and MQTT.
    pub(crate) fn is_layered(&self) -> bool {
        self.passage.as_ref().is_some_and(|passage| passage.layer.is_some())
    }

    /// Whether the layers have something to write themselves.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent_len() > 0
    }

    /// Bytes that the layers have to write themselves.
    pub(crate) fn unsent_len(&self) -> usize {
        self.layer().map_or(0, |layer| layer.unsent().len())
    }

    /// Reads once, at most `most` bytes, into `buffer`, which is at least as long as one of a thread.
    pub(crate) fn read(&mut self, buffer: &mut [u8], most: usize, scratch: &mut Scratch) -> Reading {
        let stream = self.stream.as_mut().expect("only open slots are handed out");
        match self.passage.as_mut().and_then(|passage| passage.layer.as_mut()) {
            // After the farewell nobody cares for what comes.
            Some(layer) if !self.is_half_closed => layered_io::read(stream, layer, buffer, most, scratch),
            _ => read_once(stream, &mut buffer[..most]),
        }
    }

    /// Writes once; if the socket does not take all, the connection counts as blocked.
    pub(crate) fn write(&mut self, bytes: &[u8], scratch: &mut Scratch) -> Writing {
        let stream = self.stream.as_mut().expect("only open slots are handed out");
        let writing = match self.passage.as_mut().and_then(|passage| passage.layer.as_mut()) {
            Some(layer) => layered_io::write(stream, layer, bytes, scratch),
            None => write_once(stream, bytes),
        };
        if let Writing::Took(count) = writing {
            self.is_write_blocked = count < bytes.len() || self.has_unsent();
        }
        writing
    }

    /// Says farewell in all layers; returns whether it is written.
    pub(crate) fn finish(&mut self, scratch: &mut Scratch) -> bool {
        if let Some(layer) = self.passage.as_mut().and_then(|passage| passage.layer.as_mut()) {
            layer.finish();
            if self.has_unsent() && !self.is_write_blocked {
                // Whether it failed is found out when it is shut.
                let Writing::Took(_) = self.write(&[], scratch) else { return true };
            }
        }
        !self.has_unsent()
    }

    fn layer(&self) -> Option<&Layer> {
        self.passage.as_ref()?.layer.as_deref()
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

    /// Takes note of how long the handling took of what was read at once, which was all that may be or not: it should not keep
    /// the others waiting, however many receivers each of its messages has.
    pub(crate) fn pace(&mut self, was_full: bool, took: Duration) {
        if took > READ_TIME {
            let times = took.as_micros().div_ceil(READ_TIME.as_micros());
            let halvings = u8::try_from(u128::BITS - times.leading_zeros()).unwrap_or(u8::MAX);
            self.slowness = self.slowness.saturating_add(halvings).min(SLOWNESS_MAX);
        } else if was_full && took < READ_TIME / 4 {
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
            slot.pace(true, Duration::from_micros(50));
        }
        assert_eq!(slot.read_max(), READ_BYTES);
        slot.pace(true, Duration::from_millis(19));
        assert_eq!(slot.read_max(), READ_BYTES >> 3);
        slot.pace(false, Duration::ZERO);
        assert_eq!(slot.read_max(), READ_BYTES >> 3, "a short reading shows nothing");
        slot.pace(false, Duration::from_secs(1_000_000));
        assert_eq!(slot.read_max(), 256);
    }

    #[test]
    fn a_slot_is_small() {
        // In release builds a socket is its descriptor; with debug assertions it knows its poller too.
        let stream = size_of::<Option<TcpStream>>();
        assert!(size_of::<Slot>() <= stream.next_multiple_of(8) + 24, "{}", size_of::<Slot>());
    }
}
