//! A Client that keeps all rules: its Session, its connections, and how it begins and ends them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use dunlin_packet::{
    connect::{Connect, Will},
    disconnect::Disconnect,
    packet::Packet,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    qos::QoS,
    reason_code::ReasonCode,
    topic::name::TopicName,
    version::ProtocolVersion,
};
use dunlin_protocol::{
    inbound::Inbound,
    limits::Limits,
    outbound::Outbound,
    topic_aliases::{InboundAliases, OutboundAliases},
};

use crate::{
    network::{End, LinkId, Network},
    oracle::{connection::Role, state::Oracle},
    plan::Plan,
    random::Random,
    trace::Trace,
    workload::choices,
};

/// Everything around a Client.
pub struct Scene<'a> {
    /// Chance.
    pub random: &'a mut Random,
    /// The way to the Server.
    pub network: &'a mut Network,
    /// Knows who keeps the rules.
    pub oracle: &'a mut Oracle,
    /// Takes note.
    pub trace: &'a mut Trace,
    /// The conditions of the run.
    pub plan: &'a Plan,
    /// Milliseconds of virtual time.
    pub now_ms: u64,
    /// The number of the last message.
    pub last_number: &'a mut u64,
}

/// What a Client is like.
#[derive(Clone, Debug)]
pub struct Character {
    /// Whether its Session outlives its connections.
    pub is_persistent: bool,
    /// Keep Alive in seconds.
    pub keep_alive_s: u16,
    /// Receive Maximum; none says nothing.
    pub receive_maximum: Option<u16>,
    /// Maximum Packet Size; none says nothing.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: u16,
    /// It reads only now and then, and little.
    pub is_slow: bool,
    /// It has Shared Subscriptions.
    pub is_sharer: bool,
    /// The one Shared Subscription of a sharer that gives no identifiers.
    pub shared_filter: &'static str,
    /// It gives each Subscription an identifier.
    pub has_ids: bool,
    /// It uses extended authentication.
    pub has_method: bool,
    /// It lets the Server choose its Client Identifier.
    pub is_nameless: bool,
    /// It may come back with another version.
    pub is_fickle: bool,
    /// Reason Strings are welcome.
    pub wants_problem_information: bool,
}

/// A message that the Client publishes.
#[derive(Debug)]
pub struct OutMessage {
    /// The Topic Name.
    pub topic: &'static str,
    /// RETAIN.
    pub retain: bool,
    /// The payload.
    pub payload: Vec<u8>,
    /// Properties, encoded.
    pub properties: Vec<u8>,
}

/// A simulated Client.
#[derive(Debug)]
pub struct Client {
    /// Its name; empty until the Server has given it one.
    pub id: String,
    /// The version it speaks.
    pub version: ProtocolVersion,
    /// What it is like.
    pub character: Character,
    /// Its half of QoS 1 and 2 as a sender.
    pub outbound: Outbound<Rc<OutMessage>>,
    /// Its half as a receiver.
    pub inbound: Inbound,
    /// Its connection.
    pub attached: Option<Attached>,
    /// Its Session at the Server, as [`Oracle::session_on`] names it.
    pub session: Option<usize>,
    /// It wanted a new Session, and does not know whether it has one.
    pub has_forgotten: bool,
    /// How often it has changed the identifier of a Subscription.
    pub id_variants: BTreeMap<&'static str, u32>,
}

/// The connection of a Client, as the Client sees it.
#[derive(Debug)]
pub struct Attached {
    /// Which one.
    pub link: LinkId,
    /// Bytes that are no whole packet yet.
    pub buffer: Vec<u8>,
    /// CONNACK has come.
    pub is_connected: bool,
    /// What the Server takes.
    pub limits: Limits,
    /// Aliases for messages to the Server.
    pub aliases_out: OutboundAliases,
    /// Aliases for messages from the Server.
    pub aliases_in: InboundAliases,
    /// Answers that have not been sent.
    pub answers: VecDeque<Answer>,
    /// SUBSCRIBEs and UNSUBSCRIBEs without answer.
    pub requests: BTreeSet<PacketId>,
    /// Milliseconds of virtual time when it last sent a packet.
    pub last_sent_ms: u64,
    /// Keep Alive in seconds.
    pub keep_alive_s: u16,
    /// Session Expiry Interval of CONNECT in seconds.
    pub expiry_s: u32,
    /// An authentication exchange is under way.
    pub is_authenticating: bool,
}

