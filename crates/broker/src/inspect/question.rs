//! What an operator may ask a shard, and what it is told to do.

use std::sync::Arc;

use dunlin_packet::reason_code::ReasonCode;

use crate::{
    message::Message,
    permissions::{Permissions, who::Who},
    retained::Cursor,
    routing::group_mail::{GroupName, Member},
};

use super::explanation::{Intent, Stated, Trial};

/// A question with the number by which its answer is known.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Chosen by who asks; it comes back with the [`Answered`](super::answer::Answered).
    pub ticket: u64,
    /// What is asked.
    pub question: Question,
}

/// One question to one shard. Each is a bounded piece of work; long lists come in pages, and a page says from where to go
/// on. A list is of no single moment: whatever was there all the time is in it once.
#[derive(Clone, Debug)]
pub enum Question {
    /// What happened so far, and how much there is of what is counted anyway.
    Totals,
    /// Sums over the Sessions from this place on.
    Count {
        /// 0, or what the last answer said.
        from: u32,
    },
    /// Sessions, in no order.
    Sessions {
        /// 0, or what the last answer said.
        from: u32,
        /// Which of them.
        choice: Choice,
    },
    /// One Session.
    Session {
        /// Whose.
        client_id: Box<str>,
    },
    /// Subscriptions, Shared ones included: of one Session, or of all.
    Subscriptions {
        /// Of which Session; without it of all.
        client_id: Option<Box<str>>,
        /// The default, or what the last answer said.
        from: SubscriptionPlace,
    },
    /// Whose Subscriptions match a Topic Name. The work is that of a PUBLISH to it.
    Subscribers {
        /// The Topic Name; nobody subscribes to what is none.
        topic_name: Box<str>,
        /// How many Subscriptions are listed, and fewer if their texts are long; all are counted.
        rows_max: usize,
    },
    /// Retained Messages whose topics are at home in the shard, in the order of the topics.
    Retained {
        /// Which topics; nothing matches what is no Topic Filter.
        topic_filter: Box<str>,
        /// Nothing, or what the last answer said.
        from: Option<Cursor>,
    },
    /// What a Client may, and what refuses it; to the home of its Session.
    Right {
        /// Which Client.
        client_id: Box<str>,
        /// What is to be taken for known of it.
        stated: Box<Stated>,
        /// What it wants.
        intent: Intent,
    },
    /// Which Sessions would get a message by Subscriptions that are not shared. The work is less than that of a PUBLISH.
    Receivers {
        /// The message.
        trial: Trial,
        /// 0, or what the last answer said.
        from: u32,
    },
    /// The groups at home here of each of which one member would get a message.
    Groups {
        /// Its Topic Name.
        topic_name: Box<str>,
        /// How many are listed; all are counted.
        rows_max: usize,
    },
    /// What would become of a message for one member of a group; to the member's shard.
    Member {
        /// The group.
        group: GroupName,
        /// Who.
        member: Member,
        /// The message.
        trial: Trial,
    },
    /// What would become of a message for one Client; to the home of its Session.
    Outlook {
        /// Which Client.
        client_id: Box<str>,
        /// The message.
        trial: Trial,
    },
    /// What a message with RETAIN would do; to the home of its topic.
    Keeping {
        /// The message.
        trial: Trial,
    },
    /// Retained Messages at home here that a new Subscription would call for, in the order of the topics.
    Called {
        /// What the Client may.
        permissions: Box<Permissions>,
        /// The Topic Filter; nothing matches what is none.
        topic_filter: Box<str>,
        /// Nothing, or what the last answer said.
        from: Option<Cursor>,
    },
    /// Ends the Network Connection of a Client.
    Disconnect {
        /// Whose.
        client_id: Box<str>,
        /// The Reason Code of DISCONNECT,
        code: ReasonCode,
        /// and its Reason String; empty for none.
        reason: Box<str>,
    },
    /// The connected Client for which most memory is used, from this place of the table on.
    Heaviest {
        /// 0, or what the last answer said.
        from: u32,
    },
    /// Ends the Network Connections of Clients, from this place of the table on.
    Expel {
        /// Whose.
        whom: Arc<Who>,
        /// The Reason Code of DISCONNECT,
        code: ReasonCode,
        /// and its Reason String.
        reason: Box<str>,
        /// 0, or what the last answer said.
        from: u32,
    },
    /// Publishes what the Server itself has to say, such as the topics below `$SYS`. Nothing else may publish to these.
    Publish {
        /// The messages.
        messages: Vec<Message>,
    },
    /// Ends a Session, and before that its Network Connection. Its Will is published. The answer comes when no crash can
    /// take that back.
    Delete {
        /// Whose.
        client_id: Box<str>,
    },
}

/// Which Sessions are wanted.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// A Client Identifier, or its beginning and `*`; without it all.
    pub client_id: Option<Box<str>>,
    /// Only those with a Network Connection, or only those without.
    pub is_connected: Option<bool>,
    /// Only those that did not get all their messages.
    pub has_drops: bool,
}

/// Where a list of Subscriptions goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SubscriptionPlace {
    /// The Session's place in the table.
    pub session: u32,
    /// The Subscription's place in the Session.
    pub subscription: u32,
}

impl Choice {
    /// Whether this Client Identifier is wanted.
    #[must_use]
    pub fn has_client_id(&self, client_id: &str) -> bool {
        match self.client_id.as_deref() {
            None => true,
            Some(wanted) => match wanted.strip_suffix('*') {
                Some(beginning) => client_id.starts_with(beginning),
                None => client_id == wanted,
            },
        }
    }
}
