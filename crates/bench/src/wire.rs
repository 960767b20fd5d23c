//! Packets made ready beforehand; a message on its way changes only its Packet Identifier and the head of its payload.

use dunlin_packet::connect::Connect;
use dunlin_packet::error::EncodeError;
use dunlin_packet::fixed_header::Frame;
use dunlin_packet::packet_identifier::PacketId;
use dunlin_packet::packet_type::PacketType;
use dunlin_packet::property::list::PropertyList;
use dunlin_packet::property::value::Property;
use dunlin_packet::publish::Publish;
use dunlin_packet::qos::QoS;
use dunlin_packet::subscribe::{Subscribe, SubscriptionFilters, SubscriptionOptions, SubscriptionRequest};
use dunlin_packet::topic::name::TopicName;
use dunlin_packet::version::ProtocolVersion;

/// Bytes at the front of every payload; the smallest payload has nothing else.
pub(crate) const HEAD_LEN: usize = 16;
/// Streams a run can number: publishers times topics.
pub(crate) const STREAMS_MAX: usize = 1 << STREAM_BITS;
const STREAM_BITS: u32 = 20;

/// PINGREQ (3.12).
pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];
/// DISCONNECT (3.14) that ends the connection as usual, in every version.
pub(crate) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// What the front of a payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// When the message was to be sent, in nanoseconds since the UNIX epoch.
    pub(crate) time: u64,
    /// The number of the message in its stream; it wraps.
    pub(crate) number: u32,
    /// Publisher and topic, below [`STREAMS_MAX`].
    pub(crate) stream: u32,
    /// Tells the messages of one run from those of another; below 4,096.
    pub(crate) tag: u32,
}

impl Head {
    #[inline]
    fn to_bytes(self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..8].copy_from_slice(&self.time.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.number.to_le_bytes());
        bytes[12..].copy_from_slice(&(self.tag << STREAM_BITS | self.stream).to_le_bytes());
        bytes
    }

    /// Reads the front of `payload`; nothing if it is too short.
    #[inline]
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (time, rest) = payload.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (last, _) = rest.split_first_chunk::<4>()?;
        let last = u32::from_le_bytes(*last);
        Some(Self {
            time: u64::from_le_bytes(*time),
            number: u32::from_le_bytes(*number),
            stream: last & (STREAMS_MAX as u32 - 1),
            tag: last >> STREAM_BITS,
        })
    }
}

/// A payload of `len` bytes, 0 or at least [`HEAD_LEN`]; behind the head it is the same in every message, and not what
/// compresses best.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(7)).collect()
}

/// A PUBLISH made ready.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    packet_id_at: Option<usize>,
    payload_at: usize,
}

impl Template {
    /// Encodes a message to `topic_name`.
    ///
    /// # Errors
    /// The packet would be greater than a packet can be.
    pub(crate) fn new(
        version: ProtocolVersion,
        topic_name: TopicName<'_>,
        qos: QoS,
        retain: bool,
        payload: &[u8],
    ) -> Result<Self, EncodeError> {
        let packet_id = (qos != QoS::AtMostOnce).then_some(PacketId::new(1)).flatten();
        let publish = Publish {
            dup: false,
            qos,
            retain,
            topic_name: Some(topic_name),
            packet_id,
            properties: PropertyList::EMPTY,
            payload,
        };
        let mut bytes = Vec::new();
        publish.encode(version, &mut bytes)?;
        let payload_at = bytes.len() - payload.len();
        // Behind the Packet Identifier stand the Properties: one byte, since there are none.
        let properties_len = usize::from(version.has_properties());
        let packet_id_at = packet_id.map(|_| payload_at - properties_len - 2);
        Ok(Self { bytes, packet_id_at, payload_at })
    }

    /// Appends the message to `out`. `packet_id` is used with QoS 1 and 2 and is not 0.
    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>, packet_id: u16, head: Head) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let message = &mut out[start..];
        if let Some(at) = self.packet_id_at {
            message[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        if let Some(front) = message.get_mut(self.payload_at..self.payload_at + HEAD_LEN) {
            front.copy_from_slice(&head.to_bytes());
        }
    }
}

/// An acknowledgement in its shortest form (3.4 to 3.7).
#[inline]
pub(crate) fn acknowledgement(packet_type: PacketType, packet_id: u16) -> [u8; 4] {
    let flags = if packet_type == PacketType::Pubrel { 0b0010 } else { 0 };
    let [high, low] = packet_id.to_be_bytes();
    [packet_type.value() << 4 | flags, 2, high, low]
}

/// What the hot path needs of an acknowledgement: the Packet Identifier, and whether it says no. Nothing if it is too
/// short to be one.
#[inline]
pub(crate) fn acknowledged(body: &[u8]) -> Option<(u16, bool)> {
    let (packet_id, rest) = body.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*packet_id), rest.first().is_some_and(|code| *code >= 0x80)))
}

