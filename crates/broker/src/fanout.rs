//! One Application Message for many receivers: encoded once for each variant (3.3, 4.3).

use std::num::NonZeroU32;

use dunlin_packet::{
    packet_identifier::PacketId,
    property::{list::PropertyList, value::Property},
    publish::Publish,
    qos::QoS,
    version::ProtocolVersion,
};
use dunlin_protocol::{time::Instant, topic_aliases::AliasChoice};
use smallvec::SmallVec;

use crate::{connection::Connection, ids::ConnectionId, message::View, output::Outbox};

/// What is particular to one hop of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Set for a packet that was sent before, whatever the publisher's flag was. [MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT3-3.3.1-3]
    pub(crate) dup: bool,
    /// With QoS 1 and 2 only. [MQTT-2.2.1-2]
    pub(crate) packet_id: Option<PacketId>,
}

/// Writes a PUBLISH for one Client. Returns `false`, having written nothing, if it is larger than the Client takes.
/// [MQTT-3.1.2-24]
pub(crate) fn write_publish(
    connection: &mut Connection,
    id: ConnectionId,
    view: &View<'_>,
    hop: Hop,
    identifiers: &[NonZeroU32],
    now: Instant,
    out: &mut Outbox,
) -> bool {
    let mut items = SmallVec::<[Property<'_>; 4]>::new();
    if connection.version.has_properties() {
        if let Some(expires_at) = view.facts.expires_at {
            items.push(Property::MessageExpiryInterval(remaining_s(expires_at, now))); // [MQTT-3.3.2-6]
        }
        // [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
        items.extend(identifiers.iter().map(|identifier| Property::SubscriptionIdentifier(identifier.get())));
    }
    let maximum = connection.maximum_packet_size as usize;
    let len = packet_of(view, hop, &items).encoded_len(connection.version).unwrap_or(usize::MAX);
    if len > maximum {
        return false;
    }
    let mut is_known = false;
    if let Some(aliases) = connection.outbound_aliases()
        && len.saturating_add(ALIAS_BYTES_MAX) <= maximum
    {
        match aliases.choose(view.topic_name.as_str()) {
            AliasChoice::None => {}
            AliasChoice::New(alias) => items.push(Property::TopicAlias(alias)),
            AliasChoice::Known(alias) => {
                items.push(Property::TopicAlias(alias));
                is_known = true;
            }
        }
    }
    let mut publish = packet_of(view, hop, &items);
    if is_known {
        publish.topic_name = None;
    }
    publish.encode(connection.version, out.buffer(id)).expect("its length was computed before");
    true
}

/// A Topic Alias and what it may add to the lengths before it.
const ALIAS_BYTES_MAX: usize = 5;

fn packet_of<'a>(view: &View<'a>, hop: Hop, items: &'a [Property<'a>]) -> Publish<'a> {
    Publish {
        dup: hop.dup,
        qos: hop.qos,
        retain: hop.retain,
        topic_name: Some(view.topic_name),
        packet_id: hop.packet_id,
        properties: PropertyList::with_encoded(items, view.properties),
        payload: view.payload,
    }
}

/// Whole seconds until `expires_at`: the interval received less the whole seconds waited.
fn remaining_s(expires_at: Instant, now: Instant) -> u32 {
    let ms = expires_at.as_ms().saturating_sub(now.as_ms());
    u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// The variants of one message that have been encoded.
#[derive(Debug, Default)]
pub(crate) struct FrameCache {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    has_properties: bool,
    qos: QoS,
    retain: bool,
    start: usize,
    end: usize,
    /// Where the Packet Identifier stands, if there is one.
    packet_id_at: usize,
}

impl FrameCache {
    /// Forgets the message before.
    pub(crate) fn start(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }

    /// Writes a PUBLISH like [`write_publish`] for a Client that takes it without alias and identifiers.
    pub(crate) fn write(
        &mut self,
        connection: &Connection,
        id: ConnectionId,
        view: &View<'_>,
        hop: Hop,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        let has_properties = connection.version.has_properties();
        let known = self.frames.iter().find(|frame| {
            frame.qos == hop.qos && frame.retain == hop.retain && frame.has_properties == has_properties
        });
        let frame = match known {
            Some(frame) => *frame,
            None => self.encode(connection.version, view, hop, now),
        };
        let bytes = &self.bytes[frame.start..frame.end];
        if bytes.len() > connection.maximum_packet_size as usize {
            return false;
        }
        let buffer = out.buffer(id);
        let start = buffer.len();
        buffer.extend_from_slice(bytes);
        if let Some(packet_id) = hop.packet_id {
            let at = start + frame.packet_id_at;
            buffer[at..at + 2].copy_from_slice(&packet_id.value().to_be_bytes());
        }
        true
    }

    fn encode(&mut self, version: ProtocolVersion, view: &View<'_>, hop: Hop, now: Instant) -> Frame {
        let expiry = view.facts.expires_at.map(|at| [Property::MessageExpiryInterval(remaining_s(at, now))]);
        let items = expiry.as_ref().map_or(&[][..], |items| &items[..]);
        let publish = packet_of(view, hop, items);
        let start = self.bytes.len();
        publish.encode(version, &mut self.bytes).expect("a message that was received fits");
        let header = 1 + self.bytes[start + 1..].iter().take_while(|&&byte| byte >= 0x80).count() + 1;
        let frame = Frame {
            has_properties: version.has_properties(),
            qos: hop.qos,
            retain: hop.retain,
            start,
            end: self.bytes.len(),
            packet_id_at: header + 2 + view.topic_name.as_str().len(),
        };
        self.frames.push(frame);
        frame
    }
}
