//! Answers to an operator: each looks at a bounded part of the shard.

use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};
use dunlin_protocol::time::Instant;

use crate::{
    connection::Connection, ids::ConnectionId, input::Storage, output::Outbox, publication::Publication,
    rights::publishers::Kept, sessions::session::Session, state::State, topics::ids::SessionIndex,
};

use super::{
    answer::{Answer, Answered, Sums, Totals},
    question::{Asked, Choice, Question, SubscriptionPlace},
    reports::{ConnectionReport, QueueReport, SessionReport, SubscriptionReport},
};

impl State {
    /// Answers a question, or does what it says.
    pub(crate) fn asked(&mut self, now: Instant, asked: Asked, out: &mut Outbox) {
        let Asked { ticket, question } = asked;
        let answer = match question {
            Question::Totals => Answer::Totals(Box::new(self.totals(out))),
            Question::Count { from } => self.count(from, out),
            Question::Sessions { from, choice } => self.list_sessions(from, &choice, out),
            Question::Session { client_id } => {
                let session = self.sessions.find(&client_id).and_then(|index| self.sessions.at(index));
                Answer::Session(session.map(|session| Box::new(self.report(session, out))))
            }
            Question::Subscriptions { client_id, from } => {
                self.list_subscriptions(client_id.as_deref(), from)
            }
            Question::Subscribers { topic_name, rows_max } => self.list_subscribers(&topic_name, rows_max),
            Question::Retained { topic_filter, from } => {
                let mut messages = Vec::new();
                let next = TopicFilter::parse(&topic_filter).ok().and_then(|filter| {
                    let each = &mut |_, kept: &Kept| messages.push(kept.message.clone());
                    self.retained.matching_page(filter, from, ROWS_MAX, each)
                });
                Answer::Retained { messages, next }
            }
            Question::Right { client_id, stated, intent } => {
                Answer::Right(Box::new(self.right(now, &client_id, *stated, &intent, out)))
            }
            Question::Receivers { trial, from } => Answer::Receivers(self.receivers(&trial, from, out)),
            Question::Groups { topic_name, rows_max } => {
                let found = TopicName::parse(&topic_name).map(|name| self.groups.outlooks(name, rows_max));
                let (rows, total) = found.unwrap_or_default();
                Answer::Groups { rows, total }
            }
            Question::Member { group, member, trial } => {
                Answer::Member(self.member_outlook(&group, member, &trial, out).map(Box::new))
            }
            Question::Outlook { client_id, trial } => {
                Answer::Outlook(self.outlook(&client_id, &trial, out).map(Box::new))
            }
            Question::Keeping { trial } => Answer::Keeping(Box::new(self.keeping(&trial))),
            Question::Called { permissions, topic_filter, from } => {
                Answer::Called(self.called(now, &permissions, &topic_filter, from))
            }
            Question::Disconnect { client_id, reason } => {
                Answer::Disconnected(self.disconnect_by_operator(now, &client_id, &reason, out))
            }
            Question::Publish { messages } => {
                for message in &messages {
                    self.publish(now, &mut Publication::of_message(message), out);
                }
                Answer::Published
            }
            Question::Delete { client_id } => return self.delete_by_operator(now, ticket, &client_id, out),
        };
        out.answers.push(Answered { ticket, answer });
    }

    fn totals(&self, out: &Outbox) -> Totals {
        Totals {
            packets_sent: out.packets(),
            counters: self.counters,
            connections: self.connected,
            sessions: self.sessions.len(),
            subscriptions: self.subscriptions.len(),
            retained_messages: self.retained.len(),
            retained_bytes: self.retained_bytes,
            is_storage_low: self.filing.storage == Storage::Low,
            has_storage_failed: self.filing.storage == Storage::Failed,
        }
    }

    fn count(&self, from: u32, out: &Outbox) -> Answer {
        let to = from.saturating_add(COUNTED_MAX);
        let mut sums = Sums::default();
        for session in self.sessions_between(from, to) {
            sums.shared_subscriptions += session.shares.len() as u64;
            sums.queue.add(&queue_report(session));
            sums.in_flight += session.outbound.in_flight() as u64;
            sums.output_bytes += session.connection.map_or(0, |id| out.backlog(id) as u64);
        }
        Answer::Count { sums, next: self.place_after(to) }
    }

    fn list_sessions(&self, from: u32, choice: &Choice, out: &Outbox) -> Answer {
        let end = from.saturating_add(LOOKED_AT_MAX).min(self.sessions.slots() as u32);
        let (mut place, mut rows, mut bytes) = (from, Vec::new(), 0);
        while place < end && bytes < TEXT_BYTES_MAX {
            let session = self.sessions.at(SessionIndex(place)).filter(|session| is_chosen(session, choice));
            if let Some(session) = session {
                bytes += session.client_id.len();
                rows.push(self.report(session, out));
            }
            place += 1;
        }
        Answer::Sessions { rows, next: self.place_after(place) }
    }

    /// Sessions by their places in the table.
    fn sessions_between(&self, from: u32, to: u32) -> impl Iterator<Item = &Session> {
        let end = to.min(self.sessions.slots() as u32);
        (from..end).filter_map(|number| self.sessions.at(SessionIndex(number)))
    }

    fn place_after(&self, to: u32) -> Option<u32> {
        ((to as usize) < self.sessions.slots()).then_some(to)
    }

