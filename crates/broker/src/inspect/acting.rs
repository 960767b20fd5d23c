//! What an operator may do to a Client: end its Network Connection or its Session.

use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::time::Instant;

use crate::{input::Storage, output::Outbox, state::State};

use super::answer::{Answer, Answered, Deletion};

impl State {
    /// Ends the Network Connection of a Client, if it has one. Its Will is sent, like after any end that the Client did
    /// not ask for.
    pub(super) fn disconnect_by_operator(
        &mut self,
        now: Instant,
        client_id: &str,
        reason: &str,
        out: &mut Outbox,
    ) -> bool {
        let connection = self.sessions.find(client_id).and_then(|index| self.sessions[index].connection);
        let Some(id) = connection else { return false };
        self.disconnect(now, id, ReasonCode::AdministrativeAction, reason, out);
        true
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
        self.disconnect_by_operator(now, client_id, "the Session was deleted", out);
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
