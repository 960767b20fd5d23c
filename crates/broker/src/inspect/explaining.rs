//! What a Client may and what refuses it, and what its message or its Subscription would do: answers that change nothing.

use std::sync::Arc;

use dunlin_packet::{
    qos::QoS,
    reason_code::ReasonCode,
    topic::{filter::TopicFilter, name::TopicName},
};
use dunlin_protocol::time::Instant;

use crate::{
    input::Storage,
    limits::client::ClientLimits,
    output::Outbox,
    permissions::{
        Permissions,
        ruling::{Ground, Ruling},
        subject::Subject,
    },
    retained::Cursor,
    rights::{enforcing::FOREIGN, publishers::Kept},
    sessions::session::Session,
    state::State,
    subscriptions::subscription::Subscription,
    topics::ids::SessionIndex,
};

use super::explanation::{
    Called, CalledReport, Intent, Keeping, KeepingReport, LimitsReport, RightReport, RulingReport, Stated,
    Trial,
};

/// What refuses, and why.
type Refusal = (ReasonCode, Box<str>);

impl State {
    pub(super) fn right(
        &self,
        now: Instant,
        client_id: &str,
        stated: Stated,
        intent: &Intent,
        out: &Outbox,
    ) -> RightReport {
        let found = self.sessions.find(client_id);
        let session = found.map(|index| &self.sessions[index]);
        let permissions = self.permissions_of(client_id, session, stated);
        let subject = Arc::clone(permissions.subject());
        let (ruling, refusal) = self.judge(&permissions, session, found, intent);
        let door = self.closed_door(now, found, &permissions);
        RightReport {
            now,
            session: session.map(|session| Box::new(self.report(session, out))),
            ruling,
            refusal: door.or(refusal),
            replaced: found.and_then(|index| self.replaced(index, intent)),
            limits: self.limits(client_id, intent),
            in_flight_since: session.and_then(oldest_in_flight),
            subject,
            permissions,
        }
    }

    /// The rights of whoever is connected or has a Session, as far as nothing else is stated; otherwise those of somebody
    /// who comes now.
    fn permissions_of(&self, client_id: &str, session: Option<&Session>, stated: Stated) -> Permissions {
        let known = session.filter(|session| session.has_owner).map(|session| self.rights_of_now(session));
        let is_stated = stated.user_name.is_some() || stated.groups.is_some() || stated.address.is_some();
        match known {
            Some(known) if !is_stated => known,
            Some(known) => {
                let mut subject = Subject::clone(known.subject());
                stated.put_over(&mut subject);
                Permissions::new(Arc::new(subject), Arc::clone(known.rules()))
            }
            None => {
                let mut subject = Subject { client_id: client_id.into(), ..Subject::default() };
                stated.put_over(&mut subject);
                self.in_force.permissions_of_stranger(Arc::new(subject))
            }
        }
    }

    /// Why such a Client would not even be connected, if so.
    fn closed_door(
        &self,
        now: Instant,
        found: Option<SessionIndex>,
        permissions: &Permissions,
    ) -> Option<Refusal> {
        match permissions.withdrawal() {
            None => {}
            Some(Ground::UserGone) => {
                return Some((ReasonCode::NotAuthorized, "no provider knows such a user".into()));
            }
            Some(ground) => return Some((ReasonCode::NotAuthorized, ground.to_string().into())),
        }
        let is_anothers = found.is_some_and(|index| self.is_anothers(now, index, permissions.subject()));
        is_anothers.then(|| (ReasonCode::NotAuthorized, FOREIGN.into()))
    }

    fn judge(
        &self,
        permissions: &Permissions,
        session: Option<&Session>,
        found: Option<SessionIndex>,
        intent: &Intent,
    ) -> (RulingReport, Option<Refusal>) {
        let limits = self.limits_of(session);
        let (ruling, before, behind) = match intent {
            Intent::Publish(trial) => {
                let Ok(topic_name) = TopicName::parse(&trial.topic_name) else { return no_topic() };
                let ruling = permissions.rule_for_publish(topic_name, trial.qos, trial.retain);
                (ruling, self.not_offered(trial, topic_name, &limits), self.no_room(trial, topic_name))
            }
            Intent::Subscribe { topic_filter, qos } => {
                let Ok(filter) = TopicFilter::parse(topic_filter) else { return no_topic() };
                let ruling = permissions.may_subscribe(filter, *qos);
                (ruling, self.not_available(filter, &limits), self.too_many(session, found, filter))
            }
            Intent::Receive { topic_name } => {
                let Ok(topic_name) = TopicName::parse(topic_name) else { return no_topic() };
                (permissions.rule_for_receive(topic_name), None, None)
            }
        };
        let ruling = RulingReport::from(ruling);
        let denied = || (ReasonCode::NotAuthorized, ruling.reason.clone());
        let refusal = before.or_else(|| (!ruling.is_allowed).then(denied)).or(behind);
        (ruling, refusal)
    }

