//! What shards write to each other.

use crate::{
    ids::Receipt,
    message::Message,
    permissions::identity::Identity,
    routing::{
        bundle::Bundle,
        group_mail::{GroupMail, Member, Shares},
    },
    sessions::refusing::Refusal,
};

/// One letter from shard to shard. Letters to one shard arrive in the order in which all its peers sent them: the
/// delivery is causal.
#[derive(Debug)]
pub enum Mail {
    /// Small messages in a row, as [`Mail::Publish`] without a record.
    Bundle(Bundle),
    /// A message for the Subscriptions of the receiving shard.
    Publish(Message, Receipt),
    /// A message with RETAIN and who has published it, to the home of its topic: keep it, or forget the topic if the
    /// payload is empty.
    Retain(Message, Option<Identity>, Receipt),
    /// Asks for [`Mail::Fenced`], which tells that everything published before the sender's new Subscription was
    /// known here has been sent.
    Fence {
        /// Names the question at the asking shard.
        ask: u64,
    },
    /// The answer to [`Mail::Fence`].
    Fenced {
        /// As asked.
        ask: u64,
    },
    /// Asks for the Retained Messages that match a Topic Filter.
    AskRetained {
        /// Names the question at the asking shard.
        ask: u64,
        /// The Topic Filter, without `$share/name/`.
        topic_filter: Box<str>,
    },
    /// The answer to [`Mail::AskRetained`].
    Retained {
        /// As asked.
        ask: u64,
        /// The Retained Messages of the answering shard.
        messages: Vec<Message>,
    },
    /// The answer to [`GroupMail::Join`]: from now on the member gets its share.
    Joined {
        /// As given with the letter.
        ticket: u64,
    },
    /// The queue of this Session is full: messages that it would get are to be refused.
    Full {
        /// The Session.
        member: Member,
        /// Who it is and what it would get.
        refusal: Box<Refusal>,
    },
    /// There is room in that queue again, or the Session has ended.
    Room {
        /// The Session.
        member: Member,
    },
    /// Small messages in a row for members of one group, as [`GroupMail::Deliver`] without a record.
    Shares(Box<Shares>),
    /// About a Shared Subscription.
    Group(Box<GroupMail>),
}