/// What the hot path needs of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// 0 with QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads it; nothing if it is cut short. The Topic Name and the Properties are passed over: numbers in the payload
    /// tell whether the message is the right one.
    #[inline]
    pub(crate) fn read(has_properties: bool, frame: &Frame<'a>) -> Option<Self> {
        let qos = frame.header.flags >> 1 & 0b11;
        let (topic_len, rest) = frame.body.split_first_chunk::<2>()?;
        let mut rest = rest.get(usize::from(u16::from_be_bytes(*topic_len))..)?;
        let mut packet_id = 0;
        if qos > 0 {
            let (bytes, after) = rest.split_first_chunk::<2>()?;
            packet_id = u16::from_be_bytes(*bytes);
            rest = after;
        }
        if has_properties {
            let mut len = 0;
            let mut at = 0;
            loop {
                let byte = *rest.get(at)?;
                len |= usize::from(byte & 0x7F) << (7 * at);
                at += 1;
                if byte & 0x80 == 0 || at == 4 {
                    break;
                }
            }
            rest = rest.get(at + len..)?;
        }
        Some(Self { qos, retain: frame.header.flags & 1 != 0, packet_id, payload: rest })
    }
}

/// Who connects, and how.
#[derive(Clone, Debug)]
pub(crate) struct Greeting<'a> {
    pub(crate) version: ProtocolVersion,
    pub(crate) client_id: &'a str,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive_s: u16,
    /// Only sent in MQTT 5.
    pub(crate) session_expiry_s: u32,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
}

impl Greeting<'_> {
    /// Appends CONNECT to `out`.
    ///
    /// # Errors
    /// A text that is too long or has a null character, a password without a user before MQTT 5.
    pub(crate) fn put(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let expiry = [Property::SessionExpiryInterval(self.session_expiry_s)];
        let has_expiry = self.version.has_properties() && self.session_expiry_s > 0;
        let properties = if has_expiry { PropertyList::from_items(&expiry) } else { PropertyList::EMPTY };
        let connect = Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_s: self.keep_alive_s,
            client_id: self.client_id,
            properties,
            will: None,
            user_name: self.user_name,
            password: self.password,
            is_bridge: false,
        };
        connect.encode(self.version, out)
    }
}

/// Appends a SUBSCRIBE for all of `filters` to `out`.
///
/// # Errors
/// A filter that is too long.
pub(crate) fn put_subscribe(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    packet_id: PacketId,
    filters: &[String],
    qos: QoS,
) -> Result<(), EncodeError> {
    let options = SubscriptionOptions::with_qos(qos);
    let requests: Vec<_> =
        filters.iter().map(|topic_filter| SubscriptionRequest { topic_filter, options }).collect();
    let filters = SubscriptionFilters::from_slice(&requests);
    Subscribe { packet_id, properties: PropertyList::EMPTY, filters }.encode(version, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head { time: 1_700_000_000_123_456_789, number: 7, stream: 0xF_1234, tag: 0xABC };

    #[test]
    fn a_message_is_what_an_encoder_would_make() {
        let topic_name = TopicName::parse("bench/1").unwrap();
        for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5_0] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let template = Template::new(version, topic_name, qos, true, &payload(40)).unwrap();
                let mut bytes = vec![0xFF];
                template.put(&mut bytes, 0x0102, HEAD);
                let frame = Frame::split(&bytes[1..], u32::MAX).unwrap().unwrap();
                let publish = Publish::decode(version, frame.header, frame.body).unwrap();
                assert_eq!(publish.topic_name, Some(topic_name));
                let message = Message::read(version.has_properties(), &frame).unwrap();
                assert_eq!(message.payload, publish.payload);
                assert_eq!((message.qos, message.retain), (qos.value(), true));
                let packet_id = publish.packet_id.map_or(0, PacketId::value);
                assert_eq!(message.packet_id, packet_id);
                assert_eq!(packet_id, if qos == QoS::AtMostOnce { 0 } else { 0x0102 });
                assert_eq!(Head::read(message.payload), Some(HEAD));
                assert_eq!(message.payload[HEAD_LEN..], payload(40)[HEAD_LEN..]);
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        let topic_name = TopicName::parse("a").unwrap();
        let version = ProtocolVersion::V5_0;
        let template =
            Template::new(version, topic_name, QoS::AtLeastOnce, false, &payload(HEAD_LEN)).unwrap();
        let mut bytes = Vec::new();
        template.put(&mut bytes, 1, HEAD);
        let frame = Frame::split(&bytes, u32::MAX).unwrap().unwrap();
        for len in 0..6 {
            let cut = Frame { body: &frame.body[..len], ..frame };
            assert_eq!(Message::read(true, &cut), None, "{len}");
        }
        assert_eq!(Head::read(&[0; HEAD_LEN - 1]), None);
        assert_eq!(acknowledged(&[1]), None);
    }

    #[test]
    fn acknowledgements_are_what_an_encoder_would_make() {
        use dunlin_packet::acks::Ack;
        for packet_type in [PacketType::Puback, PacketType::Pubrec, PacketType::Pubrel, PacketType::Pubcomp] {
            let mut bytes = Vec::new();
            let ack = Ack::success(PacketId::new(0x1234).unwrap());
            ack.encode(packet_type, ProtocolVersion::V5_0, &mut bytes).unwrap();
            assert_eq!(acknowledgement(packet_type, 0x1234)[..], bytes[..]);
        }
        assert_eq!(acknowledged(&[0x12, 0x34, 0x87]), Some((0x1234, true)));
        assert_eq!(acknowledged(&[0x12, 0x34]), Some((0x1234, false)));
    }
}
