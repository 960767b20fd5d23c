//! Plays conversations against the pure broker: several shards, no sockets, time as the script moves it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use dunlin_broker::{
    handshake::{Credentials, Handshake, Step},
    ids::{ConnectionId, ShardId},
    input::{Arrival, Cause, ConnectRequest, Decision, Input, Terms},
    limits::{Overflow, Settings},
    output::Outbox,
    permissions::{Permissions, rule_set::RuleSet, subject::Subject},
    records::key::Key,
    routing::{interest::Interest, interests::Interests, mail::Mail},
    shard::Shard,
    slot::home_of,
};
use dunlin_packet::{qos::QoS, reason_code::ReasonCode};
use dunlin_protocol::time::Instant;

use super::{
    play::{Player, Received},
    rights,
};
use crate::disk::{Disk, Report};

/// A Server in memory and the Clients of one conversation.
pub struct MemoryPlayer {
    now: Instant,
    settings: Arc<Settings>,
    rules: Arc<RuleSet>,
    shards: Vec<Shard>,
    outboxes: Vec<Outbox>,
    /// Mail by receiver, in the order in which it was sent.
    mailboxes: Vec<VecDeque<(ShardId, Mail)>>,
    disk: Disk,
    clients: BTreeMap<String, Client>,
    /// Who is behind a connection of a shard.
    names: BTreeMap<(ShardId, ConnectionId), String>,
    opened: u32,
}

struct Client {
    place: Place,
    /// What the Server wrote and the conversation has not looked at.
    output: Vec<u8>,
}

enum Place {
    AtTheDoor(Box<Handshake>),
    Inside(ShardId, ConnectionId),
    /// The Server has closed.
    Outside,
}

/// The Authentication Method of the tests: "1" is asked back with "2", and "3" is the right answer.
const TEST_METHOD: &str = "dunlin-test";

/// The user of the tests: the password is "right", and without one there is no way in.
const TEST_USER: &str = "dunlin-test";

/// Where packets are cut, so that unfinished ones are kept somewhere.
const CUT: usize = 3;

/// More letters than any conversation causes: beyond, two shards write to each other for ever.
const LETTERS_MAX: usize = 100_000;

impl MemoryPlayer {
    /// A Server of `shards` shards (1 to 64) with these settings, as a script writes them. If it `is_durable`, it can crash.
    ///
    /// # Errors
    /// A setting that the broker does not have, or a value that it cannot have.
    pub fn new(shards: u8, is_durable: bool, settings: &[(String, String)]) -> Result<MemoryPlayer, String> {
        let rules = Arc::new(rights::rule_set(settings)?);
        let settings = Arc::new(Settings { is_durable, ..read_settings(settings)? });
        Ok(MemoryPlayer {
            now: Instant::from_ms(1_700_000_000_000),
            shards: fresh_shards(shards, &settings, &rules),
            outboxes: (0..shards).map(|_| Outbox::new(shards)).collect(),
            mailboxes: (0..shards).map(|_| VecDeque::new()).collect(),
            disk: Disk::default(),
            clients: BTreeMap::new(),
            names: BTreeMap::new(),
            opened: 0,
            settings,
            rules,
        })
    }

    fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).expect("the conversation opened it")
    }

    /// Brings bytes to the door or to the shard.
    fn deliver(&mut self, name: &str, bytes: &[u8]) {
        match &mut self.client(name).place {
            Place::AtTheDoor(handshake) => {
                let step = handshake.handle(bytes);
                self.take_step(name, step);
            }
            &mut Place::Inside(shard, connection) => {
                self.input(shard, Input::Received { connection, bytes });
            }
            Place::Outside => {}
        }
        self.settle();
    }

    fn take_step(&mut self, name: &str, step: Step) {
        let rules = Arc::clone(&self.rules);
        let client = self.client(name);
        let Place::AtTheDoor(handshake) = &mut client.place else { return };
        match step {
            Step::NeedBytes => {}
            Step::Authenticate(credentials) => {
                let mut decision = judge(&credentials);
                if let Decision::Grant { permissions, .. } = &mut decision {
                    let address = core::net::Ipv4Addr::LOCALHOST.into();
                    let subject = Subject::anonymous(&credentials.client_id, address);
                    *permissions = Permissions::new(Arc::new(subject), Arc::clone(&rules));
                }
                let step = handshake.decide(decision);
                self.take_step(name, step);
            }
            Step::Challenge(bytes) => {
                client.output.extend(bytes);
                if handshake.has_unread() {
                    let step = handshake.handle(&[]);
                    self.take_step(name, step);
                }
            }
            Step::Welcome { request, unread } => self.welcome(name, *request, unread),
            Step::Refuse { bytes, .. } => {
                client.output.extend(bytes);
                client.place = Place::Outside;
            }
        }
    }

    /// Leads a Client to the home shard of its Session.
    fn welcome(&mut self, name: &str, request: ConnectRequest, unread: Vec<u8>) {
        let shard = home_of(&request.client_id, self.shards.len() as u8);
        self.opened += 1;
        let connection = ConnectionId(self.opened);
        self.outboxes[shard.index()].open(connection);
        self.names.insert((shard, connection), name.to_owned());
        self.client(name).place = Place::Inside(shard, connection);
        self.input(shard, Input::Arrived(Box::new(Arrival { connection, request, unread })));
    }

    fn input(&mut self, shard: ShardId, input: Input<'_>) {
        self.shards[shard.index()].handle(self.now, input, &mut self.outboxes[shard.index()]);
    }

    /// Lets all shards work until none has anything to do.
    fn settle(&mut self) {
        for _ in 0..LETTERS_MAX {
            for number in 0..self.shards.len() as u8 {
                self.flush(ShardId(number));
            }
            let letter = (0..)
                .zip(&mut self.mailboxes)
                .find_map(|(to, mailbox)| mailbox.pop_front().map(|(from, mail)| (ShardId(to), from, mail)));
            if let Some((to, from, mail)) = letter {
                self.input(to, Input::Routed { from, mail });
            } else if !self.commit() {
                return;
            }
        }
        panic!("the shards do not come to rest");
    }

    /// Makes durable what is filed and says so, and answers what was asked; `false` if there was nothing.
    fn commit(&mut self) -> bool {
        let reports = self.disk.commit();
        let is_any = !reports.is_empty();
        for (shard, report) in reports {
            self.input(
                shard,
                match report {
                    Report::Committed { number } => Input::Committed { batch: number },
                    Report::Page(page) => Input::Page(page),
                    Report::State(storage) => Input::Storage(storage),
                },
            );
        }
        is_any
    }

    /// Does what the outbox of `shard` says.
    fn flush(&mut self, shard: ShardId) {
        let mut written = Vec::new();
        loop {
            self.outboxes[shard.index()].take_dirty(&mut written);
            for connection in written.drain(..) {
                self.write(shard, connection);
            }
            for connection in std::mem::take(&mut self.outboxes[shard.index()].closings) {
                self.write(shard, connection);
                self.outboxes[shard.index()].close(connection);
                if let Some(name) = self.names.remove(&(shard, connection)) {
                    self.client(&name).place = Place::Outside;
                }
            }
            for step in std::mem::take(&mut self.outboxes[shard.index()].authentications) {
                let decision = decide(Some(&step.method), step.is_start, &step.data);
                self.input(shard, Input::Authenticated { connection: step.connection, decision });
            }
            if !self.outboxes[shard.index()].has_dirty() && self.outboxes[shard.index()].closings.is_empty() {
                break;
            }
        }
        self.disk.take(shard, &mut self.outboxes[shard.index()]);
        for (to, mailbox) in self.mailboxes.iter_mut().enumerate() {
            mailbox.extend(self.outboxes[shard.index()].routes[to].drain(..).map(|mail| (shard, mail)));
        }
    }

    fn write(&mut self, shard: ShardId, connection: ConnectionId) {
        let Some(name) = self.names.get(&(shard, connection)) else { return };
        let outbox = &mut self.outboxes[shard.index()];
        let bytes = outbox.pending(connection);
        let length = bytes.len();
        self.clients.get_mut(name).expect("names are those of Clients").output.extend(bytes);
        outbox.consume(connection, length);
        if outbox.wants_drained(connection) {
            self.input(shard, Input::Drained { connection });
        }
    }

    /// The next moment, up to `end`, at which a shard wants to be woken.
    fn next_timeout(&self, end: Instant) -> Option<Instant> {
        self.shards.iter().filter_map(Shard::next_timeout).min().filter(|&at| at <= end)
    }
}

