//! SUBSCRIBE (3.8), SUBACK (3.9).

use std::num::NonZeroU32;

use dunlin_packet::{
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    reason_code::ReasonCode,
    suback::{ReasonCodes, Suback},
    subscribe::{RetainHandling, Subscribe, SubscriptionRequest},
    topic::filter::TopicFilter,
    version::ProtocolVersion,
};
use dunlin_protocol::time::Instant;

use crate::{
    connection::{Connection, Flow},
    ids::ConnectionId,
    output::Outbox,
    reply::explanation,
    routing::{
        group_mail::{GroupMail, GroupName},
        tickets::Held,
    },
    sessions::session::Share,
    slot::home_of,
    state::State,
    subscriptions::subscription::Subscription,
    topics::ids::SessionIndex,
};

/// A Subscription that calls for Retained Messages once SUBACK is written.
struct Call<'a> {
    topic_filter: TopicFilter<'a>,
    subscription: Subscription,
}

impl State {
    pub(crate) fn receive_subscribe(
        &mut self,
        now: Instant,
        id: ConnectionId,
        packet: &Subscribe<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let index = self.connection(id).session;
        let version = self.connection(id).version;
        let identifier = packet.properties.subscription_identifiers().next().and_then(NonZeroU32::new);
        if packet.properties.user_properties().count() > self.settings.user_properties_max as usize {
            return self.fault(now, id, ReasonCode::QuotaExceeded, "too many User Properties", out);
        }
        let changes = out.batch.len();
        let (mut codes, mut calls, mut joins) = (Vec::new(), Vec::new(), Vec::new());
        // As if each came in a SUBSCRIBE of its own, in order. [MQTT-3.8.4-5] [MQTT3-3.8.4-4]
        for request in packet.filters.iter() {
            let code = match self.check_subscription(now, id, &request, identifier) {
                Ok(filter) => {
                    self.subscribe(index, filter, &request, identifier, &mut calls, &mut joins, out)
                }
                Err(code) => code,
            };
            if code.is_error() {
                let is_denied = code == ReasonCode::NotAuthorized;
                if !is_denied {
                    self.sessions[index].tell_refusal(now, "SUBSCRIBE", Some(request.topic_filter), code);
                }
                let is_closing = is_denied && self.settings.close_denied_3x && !version.has_properties();
                if version == ProtocolVersion::V3_1 || is_closing {
                    // SUBACK of 3.1 cannot say no.
                    return self.fault(now, id, code, code.name(), out);
                }
            }
            codes.push(code);
        }
        // [MQTT-3.8.4-2] [MQTT3-3.8.4-2] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT3-3.8.4-5] [MQTT3-3.9.3-1]
        let bytes = encode_suback(self.connection(id), packet.packet_id, &codes);
        let batch = (out.batch.len() > changes).then(|| out.batch_number());
        self.answer_when_joined(now, id, index, (bytes, batch), joins, out); // [MQTT-3.8.4-1] [MQTT3-3.8.4-1]
        for call in calls {
            self.call_retained(now, index, call.topic_filter, call.subscription, out);
        }
        self.pump(now, id, out);
        Flow::Open
    }

