//! After a restart: the records become Sessions, queues, Wills and Retained Messages again (4.1).

use dunlin_packet::{packet_identifier::PacketId, reason_code::ReasonCode, topic::filter::TopicFilter};
use dunlin_protocol::time::Instant;

use crate::{
    ids::{ConnectionId, ShardId},
    message::Message,
    output::Outbox,
    publication::Publication,
    records::{
        content::{
            BodyContent, InFlightState, MessageContent, Outline, RetainedContent, SessionContent,
            TransitContent, WillContent,
        },
        key::{Key, Owner, kind},
        record::{Record, RecordError},
    },
    reply::write_disconnect,
    restoring::{Flight, Orphan, Restoring, Transit, TransitOf},
    rights::publishers::{Kept, PublisherId},
    routing::group_mail::{GroupMail, GroupName},
    sessions::{
        paging::delivery_from,
        queue::Delivery,
        session::{Share, Will},
    },
    shard::Shard,
    slot::SLOTS,
    state::State,
    subscriptions::subscription::Subscription,
    timers::Timer,
    topics::ids::SessionIndex,
};

/// Reads the message of a shared body by its number.
pub type FindBody<'a> = dyn FnMut(u64) -> Option<Message> + 'a;

/// The ranges of keys (from, and before) whose records `shard` of `shards` restores, in this order.
pub fn ranges_to_restore(shard: ShardId, shards: u8) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let slots = (u16::from(shard.0)..SLOTS).step_by(usize::from(shards.max(1)));
    let by_slot = kind::BY_SLOT.into_iter().flat_map(move |kind| {
        slots.clone().map(move |slot| {
            let range = |slot: u16| [&[kind][..], &slot.to_be_bytes()].concat();
            (range(slot), range(slot + 1))
        })
    });
    let range = |from: u8, to: u8| (vec![kind::TRANSIT, from, to], vec![kind::TRANSIT, from, to + 1]);
    // Its own mail is delivered by the receivers; but no number may come twice.
    let written = (0..shards).map(move |peer| range(shard.0, peer));
    let received = (0..shards).map(move |peer| range(peer, shard.0));
    by_slot.chain(written).chain(received)
}

impl Shard {
    /// Puts one record back. They come in the order of [`ranges_to_restore`]. Of most messages of a long queue no more is
    /// read than has to be known.
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub fn restore(
        &mut self,
        key: &[u8],
        value: &[u8],
        find_body: &mut FindBody<'_>,
        out: &mut Outbox,
    ) -> Result<(), RecordError> {
        match key.first() {
            Some(&kind::MESSAGE) => {
                if let Some(Key::Message(owner, number)) = Key::decode(key)
                    && self.state.restore_to_tail(owner, number, || Outline::read(key, value))?
                {
                    return Ok(());
                }
            }
            Some(&kind::RETAINED) => {
                return self.state.restore_retained(RetainedContent::read(key, value)?);
            }
            _ => {}
        }
        self.state.restore(Record::decode(key, value)?, find_body, out);
        Ok(())
    }

    /// All records are back: tells the peers of the members of their groups.
    pub fn restored(&mut self, now: Instant, out: &mut Outbox) {
        self.state.restored(now, out);
    }

    /// All shards know of each other's Sessions again, and of the members of their groups: what has expired ends, what is
    /// due is armed, and mail that was under way is delivered. `last_alive` is the last moment at which the program may
    /// have run: it may lie behind `now`, if the clock was set back.
    pub fn settle(&mut self, now: Instant, last_alive: Instant, out: &mut Outbox) {
        self.state.settle(now, last_alive, out);
    }
}

impl State {
    fn restore(&mut self, record: Record<'_>, find_body: &mut FindBody<'_>, out: &mut Outbox) {
        match record {
            // Retained Messages have a shorter way.
            Record::Fact { .. } | Record::Body(..) | Record::Retained(..) => {}
            Record::Session(owner, content) => self.restore_session(owner, &content),
            Record::Subscription(owner, filter, subscription) => match self.restored_index(owner) {
                Some(index) => self.restore_subscription(index, filter, subscription),
                None => out.batch.delete_record(Key::Subscription(owner, filter)),
            },
            Record::Will(owner, content) => match self.restored_index(owner) {
                Some(index) => self.sessions[index].will = Some(will_of(content)),
                None => out.batch.delete_record(Key::Will(owner)),
            },
            Record::InFlight(owner, packet_id, state, number) => {
                self.restore_in_flight(owner, packet_id, state, number, out);
            }
            Record::Message(owner, number, content) => {
                self.restore_message(owner, number, content, find_body);
            }
            Record::Received(owner, packet_id) => match self.restored_index(owner) {
                Some(index) => self.sessions[index].inbound.restore(packet_id),
                None => out.batch.delete_record(Key::Received(owner, packet_id)),
            },
            Record::Transit { from, number, .. } if from == self.id => self.filing.note_number(number),
            Record::Transit { from, number, content, .. } => {
                let content = match content {
                    TransitContent::Publish(message) => TransitOf::Publish(message),
                    TransitContent::Retain(message, publisher) => TransitOf::Retain(message, publisher),
                    TransitContent::Share(group, message) => TransitOf::Share(GroupName::new(group), message),
                };
                self.filing.note_number(number);
                self.restoring().transits.push(Transit { number, from, content });
            }
        }
    }

