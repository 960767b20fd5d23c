//! What the Server says.

use serde::{Deserialize, Serialize};

use crate::{
    explain::{Called, GroupOutlook, Missing, Publication, Receiver, Receiving, Subscribing},
    session::{Group, Retained, Session, Subscription},
    status::{Drops, Status},
};

/// One line of what the Server says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// What it says.
    #[serde(flatten)]
    pub answer: Answer,
    /// Whether it is the last line of the answer.
    pub last: bool,
}

/// What one line says. Long lists come in several lines; their rows belong together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// How the Server does.
    Status(Box<Status>),
    /// Some Sessions.
    Sessions {
        /// The Sessions.
        rows: Vec<Session>,
        /// How many there are that were asked for, up to this line; more than rows if there is a limit.
        matched: u64,
    },
    /// The Session that was asked for; its Subscriptions follow.
    Session(Box<Session>),
    /// Some Subscriptions.
    Subscriptions {
        /// The Subscriptions.
        rows: Vec<Subscription>,
        /// How many there are that were asked for, up to this line; more than rows if there is a limit.
        matched: u64,
    },
    /// Groups of Shared Subscriptions, of each of which one member gets the message.
    Groups {
        /// The groups.
        rows: Vec<Group>,
    },
    /// Some Retained Messages.
    Retained {
        /// The messages.
        rows: Vec<Retained>,
        /// How many there were up to this line.
        matched: u64,
    },
    /// Messages that were dropped since the start, by cause; Sessions that lost some follow.
    Drops(Drops),
    /// What would become of a message; who gets it follows, unless it is refused.
    Publication(Box<Publication>),
    /// Some of those who would get it.
    Receivers {
        /// The Sessions.
        rows: Vec<Receiver>,
        /// How many Sessions there are, up to this line.
        sessions: u64,
        /// How many of their Subscriptions match, up to this line.
        subscriptions: u64,
    },
    /// Groups of Shared Subscriptions, of each of which one member would get it.
    Outlooks {
        /// The groups.
        rows: Vec<GroupOutlook>,
        /// How many there are; more than rows if there are very many.
        total: u64,
    },
    /// What would become of a Subscription; Retained Messages follow, unless it is refused or shared.
    Subscribing(Box<Subscribing>),
    /// Some of the Retained Messages that it would call for.
    Called {
        /// The messages.
        rows: Vec<Called>,
        /// How many would come, up to this line.
        messages: u64,
        /// How many would not, because rules deny it, up to this line.
        denied: u64,
        /// Whether there may be more: they are not counted without end.
        is_cut: bool,
    },
    /// Whether a Client may get a message.
    Receiving(Box<Receiving>),
    /// Why a Client does not get a message.
    Missing(Box<Missing>),
    /// The configuration was read again, and what can be changed is changed.
    Reloaded {
        /// Settings that are others now.
        changed: Vec<String>,
        /// Settings that would be others after a restart.
        restart: Vec<String>,
    },
    /// What was wanted is done.
    Done {
        /// What was done, in words.
        message: String,
    },
    /// Nothing was done, or not all.
    Refused {
        /// Why, in a word.
        why: Refusal,
        /// Why, in words.
        message: String,
    },
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The line is too long, or not JSON, or not a question.
    NotAQuestion,
    /// Something in the question cannot be, such as a Topic Filter that is none.
    BadValue,
    /// The configuration, or a file that it names, cannot be used; nothing has changed.
    BadConfiguration,
    /// There is no such Session, or it has no Network Connection.
    NotFound,
    /// There are as many questions under way as there may be.
    Busy,
    /// The question did not come, or was not answered, in time.
    TooSlow,
    /// It was done, but a crash may take it back: the storage has failed.
    NotDurable,
    /// The Server shuts down, or has failed.
    Unavailable,
}
