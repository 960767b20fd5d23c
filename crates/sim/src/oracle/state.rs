//! The oracle's model as a whole, and its face: what it is told and in which order.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use dunlin_broker::{input::Storage, limits::Settings, routing::interest::Interest};
use dunlin_packet::{
    connect::{Connect, Will as ConnectWill},
    reason_code::ReasonCode,
    version::ProtocolVersion,
};

use crate::{
    describe,
    network::LinkId,
    oracle::{
        connection::{Asked, Connection, Phase, Role},
        groups::Groups,
        messages::{Accept, Forwarded, MessageKey, Messages},
        retained::RetainedTopics,
        session::{Session, Will},
        tally::Tally,
        words::{Check, Moment, Tick, broken},
    },
};

/// The model of everything behind the broker's face.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub(crate) settings: Arc<Settings>,
    pub(crate) moment: Moment,
    /// Counts the calls of the broker.
    pub(crate) call: u64,
    pub(crate) announced: BTreeMap<LinkId, Announced>,
    pub(crate) connections: BTreeMap<LinkId, Connection>,
    pub(crate) sessions: Vec<Session>,
    /// The living Session of each Client Identifier.
    pub(crate) living: BTreeMap<Rc<str>, usize>,
    pub(crate) messages: Messages,
    pub(crate) retained: RetainedTopics,
    pub(crate) groups: Groups,
    pub(crate) is_stopping: bool,
    /// When the Server crashed last.
    pub(crate) last_crash: Tick,
    /// The latest time it ever was, in milliseconds: the clock may be set back while the Server is down.
    pub(crate) latest_ms: u64,
    /// What each shard was told of the disk.
    pub(crate) storages: Vec<Storage>,
    /// The broker's table of Topic Filters by which messages get into Sessions that are kept.
    pub(crate) kept: Option<Arc<Interest>>,
    /// Counts what was exercised.
    pub tally: Tally,
}

/// A Client that has sent CONNECT, or something in its place.
#[derive(Clone, Debug)]
pub struct Announced {
    role: Role,
    connect: Option<Announcement>,
}

#[derive(Clone, Debug)]
struct Announcement {
    version: ProtocolVersion,
    client: Rc<str>,
    asked: Asked,
    keep_alive_s: u16,
    will: Option<Will>,
}

/// What one call of the broker brought forth.
#[derive(Debug, Default)]
pub struct Emission {
    /// The connection that arrived with this call.
    pub arrived: Option<LinkId>,
    /// Connections that the broker wants closed.
    pub closings: Vec<LinkId>,
    /// New bytes by connection.
    pub outputs: Vec<(LinkId, Vec<u8>)>,
}

impl Oracle {
    /// Knows nothing yet of a broker with `shards` shards.
    #[must_use]
    pub fn new(settings: Arc<Settings>, shards: usize) -> Self {
        Self {
            settings,
            moment: Moment::default(),
            call: 0,
            announced: BTreeMap::new(),
            connections: BTreeMap::new(),
            sessions: Vec::new(),
            living: BTreeMap::new(),
            messages: Messages::new(shards),
            retained: RetainedTopics::new(shards),
            groups: Groups::default(),
            is_stopping: false,
            last_crash: 0,
            latest_ms: 0,
            storages: vec![Storage::Ready; shards],
            kept: None,
            tally: Tally::default(),
        }
    }

    /// The present.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// Something happens now: the next tick.
    pub(crate) fn tick(&mut self) {
        self.moment.tick += 1;
    }

    /// The broker is about to be called.
    pub fn begins_call(&mut self, now_ms: u64) {
        self.moment.now_ms = now_ms;
        self.latest_ms = self.latest_ms.max(now_ms);
        self.call += 1;
        self.tick();
    }

    /// A Client sends its first bytes: CONNECT, if it is one.
    pub fn announces(&mut self, link: LinkId, role: Role, connect: Option<&Connect<'_>>) {
        let connect = connect.map(|connect| self.announcement(connect));
        self.announced.insert(link, Announced { role, connect });
    }

    fn announcement(&self, connect: &Connect<'_>) -> Announcement {
        let properties = &connect.properties;
        let wanted_expiry_s = match connect.version {
            ProtocolVersion::V5_0 => properties.session_expiry_interval_s().unwrap_or(0),
            _ if connect.clean_start => 0, // [MQTT3-3.1.2-6]
            _ => u32::MAX,
        };
        let asked = Asked {
            clean_start: connect.clean_start,
            expiry_s: wanted_expiry_s.min(self.settings.session_expiry_max_s),
            wanted_expiry_s,
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            maximum_packet_size: properties.maximum_packet_size().unwrap_or(u32::MAX),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            wants_problem_information: properties.request_problem_information().unwrap_or(true),
            is_assigned: connect.client_id.is_empty(),
            method: properties.authentication_method().map(Into::into),
        };
        let keep_alive_s = match (connect.version, self.settings.server_keep_alive_s) {
            (ProtocolVersion::V5_0, server) if server > 0 => server,
            _ => connect.keep_alive_s,
        };
        Announcement {
            version: connect.version,
            client: connect.client_id.into(),
            asked,
            keep_alive_s,
            will: connect.will.as_ref().map(will_of),
        }
    }