    fn restoring(&mut self) -> &mut Restoring {
        self.restoring.get_or_insert_default()
    }

    fn restored_index(&mut self, owner: Owner) -> Option<SessionIndex> {
        self.restoring().owners.get(&owner).copied()
    }

    fn restore_session(&mut self, owner: Owner, content: &SessionContent<'_>) {
        self.filing.note_number(owner.uid);
        if self.sessions.find(content.client_id).is_some() {
            tracing::error!(
                client_id = content.client_id,
                "two Sessions have this Client Identifier: one is passed over"
            );
            return;
        }
        let index = self.sessions.create(content.client_id.into(), self.limits.general());
        let session = &mut self.sessions[index];
        session.owner = owner;
        session.expiry_s = content.expiry_s;
        session.was_kept = content.expiry_s > 0;
        if let Some(owner) = &content.owner {
            session.permissions = self.in_force.permissions(owner);
            session.limits = self.limits.of_restored(&self.settings, &owner.subject);
            session.has_owner = true;
        }
        let restoring = self.restoring();
        restoring.owners.insert(owner, index);
        restoring.left_at.push((index, content.left_at));
    }

    fn restore_subscription(&mut self, index: SessionIndex, text: &str, subscription: Subscription) {
        let Ok(filter) = TopicFilter::parse(text) else { return };
        if filter.share().is_some() {
            let share = Share { group: GroupName::new(text), subscription };
            return self.sessions[index].shares.push(share);
        }
        let added = self.subscriptions.insert(filter, index, subscription);
        if added.is_first {
            self.add_interest(filter);
        }
        self.add_kept(filter, self.sessions[index].was_kept, &subscription);
        self.sessions[index].filters.push(added.filter_id);
    }

    fn restore_retained(&mut self, content: RetainedContent<'_>) -> Result<(), RecordError> {
        let RetainedContent { message, publisher } = content;
        let publisher = self.restored_publisher(publisher)?;
        self.retained_bytes += message.size() as u64;
        self.retained.load(Kept { message, publisher });
        Ok(())
    }

    fn restored_publisher(&mut self, publisher: Option<&[u8]>) -> Result<PublisherId, RecordError> {
        let Some(bytes) = publisher else { return Ok(self.publishers.add(None)) };
        if let Some((before, id)) = &self.restoring().publisher
            && **before == *bytes
        {
            let id = *id;
            self.publishers.add_again(id);
            return Ok(id);
        }
        let identity = RetainedContent::read_publisher(bytes).ok_or(RecordError::Content)?;
        let id = self.publishers.add(Some(identity));
        self.restoring().publisher = Some((bytes.into(), id));
        Ok(id)
    }

    fn restore_in_flight(
        &mut self,
        owner: Owner,
        packet_id: PacketId,
        state: InFlightState,
        number: u64,
        out: &mut Outbox,
    ) {
        let Some(index) = self.restored_index(owner) else {
            return out.batch.delete_record(Key::InFlight(owner, packet_id));
        };
        match state {
            InFlightState::Sent => drop(self.restoring().in_flight.insert((owner, number), packet_id)),
            InFlightState::Released => {
                let flight = Flight { packet_id, delivery: None };
                self.restoring().flights.entry(index).or_default().push(flight);
            }
        }
    }

