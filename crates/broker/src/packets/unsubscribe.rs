//! UNSUBSCRIBE (3.10), UNSUBACK (3.11).

use dunlin_packet::{
    property::{list::PropertyList, value::Property},
    reason_code::ReasonCode,
    suback::ReasonCodes,
    topic::filter::TopicFilter,
    unsuback::Unsuback,
    unsubscribe::Unsubscribe,
};
use dunlin_protocol::time::Instant;

use crate::{
    connection::Flow, ids::ConnectionId, output::Outbox, reply::explanation, routing::group_mail::GroupMail,
    state::State, topics::ids::SessionIndex,
};

impl State {
    pub(crate) fn receive_unsubscribe(
        &mut self,
        now: Instant,
        id: ConnectionId,
        packet: &Unsubscribe<'_>,
        out: &mut Outbox,
    ) -> Flow {
        if packet.properties.user_properties().count() > self.settings.user_properties_max as usize {
            return self.fault(now, id, ReasonCode::QuotaExceeded, "too many User Properties", out);
        }
        let index = self.connection(id).session;
        let changes = out.batch.len();
        // In order, as if each came alone. [MQTT-3.10.4-6] [MQTT3-3.10.4-6]
        let codes: Vec<ReasonCode> =
            packet.filters.iter().map(|text| self.unsubscribe(now, index, text, out)).collect();
        let mut unsuback = Unsuback {
            packet_id: packet.packet_id, // [MQTT-2.2.1-6] [MQTT-3.10.4-4] [MQTT3-2.3.1-7] [MQTT3-3.10.4-4]
            properties: PropertyList::EMPTY,
            reason_codes: ReasonCodes::from_slice(&codes), // [MQTT-3.11.3-1]
        };
        let connection = self.connection(id);
        let version = connection.version;
        let refused = codes.iter().find(|code| code.is_error());
        let items = [Property::ReasonString(refused.map_or("", |code| code.name()))];
        if refused.is_some() {
            unsuback.properties = explanation(&items, connection, |properties| {
                Unsuback { properties, ..unsuback }.encoded_len(version)
            });
        }
        // [MQTT-3.10.4-5] [MQTT3-3.10.4-5]
        let mut bytes = Vec::new();
        unsuback.encode(version, &mut bytes).expect("one code for each filter received");
        let batch = (out.batch.len() > changes).then(|| out.batch_number());
        self.answer_bytes(id, &bytes, batch, out);
        Flow::Open
    }

    /// Removes the Subscription with exactly this filter; what is in flight is finished. [MQTT-3.10.4-1] [MQTT-3.10.4-2]
    /// [MQTT-3.10.4-3] [MQTT3-3.10.4-1] [MQTT3-3.10.4-2] [MQTT3-3.10.4-3]
    pub(crate) fn unsubscribe(
        &mut self,
        now: Instant,
        index: SessionIndex,
        text: &str,
        out: &mut Outbox,
    ) -> ReasonCode {
        let Ok(filter) = TopicFilter::parse(text) else { return ReasonCode::TopicFilterInvalid };
        if filter.share().is_some() {
            let member = self.member(index);
            let shares = &mut self.sessions[index].shares;
            let Some(position) = shares.iter().position(|share| share.group.as_str() == text) else {
                return ReasonCode::NoSubscriptionExisted;
            };
            let group = shares.remove(position).group;
            self.unfile_subscription(index, group.as_str(), out);
            self.send_to_group(now, GroupMail::Leave { group, member }, out);
            return ReasonCode::Success;
        }
        let Some(filter_id) = self.subscriptions.find(filter) else {
            return ReasonCode::NoSubscriptionExisted;
        };
        let filters = &mut self.sessions[index].filters;
        let Some(position) = filters.iter().position(|&known| known == filter_id) else {
            return ReasonCode::NoSubscriptionExisted;
        };
        filters.swap_remove(position);
        self.unfile_subscription(index, text, out);
        let was_kept = self.sessions[index].was_kept;
        self.remove_filter(filter_id, index, was_kept, &mut String::new());
        ReasonCode::Success
    }
}
