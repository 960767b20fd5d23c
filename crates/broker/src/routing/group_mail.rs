//! What shards write to each other about Shared Subscriptions (4.8.2).

use std::fmt;

use triomphe::ThinArc;

use crate::{
    ids::{Receipt, ShardId},
    message::{Message, View},
    permissions::Permissions,
    routing::bundle::Bundle,
    topics::ids::SessionIndex,
};

/// The whole Topic Filter of a Shared Subscription, `$share/name/filter`; a handle is one pointer.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupName(ThinArc<(), u8>);

impl GroupName {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(ThinArc::from_header_and_slice((), text.as_bytes()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0.slice).expect("it was made from a text")
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A Session of any shard as member of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Where the Session lives.
    pub shard: ShardId,
    /// Its place there.
    pub session: SessionIndex,
    /// Tells it from others that have had the same place.
    pub serial: u32,
}

/// A letter to the home of a group, or from there to a member.
#[derive(Debug)]
pub enum GroupMail {
    /// To the group: a member subscribes, or changes its Subscription.
    Join {
        /// Which group.
        group: GroupName,
        /// Who.
        member: Member,
        /// Whether its Session is kept: what it gets must not be lost on the way.
        is_kept: bool,
        /// Whether it has a Network Connection.
        is_online: bool,
        /// Comes back with [`Mail::Joined`](crate::routing::mail::Mail::Joined); 0 wants no answer.
        ticket: u64,
    },
    /// To the group: a member unsubscribes, or its Session ends.
    Leave {
        /// Which group.
        group: GroupName,
        /// Who.
        member: Member,
    },
    /// To the group: a member has, or has no more, a Network Connection.
    Presence {
        /// Which group.
        group: GroupName,
        /// Who.
        member: Member,
        /// Whether it is connected.
        is_online: bool,
    },
    /// To the group: what a member may receive has changed.
    Rights {
        /// Which group.
        group: GroupName,
        /// Who.
        member: Member,
        /// Its rights; nothing if it may receive everything.
        rights: Option<Box<Permissions>>,
    },
    /// To a member: this message is yours.
    Deliver {
        /// Which group.
        group: GroupName,
        /// Whose.
        member: Member,
        /// What.
        message: Message,
        /// Its record on the way.
        receipt: Receipt,
    },
    /// To the group: the member cannot have it, choose another one.
    Return {
        /// Which group.
        group: GroupName,
        /// Who cannot.
        member: Member,
        /// What.
        message: Message,
        /// Its record on the way.
        receipt: Receipt,
    },
}

/// Messages of one group for its members in one shard.
#[derive(Debug)]
pub struct Shares {
    pub(crate) group: GroupName,
    /// One for each message.
    pub(crate) members: Vec<Member>,
    pub(crate) bundle: Bundle,
}

impl Shares {
    /// None yet; they go into `bundle`, which is empty.
    pub(crate) fn new(group: GroupName, bundle: Bundle) -> Self {
        Self { group, members: Vec::new(), bundle }
    }

    /// Adds a message, if it is small and there is room for it.
    pub(crate) fn add(&mut self, member: Member, view: &View<'_>) -> bool {
        let is_added = self.bundle.add(view);
        if is_added {
            self.members.push(member);
        }
        is_added
    }

    /// Bytes of all messages.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bundle.size()
    }
}

impl GroupMail {
    /// The group it is about.
    #[must_use]
    pub fn group(&self) -> &GroupName {
        match self {
            Self::Join { group, .. }
            | Self::Leave { group, .. }
            | Self::Presence { group, .. }
            | Self::Rights { group, .. }
            | Self::Deliver { group, .. }
            | Self::Return { group, .. } => group,
        }
    }
}