impl Player for MemoryPlayer {
    fn open(&mut self, client: &str) -> Result<(), String> {
        let peer: Box<str> = client.into();
        let random = 0x00d1_0000 + self.clients.len() as u128 * 7_919 + u128::from(self.opened);
        let handshake = Box::new(Handshake::new(self.settings.clone(), peer, random));
        let opened = Client { place: Place::AtTheDoor(handshake), output: Vec::new() };
        self.clients.insert(client.to_owned(), opened);
        Ok(())
    }

    fn send(&mut self, client: &str, bytes: &[u8]) -> Result<(), String> {
        let (first, rest) = bytes.split_at(bytes.len().min(CUT));
        self.deliver(client, first);
        if !rest.is_empty() {
            self.deliver(client, rest);
        }
        Ok(())
    }

    fn receive(&mut self, clients: &[&str]) -> Result<Received, String> {
        for (place, name) in clients.iter().enumerate() {
            let client = self.client(name);
            if !client.output.is_empty() {
                return Ok(Received::Bytes(place, std::mem::take(&mut client.output)));
            }
            if matches!(client.place, Place::Outside) {
                return Ok(Received::Closed(place));
            }
        }
        Ok(Received::Nothing)
    }

    fn cut(&mut self, client: &str) -> Result<(), String> {
        if let Place::Inside(shard, connection) = self.client(client).place {
            self.names.remove(&(shard, connection));
            self.input(shard, Input::Left { connection, cause: Cause::Closed });
            self.outboxes[shard.index()].close(connection);
        }
        self.client(client).place = Place::Outside;
        self.settle();
        Ok(())
    }

    fn advance(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        for _ in 0..LETTERS_MAX {
            let Some(at) = self.next_timeout(end) else {
                self.now = end;
                return Ok(());
            };
            self.now = self.now.max(at);
            for number in 0..self.shards.len() as u8 {
                self.input(ShardId(number), Input::Timeout);
            }
            self.settle();
        }
        Err("the shards want to be woken again and again at the same time".into())
    }

    fn crash_and_restart(&mut self) -> Result<(), String> {
        if !self.settings.is_durable {
            return Err("this broker in memory keeps nothing".into());
        }
        let shards = self.shards.len() as u8;
        self.disk.crash(false);
        self.clients.clear();
        self.names.clear();
        self.shards = fresh_shards(shards, &self.settings, &self.rules);
        self.outboxes = (0..shards).map(|_| Outbox::new(shards)).collect();
        self.mailboxes = (0..shards).map(|_| VecDeque::new()).collect();
        for (id, (shard, outbox)) in (0..).map(ShardId).zip(self.shards.iter_mut().zip(&mut self.outboxes)) {
            let outcome = self.disk.restore(shard, id, shards, outbox, &mut || false);
            outcome.map_err(|(key, error)| format!("{:?}: {error}", Key::decode(&key)))?;
            shard.restored(self.now, outbox);
        }
        self.settle();
        let now = self.now;
        for (shard, outbox) in self.shards.iter_mut().zip(&mut self.outboxes) {
            shard.settle(now, now, outbox);
        }
        self.settle();
        Ok(())
    }
}

fn fresh_shards(shards: u8, settings: &Arc<Settings>, rules: &Arc<RuleSet>) -> Vec<Shard> {
    let interests = Interests::with_seed(Interest::WORDS, shards, 1);
    let shard = |number| {
        let mut shard = Shard::new(ShardId(number), shards, settings.clone(), &interests);
        shard.put_rules(rules.clone());
        shard
    };
    (0..shards).map(shard).collect()
}

/// What the providers say: everybody is welcome, but one user name needs its password, and who names a method must know
/// how it goes.
fn judge(credentials: &Credentials) -> Decision {
    let method = credentials.method.as_deref();
    match (method, credentials.user_name.as_deref(), credentials.password.as_deref()) {
        (None, Some(TEST_USER), None) => Decision::Deny(ReasonCode::NotAuthorized),
        (None, Some(TEST_USER), Some(password)) if password != b"right" => {
            Decision::Deny(ReasonCode::BadUserNameOrPassword)
        }
        _ => decide(method, !credentials.is_continued, &credentials.data),
    }
}

/// What the provider of the method says.
fn decide(method: Option<&str>, is_start: bool, data: &[u8]) -> Decision {
    match (method, is_start, data) {
        (None, _, _) | (Some(TEST_METHOD), false, b"3") => {
            Decision::Grant { permissions: Permissions::default(), data: Vec::new(), terms: Terms::default() }
        }
        (Some(TEST_METHOD), true, b"1") => Decision::Challenge(b"2".to_vec()),
        (Some(TEST_METHOD), _, _) => Decision::Deny(ReasonCode::NotAuthorized),
        (Some(_), _, _) => Decision::Deny(ReasonCode::BadAuthenticationMethod),
    }
}

