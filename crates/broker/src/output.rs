//! What a shard wants done: bytes to write, connections to close, mail to other shards.

use crate::{
    ids::ConnectionId,
    inspect::answer::Answered,
    records::{batch::Batch, key::Owner},
    routing::{bundle::Bundle, mail::Mail},
    topics::ids::SessionIndex,
};

/// Everything one or several calls of [`Shard::handle`](crate::shard::Shard::handle) want done. It is reused and owns the
/// output buffers, so that a packet is encoded once, into its place.
///
/// The owner of the sockets calls [`open`](Self::open) before [`Input::Arrived`](crate::input::Input::Arrived) and
/// [`close`](Self::close) when the socket is gone; in between it writes [`pending`](Self::pending) bytes of each
/// connection in [`take_dirty`](Self::take_dirty) and says how many the socket took.
#[derive(Debug)]
pub struct Outbox {
    outputs: Vec<Output>,
    dirty: Vec<ConnectionId>,
    pool: Vec<Vec<u8>>,
    /// Connections the broker has ended: write what is pending, then close. It wants to hear no more of them.
    pub closings: Vec<ConnectionId>,
    /// Connections that are not to be read for now (`false`), or are to be read again (`true`), in this order.
    pub readings: Vec<(ConnectionId, bool)>,
    /// Connections that have ended because others came with their Client Identifiers; not more than a few.
    pub takeovers: Vec<Takeover>,
    /// Mail by shard, to be delivered in this order.
    pub routes: Vec<Vec<Mail>>,
    /// AUTH steps on living connections to ask the providers about (4.12.1).
    pub authentications: Vec<Reauthentication>,
    /// Queues that are to be read from the disk, once everything in the batches up to now is there.
    pub pages: Vec<PageRequest>,
    /// Bundles that have been read: their memory is used again.
    pub(crate) spare_bundles: Vec<Bundle>,
    /// Answers to an operator.
    pub answers: Vec<Answered>,
    /// Control Packets put into output buffers so far.
    packets: u64,
    pub(crate) batch: Batch,
    batch_number: u64,
}

/// A connection ends because another one came with its Client Identifier (3.1.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Takeover {
    /// The Client Identifier.
    pub client_id: Box<str>,
    /// Where the old connection came from,
    pub old_peer: Box<str>,
    /// and where the new one comes from.
    pub new_peer: Box<str>,
}

/// Asks for the next messages of a long queue; answered by [`Input::Page`](crate::input::Input::Page).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// Comes back with the answer.
    pub reader: PageReader,
    /// Every record from this key on is wanted, in order,
    pub from: Vec<u8>,
    /// and before this one,
    pub to: Vec<u8>,
    /// but no more once so many bytes are found.
    pub bytes_max: usize,
}

/// What a page is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageReader {
    /// A Session goes on with its queue.
    Queue {
        /// Its place.
        session: SessionIndex,
        /// Tells it from others that have had the same place.
        serial: u32,
    },
    /// A Session has ended: what is left of its queue is deleted.
    Purge(Owner),
}

/// One AUTH packet of a living connection.
#[derive(Debug)]
pub struct Reauthentication {
    /// Whose.
    pub connection: ConnectionId,
    /// Whether it begins the exchange (0x19) or goes on with it (0x18).
    pub is_start: bool,
    /// The Authentication Method.
    pub method: Box<str>,
    /// The Authentication Data; empty for none.
    pub data: Vec<u8>,
    /// The Client Identifier.
    pub client_id: Box<str>,
}

#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    written: u32,
    is_open: bool,
    is_dirty: bool,
    /// Nothing leaves yet.
    is_blocked: bool,
    wants_drained: bool,
}

/// Buffers kept for reuse; what exceeds this goes back to the allocator.
const POOLED_BUFFERS_MAX: usize = 64;
/// Bytes of the largest buffer kept for reuse.
const POOLED_BYTES_MAX: usize = 256 << 10;
/// Bytes of a fresh buffer.
const BUFFER_BYTES: usize = 4 << 10;

impl Outbox {
    /// An empty one for a node with `shards` shards.
    #[must_use]
    pub fn new(shards: u8) -> Self {
        Self {
            outputs: Vec::new(),
            dirty: Vec::new(),
            pool: Vec::new(),
            closings: Vec::new(),
            readings: Vec::new(),
            takeovers: Vec::new(),
            routes: (0..shards).map(|_| Vec::new()).collect(),
            authentications: Vec::new(),
            pages: Vec::new(),
            spare_bundles: Vec::new(),
            answers: Vec::new(),
            packets: 0,
            batch: Batch::new(),
            batch_number: 1,
        }
    }

