//! Long queues: what memory does not hold waits on the disk and is read page by page.

use std::{num::NonZeroU32, time::Duration};

use dunlin_packet::reason_code::ReasonCode;
use dunlin_protocol::time::Instant;

use crate::{
    ids::ShardId,
    input::{Page, PageRecord, Storage},
    message::Message,
    output::{Outbox, PageReader, PageRequest},
    records::{
        content::{BodyContent, MessageContent},
        key::{Key, Owner},
        record::Record,
    },
    routing::group_mail::GroupName,
    sessions::{
        drops::DropCause,
        queue::{Delivery, Filed, Identifiers},
    },
    state::State,
    timers::Timer,
    topics::ids::SessionIndex,
};

impl State {
    /// Asks for the next page in time.
    pub(crate) fn refill(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        if self.sessions[index].queue.len_in_memory() < REFILL_BELOW {
            self.load_page(now, index, out);
        }
    }

    /// Asks for the beginning of the tail, if there is one and it has not been asked for. What could not be read is asked
    /// for again when the Client wants nothing else any more, or after a pause.
    pub(crate) fn load_page(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        let session = &mut self.sessions[index];
        let (owner, serial) = (session.owner, session.serial);
        let can_wait = session.connection.is_none() || !session.is_idle();
        let must_wait = |at: Instant| can_wait && now < at + READ_PAUSE;
        let Some(tail) = session.queue.tail().filter(|tail| !tail.is_loading) else { return };
        if tail.failed_at.is_some_and(must_wait) {
            return;
        }
        let from = tail.from;
        session.queue.ask_tail();
        out.pages.push(PageRequest {
            reader: PageReader::Queue { session: index, serial },
            from: Key::Message(owner, from).to_bytes(),
            to: Key::Message(owner, u64::MAX).to_bytes(),
            bytes_max: (self.settings.queue_memory_bytes_max / 2) as usize,
        });
    }

    pub(crate) fn take_page(&mut self, now: Instant, page: Page, out: &mut Outbox) {
        match page.reader {
            PageReader::Purge(owner) => self.take_purge(now, owner, &page, out),
            PageReader::Queue { session, serial } => self.take_queue_page(now, session, serial, page, out),
        }
    }

    fn take_queue_page(
        &mut self,
        now: Instant,
        index: SessionIndex,
        serial: u32,
        page: Page,
        out: &mut Outbox,
    ) {
        let Some(session) = self.sessions.of(index, serial) else { return };
        let Some(tail) = session.queue.tail() else { return };
        (tail.is_loading, tail.failed_at) = (false, None);
        let owner = session.owner;
        for record in &page.records {
            let Some(Read { number, size, is_sent, delivery }) = delivery_of(self.id, record) else {
                if let Some(tail) = self.sessions[index].queue.tail() {
                    tail.lost += 1; // It may have been in flight, and then is not counted: that is known at the end.
                }
                self.drop_damaged(now, index, record, out);
                continue;
            };
            if is_sent {
                continue; // It was filed when it was sent, and never waited.
            }
            let queue = &mut self.sessions[index].queue;
            queue.shrink_tail(number, size);
            match delivery {
                Some(delivery) if !delivery.message.has_expired(now) => queue.push(delivery),
                Some(delivery) => {
                    self.note_drop(now, index, DropCause::Expired); // [MQTT-3.3.2-5]
                    self.unfile_delivery(owner, &delivery, None, out);
                }
                None => self.drop_damaged(now, index, record, out),
            }
        }
        let session = &mut self.sessions[index];
        if let (Some(tail), Some(last)) = (session.queue.tail(), page.records.last())
            && let Some(Key::Message(_, number)) = Key::decode(&last.key)
        {
            tail.from = number + 1; // Also if nothing of the page waits.
        }
        if page.is_last && session.queue.end_tail() > 0 {
            tracing::error!(
                client_id = &*session.client_id,
                "the queue on the disk is shorter than was counted"
            );
        }
        self.drop_to_bounds(now, index, 0, out);
        if let Some(id) = self.sessions[index].connection {
            self.pump(now, id, out);
        }
    }

    /// A message of a queue is lost: its record, or that of its body, is not what was written. It is told by name and
    /// counted, and the queue goes on behind it.
    fn drop_damaged(&mut self, now: Instant, index: SessionIndex, record: &PageRecord, out: &mut Outbox) {
        let client_id = &*self.sessions[index].client_id;
        match Key::decode(&record.key) {
            Some(Key::Message(_, number)) => {
                tracing::error!(
                    client_id,
                    number,
                    "a message of the queue is damaged on the disk: it is lost"
                );
                self.unfile_body(number, out);
            }
            _ => {
                tracing::error!(client_id, key = ?record.key, "a record of the queue is damaged: it is lost")
            }
        }
        out.batch.delete(&record.key);
        self.note_drop(now, index, DropCause::Damaged);
    }