    pub(super) fn report(&self, session: &Session, out: &Outbox) -> SessionReport {
        let connection = session.connection.and_then(|id| {
            let connection = self.connections.get(id.index())?.as_deref()?;
            Some(connection_report(connection, session, id, out))
        });
        SessionReport {
            client_id: session.client_id.clone(),
            is_kept: session.is_kept(),
            expiry_s: session.expiry_s,
            expires_at: session.expires_at,
            subscriptions: session.subscriptions(),
            queue: queue_report(session),
            in_flight: session.outbound.in_flight(),
            in_flight_from: usize::from(session.inbound.in_flight()),
            has_will: session.will.is_some(),
            drops: session.drops.as_ref().map(|drops| drops.counts).unwrap_or_default(),
            denials: session.denials.as_ref().map(|denials| denials.counts).unwrap_or_default(),
            connection,
        }
    }

    fn list_subscriptions(&self, client_id: Option<&str>, from: SubscriptionPlace) -> Answer {
        let mut rows = Vec::new();
        let (mut place, end) = match client_id {
            None => (from, from.session.saturating_add(LOOKED_AT_MAX).min(self.sessions.slots() as u32)),
            Some(client_id) => match self.sessions.find(client_id) {
                None => return Answer::Subscriptions { rows, next: None },
                // The Session may have another place now, if it has ended and come again.
                Some(index) => (SubscriptionPlace { session: index.0, ..from }, index.0 + 1),
            },
        };
        let mut bytes = 0;
        while place.session < end {
            let index = SessionIndex(place.session);
            let session = self.sessions.at(index);
            while let Some(session) = session.filter(|it| (place.subscription as usize) < it.subscriptions())
            {
                if rows.len() >= ROWS_MAX || bytes >= TEXT_BYTES_MAX {
                    return Answer::Subscriptions { rows, next: Some(place) };
                }
                if let Some(row) = self.subscription_report(index, session, place.subscription as usize) {
                    bytes += row.client_id.len() + row.topic_filter.len();
                    rows.push(row);
                }
                place.subscription += 1;
            }
            place = SubscriptionPlace { session: place.session + 1, subscription: 0 };
        }
        let is_last = client_id.is_some() || end as usize >= self.sessions.slots();
        Answer::Subscriptions { rows, next: (!is_last).then_some(place) }
    }

    /// One of the Subscriptions of a Session: first those that are not shared.
    pub(super) fn subscription_report(
        &self,
        index: SessionIndex,
        session: &Session,
        number: usize,
    ) -> Option<SubscriptionReport> {
        let (topic_filter, subscription) = match session.filters.get(number) {
            Some(&filter_id) => {
                let mut text = String::new();
                self.subscriptions.filter_text(filter_id, &mut text);
                (text.into(), self.subscriptions.get(filter_id, index)?)
            }
            None => {
                let share = session.shares.get(number - session.filters.len())?;
                (share.group.as_str().into(), share.subscription)
            }
        };
        Some(SubscriptionReport {
            client_id: session.client_id.clone(),
            is_connected: session.connection.is_some(),
            topic_filter,
            subscription,
        })
    }

    fn list_subscribers(&self, topic_name: &str, rows_max: usize) -> Answer {
        let (mut rows, mut total, mut bytes) = (Vec::new(), 0, 0);
        let Ok(topic_name) = TopicName::parse(topic_name) else {
            return Answer::Subscribers { rows, total, groups: Vec::new() };
        };
        self.subscriptions.matches(topic_name, &mut |filter_id, index, subscription| {
            total += 1;
            if rows.len() < rows_max && bytes < SUBSCRIBERS_BYTES_MAX {
                let session = &self.sessions[index];
                let mut text = String::new();
                self.subscriptions.filter_text(filter_id, &mut text);
                bytes += session.client_id.len() + text.len();
                rows.push(SubscriptionReport {
                    client_id: session.client_id.clone(),
                    is_connected: session.connection.is_some(),
                    topic_filter: text.into(),
                    subscription,
                });
            }
        });
        Answer::Subscribers { rows, total, groups: self.groups.reports(topic_name) }
    }
}

fn is_chosen(session: &Session, choice: &Choice) -> bool {
    choice.has_client_id(&session.client_id)
        && choice.is_connected.is_none_or(|is| is == session.connection.is_some())
        && (!choice.has_drops || session.drops.is_some())
}

pub(super) fn queue_report(session: &Session) -> QueueReport {
    let queue = &session.queue;
    let (messages_on_disk, bytes_on_disk) = queue.on_disk();
    QueueReport {
        messages_in_memory: queue.len_in_memory() as u64,
        bytes_in_memory: queue.bytes_in_memory(),
        messages_on_disk,
        bytes_on_disk,
    }
}

fn connection_report(
    connection: &Connection,
    session: &Session,
    id: ConnectionId,
    out: &Outbox,
) -> ConnectionReport {
    ConnectionReport {
        peer: connection.peer.clone(),
        entry: connection.entry.clone(),
        maximum_packet_size: connection.maximum_packet_size,
        in_flight_max: session.outbound.receive_maximum(),
        progress_at: connection.progress_at,
        user_name: connection.user_name.clone(),
        version: connection.version,
        connected_at: connection.connected_at,
        last_packet_at: connection.last_packet,
        keep_alive_s: connection.keep_alive_s,
        output_bytes: out.backlog(id) as u64,
    }
}

/// Places of the table that one page of a list looks at.
const LOOKED_AT_MAX: u32 = 256;
/// Places of the table that one page of sums looks at.
const COUNTED_MAX: u32 = 4_096;
/// Subscriptions or Retained Messages on one page.
const ROWS_MAX: usize = 256;
/// Bytes of Client Identifiers and Topic Filters after which a page ends.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// The same, for the Subscriptions that match a topic.
const SUBSCRIBERS_BYTES_MAX: usize = 4 << 20;
