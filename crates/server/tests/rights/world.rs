//! A Server with users and rules that change, and Clients of two users.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use dunlin_auth::{
    authenticator::{Authenticator, Grant, Question, Verdict, VerdictFuture},
    chain::Chain,
};
use dunlin_broker::slot::home_of;
use dunlin_packet::{
    connect::{Connect, Will},
    packet::Packet,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    qos::QoS,
    reason_code::ReasonCode,
    subscribe::{Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest},
    topic::name::TopicName,
    version::ProtocolVersion,
};
use dunlin_server::{
    config::model::{Config, ListenerKind, loopback_listeners},
    listen::Place,
    server::Server,
};
use tempfile::TempDir;

use crate::{
    papers::Papers,
    support::{Client, connect, publish},
};

/// The Client whose rights are looked at, and its user.
pub(crate) const ANN: &str = "ann-1";

/// What is allowed whatever else is: all to `root`, and `base` to `ann`.
const BASE: &str = r##"
[[rule]]
allow = "all"
users = "root"
topics = ["#", "$SYS/#"]

[[rule]]
allow = "all"
users = "ann"
topics = "base/#"
"##;

/// Lets in who is on the list, without a password.
struct List(Arc<Mutex<HashSet<Box<str>>>>);

impl Authenticator for List {
    fn name(&self) -> &str {
        "list"
    }

    fn judge<'a>(&'a self, question: &'a Question) -> VerdictFuture<'a> {
        let user_name = question.credentials.user_name.clone();
        let verdict = match user_name {
            Some(name) if self.0.lock().unwrap().contains(&name) => {
                let grant = Grant { user_name: Some(name), ..Grant::default() };
                Verdict::Grant { grant, data: Vec::new() }
            }
            _ => Verdict::Deny(ReasonCode::NotAuthorized),
        };
        Box::pin(async { verdict })
    }

    fn user_names(&self) -> Option<HashSet<Box<str>>> {
        Some(self.0.lock().unwrap().clone())
    }
}

/// All that a test needs.
pub(crate) struct World {
    /// Subscribed to `t/#` and `base/#`. It goes first: the Server would wait for it.
    pub(crate) watcher: Client,
    pub(crate) server: Server,
    users: Arc<Mutex<HashSet<Box<str>>>>,
    rules: PathBuf,
    papers: Papers,
    folder: TempDir,
}

/// What is special in a CONNECT.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) clean_start: bool,
    pub(crate) expiry_s: u32,
    /// The topic of the Will and its delay in seconds.
    pub(crate) will: Option<(&'static str, u32)>,
}

/// A kept Session, without a Will.
pub(crate) const KEPT: Way = Way { clean_start: false, expiry_s: 3_600, will: None };

impl World {
    /// A Server with these rules beside the basic ones.
    pub(crate) fn new(shards: u8, rules: &str) -> Self {
        Self::start(Self::place(), false, shards, rules)
    }

    /// The same, and what it keeps is on the disk.
    pub(crate) fn durable(shards: u8, rules: &str) -> Self {
        Self::start(Self::place(), true, shards, rules)
    }

    /// A folder for all files, and the certificates in it.
    fn place() -> (TempDir, Papers) {
        let folder = tempfile::tempdir().unwrap();
        let papers = Papers::new(folder.path());
        (folder, papers)
    }

    /// Stops the Server of [`durable`](Self::durable) and starts one with the same data, but other rules.
    pub(crate) fn restarted(self, rules: &str) -> Self {
        let Self { watcher, mut server, papers, folder, .. } = self;
        let shards = server.shards();
        drop(watcher);
        server.stop();
        drop(server);
        Self::start((folder, papers), true, shards, rules)
    }

