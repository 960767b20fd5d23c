//! A Network Connection as the broker's home shard sees it, and what is owed on it.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use dunlin_packet::{packet_identifier::PacketId, reason_code::ReasonCode, version::ProtocolVersion};

use crate::{
    network::LinkId,
    oracle::{session::Will, words::Tick},
};

/// What a connection's Client is up to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// It keeps all rules: the broker must not end it without reason.
    Right,
    /// It breaks a rule.
    Rogue(Misdeed),
}

/// A rule that is about to be broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misdeed {
    /// What it is, in words.
    pub what: &'static str,
    /// Bytes after CONNECT that are still right; `None` if CONNECT is the misdeed.
    pub good_bytes: Option<usize>,
    /// One of these Reason Codes must be told in 5.0, if any is; empty if the connection is just closed.
    pub codes: &'static [ReasonCode],
    /// Whether the Client must be told, and not just be cut off.
    pub must_be_told: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// At the home shard, CONNACK has not been sent.
    Arrived,
    /// CONNACK has been sent.
    Connected,
    /// The Client has sent DISCONNECT, or the broker is done with it.
    Ended,
}

/// One Network Connection that has come to its home shard.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name.
    pub link: LinkId,
    /// The Client Identifier.
    pub client: Rc<str>,
    /// The home shard.
    pub shard: usize,
    /// The version it speaks.
    pub version: ProtocolVersion,
    /// What it asked for.
    pub asked: Asked,
    /// Whether its Client keeps the rules.
    pub role: Role,
    /// How far it is.
    pub phase: Phase,
    /// Its Session, once connected: a number.
    pub session: Option<usize>,
    /// When CONNACK was sent.
    pub connected: Tick,
    /// Bytes from the Client that are no whole packet yet, or wait for CONNACK.
    pub unread: Vec<u8>,
    /// Bytes after CONNECT that have been looked at.
    pub read: usize,
    /// The Client may have got something.
    pub is_heard: bool,
    /// CONNACK has been written.
    pub has_connack: bool,
    /// The misdeed has been read.
    pub has_offended: bool,
    /// The broker has sent its last packet.
    pub is_silent: bool,
    /// The broker wants it closed.
    pub is_closing: bool,
    /// The Reason Code of the broker's DISCONNECT.
    pub told: Option<ReasonCode>,
    /// The Reason Codes one of which the broker has to tell when it ends the connection; none if the Client ended it.
    pub to_tell: Option<&'static [ReasonCode]>,
    /// The call of the broker in which it ended.
    pub ended_in: u64,
    /// Milliseconds of virtual time when the last byte came.
    pub last_bytes_ms: u64,
    /// Milliseconds of virtual time when the last whole packet came.
    pub last_packet_ms: u64,
    /// Keep Alive in seconds, as agreed.
    pub keep_alive_s: u16,
    /// What the broker owes.
    pub owed: Owed,
    /// Topics behind the Client's Topic Aliases.
    pub aliases_in: BTreeMap<u16, Rc<str>>,
    /// Topics behind the broker's Topic Aliases.
    pub aliases_out: BTreeMap<u16, Rc<str>>,
    /// Messages in flight on this connection that took quota.
    pub counted: Vec<PacketId>,
    /// How many of what was in flight at CONNACK has been sent again, in order: the place behind the last one.
    pub resent: usize,
    /// What was in flight at CONNACK.
    pub to_resend: Vec<PacketId>,
    /// The same for PUBRELs.
    pub pubrels_resent: usize,
    /// An authentication exchange is under way (4.12.1).
    pub is_reauthenticating: bool,
    /// The disk has failed, and what it waits for never comes.
    pub may_be_cut: bool,
    /// It must be closed: a message was refused, and there is no other way to say so.
    pub is_refused: bool,
    /// The Will of CONNECT, until the Session takes it.
    pub will: Option<Will>,
}

/// What CONNECT said, as far as the oracle needs it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Clean Start.
    pub clean_start: bool,
    /// Session Expiry Interval in seconds, as the Server agrees to it.
    pub expiry_s: u32,
    /// Session Expiry Interval of CONNECT, before the Server shortened it.
    pub wanted_expiry_s: u32,
    /// Receive Maximum.
    pub receive_maximum: u16,
    /// Maximum Packet Size.
    pub maximum_packet_size: u32,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: u16,
    /// Whether Reason Strings are welcome.
    pub wants_problem_information: bool,
    /// Whether the Server has chosen the Client Identifier.
    pub is_assigned: bool,
    /// The Authentication Method.
    pub method: Option<Rc<str>>,
}