fn read_settings(written: &[(String, String)]) -> Result<Settings, String> {
    let mut settings = Settings::default();
    for (key, value) in written {
        let wrong = || format!("the setting {key} cannot be {value}");
        match key.as_str() {
            "maximum_qos" => {
                let qos = value.parse().ok().and_then(QoS::from_value);
                settings.maximum_qos = qos.ok_or_else(wrong)?;
            }
            "retain_available" => settings.retain_available = read(key, value)?,
            "wildcard_subscription_available" => settings.wildcard_subscription_available = read(key, value)?,
            "subscription_identifier_available" => {
                settings.subscription_identifier_available = read(key, value)?;
            }
            "shared_subscription_available" => settings.shared_subscription_available = read(key, value)?,
            "receive_maximum" => settings.receive_maximum = read(key, value)?,
            "maximum_packet_size" => settings.maximum_packet_size = read(key, value)?,
            "topic_alias_maximum" => settings.topic_alias_maximum = read(key, value)?,
            "server_keep_alive_s" => settings.server_keep_alive_s = read(key, value)?,
            "session_expiry_max_s" => settings.session_expiry_max_s = read(key, value)?,
            "response_information" => settings.response_information = value.trim_matches('"').to_owned(),
            "queue_messages_max" => settings.queue_messages_max = read(key, value)?,
            "allow_empty_client_id" => settings.allow_empty_client_id = read(key, value)?,
            "rule" => {}
            "close_denied_3x" => settings.close_denied_3x = read(key, value)?,
            "bind_client_id" => settings.bind_client_id = read(key, value)?,
            "close_refused_3x" => settings.close_refused_3x = read(key, value)?,
            "queue_overflow" => {
                settings.queue_overflow = match value.trim_matches('"') {
                    "drop-oldest" => Overflow::DropOldest,
                    "drop-newest" => Overflow::DropNewest,
                    "reject" => Overflow::Reject,
                    "disconnect" => Overflow::Disconnect,
                    _ => return Err(wrong()),
                }
            }
            "queue_bytes_max" => settings.queue_bytes_max = read(key, value)?,
            "queue_memory_bytes_max" => settings.queue_memory_bytes_max = read(key, value)?,
            "will_grace_s" => settings.will_grace_s = read(key, value)?,
            "in_flight_max" => settings.in_flight_max = read(key, value)?,
            _ => return Err(format!("there is no setting {key}")),
        }
    }
    Ok(settings)
}

fn read<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("the setting {key} cannot be {value}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::script::{library, play};

    /// Plays all conversations with `shards` shards and tells of every one that does not hold.
    fn play_all(shards: u8, is_durable: bool) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/conversations");
        let mut scripts = library::load(&folder).unwrap_or_else(|error| panic!("{error}"));
        assert!(scripts.len() > 200, "only {} conversations were found", scripts.len());
        scripts.retain(|script| is_durable || !script.has_crash());
        let mut failures = Vec::new();
        for script in &scripts {
            let played = MemoryPlayer::new(shards, is_durable, &script.settings)
                .map_err(|error| format!("{}: {error}\n", script.file))
                .and_then(|mut player| {
                    play::play(script, &mut player).map_err(|failure| failure.to_string())?;
                    match player.disk.left_overs().as_slice() {
                        [] => Ok(()),
                        left => Err(format!("{}: left on the disk: {}\n", script.file, left.join(", "))),
                    }
                });
            failures.extend(played.err());
        }
        let count = failures.len();
        assert!(count == 0, "{count} of {} do not hold:\n\n{}", scripts.len(), failures.join("\n"));
    }

    #[test]
    fn every_conversation_holds_with_1_shard() {
        play_all(1, false);
    }

    #[test]
    fn every_conversation_holds_with_2_shards() {
        play_all(2, false);
    }

    #[test]
    fn every_conversation_holds_with_5_shards() {
        play_all(5, false);
    }

    #[test]
    fn every_conversation_holds_with_1_durable_shard() {
        play_all(1, true);
    }

    #[test]
    fn every_conversation_holds_with_2_durable_shards() {
        play_all(2, true);
    }

    #[test]
    fn every_conversation_holds_with_5_durable_shards() {
        play_all(5, true);
    }
}