    fn restore_message(
        &mut self,
        owner: Owner,
        number: u64,
        content: MessageContent<'_>,
        find_body: &mut FindBody<'_>,
    ) {
        self.filing.note_number(number);
        if matches!(content.body, BodyContent::Shared { .. }) {
            self.filing.share_body(number);
        }
        let Some(index) = self.restored_index(owner) else {
            let is_shared = matches!(content.body, BodyContent::Shared { .. });
            let is_for_group = !content.group.is_empty() && content.packet_id.is_none();
            let delivery = is_for_group.then(|| delivery_from(number, content, || find_body(number)));
            let orphan = Orphan { owner, number, is_shared, delivery: delivery.flatten() };
            return self.restoring().orphans.push(orphan);
        };
        let sent = self.restoring().in_flight.remove(&(owner, number));
        let size = match &content.body {
            BodyContent::Inside(message) => message.view().size(),
            BodyContent::Shared { size } => *size as usize,
        };
        let packet_id = sent.or(content.packet_id);
        let memory_bytes_max = self.settings.queue_memory_bytes_max;
        let queue = &mut self.sessions[index].queue;
        if packet_id.is_none() && queue.is_for_tail(size, memory_bytes_max) {
            return queue.push_tail(number, size as u64);
        }
        let Some(mut delivery) = delivery_from(number, content, || find_body(number)) else {
            tracing::error!(number, "a message has no body: it is passed over");
            return;
        };
        match packet_id {
            None => queue.push(delivery),
            Some(packet_id) => {
                delivery.filed.has_state = sent.is_some();
                let flight = Flight { packet_id, delivery: Some(delivery) };
                self.restoring().flights.entry(index).or_default().push(flight);
            }
        }
    }

    /// Counts a message behind others that wait on the disk; `false` if it has another place.
    fn restore_to_tail(
        &mut self,
        owner: Owner,
        number: u64,
        outline: impl FnOnce() -> Result<Outline, RecordError>,
    ) -> Result<bool, RecordError> {
        let Some(index) = self.restored_index(owner) else { return Ok(false) };
        let is_sent = self.restoring().in_flight.contains_key(&(owner, number));
        if is_sent || self.sessions[index].queue.tail().is_none() {
            return Ok(false);
        }
        let outline = outline()?;
        if outline.packet_id.is_some() {
            return Ok(false);
        }
        self.filing.note_number(number);
        if outline.is_shared {
            self.filing.share_body(number);
        }
        self.sessions[index].queue.push_tail(number, u64::from(outline.size));
        Ok(true)
    }

    fn restored(&mut self, now: Instant, out: &mut Outbox) {
        self.retained.arrange();
        let mut restoring = self.restoring.take().unwrap_or_default();
        for (index, mut flights) in restoring.flights.drain() {
            sort_by_sending(&mut flights);
            let outbound = &mut self.sessions[index].outbound;
            for Flight { packet_id, delivery } in flights {
                let is_free = match delivery {
                    Some(delivery) => outbound.restore_publish(packet_id, delivery.qos, delivery),
                    None => outbound.restore_pubrel(packet_id),
                };
                debug_assert!(is_free, "two messages in flight under {packet_id:?}");
            }
        }
        for ((owner, _), packet_id) in restoring.in_flight.drain() {
            // Its message was taken away before: what is left of it goes, too.
            out.batch.delete_record(Key::InFlight(owner, packet_id));
        }
        for &(index, _) in &restoring.left_at {
            self.join_groups(now, index, out);
        }
        self.restoring = Some(restoring);
    }

    fn join_groups(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        let member = self.member(index);
        let is_kept = self.sessions[index].is_kept();
        let groups: Vec<_> = self.sessions[index].shares.iter().map(|share| share.group.clone()).collect();
        for group in groups {
            let mail = GroupMail::Join { group, member, is_kept, is_online: false, ticket: 0 };
            self.send_to_group(now, mail, out);
        }
    }

    /// The Session Expiry Interval and the Will Delay Interval have gone on since the Network Connection ended. Clients
    /// get a little time to come back before their Wills are sent.
    fn resume_time(&mut self, now: Instant, index: SessionIndex, left_at: Instant, out: &mut Outbox) {
        let grace_ends = now + std::time::Duration::from_secs(self.settings.will_grace_s.into());
        let session = &mut self.sessions[index];
        if session.expiry_s == 0 {
            if session.will.is_none() {
                return self.end_session(now, index, out);
            }
            session.expires_at = Some(grace_ends);
            return self.timers.set(grace_ends, Timer::SessionExpiry(index));
        }
        let expires_at = Self::after(left_at, session.expiry_s);
        if expires_at.is_some_and(|at| at <= now) {
            return self.end_session(now, index, out);
        }
        session.expires_at = expires_at;
        if let Some(at) = expires_at {
            self.timers.set(at, Timer::SessionExpiry(index));
        }
        if let Some(will) = &mut session.will {
            will.due_at = Self::after(left_at, will.delay_s).map(|at| at.max(grace_ends));
            if let Some(at) = will.due_at {
                self.timers.set(at, Timer::WillDelay(index));
            }
        }
    }

