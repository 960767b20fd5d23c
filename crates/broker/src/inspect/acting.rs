//! What an operator may do to a Client: end its Network Connection or its Session.

use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::time::Instant;

use crate::{
    ids::ConnectionId, input::Storage, output::Outbox, permissions::who::Who, sessions::session::Session,
    state::State,
};

use super::answer::{Answer, Answered, Deletion};

/// Places of the table that are looked at in one step.
const EXPELLED_MAX: u32 = 1_024;

impl State {
    /// Ends the Network Connection of a Client, if it has one. Its Will is sent, like after any end that the Client did
    /// not ask for.
    pub(super) fn disconnect_by_operator(
        &mut self,
        now: Instant,
        client_id: &str,
        code: ReasonCode,
        reason: &str,
        out: &mut Outbox,
    ) -> bool {
        let connection = self.sessions.find(client_id).and_then(|index| self.sessions[index].connection);
        let Some(id) = connection else { return false };
        self.disconnect(now, id, code, reason, out);
        true
    }

    /// Ends the Network Connections of those who are to go, in a part of the table.
    pub(super) fn expel(
        &mut self,
        now: Instant,
        whom: &Who,
        code: ReasonCode,
        reason: &str,
        from: u32,
        out: &mut Outbox,
    ) -> Answer {
        let to = from.saturating_add(EXPELLED_MAX);
        let goes = |session: &&Session| whom.fits(session.permissions.subject());
        let chosen =
            self.sessions_between(from, to).filter(|session| session.connection.is_some()).filter(goes);
        let connections: Vec<ConnectionId> = chosen.filter_map(|session| session.connection).collect();
        for &id in &connections {
            // The end of one may be the end of another.
            if self.find_connection(id).is_some() {
                self.disconnect(now, id, code, reason, out);
            }
        }
        Answer::Expelled { count: connections.len() as u32, next: self.place_after(to) }
    }

    /// Ends a Session; the answer waits until that is durable.
    pub(super) fn delete_by_operator(
        &mut self,
        now: Instant,
        ticket: u64,
        client_id: &str,
        out: &mut Outbox,
    ) {
        let Some(index) = self.sessions.find(client_id) else {
            let answer = Answer::Deleted(Deletion::Unknown);
            return out.answers.push(Answered { ticket, answer });
        };
        let has_records = self.sessions[index].has_records();
        let code = ReasonCode::AdministrativeAction;
        self.disconnect_by_operator(now, client_id, code, "the Session was deleted", out);
        // A Session without expiry has ended with its Network Connection.
        if let Some(index) = self.sessions.find(client_id) {
            self.end_session(now, index, out);
        }
        let deletion = match self.filing.storage {
            Storage::Failed if has_records => Deletion::NotDurable,
            _ if has_records && !out.batch.is_empty() => {
                return self.owed_answers.push((out.batch_number(), ticket));
            }
            _ => Deletion::Done,
        };
        out.answers.push(Answered { ticket, answer: Answer::Deleted(deletion) });
    }

    /// Answers what waited for the batches up to `batch`, if they have become durable, or for all if they never will.
    pub(crate) fn answer_owed(&mut self, batch: u64, deletion: Deletion, out: &mut Outbox) {
        self.owed_answers.retain(|&(awaited, ticket)| {
            let is_due = awaited <= batch;
            if is_due {
                out.answers.push(Answered { ticket, answer: Answer::Deleted(deletion) });
            }
            !is_due
        });
    }
}
