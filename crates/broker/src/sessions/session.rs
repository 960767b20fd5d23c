//! One Session (4.1): everything about a Client that outlives its Network Connection.

use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::{inbound::Inbound, outbound::Outbound, time::Instant};
use smallvec::SmallVec;
use thin_vec::ThinVec;

use crate::{
    ids::ConnectionId,
    message::Message,
    pace::FOR_A_CLIENT,
    permissions::Permissions,
    records::key::Owner,
    rights::{cache::ReceiveCache, denials::Denials},
    routing::group_mail::GroupName,
    sessions::{
        drops::Drops,
        queue::{Delivery, Queue},
    },
    slot::slot_of,
    subscriptions::subscription::Subscription,
    topics::ids::FilterId,
};

/// A Session; its Network Connection, if it has one, is a [`Connection`](crate::connection::Connection).
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Box<str>,
    /// Tells it from Sessions that have had the same place in the table.
    pub(crate) serial: u32,
    /// What its records are filed under; the number is 0 while there are none.
    pub(crate) owner: Owner,
    /// Whether it was to outlive its Network Connection at some time: its Subscriptions count among those that are kept.
    pub(crate) was_kept: bool,
    /// See [`publisher_key`](crate::message::publisher_key).
    pub(crate) publisher: u64,
    pub(crate) connection: Option<ConnectionId>,
    /// Session Expiry Interval in seconds; 4,294,967,295 has no end (3.1.2.11.2).
    pub(crate) expiry_s: u32,
    /// When it ends, while there is no Network Connection.
    pub(crate) expires_at: Option<Instant>,
    pub(crate) outbound: Outbound<Delivery>,
    pub(crate) inbound: Inbound,
    pub(crate) queue: Queue,
    pub(crate) will: Option<Box<Will>>,
    /// The filters subscribed to, without Shared Subscriptions.
    pub(crate) filters: SmallVec<[FilterId; 4]>,
    pub(crate) shares: ThinVec<Share>,
    /// Whether its full queue has publishers refused.
    pub(crate) is_refusing: bool,
    pub(crate) drops: Option<Box<Drops>>,
    /// Who the Client is and what it may do, as of its last CONNECT or the last change of the rules.
    pub(crate) permissions: Permissions,
    /// Whether it is known whose it is; not for one from an older record, which the first to come owns.
    pub(crate) has_owner: bool,
    /// Whether it is connected and may not receive everything.
    pub(crate) is_filtered: bool,
    /// Whether its groups know what it may receive.
    pub(crate) has_told_rights: bool,
    pub(crate) receive_cache: ReceiveCache,
    pub(crate) denials: Option<Box<Denials>>,
}

/// The Will of a Session (3.1.2.5).
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) message: Message,
    /// Will Delay Interval in seconds.
    pub(crate) delay_s: u32,
    /// Message Expiry Interval in seconds, from the moment it is published.
    pub(crate) expiry_s: Option<u32>,
    /// When it is sent, once the Network Connection is gone.
    pub(crate) due_at: Option<Instant>,
}

/// One Shared Subscription of a Session.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) group: GroupName,
    pub(crate) subscription: Subscription,
}

impl Session {
    pub(crate) fn new(client_id: Box<str>, serial: u32, publisher: u64) -> Self {
        Self {
            serial,
            owner: Owner { slot: slot_of(&client_id), uid: 0 },
            was_kept: false,
            publisher,
            connection: None,
            expiry_s: 0,
            expires_at: None,
            outbound: Outbound::new(),
            inbound: Inbound::new(),
            queue: Queue::default(),
            will: None,
            filters: SmallVec::new(),
            shares: ThinVec::new(),
            is_refusing: false,
            drops: None,
            permissions: Permissions::default(),
            has_owner: false,
            is_filtered: false,
            has_told_rights: false,
            receive_cache: ReceiveCache::default(),
            denials: None,
            client_id,
        }
    }

    /// Whether it is to wait for its Client, which is away.
    pub(crate) fn is_waited_for(&self, now: Instant) -> bool {
        self.expiry_s > 0 && self.expires_at.is_none_or(|at| at > now)
    }

    /// Whether anything of it stands in the records.
    pub(crate) fn has_records(&self) -> bool {
        self.owner.uid != 0
    }

    /// Whether it is to outlive its Network Connection and the program: then its messages are filed.
    pub(crate) fn is_kept(&self) -> bool {
        self.owner.uid != 0 && self.expiry_s > 0
    }

    /// Whether nothing in memory waits for its Client, or for an acknowledgement of it.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.len_in_memory() == 0 && self.outbound.in_flight() == 0
    }

    /// Tells the log what was refused because of a limit, if it has not had many such lines about this Client lately.
    pub(crate) fn tell_refusal(&mut self, now: Instant, packet: &str, topic: Option<&str>, code: ReasonCode) {
        let denials = self.denials.get_or_insert_default();
        let Some(untold) = denials.refusals.may_tell(now, FOR_A_CLIENT) else { return };
        tracing::info!(
            client_id = &*self.client_id,
            topic,
            refused_without_a_line = (untold > 0).then_some(untold),
            "{packet} refused: {code}"
        );
    }

    pub(crate) fn subscriptions(&self) -> usize {
        self.filters.len() + self.shares.len()
    }

    pub(crate) fn share(&self, group: &str) -> Option<&Share> {
        self.shares.iter().find(|share| share.group.as_str() == group)
    }
}
