//! One shard at its desk: the broker's shard, its outbox, its mailbox and the sockets it owns.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use dunlin_broker::{
    ids::{ConnectionId, ShardId},
    input::ConnectRequest,
    limits::Settings,
    output::Outbox,
    routing::{interest::Interest, interests::Interests, mail::Mail},
    shard::Shard,
};
use dunlin_packet::version::ProtocolVersion;

use crate::{
    disk::Report,
    network::{LinkId, Network},
};

/// A shard with all that its thread would own.
#[derive(Debug)]
pub struct Desk {
    /// The shard.
    pub shard: Shard,
    /// What it wants done.
    pub outbox: Outbox,
    /// Letters from other shards, in the order in which they were sent: one queue, so the delivery is causal.
    pub inbox: VecDeque<(ShardId, Mail)>,
    /// Letters that were ever put into the inbox.
    pub sent: u64,
    /// Letters that were ever handled.
    pub handled: u64,
    /// What the disk has to tell.
    pub reports: VecDeque<Report>,
    /// Clients at the door.
    pub arrivals: VecDeque<(LinkId, Box<ConnectRequest>, Vec<u8>)>,
    /// The Topic Filters by which messages get into Sessions that are kept, as all shards know them.
    pub kept: Arc<Interest>,
    /// Sockets by number.
    pub seats: BTreeMap<ConnectionId, Seat>,
    /// AUTH steps to ask the providers about.
    pub questions: VecDeque<(LinkId, ConnectionId, Vec<u8>)>,
    free: Vec<ConnectionId>,
    last: u32,
}

/// A socket of a shard.
#[derive(Debug)]
pub struct Seat {
    /// Its Network Connection.
    pub link: LinkId,
    /// The version its Client speaks.
    pub version: ProtocolVersion,
    /// Bytes of the backlog that have been looked at.
    pub seen: usize,
    /// The backlog has gone, and the broker wants to know.
    pub is_drained: bool,
    /// The broker wants it closed.
    pub is_closing: bool,
    /// The broker knows that it is gone.
    pub has_left: bool,
}

/// Something that a shard can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// The next letter.
    Mail,
    /// What the disk has to tell next.
    Report,
    /// The next Client at the door.
    Arrival,
    /// Bytes of a Client.
    Bytes(ConnectionId),
    /// A connection is gone.
    Gone(ConnectionId),
    /// A backlog is gone.
    Drained(ConnectionId),
    /// The providers have answered.
    Answer,
    /// Time has come.
    Timeout,
}

impl Desk {
    /// A desk with an empty shard, number `index` of `shards`.
    #[must_use]
    pub fn new(index: usize, shards: usize, settings: &Arc<Settings>, interests: &Interests) -> Self {
        let (id, count) = (ShardId(index as u8), shards as u8);
        Self {
            shard: Shard::new(id, count, Arc::clone(settings), interests),
            outbox: Outbox::new(count),
            inbox: VecDeque::new(),
            sent: 0,
            handled: 0,
            reports: VecDeque::new(),
            arrivals: VecDeque::new(),
            kept: Arc::clone(&interests.kept),
            seats: BTreeMap::new(),
            questions: VecDeque::new(),
            free: Vec::new(),
            last: 0,
        }
    }

    /// Gives a socket a number; numbers of closed ones are used again.
    pub fn seat(&mut self, link: LinkId, version: ProtocolVersion) -> ConnectionId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.last += 1;
            ConnectionId(self.last - 1)
        });
        self.outbox.open(id);
        let seat = Seat { link, version, seen: 0, is_drained: false, is_closing: false, has_left: false };
        self.seats.insert(id, seat);
        id
    }

    /// Closes a socket; its number is free.
    pub fn unseat(&mut self, id: ConnectionId) -> Option<Seat> {
        self.outbox.close(id);
        self.free.push(id);
        self.seats.remove(&id)
    }

    /// What the broker has written to a connection since it was last looked at, also if it is held back.
    pub fn unseen(&mut self, id: ConnectionId, seen: usize) -> Vec<u8> {
        let backlog = self.outbox.backlog(id);
        if backlog <= seen {
            return Vec::new();
        }
        let buffer = self.outbox.buffer(id);
        buffer[buffer.len() - backlog + seen..].to_vec()
    }

    /// When the shard wants to be woken, in milliseconds of virtual time.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        self.shard.next_timeout().map(|at| at.as_ms())
    }

    /// Everything the shard can be told now.
    #[must_use]
    pub fn tasks(&self, now_ms: u64, network: &Network) -> Vec<Task> {
        let mut tasks = Vec::new();
        if !self.inbox.is_empty() {
            // Mail comes often, as from many threads.
            tasks.extend([Task::Mail; 3]);
        }
        if !self.reports.is_empty() {
            tasks.push(Task::Report);
        }
        if !self.arrivals.is_empty() {
            tasks.push(Task::Arrival);
        }
        if !self.questions.is_empty() {
            tasks.push(Task::Answer);
        }
        if self.next_timeout().is_some_and(|at| at <= now_ms) {
            tasks.push(Task::Timeout);
        }
        for (&id, seat) in self.seats.iter().filter(|(_, seat)| !seat.is_closing && !seat.has_left) {
            if network.unread(seat.link) > 0 {
                tasks.push(Task::Bytes(id));
            } else if network.has_ended(seat.link) {
                tasks.push(Task::Gone(id));
            }
            if seat.is_drained {
                tasks.push(Task::Drained(id));
            }
        }
        tasks
    }

    /// Whether a turn would do anything.
    #[must_use]
    pub fn is_ready(&self, now_ms: u64, network: &Network) -> bool {
        let can_write = |(id, seat): (&ConnectionId, &Seat)| {
            let backlog = self.outbox.backlog(*id);
            seat.has_left || seat.is_closing && backlog == 0 || backlog > 0 && network.room(seat.link) > 0
        };
        self.seats.iter().any(can_write) || !self.tasks(now_ms, network).is_empty()
    }

    /// Brings the shard's mail to the desks; `loses` says which letters are lost on the way.
    pub fn post(
        &mut self,
        own: usize,
        peers: &mut [Option<&mut Desk>],
        mut loses: impl FnMut(&Mail) -> bool,
    ) {
        let from = ShardId(own as u8);
        for (target, peer) in peers.iter_mut().enumerate() {
            let mut letters = std::mem::take(&mut self.outbox.routes[target]);
            letters.retain(|mail| !loses(mail));
            let peer = peer.as_deref_mut().unwrap_or(self);
            peer.sent += letters.len() as u64;
            peer.inbox.extend(letters.into_iter().map(|mail| (from, mail)));
        }
    }
}
