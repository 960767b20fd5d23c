//! A Session as it must be (4.1): Subscriptions, what is in flight both ways, what it has been sent, its Will.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use dunlin_packet::{packet_identifier::PacketId, qos::QoS};

use crate::{
    network::LinkId,
    oracle::{
        matching::Matching,
        messages::{Accept, Forwarded, MessageKey},
        subscriptions::{Outcome, Sub, SubState, Timeline, outcome},
        words::{Moment, Tick},
    },
};

/// One life of a Session, from a CONNECT that begins it to its end.
#[derive(Clone, Debug)]
pub struct Session {
    /// The Client Identifier.
    pub client: Rc<str>,
    /// Its home.
    pub shard: usize,
    /// When it began.
    pub opened: Tick,
    /// When it ended.
    pub ended: Option<Tick>,
    /// Session Expiry Interval in seconds, as the Server agreed to it.
    pub expiry_s: u32,
    /// When it expires, in milliseconds of virtual time; only while it has no Network Connection.
    pub expires_at_ms: Option<u64>,
    /// The Network Connection, as the broker knows it.
    pub link: Option<LinkId>,
    /// Its Subscriptions over time.
    pub timeline: Timeline<Rc<SubState>>,
    /// Its Shared Subscriptions over time, each for itself, by Topic Filter.
    pub shares: BTreeMap<Rc<str>, Timeline<Option<Sub>>>,
    /// QoS 2 messages from the Client whose PUBREL has not come, and which accepted message each is.
    pub inbound: BTreeSet<PacketId>,
    /// Those of them that were refused, which a Client before 5.0 is not told: a crash forgets them.
    pub refused: BTreeSet<PacketId>,
    /// QoS 1 and 2 messages to the Client, in the order of sending.
    pub in_flight: Vec<InFlight>,
    /// Everything sent to it for the first time.
    pub deliveries: Vec<Delivery>,
    /// Which delivery answers what; only for those not shared.
    pub matching: Matching<Due>,
    /// Accepted messages that it must be sent, by number.
    pub owed: BTreeSet<usize>,
    /// Those of them that have not been checked.
    pub unchecked: Vec<usize>,
    /// SUBSCRIBEs that ask for Retained Messages.
    pub replays: Vec<ReplayRequest>,
    /// The last accepted message it was sent, by publisher, topic and QoS.
    pub last_sent: BTreeMap<(Rc<str>, Rc<str>, QoS), usize>,
    /// Messages with RETAIN that it was sent because they were published, and for no other reason.
    pub came_live: BTreeSet<usize>,
    /// Filters of Shared Subscriptions it has ever had, by identifier.
    pub shared_ids: BTreeMap<u32, Rc<str>>,
    /// The Will of its last Network Connection, while it may still be sent.
    pub will: Option<Will>,
    /// When and how the Maximum Packet Size of its Client changed.
    pub sizes: Vec<(Tick, u32)>,
    /// The last time it was without Network Connection or its socket was behind.
    pub last_unhealthy: Tick,
    /// The last time a queue of its shard was full: what waited may have been dropped.
    pub last_full: Tick,
    /// What was in flight at a crash, though the disk may not tell how far it was.
    pub ghosts: Vec<Ghost>,
    /// It did not outlive a crash.
    pub is_lost: bool,
    /// What its Client was last told about an exchange with QoS 2.
    pub promised: Option<Promised>,
    /// Identifiers of messages that were released and never sent.
    pub unsent_releases: Vec<PacketId>,
}

/// PUBREC, PUBREL or PUBCOMP: what it says is to be true for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promised {
    /// Which packet.
    pub packet: &'static str,
    /// Its Packet Identifier.
    pub packet_id: PacketId,
    /// When it was asked for.
    pub asked: Tick,
    /// On which Network Connection.
    pub link: LinkId,
}

/// A QoS 1 or 2 message that the Client has not finished acknowledging.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// Its Packet Identifier.
    pub packet_id: PacketId,
    /// 1 or 2.
    pub qos: QoS,
    /// PUBREC has come.
    pub is_released: bool,
    /// The last Network Connection on which its PUBLISH was sent.
    pub published_on: LinkId,
    /// The last Network Connection on which its PUBREL was sent.
    pub released_on: Option<LinkId>,
    /// Its number among the deliveries.
    pub delivery: usize,
    /// What was sent.
    pub content: Content,
    /// Bytes that its PUBLISH may take at most on any connection.
    pub bytes_max: usize,
    /// It is too large for the present Network Connection, perhaps: then it counts as sent. [MQTT-3.1.2-25]
    pub may_be_dropped: bool,
}