    /// The lobby has refused a Client with `bytes`, and closes the connection.
    ///
    /// # Errors
    /// If the Client was a right one, or was told something wrong.
    pub fn refused(&mut self, link: LinkId, bytes: &[u8]) -> Check {
        let announced = self.announced.remove(&link);
        let role = announced.as_ref().map(|announced| announced.role.clone());
        let Some(Role::Rogue(misdeed)) = role else {
            let promise = format!("the broker refused a Client that kept all rules, with {bytes:02x?}");
            return broken("MQTT-3.1.4-5", promise, &[&link.to_string()]);
        };
        if misdeed.good_bytes.is_some() {
            let promise = format!("the broker refused a Client before it did wrong ({})", misdeed.what);
            return broken("MQTT-3.1.4-5", promise, &[&link.to_string()]);
        }
        self.tally.count("misdeeds answered");
        self.tally.count("refusals");
        let is_right = match bytes {
            [] => !misdeed.must_be_told,
            [0x20, 2, 0, code] => {
                misdeed.codes.iter().any(|allowed| allowed.connect_return_code() == *code && *code > 0)
            }
            [0x20, _, 0, code, ..] => misdeed.codes.iter().any(|allowed| allowed.value() == *code),
            _ => false,
        };
        if is_right {
            return Ok(());
        }
        let promise = format!("{}: answered with {bytes:02x?} in place of {:?}", misdeed.what, misdeed.codes);
        broken("MQTT-3.1.4-1", promise, &[&link.to_string()])
    }

    /// A Client is handed to its home shard, before the broker is told.
    ///
    /// # Errors
    /// If it should not have come so far.
    pub fn arrives(&mut self, link: LinkId, shard: usize, client_id: &str, unread: &[u8]) -> Check {
        let Some(Announced { role, connect: Some(connect) }) = self.announced.remove(&link) else {
            let promise = "the broker let in a Client whose CONNECT is wrong".to_owned();
            return broken("MQTT-3.1.4-1", promise, &[&link.to_string()]);
        };
        if matches!(&role, Role::Rogue(misdeed) if misdeed.good_bytes.is_none()) {
            let promise = format!("the broker let in a Client that did wrong: {role:?}");
            return broken("MQTT-3.1.4-1", promise, &[&link.to_string()]);
        }
        let Announcement { version, client, asked, keep_alive_s, will } = connect;
        if !asked.is_assigned && *client != *client_id {
            let promise = format!("{client} became {client_id}");
            return broken("MQTT-3.1.3-2", promise, &[&link.to_string()]);
        }
        let mut connection = Connection::new(link, client_id.into(), shard, version, asked);
        connection.role = role;
        connection.keep_alive_s = keep_alive_s;
        connection.last_bytes_ms = self.moment.now_ms;
        connection.last_packet_ms = self.moment.now_ms;
        connection.unread = unread.to_vec();
        connection.will = will.map(|will| will.of_client(client_id, shard));
        self.connections.insert(link, connection);
        Ok(())
    }

    /// A Client has gone before it reached its home.
    pub fn gives_up(&mut self, link: LinkId) {
        self.announced.remove(&link);
    }