/// An answer to be sent in its turn.
#[derive(Debug)]
pub struct Answer {
    /// The packet.
    pub bytes: Vec<u8>,
    /// The QoS 1 message that it finishes.
    pub finishes: Option<PacketId>,
}

impl Client {
    /// A Client that was never connected.
    #[must_use]
    pub fn new(number: usize, random: &mut Random, plan: &Plan) -> Self {
        let version = match random.below(10) {
            0 => ProtocolVersion::V3_1,
            1..=3 => ProtocolVersion::V3_1_1,
            _ => ProtocolVersion::V5_0,
        };
        let mut character = character(random, version, plan);
        // 3.1 does not say whether the Session is still there.
        if version == ProtocolVersion::V3_1 && plan.settings.session_expiry_max_s < u32::MAX {
            character.is_persistent = false;
        }
        let id = if character.is_nameless { String::new() } else { format!("c{number}") };
        Self {
            id,
            version,
            character,
            outbound: Outbound::new(),
            inbound: Inbound::new(),
            attached: None,
            session: None,
            has_forgotten: false,
            id_variants: BTreeMap::new(),
        }
    }

    /// Whether it has a connection with CONNACK.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.attached.as_ref().is_some_and(|attached| attached.is_connected)
    }

    /// Opens a connection and sends CONNECT. A connection it still has is left without a word.
    pub fn connect(&mut self, scene: &mut Scene<'_>, clean_start: bool) {
        self.abandon(scene);
        if self.character.is_fickle && scene.random.once_in(4) {
            self.version = scene.random.pick(&[ProtocolVersion::V3_1_1, ProtocolVersion::V5_0]);
        }
        let is_v5 = self.version.has_properties();
        // An empty Client Identifier goes with a new Session before 5.0 [MQTT3-3.1.3-7].
        let clean_start =
            clean_start || self.id.is_empty() && !is_v5 || !is_v5 && !self.character.is_persistent;
        // Once it has forgotten its Session it cannot go on with the one that the Server may have. [MQTT-3.2.2-4]
        let clean_start = clean_start || self.has_forgotten;
        if clean_start {
            self.forget_session();
            self.has_forgotten = true;
        }
        let expiry_s = self.choose_expiry_s(scene.random);
        let mut properties = Vec::new();
        if is_v5 {
            self.connect_properties(scene.random, expiry_s, &mut properties);
        }
        let parts = scene.random.once_in(3).then(|| will_parts(scene, &self.id, is_v5));
        let will = parts.as_ref().map(|parts| parts.will());
        let connect = Connect {
            version: self.version,
            clean_start,
            keep_alive_s: self.character.keep_alive_s,
            client_id: &self.id,
            properties: PropertyList::from_items(&properties),
            will,
            user_name: None,
            password: None,
            is_bridge: false,
        };
        let capacity = if self.character.is_slow { 500 } else { 60_000 };
        let link = scene.network.open(capacity);
        scene.oracle.announces(link, Role::Right, Some(&connect));
        scene.trace.note(|| format!("{} opens {link}", self.id));
        let mut bytes = Vec::new();
        connect.encode(self.version, &mut bytes).expect("a right CONNECT");
        scene.network.send(link, &bytes);
        self.attached = Some(Attached::new(link, &self.character, expiry_s, scene));
        // With extended authentication only AUTH may follow. [MQTT-3.1.2-30]
        if clean_start && !self.character.has_method && scene.random.once_in(4) {
            self.send_early(scene);
        }
    }

    fn choose_expiry_s(&self, random: &mut Random) -> u32 {
        match self.character.is_persistent {
            true => random.pick(&[1_000_000, 1_000_000, 1_000_000, u32::MAX, 30, 3]),
            false => 0,
        }
    }

    fn connect_properties<'a>(
        &'a self,
        random: &mut Random,
        expiry_s: u32,
        properties: &mut Vec<Property<'a>>,
    ) {
        let character = &self.character;
        if expiry_s > 0 {
            properties.push(Property::SessionExpiryInterval(expiry_s));
        }
        if let Some(maximum) = character.receive_maximum {
            properties.push(Property::ReceiveMaximum(maximum));
        }
        if let Some(maximum) = character.maximum_packet_size {
            let is_generous = random.once_in(4);
            properties.push(Property::MaximumPacketSize(if is_generous { 100_000 } else { maximum }));
        }
        if character.topic_alias_maximum > 0 {
            properties.push(Property::TopicAliasMaximum(character.topic_alias_maximum));
        }
        if character.has_method {
            properties.push(Property::AuthenticationMethod("echo"));
            properties.push(Property::AuthenticationData(if random.once_in(2) { b"again" } else { b"ok" }));
        }
        if !character.wants_problem_information {
            properties.push(Property::RequestProblemInformation(false));
        }
    }

    /// Says DISCONNECT and closes.
    pub fn disconnect(&mut self, scene: &mut Scene<'_>, reason_code: ReasonCode, expiry_s: Option<u32>) {
        let Some(attached) = &self.attached else { return };
        let link = attached.link;
        // A Session that was to end with the connection cannot be kept (3.14.2.2.2).
        let expiry_s = expiry_s.filter(|_| attached.expiry_s > 0 && self.version.has_properties());
        let items: Vec<_> = expiry_s.map(Property::SessionExpiryInterval).into_iter().collect();
        let disconnect = Disconnect { reason_code, properties: PropertyList::from_items(&items) };
        self.send(scene, &Packet::Disconnect(disconnect));
        scene.network.close(link, End::Closed, scene.random);
        self.attached = None;
    }

    /// Loses its connection: the network fails, or its owner pulls the plug.
    pub fn cut(&mut self, scene: &mut Scene<'_>) {
        let Some(attached) = self.attached.take() else { return };
        let end = scene.random.pick(&[End::Closed, End::Reset, End::Reset]);
        scene.trace.note(|| format!("{} loses {} ({end:?})", self.id, attached.link));
        scene.network.close(attached.link, end, scene.random);
    }

    /// Leaves its connection without a word.
    pub fn abandon(&mut self, scene: &mut Scene<'_>) {
        let Some(attached) = self.attached.take() else { return };
        scene.trace.note(|| format!("{} leaves {} without a word", self.id, attached.link));
        scene.network.close(attached.link, End::Silent, scene.random);
    }

    /// Its Session is gone: what was unfinished stays so.
    pub fn forget_session(&mut self) {
        self.outbound = Outbound::new();
        self.inbound.clear();
    }

    /// Sends a packet on its connection.
    pub fn send(&mut self, scene: &mut Scene<'_>, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("a right Client makes right packets");
        self.send_bytes(scene, &bytes);
    }

    /// Sends whole packets on its connection.
    pub fn send_bytes(&mut self, scene: &mut Scene<'_>, bytes: &[u8]) {
        let Some(attached) = &mut self.attached else { return };
        attached.last_sent_ms = scene.now_ms;
        scene.network.send(attached.link, bytes);
    }

    /// Pings before the Server loses patience.
    pub fn keep_alive(&mut self, scene: &mut Scene<'_>) {
        let Some(attached) = &self.attached else { return };
        let silence_ms = scene.now_ms.saturating_sub(attached.last_sent_ms);
        if attached.is_connected
            && attached.keep_alive_s > 0
            && silence_ms >= u64::from(attached.keep_alive_s) * 900
        {
            self.send(scene, &Packet::Pingreq);
        }
    }
}

