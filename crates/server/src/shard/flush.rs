//! The end of a turn: mail to the peers, one write for each connection that has something to say, and
//! closing.

use dunlin_broker::{
    handshake::Credentials,
    ids::ConnectionId,
    input::{Cause, Decision, Input},
    output,
};
use dunlin_packet::reason_code::ReasonCode;

use crate::lobby::reauthentication::Reauthentication;

use super::{
    connection_io::{Pauses, READ_BYTES},
    socket_io::{Reading, Writing},
    turn::{Machine, Turns},
};

impl<M: Machine> Turns<M> {
    /// Does what the broker wants done, and what comes of that.
    pub(super) fn flush(&mut self) {
        loop {
            self.submit();
            self.send_mail();
            self.heed_rates();
            self.outbox.takeovers.drain(..).for_each(|takeover| self.around.fights.note(&takeover));
            for answered in self.outbox.answers.drain(..) {
                self.questions.answered(answered, self.traffic);
            }
            self.write_dirty();
            for connection in std::mem::take(&mut self.outbox.closings) {
                self.end(connection);
            }
            for asked in std::mem::take(&mut self.outbox.authentications) {
                self.ask_providers(asked);
            }
            // Another round only if writing has failed: the broker was told and may have had something to
            // say.
            let has_mail = !self.is_kept_back && self.outbox.routes.iter().any(|letters| !letters.is_empty());
            if !has_mail && !self.outbox.has_dirty() && self.outbox.closings.is_empty() {
                return;
            }
        }
    }

    /// Stops reading Clients that have sent more than they may, and reads them again when they may.
    pub(super) fn heed_rates(&mut self) {
        if self.outbox.readings.is_empty() {
            return;
        }
        for (connection, is_to_be_read) in std::mem::take(&mut self.outbox.readings) {
            match self.connections.open(connection).filter(|slot| !slot.is_ending) {
                Some(_) if is_to_be_read => self.read_again(connection, Pauses::RATE),
                Some(slot) => slot.pause(Pauses::RATE, true),
                None => {}
            }
        }
    }

    /// This cause not to read a connection is gone.
    fn read_again(&mut self, connection: ConnectionId, cause: Pauses) {
        let Some(slot) = self.connections.open(connection) else { return };
        slot.pause(cause, false);
        if !slot.is_paused() && !slot.is_listed {
            slot.is_listed = true;
            self.ready.push_back(connection);
        }
    }

    /// Hands what is to become durable to the storage, before any mail about it is delivered: so the record of a sender is
    /// never later on the disk than that of the receiver.
    fn submit(&mut self) {
        let Some(storage) = &self.around.storage else { return };
        if !storage.submit(self.shard, &mut self.outbox) && !self.has_storage_failed {
            self.is_storage_full = true;
        }
    }

    /// Delivers all mail, or none if a mailbox is full: then it waits where it is, and the sockets wait, too.
    fn send_mail(&mut self) {
        self.is_kept_back = !self.around.post.send(self.shard, &mut self.outbox.routes, &mut self.asleep);
    }

    fn write_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.outbox.take_dirty(&mut dirty);
        for connection in dirty.drain(..) {
            self.write(connection);
        }
        // The list's memory is used again; what was added meanwhile stays in it.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    /// Writes once, unless the socket is full.
    fn write(&mut self, connection: ConnectionId) {
        let Some(slot) = self.connections.open(connection) else { return };
        let pending = self.outbox.pending(connection);
        if slot.is_write_blocked || (pending.is_empty() && !slot.has_unsent()) {
            return;
        }
        match slot.write(pending, &mut self.scratch) {
            Writing::Took(count) => {
                self.traffic.bytes_sent += count as u64;
                let is_empty = self.outbox.consume(connection, count) && !slot.has_unsent();
                let backlog = self.outbox.backlog(connection) + slot.unsent_len();
                if slot.is_paused_for(Pauses::BACKLOG) && backlog <= self.around.backlog_max {
                    self.read_again(connection, Pauses::BACKLOG);
                }
                let Some(slot) = self.connections.open(connection) else { return };
                if is_empty && slot.is_ending {
                    self.half_close(connection);
                } else if is_empty && self.outbox.wants_drained(connection) {
                    self.drained.push(connection);
                }
            }
            Writing::Failed(error) => {
                tracing::debug!(%error, listener = slot.door(), "a connection failed");
                self.lost(connection, Cause::Failed);
            }
        }
    }

    /// The broker has ended the connection: what is pending goes out, then the socket is closed.
    fn end(&mut self, connection: ConnectionId) {
        let Some(slot) = self.connections.open(connection) else { return };
        if slot.is_ending {
            return;
        }
        slot.is_ending = true;
        slot.unpause();
        let serial = slot.serial();
        self.exchanges.remove(&connection);
        self.lingering.push_back((self.now + LINGER_TIME, connection, serial));
        if self.outbox.pending(connection).is_empty() {
            self.half_close(connection);
        }
    }

    /// Shuts the sending direction and reads to the end: closing with unread bytes would take back what the
    /// other side has not read yet.
    fn half_close(&mut self, connection: ConnectionId) {
        let Some(slot) = self.connections.open(connection) else { return };
        if slot.is_half_closed {
            return;
        }
        if !slot.finish(&mut self.scratch) {
            // The socket is full; when it has taken the farewell, we are here again.
            return;
        }
        if slot.half_close().is_err() {
            // It is broken already.
            return self.remove(connection);
        }
        match slot.read(&mut self.buffer, READ_BYTES, &mut self.scratch) {
            Reading::End | Reading::Failed(_) => self.remove(connection),
            Reading::Bytes { is_drained, .. } if (!is_drained || slot.is_read_closed) && !slot.is_listed => {
                slot.is_listed = true;
                self.ready.push_back(connection);
            }
            Reading::Bytes { .. } | Reading::Nothing => {}
        }
    }

    /// Cuts connections whose other side does not close.
    pub(super) fn cut_overdue(&mut self) {
        while let Some(&(cut_at, connection, serial)) = self.lingering.front() {
            let is_gone = self.connections.open_as(connection, serial).is_none();
            if !is_gone && cut_at > self.now {
                return;
            }
            self.lingering.pop_front();
            if !is_gone {
                self.remove(connection);
            }
        }
    }

    /// Has the providers asked about a step of a re-authentication (4.12.1).
    fn ask_providers(&mut self, asked: output::Reauthentication) {
        let connection = asked.connection;
        let Some(slot) = self.connections.open(connection) else { return };
        let serial = slot.serial();
        let exchange = self.exchanges.remove(&connection).unwrap_or_default();
        let credentials = Credentials {
            client_id: asked.client_id,
            user_name: None,
            password: None,
            method: Some(asked.method),
            data: asked.data,
            is_continued: !asked.is_start,
        };
        let sent = exchange.question_again(credentials).is_some_and(|question| {
            let request = Reauthentication { shard: self.shard, connection, serial, question, exchange };
            self.around.providers.try_send(request).is_ok()
        });
        if !sent {
            let decision = Decision::Deny(ReasonCode::ServerBusy);
            self.tell(Some(connection), Input::Authenticated { connection, decision });
        }
    }
}

/// How long a connection that the broker has ended may take to read the rest and to close.
const LINGER_TIME: std::time::Duration = std::time::Duration::from_secs(3);