    fn settle(&mut self, now: Instant, last_alive: Instant, out: &mut Outbox) {
        // Records that are gone had numbers, too, and the clock may have been set back since.
        self.filing.note_time(last_alive);
        let last_alive = last_alive.min(now);
        let Some(mut restoring) = self.restoring.take() else { return };
        for (index, left_at) in restoring.left_at {
            if left_at.is_none() {
                // From now on it is known, however often the program ends.
                self.file_session_as(index, Some(last_alive), out);
            }
            self.resume_time(now, index, left_at.unwrap_or(last_alive), out);
        }
        restoring.orphans.into_iter().for_each(|orphan| self.take_orphan(now, orphan, out));
        restoring.transits.sort_unstable_by_key(|transit| (transit.number, transit.from));
        for Transit { number, from, content } in restoring.transits {
            out.batch.delete_record(Key::Transit { from, to: self.id, number });
            match content {
                TransitOf::Publish(message) => {
                    self.publish_here(now, &mut Publication::of_message(&message), out);
                }
                TransitOf::Retain(message, publisher) => self.keep_retained(now, message, publisher, out),
                TransitOf::Share(group, message) => {
                    self.return_share(now, group, self.nobody(), message, true, out);
                }
            }
        }
    }

    /// The Session of a message had ended, and its records were not all gone yet.
    fn take_orphan(&mut self, now: Instant, orphan: Orphan, out: &mut Outbox) {
        let Orphan { owner, number, is_shared, delivery } = orphan;
        out.batch.delete_record(Key::Message(owner, number));
        if is_shared {
            self.unfile_body(number, out);
        }
        if let Some(Delivery { message, group: Some(group), .. }) = delivery {
            self.return_share(now, group, self.nobody(), message, true, out);
        }
    }

    /// Shuts one connection down without ending anything that is filed.
    pub(crate) fn leave_for_restart(
        &mut self,
        now: Instant,
        id: ConnectionId,
        reason: &str,
        out: &mut Outbox,
    ) {
        self.tell_departure(now, id, &reason);
        let (connection, _) = self.both(id);
        write_disconnect(connection, id, ReasonCode::ServerShuttingDown, reason, out);
        out.closings.push(id);
        let index = self.connection(id).session;
        self.connections[id.index()] = None;
        self.connected -= 1;
        self.sessions[index].connection = None;
        self.sessions[index].is_filtered = false;
        if self.sessions[index].has_records() {
            self.file_session(now, index, out);
        }
    }
}

/// Packet Identifiers are given in sequence, from 65,535 on to 1: those in flight lie together on a circle, and the first
/// is behind the widest gap.
fn sort_by_sending(flights: &mut [Flight]) {
    flights.sort_unstable_by_key(|flight| flight.packet_id.value());
    let ids = || flights.iter().map(|flight| u32::from(flight.packet_id.value()));
    let Some(last) = ids().next_back() else { return };
    let before = std::iter::once(last).chain(ids());
    let around = u32::from(u16::MAX);
    let gaps = before.zip(ids()).map(|(before, id)| (id + around - before) % around);
    let widest = gaps.enumerate().max_by_key(|&(index, gap)| (gap, std::cmp::Reverse(index)));
    flights.rotate_left(widest.map_or(0, |(index, _)| index));
}

fn will_of(content: WillContent) -> Box<Will> {
    let WillContent { delay_s, expiry_s, message } = content;
    Box::new(Will { message, delay_s, expiry_s, due_at: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_flight_comes_in_the_order_of_sending() {
        for (ids, expected) in [
            (vec![], vec![]),
            (vec![9], vec![9]),
            (vec![5, 3, 4], vec![3, 4, 5]),
            (vec![2, 65_535, 1, 65_500], vec![65_500, 65_535, 1, 2]),
            (vec![300, 1, 65_000, 2], vec![65_000, 1, 2, 300]),
        ] {
            let flight = |id| Flight { packet_id: PacketId::new(id).expect("no zero"), delivery: None };
            let mut flights: Vec<_> = ids.into_iter().map(flight).collect();
            sort_by_sending(&mut flights);
            let sorted: Vec<u16> = flights.iter().map(|flight| flight.packet_id.value()).collect();
            assert_eq!(sorted, expected);
        }
    }
}