impl Attached {
    fn new(link: LinkId, character: &Character, expiry_s: u32, scene: &Scene<'_>) -> Self {
        // Before 5.0 CONNACK does not tell; the owner of the Client has read the manual of the Server.
        let limits = Limits {
            maximum_qos: scene.plan.settings.maximum_qos,
            is_retain_available: scene.plan.settings.retain_available,
            ..Limits::default()
        };
        Self {
            link,
            buffer: Vec::new(),
            is_connected: false,
            limits,
            aliases_out: OutboundAliases::new(0),
            aliases_in: InboundAliases::new(character.topic_alias_maximum),
            answers: VecDeque::new(),
            requests: BTreeSet::new(),
            last_sent_ms: scene.now_ms,
            keep_alive_s: character.keep_alive_s,
            expiry_s,
            is_authenticating: false,
        }
    }
}

fn character(random: &mut Random, version: ProtocolVersion, plan: &Plan) -> Character {
    let is_v5 = version == ProtocolVersion::V5_0;
    let is_sharer = random.once_in(2);
    let are_ids_available = plan.settings.subscription_identifier_available;
    let is_nameless = random.once_in(10) && version != ProtocolVersion::V3_1;
    Character {
        is_persistent: random.percent(70) && (is_v5 || !is_nameless),
        keep_alive_s: random.pick(&[0, 0, 5, 20]),
        receive_maximum: random.pick(&[None, None, Some(1), Some(3), Some(20)]),
        maximum_packet_size: random.pick(&[None, None, None, Some(2_000), Some(150)]),
        topic_alias_maximum: if is_v5 { random.pick(&[0, 0, 2, 100]) } else { 0 },
        is_slow: random.once_in(6),
        is_sharer,
        shared_filter: random.pick(choices::SHARED_FILTERS),
        has_ids: is_v5 && are_ids_available && (is_sharer || random.once_in(2)),
        has_method: is_v5 && random.once_in(8),
        is_nameless,
        is_fickle: version != ProtocolVersion::V3_1 && !is_sharer && !is_nameless && random.once_in(8),
        wants_problem_information: !random.once_in(4),
    }
}