    fn start((folder, papers): (TempDir, Papers), is_durable: bool, shards: u8, rules: &str) -> Self {
        let file = folder.path().join("rules.toml");
        fs::write(&file, format!("{rules}\n{BASE}")).unwrap();
        let users: HashSet<Box<str>> = ["ann".into(), "root".into()].into();
        let users = Arc::new(Mutex::new(users));
        let mut config = Config::default();
        config.server.shards = shards;
        config.server.data_dir = is_durable.then(|| folder.path().join("data"));
        config.rights.rules_file = Some(file.clone());
        let chain = Chain::new(vec![Box::new(List(Arc::clone(&users)))]);
        config.storage.is_memory_only = !is_durable;
        config.listeners = loopback_listeners(0);
        config.listeners.push(papers.listener());
        let server = Server::start(&config, chain).unwrap();
        let mut watcher = enter(&server, "root", "watcher", Way { clean_start: true, ..KEPT }).unwrap();
        watcher.subscribe("t/#", QoS::AtLeastOnce);
        watcher.subscribe("base/#", QoS::AtLeastOnce);
        Self { server, watcher, users, rules: file, papers, folder }
    }

    /// Puts other rules in force beside the basic ones.
    pub(crate) fn change(&self, rules: &str) {
        fs::write(&self.rules, format!("{rules}\n{BASE}")).unwrap();
        self.server.reload_rights().unwrap();
    }

    /// Puts a file in the place of the rules and has it read.
    pub(crate) fn replace(&self, text: &str) -> bool {
        fs::write(&self.rules, text).unwrap();
        self.server.reload_rights().is_ok()
    }

    /// Takes `ann` from the list.
    pub(crate) fn delete_ann(&self) {
        self.users.lock().unwrap().remove("ann");
        self.server.reload_rights().unwrap();
    }

    /// Has certificates revoked, by their serial numbers, and the list read.
    pub(crate) fn revoke(&self, serials: &[u64]) {
        self.write_revoked(serials);
        assert!(self.server.reload_certificates().is_empty());
    }

    /// Writes the list of revoked certificates.
    pub(crate) fn write_revoked(&self, serials: &[u64]) {
        self.papers.revoke(serials);
    }

    /// Opens a Network Connection with the certificate of `ann` and sends no packet.
    pub(crate) fn knock_with_certificate(&self) -> Client {
        let mut listeners = self.server.listeners().iter();
        match listeners.find(|listener| listener.kind == ListenerKind::Tls).unwrap().place {
            Place::Tcp(address) => Client::open_tls_at(address, &self.papers.client()),
            Place::Unix(_) => panic!("TLS is at a port"),
        }
    }

    /// A Client of `root`, in the shard that `ann` has her Session in: what it does comes after what happened there.
    pub(crate) fn neighbour(&self) -> Client {
        let shards = self.server.shards();
        let home = home_of(ANN, shards);
        let is_near = |id: &String| home_of(id, shards) == home;
        let id = (0..).map(|number| format!("near-{number}")).find(is_near).unwrap();
        enter(&self.server, "root", &id, KEPT).unwrap()
    }

    /// Whether the watcher gets something from `topic` before what `ann`'s neighbour says last.
    pub(crate) fn watcher_sees(&mut self, topic: &str) -> bool {
        self.neighbour().publish("base/end", b"", None);
        sees(&mut self.watcher, topic)
    }
}

/// Connects, or says why not.
pub(crate) fn enter(server: &Server, user: &str, client_id: &str, way: Way) -> Result<Client, ReasonCode> {
    enter_by(Client::open(server), user, client_id, way)
}

fn enter_by(mut client: Client, user: &str, client_id: &str, way: Way) -> Result<Client, ReasonCode> {
    let expiry = [Property::SessionExpiryInterval(way.expiry_s)];
    let delay = [Property::WillDelayInterval(way.will.map_or(0, |(_, delay)| delay))];
    let will = way.will.map(|(topic, _)| Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: PropertyList::from_items(&delay),
        topic_name: TopicName::parse(topic).unwrap(),
        payload: b"will",
    });
    client.send(&Packet::Connect(Connect {
        clean_start: way.clean_start,
        properties: PropertyList::from_items(&expiry),
        user_name: Some(user),
        will,
        ..connect(client_id)
    }));
    let code = match client.next() {
        Some(Packet::Connack(connack)) => connack.reason_code,
        other => panic!("{other:?}"),
    };
    if code.is_error() {
        client.expect_end();
        return Err(code);
    }
    Ok(client)
}