    /// Everything that one call of the broker brought forth.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn emits(&mut self, emission: &Emission) -> Check {
        if let Some(link) = emission.arrived {
            let outputs = emission.outputs.iter().find(|(other, _)| *other == link);
            self.opens(link, outputs.map_or(&[], |(_, bytes)| bytes))?;
        }
        for &link in &emission.closings {
            let outputs = emission.outputs.iter().find(|(other, _)| *other == link);
            self.closes(link, outputs.map_or(&[], |(_, bytes)| bytes))?;
        }
        for (link, bytes) in &emission.outputs {
            self.writes(*link, bytes)?;
        }
        emission.closings.iter().try_for_each(|&link| self.has_closed(link))
    }

    /// A shard has sent its mail; `sent[b]` letters have gone to shard `b` in all.
    pub fn flushed(&mut self, shard: usize, sent: &[u64]) {
        self.messages.flushed(shard, sent);
    }

    /// A shard has handled `handled` letters in all.
    pub fn handled_mail(&mut self, shard: usize, handled: u64) {
        let tick = self.moment.tick;
        for number in self.messages.handled(shard, handled, tick) {
            self.settle(number, shard);
        }
    }

    /// No mail is under way.
    pub fn is_quiet(&mut self) {
        self.messages.quiet(self.moment.tick);
    }

    /// The broker is told to stop: from now on it may end all connections.
    pub fn stops(&mut self) {
        self.is_stopping = true;
    }

    /// The number of the Session of the Client on `link`: the same as long as the Session lives.
    #[must_use]
    pub fn session_on(&self, link: LinkId) -> Option<usize> {
        self.session_of(link)
    }

    /// The connection, which has come to its home.
    pub(crate) fn connection(&mut self, link: LinkId) -> &mut Connection {
        self.connections.get_mut(&link).expect("the world names connections that have arrived")
    }

    /// The number of the Session of a connection that has been told CONNACK.
    pub(crate) fn session_of(&self, link: LinkId) -> Option<usize> {
        self.connections.get(&link)?.session
    }

    /// Whether the broker still takes part in the connection.
    #[must_use]
    pub fn is_open(&self, link: LinkId) -> bool {
        self.connections.get(&link).is_some_and(|connection| connection.phase != Phase::Ended)
    }

    /// The Client Identifiers of all Sessions that live.
    #[must_use]
    pub fn living_clients(&self) -> Vec<String> {
        self.living.keys().map(ToString::to_string).collect()
    }

    /// All topics that have ever had a Retained Message.
    #[must_use]
    pub fn retained_topics(&self) -> Vec<String> {
        self.retained.topics().map(ToString::to_string).collect()
    }

    /// What comes in on a connection, in words.
    #[must_use]
    pub fn in_words(&self, link: LinkId, version: ProtocolVersion, bytes: &[u8]) -> String {
        let Some(connection) = self.connections.get(&link) else { return link.to_string() };
        let mut all = connection.unread.clone();
        all.extend_from_slice(bytes);
        format!("{}: {}", connection.name(), describe::packets(version, &all))
    }

    /// What goes out on a connection, in words.
    #[must_use]
    pub fn out_words(&self, link: LinkId, bytes: &[u8]) -> String {
        let Some(connection) = self.connections.get(&link) else { return link.to_string() };
        format!("{}: {}", connection.name(), describe::packets(connection.version, bytes))
    }

    /// A queue in this shard was full, and the oldest message in it gave way.
    pub fn sees_full_queue(&mut self, shard: usize) {
        self.tally.count("queues full");
        for &index in self.living.values() {
            let session = &mut self.sessions[index];
            if session.shard == shard {
                session.last_full = self.moment.tick;
            }
        }
    }

    /// The backlog of a connection after a call: beyond the half of what is allowed, QoS 0 may be dropped.
    pub fn sees_backlog(&mut self, link: LinkId, bytes: usize) {
        if bytes > self.settings.output_bytes_max as usize / 2
            && let Some(session) = self.session_of(link)
        {
            self.sessions[session].last_unhealthy = self.moment.tick;
        }
    }
}

impl Will {
    fn of_client(mut self, client_id: &str, shard: usize) -> Self {
        self.accept.publisher = client_id.into();
        self.accept.shard = shard;
        self
    }
}

/// The Will of a CONNECT, published by nobody as yet.
fn will_of(will: &ConnectWill<'_>) -> Will {
    let topic = will.topic_name.as_str();
    Will {
        accept: Accept {
            key: MessageKey::of(topic, will.payload).expect("the workload numbers its Wills"),
            publisher: "".into(),
            shard: 0,
            at: Moment::default(),
            topic: topic.into(),
            qos: will.qos,
            retain: will.retain,
            expires_at_ms: None,
            expiry_s: will.properties.message_expiry_interval_s(),
            payload: will.payload.into(),
            properties: Forwarded::of(&will.properties),
            is_sure: true,
            is_acknowledged: false,
            is_refused: false,
            settled: Vec::new(),
            will_call: None,
            quiet_before: 0,
            quiet: None,
        },
        delay_s: will.properties.will_delay_interval_s().unwrap_or(0),
        due_ms: None,
    }
}

/// The codes that a broker tells when it ends a connection whose Client kept the rules.
pub(crate) const TAKEN_OVER: &[ReasonCode] = &[ReasonCode::SessionTakenOver];
pub(crate) const TIMED_OUT: &[ReasonCode] = &[ReasonCode::KeepAliveTimeout];
pub(crate) const SHUTTING_DOWN: &[ReasonCode] = &[ReasonCode::ServerShuttingDown];
pub(crate) const STORAGE_FAILED: &[ReasonCode] = &[ReasonCode::ImplementationSpecificError];
pub(crate) const NO_ROOM: &[ReasonCode] = &[ReasonCode::QuotaExceeded];
