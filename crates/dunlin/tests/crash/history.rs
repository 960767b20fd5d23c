//! What was done with one message, told in words when something goes wrong.

use std::time::Duration;

use super::ledger::Book;

/// One thing that was done with a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) round: u32,
    pub(crate) deed: Deed,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Sent { qos: u8 },
    SentAgain,
    Acknowledged,
    Received,
    Released,
    Completed,
    Refused,
    Abandoned,
    Came { book: usize, qos: u8, packet_id: u16 },
    CameAgain { book: usize, qos: u8, packet_id: u16 },
    AnsweredBy { book: usize },
    CompletedBy { book: usize },
    WillGiven,
    WillOwed,
    WillOpen,
    WillForbidden(&'static str),
}

impl Event {
    /// A line of the history.
    pub(crate) fn words(&self, books: &[Book]) -> String {
        let name = |book: usize| &books[book].name;
        let what = match self.deed {
            Deed::Sent { qos } => format!("sent with QoS {qos}"),
            Deed::SentAgain => "sent again by its publisher".to_owned(),
            Deed::Acknowledged => "PUBACK came".to_owned(),
            Deed::Received => "PUBREC came".to_owned(),
            Deed::Released => "PUBREL sent".to_owned(),
            Deed::Completed => "PUBCOMP came".to_owned(),
            Deed::Refused => "refused by the Server".to_owned(),
            Deed::Abandoned => "given up by its publisher, whose Session ended".to_owned(),
            Deed::Came { book, qos, packet_id } => {
                format!("came to {} with QoS {qos} and Packet Identifier {packet_id}", name(book))
            }
            Deed::CameAgain { book, qos, packet_id } => {
                format!("came again to {} with QoS {qos} and Packet Identifier {packet_id}", name(book))
            }
            Deed::AnsweredBy { book } => format!("PUBACK or PUBREC sent by {}", name(book)),
            Deed::CompletedBy { book } => format!("PUBREL came to {}, PUBCOMP sent", name(book)),
            Deed::WillGiven => "given as a Will, and CONNACK came".to_owned(),
            Deed::WillOwed => "due as a Will: its Client does not come back".to_owned(),
            Deed::WillOpen => "it is open whether this Will is sent".to_owned(),
            Deed::WillForbidden(reason) => format!("not to be sent as a Will: {reason}"),
        };
        format!("\n    {:>9.3} s, round {}: {what}", self.at.as_secs_f64(), self.round)
    }
}