/// A message that was in flight at a crash.
#[derive(Clone, Debug)]
pub struct Ghost {
    /// Its Packet Identifier.
    pub packet_id: PacketId,
    /// Which message.
    pub key: MessageKey,
    /// It has reached the Client.
    pub is_met: bool,
    /// The application of the Client got it, with QoS 2.
    pub is_taken: bool,
}

/// What a PUBLISH said, to compare a second attempt with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The Topic Name.
    pub topic: Rc<str>,
    /// The payload.
    pub payload: Rc<[u8]>,
    /// RETAIN.
    pub retain: bool,
    /// Subscription Identifiers, ascending.
    pub ids: Vec<u32>,
    /// The Properties.
    pub properties: Forwarded,
    /// Message Expiry Interval.
    pub expiry_s: Option<u32>,
}

/// A message sent to the Client for the first time.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Which message.
    pub key: MessageKey,
    /// When.
    pub at: Moment,
    /// With which QoS.
    pub qos: QoS,
    /// The Topic Name.
    pub topic: Rc<str>,
    /// The Shared Subscription it was sent for.
    pub shared: Option<Rc<str>>,
    /// PUBACK or PUBREC has come, or QoS 0.
    pub is_acknowledged: bool,
    /// It has reached the Client.
    pub is_met: bool,
    /// The application of the Client got it, with QoS 2.
    pub is_taken: bool,
    /// It became too large for the Client, perhaps, before the Client had it.
    pub may_be_dropped: bool,
}

/// What a delivery may be an answer to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Due {
    /// An accepted message, by its number.
    Live(usize),
    /// The Retained Message of a topic, asked for by a SUBSCRIBE with this number.
    Replay(usize, Rc<str>),
}

/// A Topic Filter of a SUBSCRIBE that asks for Retained Messages (3.3.1.3).
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// The Topic Filter.
    pub filter: Rc<str>,
    /// When it came.
    pub asked: Tick,
    /// The Subscription that it made.
    pub sub: Sub,
    /// On which Network Connection.
    pub link: LinkId,
    /// What it must bring has come.
    pub is_checked: bool,
}

/// A Will that may have to be sent.
#[derive(Clone, Debug)]
pub struct Will {
    /// The message.
    pub accept: Accept,
    /// Seconds of the Will Delay Interval.
    pub delay_s: u32,
    /// When it is to be sent, once the Network Connection is gone.
    pub due_ms: Option<u64>,
}

impl Session {
    /// A new one without anything.
    #[must_use]
    pub fn new(client: Rc<str>, shard: usize, opened: Tick) -> Self {
        Self {
            client,
            shard,
            opened,
            ended: None,
            expiry_s: 0,
            expires_at_ms: None,
            link: None,
            timeline: Timeline::new(opened),
            shares: BTreeMap::new(),
            inbound: BTreeSet::new(),
            refused: BTreeSet::new(),
            in_flight: Vec::new(),
            deliveries: Vec::new(),
            matching: Matching::new(),
            owed: BTreeSet::new(),
            unchecked: Vec::new(),
            replays: Vec::new(),
            last_sent: BTreeMap::new(),
            came_live: BTreeSet::new(),
            shared_ids: BTreeMap::new(),
            will: None,
            sizes: Vec::new(),
            last_unhealthy: opened,
            last_full: 0,
            ghosts: Vec::new(),
            is_lost: false,
            promised: None,
            unsent_releases: Vec::new(),
        }
    }

    /// Whether it lived all the time from `first` to `last`.
    #[must_use]
    pub fn lived(&self, first: Tick, last: Tick) -> bool {
        self.opened < first && self.ended.is_none_or(|ended| ended > last)
    }