    /// Whether the Server takes the Subscription. The first rule that it breaks decides.
    fn check_subscription<'a>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        request: &SubscriptionRequest<'a>,
        identifier: Option<NonZeroU32>,
    ) -> Result<TopicFilter<'a>, ReasonCode> {
        let filter = request.filter().map_err(|_| ReasonCode::TopicFilterInvalid)?; // [MQTT-4.7.1-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
        let settings = &self.settings;
        if filter.share().is_some() && !settings.shared_subscription_available {
            return Err(ReasonCode::SharedSubscriptionsNotSupported);
        }
        if filter.has_wildcard() && !settings.wildcard_subscription_available {
            return Err(ReasonCode::WildcardSubscriptionsNotSupported);
        }
        if identifier.is_some() && !settings.subscription_identifier_available {
            return Err(ReasonCode::SubscriptionIdentifiersNotSupported);
        }
        let levels_max = settings.topic_levels_max as usize;
        if filter.without_share().levels().take(levels_max + 1).count() > levels_max {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        let subscriptions_max = settings.subscriptions_max as usize;
        let index = self.connection(id).session;
        if !self.may_subscribe(now, index, filter, request.options.qos) {
            return Err(ReasonCode::NotAuthorized);
        }
        let session = &self.sessions[index];
        if session.subscriptions() >= subscriptions_max {
            let is_known = session.share(filter.as_str()).is_some()
                || self
                    .subscriptions
                    .find(filter)
                    .is_some_and(|found| self.both(id).1.filters.contains(&found));
            if !is_known {
                return Err(ReasonCode::QuotaExceeded);
            }
        }
        Ok(filter)
    }

    /// Files the Subscription, replacing the one with the same filter. [MQTT-3.8.4-3] [MQTT3-3.8.4-3]
    #[expect(clippy::too_many_arguments, reason = "what a SUBSCRIBE asks for, and what comes of it")]
    fn subscribe<'a>(
        &mut self,
        index: SessionIndex,
        filter: TopicFilter<'a>,
        request: &SubscriptionRequest<'_>,
        identifier: Option<NonZeroU32>,
        calls: &mut Vec<Call<'a>>,
        joins: &mut Vec<GroupName>,
        out: &mut Outbox,
    ) -> ReasonCode {
        let mut options = request.options;
        options.qos = options.qos.min(self.settings.maximum_qos); // [MQTT-3.2.2-10] [MQTT-3.8.4-7]
        let subscription = Subscription { options, identifier };
        let granted = match options.qos.value() {
            0 => ReasonCode::GRANTED_QOS_0,
            1 => ReasonCode::GrantedQoS1,
            _ => ReasonCode::GrantedQoS2,
        };
        self.file_subscription(index, filter, &subscription, out);
        if filter.share().is_some() {
            let shares = &mut self.sessions[index].shares;
            let group = match shares.iter_mut().find(|share| share.group.as_str() == filter.as_str()) {
                Some(share) => {
                    share.subscription = subscription;
                    share.group.clone()
                }
                None => {
                    let group = GroupName::new(filter.as_str());
                    shares.push(Share { group: group.clone(), subscription });
                    group
                }
            };
            // Also for one that is replaced: its home may not have heard of the first yet.
            joins.push(group);
            return granted; // No Retained Messages for a Shared Subscription (4.8.2).
        }
        let added = self.subscriptions.insert(filter, index, subscription);
        if added.is_first {
            self.add_interest(filter);
        }
        let was_kept = self.sessions[index].was_kept;
        self.add_kept(filter, was_kept, &subscription);
        match &added.replaced {
            Some(replaced) => self.remove_kept(filter, was_kept, replaced),
            None => self.sessions[index].filters.push(added.filter_id),
        }
        let calls_retained = match options.retain_handling {
            RetainHandling::SendAtSubscribe => true, // [MQTT-3.3.1-9] [MQTT-3.8.4-4] [MQTT3-3.3.1-6]
            RetainHandling::SendIfNew => added.replaced.is_none(), // [MQTT-3.3.1-10]
            RetainHandling::DoNotSend => false,      // [MQTT-3.3.1-11]
        };
        if calls_retained {
            calls.push(Call { topic_filter: filter, subscription });
        }
        granted
    }

    /// Writes SUBACK, once the groups joined elsewhere know of their new member.
    fn answer_when_joined(
        &mut self,
        now: Instant,
        id: ConnectionId,
        index: SessionIndex,
        (bytes, batch): (Vec<u8>, Option<u64>),
        joins: Vec<GroupName>,
        out: &mut Outbox,
    ) {
        let (own, shards) = (self.id, self.shards);
        let is_elsewhere = |group: &GroupName| home_of(group.as_str(), shards) != own;
        let missing = joins.iter().filter(|group| is_elsewhere(group)).count() as u32;
        let member = self.member(index);
        let ticket = self.tickets.next();
        if missing == 0 {
            self.answer_bytes(id, &bytes, batch, out);
        } else {
            self.tickets.open(Held { connection: id, bytes, batch, missing });
        }
        let is_kept = self.sessions[index].is_kept();
        for group in joins {
            let ticket = if is_elsewhere(&group) { ticket } else { 0 };
            let mail = GroupMail::Join { group: group.clone(), member, is_kept, is_online: true, ticket };
            self.send_to_group(now, mail, out);
            self.tell_rights(now, index, group, out);
        }
    }

    /// A group elsewhere knows its member: SUBACK leaves when all do.
    pub(crate) fn joined(&mut self, ticket: u64, out: &mut Outbox) {
        let Some(held) = self.tickets.confirm(ticket) else { return };
        self.answer_bytes(held.connection, &held.bytes, held.batch, out);
    }
}

/// Encodes SUBACK, with a Reason String if something was refused.
fn encode_suback(connection: &Connection, packet_id: PacketId, codes: &[ReasonCode]) -> Vec<u8> {
    let refused = codes.iter().find(|code| code.is_error());
    let items = [Property::ReasonString(refused.map_or("", |code| code.name()))];
    let version = connection.version;
    // [MQTT-2.2.1-6] [MQTT3-2.3.1-7]
    let mut suback =
        Suback { packet_id, properties: PropertyList::EMPTY, reason_codes: ReasonCodes::from_slice(codes) };
    let mut bytes = Vec::new();
    if refused.is_some() {
        suback.properties = explanation(&items, connection, |properties| {
            Suback { properties, ..suback }.encoded_len(version)
        });
    }
    suback.encode(version, &mut bytes).expect("one code for each filter received");
    bytes
}