    /// What the Server has said in CONNACK that it does not take: a Client that sends it is disconnected.
    fn not_offered(
        &self,
        trial: &Trial,
        topic_name: TopicName<'_>,
        limits: &ClientLimits,
    ) -> Option<Refusal> {
        let settings = &self.settings;
        let levels_max = limits.topic_levels_max as usize;
        let size = trial.payload_bytes + topic_name.as_str().len() + PACKET_BYTES_MIN;
        if size > limits.maximum_packet_size as usize {
            let reason = format!("a packet has at most {} bytes", limits.maximum_packet_size);
            return Some((ReasonCode::PacketTooLarge, reason.into()));
        }
        if trial.qos > settings.maximum_qos {
            let reason = format!("the Maximum QoS is {}", settings.maximum_qos.value());
            return Some((ReasonCode::QoSNotSupported, reason.into()));
        }
        if trial.retain && !settings.retain_available {
            return Some((ReasonCode::RetainNotSupported, "Retained Messages are not available".into()));
        }
        let reason = || format!("a topic has at most {levels_max} levels").into();
        (topic_name.levels().take(levels_max + 1).count() > levels_max)
            .then(|| (ReasonCode::TopicNameInvalid, reason()))
    }

    /// What keeps a message out that may be published.
    fn no_room(&self, trial: &Trial, topic_name: TopicName<'_>) -> Option<Refusal> {
        if trial.qos > QoS::AtMostOnce
            && let Some(client_id) = self.keeps_out(topic_name)
        {
            let reason =
                format!("the queue of {client_id:?} is full, and its policy is to refuse publishers");
            return Some((ReasonCode::QuotaExceeded, reason.into()));
        }
        let reason = match self.filing.storage {
            Storage::Ready => return None,
            Storage::Low => "there is little room left on the disk, and the message would have to be kept",
            Storage::Failed => "the storage has failed, and the message would have to be kept",
        };
        let cannot_keep = self.cannot_keep(topic_name, trial.qos, trial.retain);
        cannot_keep.then(|| (ReasonCode::QuotaExceeded, reason.into()))
    }

    fn not_available(&self, filter: TopicFilter<'_>, limits: &ClientLimits) -> Option<Refusal> {
        let settings = &self.settings;
        let levels_max = limits.topic_levels_max as usize;
        let (code, reason) = if filter.share().is_some() && !settings.shared_subscription_available {
            (ReasonCode::SharedSubscriptionsNotSupported, "Shared Subscriptions are not available".to_owned())
        } else if filter.has_wildcard() && !settings.wildcard_subscription_available {
            (ReasonCode::WildcardSubscriptionsNotSupported, "wildcards are not available".to_owned())
        } else if filter.without_share().levels().take(levels_max + 1).count() > levels_max {
            (ReasonCode::TopicFilterInvalid, format!("a Topic Filter has at most {levels_max} levels"))
        } else {
            return None;
        };
        Some((code, reason.into()))
    }

    fn too_many(
        &self,
        session: Option<&Session>,
        found: Option<SessionIndex>,
        filter: TopicFilter<'_>,
    ) -> Option<Refusal> {
        let subscriptions_max = self.limits_of(session).subscriptions_max as usize;
        let is_full = session.is_some_and(|session| session.subscriptions() >= subscriptions_max);
        let is_known = || found.is_some_and(|index| self.subscription_of(index, filter).is_some());
        let reason = || format!("a Session has at most {subscriptions_max} Subscriptions").into();
        (is_full && !is_known()).then(|| (ReasonCode::QuotaExceeded, reason()))
    }

    fn replaced(&self, index: SessionIndex, intent: &Intent) -> Option<Subscription> {
        let Intent::Subscribe { topic_filter, .. } = intent else { return None };
        self.subscription_of(index, TopicFilter::parse(topic_filter).ok()?)
    }

    /// The Subscription of a Session with exactly this Topic Filter.
    fn subscription_of(&self, index: SessionIndex, filter: TopicFilter<'_>) -> Option<Subscription> {
        if filter.share().is_some() {
            return self.sessions[index].share(filter.as_str()).map(|share| share.subscription);
        }
        self.subscriptions.get(self.subscriptions.find(filter)?, index)
    }

    /// What a Client may use; of one that has no Session what all may.
    fn limits_of(&self, session: Option<&Session>) -> Arc<ClientLimits> {
        session.map_or_else(|| self.limits.general(), |session| Arc::clone(&session.limits))
    }

