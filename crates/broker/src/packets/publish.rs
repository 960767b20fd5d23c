//! PUBLISH (3.3).

use dunlin_packet::{
    fixed_header::Frame,
    packet::PacketType,
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    publish::{Publish, PublishLayout},
    qos::QoS,
    reason_code::ReasonCode,
    topic::name::TopicName,
};
use dunlin_protocol::{inbound::Received, time::Instant, topic_aliases::AliasError};

use crate::{
    connection::Flow,
    ids::ConnectionId,
    message::{MessageFacts, View},
    output::Outbox,
    publication::Publication,
    state::State,
};

/// A rule that a PUBLISH breaks: the Reason Code and words for people.
type Objection = (ReasonCode, &'static str);

impl State {
    pub(crate) fn receive_publish(
        &mut self,
        now: Instant,
        id: ConnectionId,
        frame: Frame<'_>,
        out: &mut Outbox,
    ) -> Flow {
        self.counters.publishes_received += 1;
        let version = self.connection(id).version;
        let (publish, layout) = match Publish::decode_with_layout(version, frame.header, frame.body) {
            Ok(decoded) => decoded,
            Err(error) => return self.fault(now, id, error.reason_code(), &error.to_string(), out),
        };
        self.counters.payload_bytes_received += publish.payload.len() as u64;
        if let Err((code, reason)) = self.check_offered(&publish) {
            return self.fault(now, id, code, reason, out);
        }
        // A topic that an alias stands for is copied: the alias may change while the message is under way.
        let mut topic = std::mem::take(&mut self.scratch.topic);
        let flow = match self.resolve(id, &publish, &mut topic) {
            Err((code, reason)) => self.fault(now, id, code, reason, out),
            Ok(topic_name) => self.accept(now, id, &publish, topic_name, layout, frame.body, out),
        };
        self.scratch.topic = topic;
        flow
    }

    /// What the Server has said in CONNACK that it does not take, and what only a Server may send.
    fn check_offered(&self, publish: &Publish<'_>) -> Result<(), Objection> {
        let settings = &self.settings;
        if publish.qos > settings.maximum_qos {
            return Err((ReasonCode::QoSNotSupported, "PUBLISH above the Maximum QoS")); // [MQTT-3.2.2-11]
        }
        if publish.retain && !settings.retain_available {
            return Err((ReasonCode::RetainNotSupported, "RETAIN is not available")); // [MQTT-3.2.2-14]
        }
        if publish.properties.is_empty() {
            return Ok(());
        }
        if publish.properties.subscription_identifiers().next().is_some() {
            // [MQTT-3.3.4-6]
            return Err((ReasonCode::ProtocolError, "PUBLISH from a Client with a Subscription Identifier"));
        }
        if publish.properties.user_properties().count() > settings.user_properties_max as usize {
            return Err((ReasonCode::QuotaExceeded, "too many User Properties"));
        }
        Ok(())
    }

    /// The Topic Name, which a Topic Alias may stand for. [MQTT-3.3.2-7]
    fn resolve<'t>(
        &mut self,
        id: ConnectionId,
        publish: &Publish<'t>,
        memory: &'t mut String,
    ) -> Result<TopicName<'t>, Objection> {
        let alias = publish.properties.topic_alias();
        if let (None, Some(topic_name)) = (alias, publish.topic_name) {
            return Ok(topic_name);
        }
        let topic_name = publish.topic_name.map(TopicName::as_str);
        let resolved = match self.connection(id).extras.as_deref_mut() {
            Some(extras) => extras.inbound_aliases.resolve(topic_name, alias),
            None => topic_name.ok_or(AliasError::NoTopic),
        };
        match resolved {
            Ok(topic) => {
                memory.clear();
                memory.push_str(topic);
                Ok(TopicName::parse(memory).expect("an alias stands for a Topic Name"))
            }
            Err(AliasError::Zero | AliasError::AboveMaximum) => {
                // [MQTT-3.3.2-8] [MQTT-3.3.2-9]
                Err((ReasonCode::TopicAliasInvalid, "the Topic Alias is outside of what the Server allows"))
            }
            Err(AliasError::Unknown | AliasError::NoTopic) => {
                Err((ReasonCode::ProtocolError, "an empty Topic Name without a known Topic Alias"))
            }
        }
    }

    /// Takes the message over, unless it is a duplicate or not allowed, and acknowledges it. [MQTT-3.3.4-1]
    #[expect(clippy::too_many_arguments, reason = "the decoded packet in its parts")]
    fn accept(
        &mut self,
        now: Instant,
        id: ConnectionId,
        publish: &Publish<'_>,
        topic_name: TopicName<'_>,
        layout: PublishLayout,
        body: &[u8],
        out: &mut Outbox,
    ) -> Flow {
        let (connection, session) = self.both(id);
        if connection.held > HELD_MAX {
            let reason = "more messages wait for their acknowledgement than there are Packet Identifiers";
            return self.fault(now, id, ReasonCode::ReceiveMaximumExceeded, reason, out);
        }
        match session.inbound.publish(publish.qos, publish.packet_id) {
            Ok(Received::New) => {}
            Ok(Received::Duplicate) => {
                // [MQTT-4.3.3-10]
                self.acknowledge(id, publish.qos, publish.packet_id, ReasonCode::Success, false, out);
                return Flow::Open;
            }
            Err(error) => {
                let reason = error.to_string();
                return self.fault(now, id, ReasonCode::ReceiveMaximumExceeded, &reason, out); // [MQTT-3.3.4-7]
            }
        }
        let refusal = self.refusal(now, id, publish, topic_name).or_else(|| {
            let is_promised = publish.qos > QoS::AtMostOnce;
            let is_refused = is_promised && self.is_kept_out(topic_name)
                || self.cannot_keep(topic_name, publish.qos, publish.retain);
            is_refused.then_some(ReasonCode::QuotaExceeded)
        });
        if let Some(code) = refusal {
            return self.refuse_publish(now, id, publish, code, out);
        }
        let facts = MessageFacts {
            qos: publish.qos,
            retain: publish.retain,
            expires_at: publish
                .properties
                .message_expiry_interval_s()
                .map(|seconds| now + std::time::Duration::from_secs(u64::from(seconds))),
            publisher: self.both(id).1.publisher,
        };
        let changes = out.batch.len();
        let is_wanted = self.publish_received(now, id, publish, topic_name, facts, layout, body, out);
        self.file_received(id, publish, out);
        let is_filed = out.batch.len() > changes;
        let code = if is_wanted { ReasonCode::Success } else { ReasonCode::NoMatchingSubscribers };
        self.acknowledge(id, publish.qos, publish.packet_id, code, is_filed, out);
        Flow::Open
    }

    /// A kept Session remembers a QoS 2 identifier, in the batch that files the message itself. [MQTT-4.3.3-10]
    fn file_received(&mut self, id: ConnectionId, publish: &Publish<'_>, out: &mut Outbox) {
        let (_, session) = self.both(id);
        if let (QoS::ExactlyOnce, true, Some(packet_id)) = (publish.qos, session.is_kept(), publish.packet_id)
        {
            out.batch.put_received(session.owner, packet_id);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the decoded packet in its parts")]
    fn publish_received(
        &mut self,
        now: Instant,
        id: ConnectionId,
        publish: &Publish<'_>,
        topic_name: TopicName<'_>,
        facts: MessageFacts,
        layout: PublishLayout,
        body: &[u8],
        out: &mut Outbox,
    ) -> bool {
        let publisher = publish.retain.then(|| self.both(id).1.permissions.identity());
        let properties = publish.properties.encoded();
        let is_forwarded_as_is = publish.topic_name.is_some()
            && (properties.is_empty()
                || publish.properties.topic_alias().is_none() && facts.expires_at.is_none());
        if is_forwarded_as_is {
            let view = View { topic_name, properties, payload: publish.payload, facts };
            let mut publication = Publication::of_body(view, body, layout);
            publication.publisher = publisher;
            return self.publish(now, &mut publication, out);
        }
        let mut encoded = std::mem::take(&mut self.scratch.properties);
        encoded.clear();
        forwarded_properties(&publish.properties, &mut encoded);
        let view = View { topic_name, properties: &encoded, payload: publish.payload, facts };
        let mut publication = Publication::of_parts(view);
        publication.publisher = publisher;
        let is_wanted = self.publish(now, &mut publication, out);
        self.scratch.properties = encoded;
        is_wanted
    }

    /// Why a well-formed message is not taken, if so.
    fn refusal(
        &mut self,
        now: Instant,
        id: ConnectionId,
        publish: &Publish<'_>,
        topic_name: TopicName<'_>,
    ) -> Option<ReasonCode> {
        let levels_max = self.settings.topic_levels_max as usize;
        let separators = topic_name.as_str().bytes().filter(|&byte| byte == b'/').count();
        if separators >= levels_max {
            return Some(ReasonCode::TopicNameInvalid);
        }
        let index = self.connection(id).session;
        if !self.may_publish(now, index, publish, topic_name) {
            return Some(ReasonCode::NotAuthorized);
        }
        None
    }

    /// A 5.0 Client is told with QoS 1 and 2; 3.x has no way to say no but to close or to acknowledge. [MQTT3-3.3.5-2]
    fn refuse_publish(
        &mut self,
        now: Instant,
        id: ConnectionId,
        publish: &Publish<'_>,
        code: ReasonCode,
        out: &mut Outbox,
    ) -> Flow {
        let is_quiet = match code {
            ReasonCode::NotAuthorized => !self.settings.close_denied_3x,
            ReasonCode::QuotaExceeded => !self.settings.close_refused_3x,
            _ => false,
        };
        let (connection, session) = self.both(id);
        if code != ReasonCode::NotAuthorized {
            let topic = publish.topic_name.map(TopicName::as_str);
            session.tell_refusal(now, "PUBLISH", topic, code);
        }
        let is_told = connection.version.has_properties();
        if (is_told || !is_quiet)
            && let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id)
        {
            // Sent again, also on another connection, it is a new message. [MQTT-4.3.3-9]
            session.inbound.refuse(packet_id);
        }
        if !is_told && !is_quiet {
            return match code {
                ReasonCode::QuotaExceeded => self.disconnect(now, id, code, code.name(), out), // No fault of the Client's.
                _ => self.fault(now, id, code, code.name(), out),
            };
        }
        self.acknowledge(id, publish.qos, publish.packet_id, code, false, out);
        Flow::Open
    }

    /// Answers PUBACK or PUBREC. [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT3-4.3.2-2] [MQTT3-4.3.3-2]
    ///
    /// They leave in the order in which the messages came. [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]
    fn acknowledge(
        &mut self,
        id: ConnectionId,
        qos: QoS,
        packet_id: Option<PacketId>,
        code: ReasonCode,
        is_filed: bool,
        out: &mut Outbox,
    ) {
        let Some(packet_id) = packet_id else { return }; // QoS 0
        let packet_type = if qos == QoS::AtLeastOnce { PacketType::Puback } else { PacketType::Pubrec };
        self.answer_ack(id, packet_type, packet_id, code, is_filed, out);
    }
}

/// Packets held back for one Client: as many as there are Packet Identifiers each way.
const HELD_MAX: u32 = 2 * 65_535;

/// Appends the Properties that are forwarded unaltered and in order to `out`, encoded. [MQTT-3.3.2-4] [MQTT-3.3.2-15]
/// [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
pub(crate) fn forwarded_properties(properties: &PropertyList<'_>, out: &mut Vec<u8>) {
    for property in properties.iter() {
        let is_hop_local = matches!(
            property,
            Property::TopicAlias(_) | Property::MessageExpiryInterval(_) | Property::WillDelayInterval(_)
        );
        if !is_hop_local {
            property.encode(out).expect("a received Property fits into memory");
        }
    }
}