/// Connects `ann`.
pub(crate) fn ann(world: &World, way: Way) -> Result<Client, ReasonCode> {
    enter(&world.server, "ann", ANN, way)
}

/// Connects `ann`, who shows her certificate.
pub(crate) fn ann_with_certificate(world: &World, way: Way) -> Result<Client, ReasonCode> {
    enter_by(world.knock_with_certificate(), "ann", ANN, way)
}

/// Subscribes and tells the answer.
pub(crate) fn try_subscribe(client: &mut Client, topic_filter: &str) -> ReasonCode {
    let options = SubscriptionOptions::with_qos(QoS::AtLeastOnce);
    client.send(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(7).unwrap(),
        properties: PropertyList::EMPTY,
        filters: SubscriptionFilters::from_slice(&[SubscriptionRequest { topic_filter, options }]),
    }));
    match client.next() {
        Some(Packet::Suback(suback)) => suback.reason_codes.iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Subscribes to two filters at once, and awaits the SUBACK.
pub(crate) fn subscribe_to_both(client: &mut Client, first: &str, second: &str) {
    let options = SubscriptionOptions::with_qos(QoS::AtLeastOnce);
    let requests = [first, second].map(|topic_filter| SubscriptionRequest { topic_filter, options });
    client.send(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(8).unwrap(),
        properties: PropertyList::EMPTY,
        filters: SubscriptionFilters::from_slice(&requests),
    }));
    match client.next() {
        Some(Packet::Suback(suback)) => assert!(suback.reason_codes.iter().all(|code| !code.is_error())),
        other => panic!("{other:?}"),
    }
}

/// Publishes with QoS 1 and tells the answer.
pub(crate) fn try_publish(
    client: &mut Client,
    topic: &str,
    retain: bool,
    response_topic: Option<&str>,
) -> ReasonCode {
    let items = [Property::ResponseTopic(response_topic.unwrap_or_default())];
    let properties = PropertyList::from_items(&items[..usize::from(response_topic.is_some())]);
    client.send(&Packet::Publish(dunlin_packet::publish::Publish {
        retain,
        properties,
        ..publish(topic, b"x", Some(9))
    }));
    loop {
        match client.next() {
            Some(Packet::Puback(ack)) => return ack.reason_code,
            Some(Packet::Publish(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Whether something from `topic` comes before something from `base/end`.
pub(crate) fn sees(client: &mut Client, topic: &str) -> bool {
    let mut has_seen = false;
    loop {
        let packet_id = match client.next() {
            Some(Packet::Publish(publish)) => {
                let name = publish.topic_name.map(TopicName::as_str);
                if name == Some("base/end") {
                    return has_seen;
                }
                has_seen |= name == Some(topic);
                publish.packet_id
            }
            other => panic!("{other:?}"),
        };
        if let Some(packet_id) = packet_id {
            client.send(&Packet::Puback(dunlin_packet::acks::Ack::success(packet_id)));
        }
    }
}

/// Has a Client that is in know that whatever happened before is done.
pub(crate) fn ping(client: &mut Client) {
    client.send(&Packet::Pingreq);
    assert_eq!(client.next(), Some(Packet::Pingresp));
}

/// Awaits DISCONNECT 0x87 and the end.
pub(crate) fn expect_cut(client: &mut Client) {
    match client.next() {
        Some(Packet::Disconnect(it)) => assert_eq!(it.reason_code, ReasonCode::NotAuthorized),
        other => panic!("awaited DISCONNECT, came {other:?}"),
    }
    client.expect_end();
}

/// A Client of an older version that says who it is.
pub(crate) fn enter_3_1_1(server: &Server, user: &str, client_id: &str) -> Client {
    let version = ProtocolVersion::V3_1_1;
    let mut client = Client::open_with(server, version);
    let connect = Connect { version, user_name: Some(user), ..connect(client_id) };
    client.send(&Packet::Connect(connect));
    client.expect_connack(ReasonCode::Success);
    client
}
