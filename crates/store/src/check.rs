//! Whether everything in a store can be used, and what is lost if not.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::ControlFlow,
};

use dunlin_broker::{
    ids::ShardId,
    records::{
        batch::Batch,
        content::{BodyContent, InFlightState, MessageContent},
        key::{Key, Owner, kind},
        record::{Record, RecordError},
        traces::traces,
        writing::encode,
    },
};
use dunlin_packet::{packet_identifier::PacketId, topic::filter::TopicFilter};

use crate::{
    check::words::{Lost, about, key_words},
    scanning::{Skipped, scan_what_can_be_read},
    sessions::{SessionState, Sessions, owner_of},
    store::{Store, StoreError},
};

mod words;

/// How many records there are, and how large they are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Amount {
    /// Number of records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Something that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it is about.
    pub about: String,
    /// What is wrong with it, or what is lost.
    pub what: String,
}

/// What a check has found.
#[derive(Debug, Default)]
pub struct Checked {
    /// By the letter of the kind, those that have records.
    pub kinds: BTreeMap<u8, Amount>,
    /// Things that cannot be used.
    pub findings: u64,
    /// Records that nothing refers to any more: harmless, the Server takes them away.
    pub leftovers: u64,
    /// Records of a newer version of the program; they are among the findings, and never taken away.
    pub newer: u64,
    /// Ranges of records that the engine cannot read; they are among the findings, and cannot be repaired.
    pub unreadable: u64,
    /// The changes after which all that is left can be used.
    pub repair: Batch,
}

impl Checked {
    /// Whether everything can be used.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.findings == 0
    }

    /// Whether [`repair`](Self::repair) makes everything well.
    #[must_use]
    pub fn can_be_repaired(&self) -> bool {
        self.newer == 0 && self.unreadable == 0
    }
}

/// The kinds, in the order in which they are looked at and told, and what their records are.
pub const KINDS: [(u8, &str); 10] = [
    (kind::FACT, "facts about the store"),
    (kind::SESSION, "Sessions"),
    (kind::SUBSCRIPTION, "Subscriptions"),
    (kind::WILL, "Wills"),
    (kind::BODY, "messages that Sessions share"),
    (kind::IN_FLIGHT, "Packet Identifiers in flight"),
    (kind::MESSAGE, "messages in queues"),
    (kind::RECEIVED, "Packet Identifiers received"),
    (kind::RETAINED, "Retained Messages"),
    (kind::TRANSIT, "messages between shards"),
];

/// Reads every record, and whatever it refers to. `tell` is called with each thing that cannot be used. Nothing is changed.
///
/// # Errors
/// If the store cannot be read at all. Damage is none.
pub fn check(store: &dyn Store, tell: &mut dyn FnMut(&Finding)) -> Result<Checked, StoreError> {
    let mut walk = Walk {
        store,
        tell,
        sessions: Sessions::new(store),
        checked: Checked::default(),
        shards: None,
        broken: BTreeMap::new(),
        lost: BTreeMap::new(),
        clients: (0, HashSet::new()),
        bodies: BTreeMap::new(),
        flights: Flights::default(),
    };
    for (kind, name) in KINDS {
        walk.kind(kind, name)?;
        if kind == kind::MESSAGE {
            walk.leave_unused_bodies();
        }
    }
    walk.unknown_kinds()?;
    walk.tell_lost();
    Ok(walk.checked)
}

struct Walk<'s> {
    store: &'s dyn Store,
    tell: &'s mut dyn FnMut(&Finding),
    sessions: Sessions<'s>,
    checked: Checked,
    shards: Option<u8>,
    /// Sessions that are there and cannot be used, in words.
    broken: BTreeMap<Owner, String>,
    /// What goes with them.
    lost: BTreeMap<Owner, Lost>,
    /// The Client Identifiers of a slot.
    clients: (u16, HashSet<String>),
    /// Bodies that can be read, and whether a message needs them.
    bodies: BTreeMap<(ShardId, u64), bool>,
    flights: Flights,
}