/// The parts of a Will, kept while CONNECT is made.
struct WillParts {
    qos: QoS,
    retain: bool,
    topic: String,
    payload: Vec<u8>,
    encoded: Vec<u8>,
    delay: Option<[Property<'static>; 1]>,
}

impl WillParts {
    fn will(&self) -> Will<'_> {
        let items = self.delay.as_ref().map_or(&[][..], |items| &items[..]);
        Will {
            qos: self.qos,
            retain: self.retain,
            topic_name: TopicName::parse(&self.topic).expect("the workload chooses Topic Names"),
            payload: &self.payload,
            properties: PropertyList::with_encoded(items, &self.encoded),
        }
    }
}

fn will_parts(scene: &mut Scene<'_>, client_id: &str, is_v5: bool) -> WillParts {
    *scene.last_number += 1;
    let random = &mut *scene.random;
    let topic = match random.below(3) {
        0 => "w/all".to_owned(),
        1 if !client_id.is_empty() => format!("w/{client_id}"),
        _ => (random.pick(choices::TOPICS)).to_owned(),
    };
    let expiry_s = choices::expiry_s(random).filter(|_| is_v5);
    let delay_s = random.pick(&[0, 0, 1, 5, 20]);
    WillParts {
        qos: choices::qos(random, scene.plan.settings.maximum_qos),
        retain: scene.plan.settings.retain_available && random.once_in(4),
        topic,
        payload: choices::payload(random, *scene.last_number, false),
        encoded: if is_v5 { choices::message_properties(random, expiry_s) } else { Vec::new() },
        delay: (is_v5 && delay_s > 0).then_some([Property::WillDelayInterval(delay_s)]),
    }
}
