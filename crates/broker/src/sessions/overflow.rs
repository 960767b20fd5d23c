//! What happens when a queue is full: a choice, and always visible.

use dunlin_packet::{
    reason_code::ReasonCode,
    topic::{filter::TopicFilter, name::TopicName},
};
use dunlin_protocol::time::Instant;

use crate::{
    holding::STORAGE_FAILED,
    input::Storage,
    limits::Overflow,
    output::Outbox,
    routing::{group_mail::Member, mail::Mail},
    sessions::{drops::DropCause, queue::Delivery, refusing::Refusal},
    state::State,
    topics::ids::SessionIndex,
};

impl State {
    /// Counts a message that a Session does not get, and tells the log from time to time.
    pub(crate) fn note_drop(&mut self, now: Instant, index: SessionIndex, cause: DropCause) {
        match cause {
            DropCause::Slow => self.counters.dropped_slow += 1,
            DropCause::Offline => self.counters.dropped_offline += 1,
            DropCause::QueueFull => self.counters.dropped_queue_full += 1,
            DropCause::Expired => self.counters.dropped_expired += 1,
            DropCause::TooLarge => self.counters.dropped_too_large += 1,
            DropCause::Damaged => self.counters.dropped_damaged += 1,
        }
        let session = &mut self.sessions[index];
        let drops = session.drops.get_or_insert_default();
        drops.count(cause);
        if cause != DropCause::Offline
            && let Some(news) = drops.news(now)
        {
            tracing::warn!(
                client_id = &*session.client_id,
                queue_full = news.queue_full,
                expired = news.expired,
                too_large = news.too_large,
                slow = news.slow,
                damaged = news.damaged,
                "messages were dropped"
            );
        }
    }

    /// Makes room for a delivery; `false` if it is the one that is dropped.
    pub(crate) fn make_room(
        &mut self,
        now: Instant,
        index: SessionIndex,
        delivery: &Delivery,
        out: &mut Outbox,
    ) -> bool {
        let size = delivery.message.size();
        if !self.is_full(index, size) {
            return true;
        }
        self.drop_expired(now, index, out);
        if !self.is_full(index, size) {
            return true;
        }
        match self.overflow_of(index, delivery.message.topic_name()) {
            Overflow::DropOldest => self.drop_to_bounds(now, index, size, out),
            Overflow::DropNewest => {
                self.note_drop(now, index, DropCause::QueueFull);
                return false;
            }
            // Its publisher has been acknowledged, or will be: from now on they are refused.
            Overflow::Reject => return true,
            Overflow::Disconnect => {
                if let Some(id) = self.sessions[index].connection {
                    let serial = self.connection(id).serial;
                    self.doomed.push((id, serial));
                }
                self.drop_to_bounds(now, index, size, out);
            }
        }
        if self.is_full(index, size) && self.sessions[index].queue.is_unreadable() {
            // The oldest cannot be dropped, and more than the bounds must not gather behind them.
            self.note_drop(now, index, DropCause::QueueFull);
            return false;
        }
        true
    }

    fn is_full(&self, index: SessionIndex, size: usize) -> bool {
        let (messages_max, bytes_max) = (self.settings.queue_messages_max, self.settings.queue_bytes_max);
        self.sessions[index].queue.is_full(size, messages_max, bytes_max)
    }

    fn overflow_of(&self, index: SessionIndex, topic_name: TopicName<'_>) -> Overflow {
        self.settings.overflow_of(&self.sessions[index].client_id, topic_name)
    }

    fn drop_expired(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        let session = &mut self.sessions[index];
        let owner = session.owner;
        for delivery in session.queue.take_expired(now) {
            self.note_drop(now, index, DropCause::Expired);
            self.unfile_delivery(owner, &delivery, None, out);
        }
    }

    /// Drops the oldest messages until there is room for `size` bytes more. If none is in memory, the next page has to
    /// come first.
    pub(crate) fn drop_to_bounds(
        &mut self,
        now: Instant,
        index: SessionIndex,
        size: usize,
        out: &mut Outbox,
    ) {
        while self.is_full(index, size) {
            let session = &mut self.sessions[index];
            let owner = session.owner;
            let Some(delivery) = session.queue.drop_oldest() else {
                return self.load_page(now, index, out);
            };
            self.note_drop(now, index, DropCause::QueueFull);
            self.unfile_delivery(owner, &delivery, None, out);
        }
    }

    /// Disconnects the Clients that were too slow, or wait for a storage that has failed.
    pub(crate) fn disconnect_doomed(&mut self, now: Instant, out: &mut Outbox) {
        let (code, reason) = match self.filing.storage {
            Storage::Failed => STORAGE_FAILED,
            Storage::Ready | Storage::Low => (ReasonCode::QuotaExceeded, "the queue is full"),
        };
        while let Some((id, serial)) = self.doomed.pop() {
            if self.find_connection(id).is_some_and(|connection| connection.serial == serial) {
                self.disconnect(now, id, code, reason, out);
            }
        }
    }

    /// Has publishers refused as long as a queue is full, if that is the policy for it.
    pub(crate) fn refuse_if_full(&mut self, index: SessionIndex, out: &mut Outbox) {
        if !self.settings.has_rejecting_overflow() || !self.is_full(index, 1) {
            return;
        }
        let session = &self.sessions[index];
        if session.is_refusing {
            return;
        }
        let mut filters = Vec::new();
        for &filter_id in &session.filters {
            let mut text = String::new();
            self.subscriptions.filter_text(filter_id, &mut text);
            filters.push(text.into());
        }
        let refusal = Refusal { client_id: session.client_id.clone(), filters };
        tracing::warn!(client_id = &*refusal.client_id, "the queue is full: publishers are refused");
        self.sessions[index].is_refusing = true;
        let member = self.member(index);
        for peer in self.peers() {
            out.routes[peer.index()].push(Mail::Full { member, refusal: Box::new(refusal.clone()) });
        }
        self.refusing.add(member, refusal);
    }

    /// Lets publishers in again when there is room.
    pub(crate) fn accept_if_room(&mut self, index: SessionIndex, out: &mut Outbox) {
        if !self.sessions[index].is_refusing {
            return;
        }
        let settings = &self.settings;
        let (messages, bytes) = (settings.queue_messages_max, settings.queue_bytes_max);
        if self.sessions[index].queue.is_full(1, messages - messages / 10, bytes - bytes / 10) {
            return;
        }
        self.sessions[index].is_refusing = false;
        let member = self.member(index);
        self.accept_again(member, out);
    }

    /// A Session does not have publishers refused any more, or has ended.
    pub(crate) fn accept_again(&mut self, member: Member, out: &mut Outbox) {
        for peer in self.peers() {
            out.routes[peer.index()].push(Mail::Room { member });
        }
        self.refusing.remove(member);
    }

    /// Whether a full queue somewhere keeps this message out.
    pub(crate) fn is_kept_out(&self, topic_name: TopicName<'_>) -> bool {
        self.keeps_out(topic_name).is_some()
    }

    /// The Client whose full queue keeps this message out, if any does.
    pub(crate) fn keeps_out(&self, topic_name: TopicName<'_>) -> Option<&str> {
        let is_match = |refusal: &Refusal| {
            self.settings.overflow_of(&refusal.client_id, topic_name) == Overflow::Reject
                && refusal
                    .filters
                    .iter()
                    .any(|text| TopicFilter::parse(text).is_ok_and(|filter| filter.matches(topic_name)))
        };
        if self.refusing.is_empty() {
            return None;
        }
        self.refusing.iter().find(|refusal| is_match(refusal)).map(|refusal| &*refusal.client_id)
    }
}