    /// What its non-shared Subscriptions may have given for `accept`, if its receivers were chosen by `last`.
    #[must_use]
    pub fn outcomes(&self, accept: &Accept, last: Tick) -> Vec<Option<Outcome>> {
        let last = last.min(accept.settled_in(self.shard));
        if self.ended.is_some_and(|ended| ended < accept.at.tick) {
            return vec![None];
        }
        let mut outcomes: Vec<_> = Vec::new();
        if !self.lived(accept.at.tick, last) {
            outcomes.push(None);
        }
        for state in self.timeline.states(accept.at.tick, last) {
            let outcome = outcome(state, accept, &self.client);
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    /// Whether one of its [`outcomes`](Self::outcomes) fits.
    #[must_use]
    pub fn has_outcome(&self, accept: &Accept, last: Tick, fits: impl Fn(&Outcome) -> bool) -> bool {
        let last = last.min(accept.settled_in(self.shard));
        self.ended.is_none_or(|ended| ended >= accept.at.tick)
            && self
                .timeline
                .states(accept.at.tick, last)
                .any(|state| outcome(state, accept, &self.client).is_some_and(|outcome| fits(&outcome)))
    }

    /// A Client with this Maximum Packet Size comes back: what is in flight may be too large now. [MQTT-3.1.2-25]
    pub fn fit_in_flight(&mut self, maximum_packet_size: u32) {
        for in_flight in self.in_flight.iter_mut().filter(|in_flight| !in_flight.is_released) {
            if in_flight.bytes_max > maximum_packet_size as usize {
                in_flight.may_be_dropped = true;
                self.deliveries[in_flight.delivery].may_be_dropped = true;
            }
        }
    }

    /// Whether a message of `bytes` was always small enough for its Client since `first`.
    #[must_use]
    pub fn takes(&self, bytes: usize, first: Tick) -> bool {
        let begin = self.sizes.iter().rposition(|(at, _)| *at <= first).unwrap_or(0);
        self.sizes[begin..].iter().all(|(_, maximum)| bytes <= *maximum as usize)
    }

    /// Whether it had a Network Connection that took everything from `first` on.
    #[must_use]
    pub fn is_healthy_since(&self, first: Tick) -> bool {
        self.link.is_some() && self.last_unhealthy < first
    }

    /// Whether it outlives the end of the program.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.expiry_s > 0
    }

    /// Whether its Client is connected and has answered everything.
    #[must_use]
    pub fn is_resting(&self, resting: &BTreeSet<LinkId>) -> bool {
        self.link.is_some_and(|link| resting.contains(&link))
    }

    /// The states that a Shared Subscription may have had at some time from `first` to `last`.
    pub fn share_states(&self, filter: &str, first: Tick, last: Tick) -> impl Iterator<Item = Option<Sub>> {
        let timeline = self.shares.get(filter).into_iter();
        timeline.flat_map(move |timeline| timeline.states(first, last).copied())
    }

    /// The filters of its Shared Subscriptions.
    pub fn shares_now(&self) -> impl Iterator<Item = &str> {
        self.shares.iter().filter(|(_, share)| share.latest().is_some()).map(|(filter, _)| &**filter)
    }

    /// A Shared Subscription is made, changed or ended. Returns the number of the change.
    pub fn share(&mut self, filter: &Rc<str>, asked: Tick, sub: Option<Sub>) -> usize {
        if let Some(id) = sub.and_then(|sub| sub.id) {
            self.shared_ids.insert(id, Rc::clone(filter));
        }
        let opened = self.opened;
        self.shares.entry(Rc::clone(filter)).or_insert_with(|| Timeline::new(opened)).ask(asked, sub)
    }

    /// What is in flight under `packet_id`.
    pub fn find_in_flight(&mut self, packet_id: PacketId) -> Option<&mut InFlight> {
        self.in_flight.iter_mut().find(|in_flight| in_flight.packet_id == packet_id)
    }

    /// Ends what is in flight under `packet_id`.
    pub fn remove_in_flight(&mut self, packet_id: PacketId) -> Option<InFlight> {
        let place = self.in_flight.iter().position(|in_flight| in_flight.packet_id == packet_id)?;
        self.forget_ghosts(packet_id);
        Some(self.in_flight.remove(place))
    }

    /// What was in flight under `packet_id` at a crash is done with.
    pub fn forget_ghosts(&mut self, packet_id: PacketId) {
        self.ghosts.retain(|ghost| ghost.packet_id != packet_id);
    }
}

/// Bytes that a PUBLISH of `accept` may take at most on its way to a Client, with `ids` Subscription Identifiers.
#[must_use]
pub fn publish_bytes_max(accept: &Accept, ids: usize) -> usize {
    // Fixed header 5, lengths 2 + 4, Packet Identifier 2, Message Expiry Interval 5, Topic Alias 3.
    accept.topic.len() + accept.payload.len() + accept.properties.len() + 21 + 5 * ids
}