    /// A part of a queue cannot be read. Once its Client has everything else, it would wait without end: it is
    /// disconnected, and with its return comes the next attempt. Nothing is given up.
    pub(crate) fn page_is_unreadable(
        &mut self,
        now: Instant,
        reader: PageReader,
        what: &str,
        out: &mut Outbox,
    ) {
        self.counters.pages_unreadable += 1;
        let (index, serial) = match reader {
            PageReader::Queue { session, serial } => (session, serial),
            PageReader::Purge(owner) => {
                tracing::error!(what, "what is left of a Session cannot be read, and is deleted later");
                return self.keep_for_purge(now, owner);
            }
        };
        let Some(session) = self.sessions.of(index, serial) else { return };
        let connection = session.connection.filter(|_| session.is_idle());
        let Some(tail) = session.queue.tail() else { return };
        (tail.is_loading, tail.failed_at) = (false, Some(now));
        tracing::error!(
            client_id = &*session.client_id,
            waiting = session.queue.len(),
            what,
            "the queue cannot be read from the disk: it is tried again later"
        );
        if let Some(id) = connection {
            let reason = "the Server cannot read the queue of the Session now";
            self.disconnect(now, id, ReasonCode::ImplementationSpecificError, reason, out);
        }
    }

    fn keep_for_purge(&mut self, now: Instant, owner: Owner) {
        if self.filing.storage == Storage::Failed {
            return; // The next start takes it away.
        }
        if self.filing.unpurged.is_empty() {
            self.timers.set(now + READ_PAUSE, Timer::Purge);
        }
        self.filing.unpurged.push(owner);
    }

    /// After a pause: what is left of Sessions that have ended is asked for again.
    pub(crate) fn purge_again(&mut self, out: &mut Outbox) {
        for owner in std::mem::take(&mut self.filing.unpurged) {
            self.purge(owner, 0, out);
        }
    }

    /// The Session is gone: what waited for it goes, and what came by a Shared Subscription goes to another member.
    fn take_purge(&mut self, now: Instant, owner: Owner, page: &Page, out: &mut Outbox) {
        let mut last = 0;
        for record in &page.records {
            out.batch.delete(&record.key);
            let Some(Key::Message(_, number)) = Key::decode(&record.key) else { continue };
            last = number;
            let read = delivery_of(self.id, record);
            if read.as_ref().and_then(|it| it.delivery.as_ref()).is_none_or(|it| it.filed.is_shared) {
                self.unfile_body(number, out);
            }
            if let Some(Read { is_sent: false, delivery: Some(delivery), .. }) = read
                && let Some(group) = delivery.group
            {
                self.return_share(now, group, self.nobody(), delivery.message, true, out);
            }
        }
        if !page.is_last {
            self.purge(owner, last + 1, out);
        }
    }
}

/// A message in a page.
struct Read {
    number: u64,
    size: u64,
    /// It was filed with a Packet Identifier.
    is_sent: bool,
    /// The message itself, unless its body is missing.
    delivery: Option<Delivery>,
}

fn delivery_of(shard: ShardId, record: &PageRecord) -> Option<Read> {
    let Ok(Record::Message(_, number, content)) = Record::decode(&record.key, &record.value) else {
        return None;
    };
    let size = match &content.body {
        BodyContent::Inside(message) => message.view().size() as u64,
        BodyContent::Shared { size } => u64::from(*size),
    };
    let body = || shared_message(shard, number, record.body.as_deref()?);
    let is_sent = content.packet_id.is_some();
    Some(Read { number, size, is_sent, delivery: delivery_from(number, content, body) })
}

/// The message in the record of a shared body.
pub(crate) fn shared_message(shard: ShardId, number: u64, value: &[u8]) -> Option<Message> {
    match Record::decode(&Key::Body(shard, number).to_bytes(), value) {
        Ok(Record::Body(_, _, message)) => Some(message),
        _ => None,
    }
}

/// What waits for a Session, from its record; `body` gives the message if others share it.
pub(crate) fn delivery_from(
    number: u64,
    content: MessageContent<'_>,
    body: impl FnOnce() -> Option<Message>,
) -> Option<Delivery> {
    let is_shared = matches!(content.body, BodyContent::Shared { .. });
    let message = match content.body {
        BodyContent::Inside(message) => message,
        BodyContent::Shared { .. } => body()?,
    };
    let mut identifiers = Identifiers::None;
    content.identifiers.iter().for_each(|&identifier: &NonZeroU32| identifiers.add(Some(identifier)));
    Some(Delivery {
        message,
        qos: content.qos,
        retain: content.retain,
        identifiers,
        group: (!content.group.is_empty()).then(|| GroupName::new(content.group)),
        filed: Filed { number, is_shared, has_state: false },
    })
}

/// The time after which what could not be read is tried again for a Session without Network Connection.
const READ_PAUSE: Duration = Duration::from_secs(30);

/// Messages in memory below which the next page is asked for.
const REFILL_BELOW: usize = 256;