    fn limits(&self, client_id: &str, intent: &Intent) -> LimitsReport {
        let settings = &self.settings;
        let session = self.sessions.find(client_id).and_then(|index| self.sessions.at(index));
        let limits = self.limits_of(session);
        let topic = match intent {
            Intent::Publish(Trial { topic_name, .. }) | Intent::Receive { topic_name } => topic_name,
            Intent::Subscribe { topic_filter, .. } => topic_filter,
        };
        LimitsReport {
            subscriptions_max: limits.subscriptions_max,
            queue_messages_max: limits.queue_messages_max,
            queue_bytes_max: limits.queue_bytes_max,
            output_bytes_max: self.output_bytes_max() as u32,
            maximum_qos: settings.maximum_qos,
            overflow: TopicName::parse(topic)
                .map_or(settings.queue_overflow, |topic_name| settings.overflow_of(client_id, topic_name)),
        }
    }

    /// What a message with RETAIN would do here, at the home of its topic: as `keep_retained` decides.
    pub(super) fn keeping(&self, trial: &Trial) -> KeepingReport {
        let none = KeepingReport { keeping: Keeping::Nothing, present: None, publisher: None };
        let Ok(topic_name) = TopicName::parse(&trial.topic_name) else { return none };
        let present = self.retained.get(topic_name);
        let size = trial.topic_name.len() + trial.payload_bytes;
        let keeping = match present {
            Some(_) if trial.payload_bytes == 0 => Keeping::Removes, // [MQTT-3.3.1-6]
            None if trial.payload_bytes == 0 => Keeping::Nothing,
            _ if !self.has_room_to_retain(topic_name, size) => Keeping::NoRoom,
            Some(_) => Keeping::Replaces, // [MQTT-3.3.1-5]
            None => Keeping::Kept,
        };
        let publisher = present.and_then(|kept| self.publishers.of(kept));
        KeepingReport {
            keeping,
            present: present.map(|kept| kept.message.clone()),
            publisher: publisher.map(|identity| Arc::clone(&identity.subject)),
        }
    }

    /// A page of the Retained Messages at home here that a new Subscription would call for.
    pub(super) fn called(
        &self,
        now: Instant,
        permissions: &Permissions,
        topic_filter: &str,
        from: Option<Cursor>,
    ) -> Called {
        let mut rows = Vec::new();
        let Ok(filter) = TopicFilter::parse(topic_filter) else { return Called { rows, next: None } };
        let next = self.retained.matching_page(filter, from, ROWS_MAX, &mut |_, kept: &Kept| {
            if !kept.message.has_expired(now) {
                let objection = self.objection_to_retained(permissions, kept);
                rows.push(CalledReport { message: kept.message.clone(), objection });
            }
        });
        Called { rows, next }
    }

    /// Why a Client does not get a Retained Message, if so.
    fn objection_to_retained(&self, permissions: &Permissions, kept: &Kept) -> Option<Box<str>> {
        let topic_name = kept.message.topic_name();
        if let Ruling::Denied(ground) = permissions.may_receive(topic_name) {
            return Some(ground.to_string().into());
        }
        let rights = self.in_force.permissions(self.publishers.of(kept)?);
        let ground = match rights.may_publish(topic_name, kept.message.facts().qos, true) {
            _ if let Some(ground) = rights.withdrawal() => ground,
            Ruling::Denied(ground) => ground,
            Ruling::Allowed(_) => return None,
        };
        Some(format!("who has set it may not publish it any more: {ground}").into())
    }
}

impl Stated {
    fn put_over(self, subject: &mut Subject) {
        let Self { user_name, groups, address } = self;
        if user_name.is_some() {
            subject.user_name = user_name;
        }
        subject.groups = groups.unwrap_or_else(|| std::mem::take(&mut subject.groups));
        subject.address = address.map_or(subject.address, |address| address.to_canonical());
    }
}

/// What is no topic is refused; who asks has looked before.
fn no_topic() -> (RulingReport, Option<Refusal>) {
    let reason: Box<str> = "it is no topic".into();
    let ruling = RulingReport { is_allowed: false, rule: None, reason: reason.clone() };
    (ruling, Some((ReasonCode::TopicNameInvalid, reason)))
}

/// When the oldest message in flight came to a Session that is kept: its number begins with the time.
fn oldest_in_flight(session: &Session) -> Option<Instant> {
    let messages = session.outbound.iter().filter_map(|in_flight| in_flight.message);
    let number = messages.map(|delivery| delivery.filed.number).find(|&number| number != 0)?;
    Some(Instant::from_ms(number >> 16))
}

/// Bytes of the smallest PUBLISH beside topic and payload.
const PACKET_BYTES_MIN: usize = 5;
/// Retained Messages on one page.
const ROWS_MAX: usize = 256;
