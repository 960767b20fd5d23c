//! What would become of a message for one Session: the decisions of `sessions/offer.rs`, without acting on them.

use std::collections::BTreeMap;

use dunlin_packet::{
    qos::QoS,
    topic::{filter::TopicFilter, name::TopicName},
};

use crate::{
    connection::Connection,
    limits::Overflow,
    output::Outbox,
    permissions::Permissions,
    routing::{
        group_mail::{GroupName, Member},
        target::Target,
    },
    sessions::session::Session,
    state::State,
    subscriptions::subscription::Subscription,
    topics::ids::{FilterId, SessionIndex},
};

use super::{
    answering::queue_report,
    explanation::{Fate, Loss, Outlook, ReceiverReport, Receivers, RulingReport, Trial, Wait},
    reports::SubscriptionReport,
};

/// The Subscriptions of one Session that match.
#[derive(Default)]
struct Matched {
    /// All that would bring the message, together; nothing as long as No Local leaves them out.
    target: Option<Target>,
    shown: Vec<(FilterId, Subscription)>,
    count: usize,
}

impl Matched {
    fn add(&mut self, index: SessionIndex, filter: FilterId, subscription: Subscription, is_own: bool) {
        self.count += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push((filter, subscription));
        }
        match &mut self.target {
            _ if is_own && subscription.options.no_local => {} // [MQTT-3.8.3-3]
            Some(target) => target.merge(subscription),
            None => self.target = Some(Target::new(index, subscription)),
        }
    }
}

impl State {
    /// The first Sessions from `from` on that would get the message, by their places in the table.
    pub(super) fn receivers(&self, trial: &Trial, from: u32, out: &Outbox) -> Receivers {
        let none = Receivers { rows: Vec::new(), next: None, total: Some((0, 0)) };
        let Ok(topic_name) = TopicName::parse(&trial.topic_name) else { return none };
        let mut page: BTreeMap<u32, Matched> = BTreeMap::new();
        let (mut is_cut, mut subscriptions) = (false, 0);
        let mut seen = vec![0_u64; if from == 0 { self.sessions.slots().div_ceil(64) } else { 0 }];
        self.subscriptions.matches(topic_name, &mut |filter, index, subscription| {
            subscriptions += 1;
            let place = index.0;
            if let Some(word) = seen.get_mut(place as usize / 64) {
                *word |= 1 << (place % 64);
            }
            // Only the first Sessions are kept: a greater place never comes back once there are enough.
            if place < from || is_cut && page.last_key_value().is_some_and(|(&last, _)| place > last) {
                return;
            }
            let is_own = self.sessions[index].publisher == trial.publisher;
            page.entry(place).or_default().add(index, filter, subscription, is_own);
            if page.len() > ROWS_MAX {
                page.pop_last();
                is_cut = true;
            }
        });
        let sessions = seen.iter().map(|word| u64::from(word.count_ones())).sum();
        let next = if is_cut { page.last_key_value().map(|(&last, _)| last + 1) } else { None };
        let report = |(place, matched)| self.receiver(SessionIndex(place), matched, topic_name, trial, out);
        let rows = page.into_iter().map(report).collect();
        Receivers { rows, next, total: (from == 0).then_some((sessions, subscriptions)) }
    }

    /// What would become of the message for one Client.
    pub(super) fn outlook(&self, client_id: &str, trial: &Trial, out: &Outbox) -> Option<Outlook> {
        let wanted = self.sessions.find(client_id)?;
        let session = &self.sessions[wanted];
        let Ok(topic_name) = TopicName::parse(&trial.topic_name) else {
            return Some(Outlook { own: None, shares: Vec::new() });
        };
        let mut matched = Matched::default();
        let is_own = session.publisher == trial.publisher;
        self.subscriptions.matches(topic_name, &mut |filter, index, subscription| {
            if index == wanted {
                matched.add(index, filter, subscription, is_own);
            }
        });
        let shares = session.shares.iter().enumerate().filter(|(_, share)| {
            let filter = TopicFilter::parse(share.group.as_str());
            filter.is_ok_and(|filter| filter.without_share().matches(topic_name))
        });
        let shares = shares.take(SHOWN_MAX).filter_map(|(number, _)| {
            self.subscription_report(wanted, session, session.filters.len() + number)
        });
        let shares = shares.collect();
        let own = (matched.count > 0).then(|| self.receiver(wanted, matched, topic_name, trial, out));
        Some(Outlook { own, shares })
    }

    /// What would become of the message for a member of a group that lives here.
    pub(super) fn member_outlook(
        &self,
        group: &GroupName,
        member: Member,
        trial: &Trial,
        out: &Outbox,
    ) -> Option<ReceiverReport> {
        let topic_name = TopicName::parse(&trial.topic_name).ok()?;
        let found = self.sessions.at(member.session);
        let session = found.filter(|session| session.serial == member.serial)?;
        let share = session.share(group.as_str())?;
        let target = Target::new(member.session, share.subscription);
        let matched = Matched { target: Some(target), shown: Vec::new(), count: 1 };
        let mut report = self.receiver(member.session, matched, topic_name, trial, out);
        report.subscriptions.push(SubscriptionReport {
            client_id: session.client_id.clone(),
            is_connected: session.connection.is_some(),
            topic_filter: group.as_str().into(),
            subscription: share.subscription,
        });
        Some(report)
    }