/// Answers that the broker has to send, each kind in order.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    /// PUBACKs. [MQTT-4.6.0-2]
    pub pubacks: VecDeque<OwedAck>,
    /// PUBRECs. [MQTT-4.6.0-3]
    pub pubrecs: VecDeque<OwedAck>,
    /// PUBRELs. [MQTT-4.6.0-4]
    pub pubrels: VecDeque<OwedRelease>,
    /// PUBCOMPs.
    pub pubcomps: VecDeque<OwedRelease>,
    /// SUBACKs.
    pub subacks: BTreeMap<PacketId, OwedCodes>,
    /// UNSUBACKs.
    pub unsubacks: BTreeMap<PacketId, OwedCodes>,
    /// PINGRESPs.
    pub pingresps: u32,
}

/// The answer to a PUBLISH.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwedAck {
    /// Its Packet Identifier.
    pub packet_id: PacketId,
    /// The number of the accepted message; none for a duplicate and for one that is refused.
    pub accept: Option<usize>,
    /// The Reason Code it is refused with; none if it is not.
    pub refusal: Option<ReasonCode>,
    /// When it was asked for.
    pub asked: Tick,
}

/// A PUBREL or PUBCOMP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwedRelease {
    /// The Packet Identifier.
    pub packet_id: PacketId,
    /// Whether it is, or was, in use.
    pub is_known: bool,
    /// When it was asked for.
    pub asked: Tick,
}

/// The answer to a SUBSCRIBE or UNSUBSCRIBE.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwedCodes {
    /// Its Reason Codes.
    pub codes: Vec<ReasonCode>,
    /// The number of the change of the Subscriptions.
    pub change: usize,
    /// The numbers of the changes of Shared Subscriptions.
    pub shares: Vec<(Rc<str>, usize)>,
}

impl Connection {
    /// A connection that has just come to its home.
    #[must_use]
    pub fn new(link: LinkId, client: Rc<str>, shard: usize, version: ProtocolVersion, asked: Asked) -> Self {
        Self {
            link,
            client,
            shard,
            version,
            asked,
            role: Role::Right,
            phase: Phase::Arrived,
            session: None,
            connected: 0,
            unread: Vec::new(),
            read: 0,
            is_heard: false,
            has_connack: false,
            has_offended: false,
            is_silent: false,
            is_closing: false,
            told: None,
            to_tell: None,
            ended_in: 0,
            last_bytes_ms: 0,
            last_packet_ms: 0,
            keep_alive_s: 0,
            owed: Owed::default(),
            aliases_in: BTreeMap::new(),
            aliases_out: BTreeMap::new(),
            counted: Vec::new(),
            resent: 0,
            to_resend: Vec::new(),
            pubrels_resent: 0,
            is_reauthenticating: false,
            may_be_cut: false,
            is_refused: false,
            will: None,
        }
    }

    /// Whether its Client breaks a rule.
    #[must_use]
    pub fn is_rogue(&self) -> bool {
        matches!(self.role, Role::Rogue(_))
    }

    /// A message was refused: more than the Receive Maximum are none too many then.
    pub fn is_spared(&mut self) {
        let is_about = |misdeed: &Misdeed| misdeed.codes.contains(&ReasonCode::ReceiveMaximumExceeded);
        if matches!(&self.role, Role::Rogue(misdeed) if is_about(misdeed)) {
            self.role = Role::Right;
        }
    }

    /// Whether the next packet of the Client is beyond what it may send.
    #[must_use]
    pub fn is_next_a_misdeed(&self) -> bool {
        match &self.role {
            Role::Right => false,
            Role::Rogue(misdeed) => misdeed.good_bytes.is_some_and(|good| self.read >= good),
        }
    }

    /// A PUBLISH under `packet_id` no longer counts against the Receive Maximum.
    pub fn uncount(&mut self, packet_id: PacketId) {
        if let Some(place) = self.counted.iter().position(|counted| *counted == packet_id) {
            self.counted.swap_remove(place);
        }
    }

    /// How it is named in the trace.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} on {}", self.client, self.link)
    }
}

impl Owed {
    /// The first answer that has not come, in words.
    #[must_use]
    pub fn first(&self) -> Option<String> {
        let packet = |name: &str, id: Option<PacketId>| id.map(|id| format!("{name} {}", id.value()));
        packet("PUBACK", self.pubacks.front().map(|owed| owed.packet_id))
            .or_else(|| packet("PUBREC", self.pubrecs.front().map(|owed| owed.packet_id)))
            .or_else(|| packet("PUBREL", self.pubrels.front().map(|owed| owed.packet_id)))
            .or_else(|| packet("PUBCOMP", self.pubcomps.front().map(|owed| owed.packet_id)))
            .or_else(|| packet("SUBACK", self.subacks.keys().next().copied()))
            .or_else(|| packet("UNSUBACK", self.unsubacks.keys().next().copied()))
            .or_else(|| (self.pingresps > 0).then(|| "PINGRESP".to_owned()))
    }
}
