//! Everything a shard holds.

use std::sync::Arc;

use dunlin_packet::topic::filter::TopicFilter;
use dunlin_protocol::time::Instant;
use foldhash::HashMap;

use crate::{
    connection::Connection,
    fanout::FrameCache,
    held::HeldBack,
    ids::{ConnectionId, ShardId},
    limits::Settings,
    metrics::Counters,
    pace::Pace,
    restoring::Restoring,
    retained::Retained,
    rights::{
        in_force::InForce,
        publishers::{Kept, Publishers},
    },
    routing::{
        asks::Asks, groups::Groups, interest::ShardInterest, interests::Interests, target::Target,
        tickets::Tickets,
    },
    sessions::{filing::Filing, refusing::Refusing, session::Session, table::Sessions},
    subscriptions::Subscriptions,
    timers::Timers,
    topics::ids::SessionIndex,
    visits::Visits,
};

/// The state of one shard. What is done with it stands where it belongs: `packets`, `sessions`, `routing`.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: ShardId,
    pub(crate) shards: u8,
    pub(crate) settings: Arc<Settings>,
    pub(crate) interests: Interests,
    pub(crate) own_interest: ShardInterest,
    pub(crate) own_kept: ShardInterest,
    pub(crate) connection_serials: u32,
    pub(crate) connections: Vec<Option<Box<Connection>>>,
    /// How many of them there are.
    pub(crate) connected: usize,
    pub(crate) sessions: Sessions,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) groups: Groups,
    pub(crate) retained: Retained<Kept>,
    pub(crate) publishers: Publishers,
    pub(crate) in_force: InForce,
    pub(crate) retained_bytes: u64,
    pub(crate) asks: Asks,
    pub(crate) tickets: Tickets,
    pub(crate) held: HeldBack,
    pub(crate) filing: Filing,
    pub(crate) refusing: Refusing,
    /// Clients to be disconnected at the end of this call, because they are too slow; with the serials of their connections.
    pub(crate) doomed: Vec<(ConnectionId, u32)>,
    /// Batches, and the operator's questions that are answered when they are durable.
    pub(crate) owed_answers: Vec<(u64, u64)>,
    pub(crate) visits: Visits,
    /// Lines about Retained Messages for which there was no room.
    pub(crate) unkept: Pace,
    pub(crate) timers: Timers,
    /// When Clients that were let in for some time only must go. Connections without an end use no memory for it.
    pub(crate) stays: HashMap<ConnectionId, Instant>,
    pub(crate) counters: Counters,
    pub(crate) scratch: Scratch,
    pub(crate) restoring: Option<Box<Restoring>>,
}

/// Memory that is used again for each message.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) targets: Vec<Target>,
    pub(crate) frames: FrameCache,
    pub(crate) topic: String,
    pub(crate) properties: Vec<u8>,
    /// For each Session: the stamp of the message it was last a target of, and which target.
    pub(crate) marks: Vec<(u32, u32)>,
    pub(crate) stamp: u32,
}

impl State {
    pub(crate) fn new(id: ShardId, shards: u8, settings: Arc<Settings>, interests: &Interests) -> Self {
        Self {
            id,
            shards,
            settings,
            own_interest: ShardInterest::new(Arc::clone(&interests.any), id.0),
            own_kept: ShardInterest::new(Arc::clone(&interests.kept), id.0),
            interests: interests.clone(),
            connection_serials: 0,
            connections: Vec::new(),
            connected: 0,
            sessions: Sessions::default(),
            subscriptions: Subscriptions::new(),
            groups: Groups::default(),
            retained: Retained::new(),
            publishers: Publishers::default(),
            in_force: InForce::default(),
            retained_bytes: 0,
            asks: Asks::default(),
            tickets: Tickets::default(),
            held: HeldBack::default(),
            filing: Filing::default(),
            refusing: Refusing::default(),
            doomed: Vec::new(),
            owed_answers: Vec::new(),
            visits: Visits::default(),
            unkept: Pace::default(),
            timers: Timers::default(),
            stays: HashMap::default(),
            counters: Counters::default(),
            scratch: Scratch::default(),
            restoring: None,
        }
    }

    /// Files a filter that is new to this shard, so that peers send what matches it. A single shard has no peers.
    pub(crate) fn add_interest(&mut self, filter: TopicFilter<'_>) {
        if self.shards > 1 {
            self.own_interest.add(filter);
        }
    }

    /// Takes out a filter that nobody in this shard has any more.
    pub(crate) fn remove_interest(&mut self, filter: TopicFilter<'_>) {
        if self.shards > 1 {
            self.own_interest.remove(filter);
        }
    }

    pub(crate) fn connection(&mut self, id: ConnectionId) -> &mut Connection {
        self.connections[id.index()].as_deref_mut().expect("a connected Client")
    }

    /// The connection, unless it has been ended in the meantime.
    pub(crate) fn find_connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.index())?.as_deref_mut()
    }

    /// A connection and its Session.
    pub(crate) fn both(&mut self, id: ConnectionId) -> (&mut Connection, &mut Session) {
        let connection = self.connections[id.index()].as_deref_mut().expect("a connected Client");
        let session = &mut self.sessions[connection.session];
        (connection, session)
    }

    pub(crate) fn put_connection(&mut self, id: ConnectionId, mut connection: Box<Connection>) {
        self.connection_serials = self.connection_serials.wrapping_add(1);
        connection.serial = self.connection_serials;
        let index = id.index();
        if index >= self.connections.len() {
            self.connections.resize_with(index + 1, || None);
        }
        debug_assert!(self.connections[index].is_none(), "a number in use arrives again");
        self.connections[index] = Some(connection);
        self.connected += 1;
    }

    /// The Session's number as a member of a group.
    pub(crate) fn member(&self, session: SessionIndex) -> crate::routing::group_mail::Member {
        let serial = self.sessions[session].serial;
        crate::routing::group_mail::Member { shard: self.id, session, serial }
    }

    /// Seconds after `now`, as an instant; `None` for no end.
    pub(crate) fn after(now: Instant, seconds: u32) -> Option<Instant> {
        (seconds != u32::MAX).then(|| now + std::time::Duration::from_secs(u64::from(seconds)))
    }
}