    fn receiver(
        &self,
        index: SessionIndex,
        matched: Matched,
        topic_name: TopicName<'_>,
        trial: &Trial,
        out: &Outbox,
    ) -> ReceiverReport {
        let session = &self.sessions[index];
        let is_connected = session.connection.is_some();
        let subscriptions = matched.shown.iter().map(|&(filter, subscription)| {
            let mut text = String::new();
            self.subscriptions.filter_text(filter, &mut text);
            let client_id = session.client_id.clone();
            SubscriptionReport { client_id, is_connected, topic_filter: text.into(), subscription }
        });
        let target = matched.target.as_ref();
        let qos = target.map_or(QoS::AtMostOnce, |target| trial.qos.min(target.qos)); // [MQTT-3.8.4-8]
        let identifiers = target.map_or(0, |target| target.identifiers.as_slice().len());
        let rights = self.rights_of_now(session);
        let ruling = RulingReport::from(rights.rule_for_receive(topic_name));
        let (fate, overflow) = match target {
            None => (Fate::NoLocal, None),
            Some(_) if session.is_filtered && !ruling.is_allowed => (Fate::Denied, None),
            Some(_) => self.fate(session, topic_name, trial, qos, identifiers, out),
        };
        ReceiverReport {
            client_id: session.client_id.clone(),
            is_connected,
            subscriptions: subscriptions.collect(),
            matched: matched.count,
            qos,
            retain: trial.retain && target.is_some_and(|target| target.retain_as_published),
            fate,
            ruling,
            queue: queue_report(session),
            overflow,
        }
    }

    /// The rights of a Session by the rules in force: those of one that is away are given when its Client is back.
    pub(super) fn rights_of_now(&self, session: &Session) -> Permissions {
        let mut permissions = session.permissions.clone();
        self.in_force.refresh(&mut permissions);
        permissions
    }

    /// As `offer` decides.
    fn fate(
        &self,
        session: &Session,
        topic_name: TopicName<'_>,
        trial: &Trial,
        qos: QoS,
        identifiers: usize,
        out: &Outbox,
    ) -> (Fate, Option<Overflow>) {
        let at_most_once = qos == QoS::AtMostOnce;
        let found =
            session.connection.and_then(|id| Some((id, self.connections.get(id.index())?.as_deref()?)));
        let Some((id, connection)) = found else {
            return match at_most_once {
                true => (Fate::Dropped(Loss::Away), None),
                false => self.waiting(session, topic_name, trial, Wait::Away),
            };
        };
        let has_room = out.backlog(id) < self.settings.output_bytes_max as usize;
        let is_sent = match at_most_once {
            true if !has_room => return (Fate::Dropped(Loss::NotReading), None),
            true => !session.queue.holds_at_most_once(),
            false => has_room && session.queue.is_empty() && session.outbound.can_send(),
        };
        if is_sent {
            let bytes = packet_bytes(connection, trial, qos, identifiers);
            let is_too_large = bytes > connection.maximum_packet_size as usize; // [MQTT-3.1.2-25]
            return (if is_too_large { Fate::Dropped(Loss::TooLarge) } else { Fate::Sent }, None);
        }
        let wait = match &session.outbound {
            _ if !has_room => Wait::NotReading,
            outbound if outbound.is_resending() => Wait::Resending,
            outbound if !outbound.can_send() => Wait::InFlightFull,
            _ => Wait::Behind,
        };
        self.waiting(session, topic_name, trial, wait)
    }

    /// As `make_room` decides, but for what has expired in the queue and may give way.
    fn waiting(
        &self,
        session: &Session,
        topic_name: TopicName<'_>,
        trial: &Trial,
        wait: Wait,
    ) -> (Fate, Option<Overflow>) {
        let settings = &self.settings;
        let size = trial.topic_name.len() + trial.payload_bytes;
        if !session.queue.is_full(size, settings.queue_messages_max, settings.queue_bytes_max) {
            return (Fate::Queued(wait), None);
        }
        let overflow = settings.overflow_of(&session.client_id, topic_name);
        let is_lost =
            overflow == Overflow::DropNewest || overflow != Overflow::Reject && session.queue.is_unreadable();
        (if is_lost { Fate::Dropped(Loss::QueueFull) } else { Fate::Queued(wait) }, Some(overflow))
    }
}

/// Bytes of the PUBLISH, without Topic Alias.
fn packet_bytes(connection: &Connection, trial: &Trial, qos: QoS, identifiers: usize) -> usize {
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { 2 };
    // Each Subscription Identifier takes up to 5 bytes, most of them 2.
    let properties = if connection.version.has_properties() { 1 + identifiers * 2 } else { 0 };
    let rest = 2 + trial.topic_name.len() + packet_id + properties + trial.payload_bytes;
    let length_bytes = match rest {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    };
    1 + length_bytes + rest
}

/// Sessions on one page.
const ROWS_MAX: usize = 256;
/// Subscriptions of one Session that are shown.
const SHOWN_MAX: usize = 8;