    /// Makes room for a connection.
    pub fn open(&mut self, connection: ConnectionId) {
        let index = connection.index();
        if index >= self.outputs.len() {
            self.outputs.resize_with(index + 1, Output::default);
        }
        self.outputs[index] = Output { is_open: true, ..Output::default() };
    }

    /// Forgets a connection and what was to be written to it.
    pub fn close(&mut self, connection: ConnectionId) {
        if let Some(output) = self.outputs.get_mut(connection.index()) {
            let bytes = std::mem::take(output).bytes;
            self.recycle(bytes);
        }
    }

    /// The changes to be made durable since the last call, with their number, if there are any. The caller takes them out
    /// and clears the batch; when they, and everything before them, are durable, it says so with
    /// [`Input::Committed`](crate::input::Input::Committed). It does this before it delivers mail to other shards.
    pub fn take_batch(&mut self) -> Option<(u64, &mut Batch)> {
        if self.batch.is_empty() {
            return None;
        }
        self.batch_number += 1;
        Some((self.batch_number - 1, &mut self.batch))
    }

    /// The number of the batch that is being filled.
    pub(crate) fn batch_number(&self) -> u64 {
        self.batch_number
    }

    /// Holds back all output of a connection until [`unblock`](Self::unblock).
    pub(crate) fn block(&mut self, connection: ConnectionId) {
        self.outputs[connection.index()].is_blocked = true;
    }

    pub(crate) fn unblock(&mut self, connection: ConnectionId) {
        let output = &mut self.outputs[connection.index()];
        output.is_blocked = false;
        if !output.bytes.is_empty() && !output.is_dirty {
            output.is_dirty = true;
            self.dirty.push(connection);
        }
    }

    /// The buffer to append one packet to. Each call marks the connection as having something to write.
    #[inline]
    pub fn buffer(&mut self, connection: ConnectionId) -> &mut Vec<u8> {
        self.packets += 1;
        let output = &mut self.outputs[connection.index()];
        debug_assert!(output.is_open, "output for a connection that is not open");
        if !output.is_dirty {
            output.is_dirty = true;
            self.dirty.push(connection);
            if output.bytes.capacity() == 0 {
                output.bytes = self.pool.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES));
            }
        }
        &mut output.bytes
    }

    /// How many packets were put into output buffers so far.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes that wait for the socket.
    #[inline]
    #[must_use]
    pub fn backlog(&self, connection: ConnectionId) -> usize {
        let output = &self.outputs[connection.index()];
        output.bytes.len() - output.written as usize
    }

    /// Asks for [`Input::Drained`](crate::input::Input::Drained) once the backlog is gone.
    pub fn ask_drained(&mut self, connection: ConnectionId) {
        self.outputs[connection.index()].wants_drained = true;
    }

    /// Whether the broker waits for the backlog to go; the answer is reset by asking.
    pub fn wants_drained(&mut self, connection: ConnectionId) -> bool {
        std::mem::take(&mut self.outputs[connection.index()].wants_drained)
    }

    /// Whether any connection has new bytes to write.
    #[must_use]
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Moves the connections with new bytes to `into`; they count as clean until the next packet.
    pub fn take_dirty(&mut self, into: &mut Vec<ConnectionId>) {
        for &connection in &self.dirty {
            if let Some(output) = self.outputs.get_mut(connection.index()) {
                output.is_dirty = false;
            }
        }
        into.append(&mut self.dirty);
    }

    /// The bytes to write next.
    #[must_use]
    pub fn pending(&self, connection: ConnectionId) -> &[u8] {
        let output = &self.outputs[connection.index()];
        if output.is_blocked {
            return &[];
        }
        &output.bytes[output.written as usize..]
    }

    /// Says that the socket took `count` bytes; returns whether nothing is left. An empty buffer goes back to the pool.
    pub fn consume(&mut self, connection: ConnectionId, count: usize) -> bool {
        let output = &mut self.outputs[connection.index()];
        let written = output.written as usize + count;
        if written < output.bytes.len() {
            // What was written is cut off once it is the larger part, so the buffer does not grow without end.
            if written > output.bytes.len() / 2 {
                output.bytes.drain(..written);
                output.written = 0;
            } else {
                output.written = written as u32;
            }
            return false;
        }
        output.written = 0;
        let bytes = std::mem::take(&mut output.bytes);
        self.recycle(bytes);
        true
    }

    fn recycle(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() == 0
            || bytes.capacity() > POOLED_BYTES_MAX
            || self.pool.len() >= POOLED_BUFFERS_MAX
        {
            return;
        }
        bytes.clear();
        self.pool.push(bytes);
    }
}