/// The Packet Identifiers of one Session.
#[derive(Default)]
struct Flights {
    owner: Option<Owner>,
    /// Of messages, by their numbers, as they stand in records of their own.
    sent: HashMap<u64, PacketId>,
    /// All that are in use.
    used: BTreeSet<PacketId>,
}

impl Walk<'_> {
    fn kind(&mut self, kind: u8, name: &str) -> Result<(), StoreError> {
        let skipped = scan_what_can_be_read(self.store, kind, &mut |key, value| self.record(key, value))?;
        self.checked.unreadable += skipped.len() as u64;
        for Skipped { error, last } in skipped {
            let after =
                last.map_or_else(|| "the first ones".into(), |last| format!("after {}", key_words(&last)));
            self.find(format!("{name}, {after}"), error.to_string());
        }
        Ok(())
    }

    /// All that is between the kinds.
    fn unknown_kinds(&mut self) -> Result<(), StoreError> {
        let known = KINDS.map(|(kind, _)| kind);
        for kind in (0..u8::MAX).filter(|kind| !known.contains(kind)) {
            self.kind(kind, "records of no known kind")?;
        }
        Ok(())
    }

    fn find(&mut self, about: String, what: String) {
        self.checked.findings += 1;
        (self.tell)(&Finding { about, what });
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let amount = self.checked.kinds.entry(key[0]).or_default();
        amount.records += 1;
        amount.bytes += (key.len() + value.len()) as u64;
        match Record::decode(key, value) {
            Ok(record) => self.decoded(key, record),
            Err(error) => self.damaged(key, value, error),
        }
    }

    fn damaged(&mut self, key: &[u8], value: &[u8], error: RecordError) -> Result<(), StoreError> {
        let about = self.about(key, value)?;
        // A key of another kind under a right checksum is a newer kind.
        if matches!(error, RecordError::Version(_) | RecordError::Key) {
            self.checked.newer += 1;
        }
        match Key::decode(key) {
            Some(Key::Session(owner)) => drop(self.broken.insert(owner, about.clone())),
            Some(Key::Message(owner, number)) => {
                self.look_at_flights(owner)?;
                self.delete_flight(owner, number);
            }
            _ => {}
        }
        self.checked.repair.delete(key);
        self.find(about, error.to_string());
        Ok(())
    }

    fn about(&mut self, key: &[u8], value: &[u8]) -> Result<String, StoreError> {
        let owner = Key::decode(key).and_then(owner_of);
        let client_id = match owner {
            Some(owner) => self.sessions.client_id(owner)?,
            None => None,
        };
        Ok(about(key, client_id, &traces(key, value)))
    }

    fn decoded(&mut self, key: &[u8], record: Record<'_>) -> Result<(), StoreError> {
        if let Some(owner) = Key::decode(key).and_then(owner_of)
            && !self.has_session(owner, key, &record)?
        {
            return Ok(());
        }
        match record {
            Record::Fact { name: "shards", value: &[shards] } if shards > 0 => self.shards = Some(shards),
            Record::Session(owner, content) => self.session(owner, content.client_id),
            Record::Subscription(_, filter, _) if TopicFilter::parse(filter).is_err() => {
                let about = self.about(key, &[])?;
                self.checked.repair.delete(key);
                self.find(about, "it is no Topic Filter".into());
            }
            Record::InFlight(owner, _, InFlightState::Sent, number)
                if self.store.find(&Key::Message(owner, number).to_bytes())?.is_none() =>
            {
                self.leave(key);
            }
            Record::Message(owner, number, content) => self.message(owner, number, content)?,
            Record::Body(shard, number, _) => drop(self.bodies.insert((shard, number), false)),
            _ => {}
        }
        Ok(())
    }

    /// Whether the Session of a record can be used; otherwise the record goes.
    fn has_session(&mut self, owner: Owner, key: &[u8], record: &Record<'_>) -> Result<bool, StoreError> {
        if self.broken.contains_key(&owner) {
            self.lost.entry(owner).or_default().add(record);
            self.checked.repair.delete(key);
            return Ok(false);
        }
        match self.sessions.find(owner)? {
            SessionState::There(_) => Ok(true),
            SessionState::Missing | SessionState::Damaged => {
                self.leave(key);
                Ok(false)
            }
        }
    }

    fn leave(&mut self, key: &[u8]) {
        self.checked.leftovers += 1;
        self.checked.repair.delete(key);
    }

    fn session(&mut self, owner: Owner, client_id: &str) {
        let (slot, clients) = &mut self.clients;
        if *slot != owner.slot {
            *slot = owner.slot;
            clients.clear();
        }
        if !clients.insert(client_id.to_owned()) {
            let about = format!("a second Session of the Client `{client_id}`");
            self.broken.insert(owner, about.clone());
            self.checked.repair.delete(&Key::Session(owner).to_bytes());
            self.find(about, "a Client has one Session: the older one counts".into());
        }
    }

    fn message(&mut self, owner: Owner, number: u64, content: MessageContent<'_>) -> Result<(), StoreError> {
        self.look_at_flights(owner)?;
        let key = Key::Message(owner, number).to_bytes();
        if matches!(content.body, BodyContent::Shared { .. })
            && let Some(shards) = self.shards
        {
            let shard = ShardId((owner.slot % u16::from(shards)) as u8);
            let Some(is_used) = self.bodies.get_mut(&(shard, number)) else {
                let about = self.about(&key, &[])?;
                self.checked.repair.delete(&key);
                self.delete_flight(owner, number);
                self.find(
                    about,
                    "it shares its text with other Sessions, and that is missing: it is lost".into(),
                );
                return Ok(());
            };
            *is_used = true;
        }
        let packet_id = self.flights.sent.get(&number).copied().or(content.packet_id);
        if let Some(packet_id) = packet_id
            && !self.flights.used.insert(packet_id)
        {
            let about = self.about(&key, &[])?;
            self.delete_flight(owner, number);
            let queued = MessageContent { packet_id: None, ..content };
            encode(&Record::Message(owner, number, queued), &mut self.checked.repair);
            let what = format!(
                "its Packet Identifier {} belongs to another message as well: it is not lost, but may come twice",
                packet_id.value()
            );
            self.find(about, what);
        }
        Ok(())
    }

    /// Reads the Packet Identifiers of a Session.
    fn look_at_flights(&mut self, owner: Owner) -> Result<(), StoreError> {
        if self.flights.owner == Some(owner) {
            return Ok(());
        }
        let flights = &mut self.flights;
        *flights = Flights { owner: Some(owner), ..Flights::default() };
        let [from, to] = [PacketId::MIN, PacketId::MAX].map(|it| Key::InFlight(owner, it).to_bytes());
        let to = [&to[..], &[0]].concat();
        self.store.scan(&from, &to, &mut |key, value| {
            match Record::decode(key, value) {
                Ok(Record::InFlight(_, packet_id, InFlightState::Sent, number)) => {
                    flights.sent.insert(number, packet_id);
                }
                Ok(Record::InFlight(_, packet_id, InFlightState::Released, _)) => {
                    flights.used.insert(packet_id);
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })
    }

    fn delete_flight(&mut self, owner: Owner, number: u64) {
        if let Some(packet_id) = self.flights.sent.get(&number) {
            self.checked.repair.delete(&Key::InFlight(owner, *packet_id).to_bytes());
        }
    }

    fn leave_unused_bodies(&mut self) {
        if self.shards.is_none() {
            return;
        }
        for ((shard, number), is_used) in std::mem::take(&mut self.bodies) {
            if !is_used {
                self.leave(&Key::Body(shard, number).to_bytes());
            }
        }
    }

    fn tell_lost(&mut self) {
        for (owner, lost) in std::mem::take(&mut self.lost) {
            let about = self.broken.remove(&owner).expect("what it has lost it");
            self.find(about, lost.to_string());
        }
    }
}

#[cfg(test)]
mod tests;
