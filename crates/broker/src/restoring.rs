//! What a shard remembers while its records are put back.

use dunlin_packet::packet_identifier::PacketId;
use dunlin_protocol::time::Instant;
use foldhash::HashMap;

use crate::{
    ids::ShardId, message::Message, permissions::identity::Identity, records::key::Owner,
    rights::publishers::PublisherId, routing::group_mail::GroupName, sessions::queue::Delivery,
    topics::ids::SessionIndex,
};

/// What is known only while records are put back.
#[derive(Debug, Default)]
pub(crate) struct Restoring {
    pub(crate) owners: HashMap<Owner, SessionIndex>,
    /// When each Session lost its Network Connection, if it had before the end of the program.
    pub(crate) left_at: Vec<(SessionIndex, Option<Instant>)>,
    pub(crate) in_flight: HashMap<(Owner, u64), PacketId>,
    pub(crate) flights: HashMap<SessionIndex, Vec<Flight>>,
    /// Messages whose Sessions are gone.
    pub(crate) orphans: Vec<Orphan>,
    pub(crate) transits: Vec<Transit>,
    /// Who set the Retained Message before: often the next one, too.
    pub(crate) publisher: Option<(Box<[u8]>, PublisherId)>,
}

/// A message or PUBREL that was in flight.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) packet_id: PacketId,
    pub(crate) delivery: Option<Delivery>,
}

/// A message that waited for a Session that has ended.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) owner: Owner,
    pub(crate) number: u64,
    /// Its body is in a record of its own.
    pub(crate) is_shared: bool,
    /// The message, if it came by a Shared Subscription: then it goes to another member.
    pub(crate) delivery: Option<Delivery>,
}

/// Mail that was under way.
#[derive(Debug)]
pub(crate) struct Transit {
    pub(crate) number: u64,
    pub(crate) from: ShardId,
    pub(crate) content: TransitOf,
}

#[derive(Debug)]
pub(crate) enum TransitOf {
    Publish(Message),
    Retain(Message, Option<Identity>),
    Share(GroupName, Message),
}
