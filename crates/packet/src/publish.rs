//! PUBLISH (3.3).

use crate::{
    error::{DecodeError, EncodeError},
    fixed_header::FixedHeader,
    packet_identifier::PacketId,
    packet_type::PacketType,
    property::{identifier::PropertyPlace, list::PropertyList},
    qos::QoS,
    topic::name::TopicName,
    version::ProtocolVersion,
    wire::{
        reader::{self, Reader},
        text, variable_byte_integer,
        writer::{self, Buffer},
    },
};

/// An Application Message on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish<'a> {
    /// Set if this is the sender's own second attempt. [MQTT-3.3.1-1] [MQTT3-3.3.1-1]
    pub dup: bool,
    /// Quality of Service of this hop.
    pub qos: QoS,
    /// RETAIN (3.3.1.3).
    pub retain: bool,
    /// `None` if it is empty on the wire, which only version 5.0 allows: then a Topic Alias stands for it.
    pub topic_name: Option<TopicName<'a>>,
    /// There with QoS 1 and 2 only. [MQTT-2.2.1-2] [MQTT3-2.3.1-5]
    pub packet_id: Option<PacketId>,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
    /// The Application Message; may be empty.
    pub payload: &'a [u8],
}

/// A part of a packet's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// Offset of the first byte in the body.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

impl Span {
    /// Returns the bytes of `body` that the span stands for; none if `body` is another, shorter one.
    #[inline]
    #[must_use]
    pub fn of(self, body: &[u8]) -> &[u8] {
        body.get(self.start as usize..self.end() as usize).unwrap_or_default()
    }

    /// Returns the offset after the last byte.
    #[inline]
    #[must_use]
    pub const fn end(self) -> u32 {
        self.start + self.len
    }
}

/// Where the parts of a PUBLISH stand in its body, for a receiver that keeps the body as it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishLayout {
    /// The Topic Name without its length; empty if a Topic Alias stands for it.
    pub topic: Span,
    /// The Properties without Property Length.
    pub properties: Span,
    /// Offset of the payload, which goes on to the end of the body.
    pub payload_start: u32,
}

impl<'a> Publish<'a> {
    /// Decodes the packet whose fixed header is `header`.
    ///
    /// # Errors
    /// See [`DecodeError`]: QoS 3, DUP with QoS 0, a Topic Name that is none, Packet Identifier 0, bad Properties.
    #[inline(always)] // see `decode_with_layout`
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        Self::decode_with_layout(version, header, body).map(|(publish, _)| publish)
    }

    /// Decodes like [`decode`](Self::decode) and tells where in `body` the parts stand.
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode).
    #[inline(always)] // else 100 bytes of result are copied twice: 10 ns of 30
    pub fn decode_with_layout(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<(Self, PublishLayout), DecodeError> {
        let flags = header.flags;
        let qos = QoS::from_value(flags >> 1 & 0b11).ok_or(DecodeError::InvalidPublishQoS)?;
        let dup = flags & 0b1000 != 0;
        if dup && qos == QoS::AtMostOnce {
            return Err(DecodeError::DupWithQoS0); // [MQTT-3.3.1-2] [MQTT3-3.3.1-2]
        }
        let mut reader = Reader::new(PacketType::Publish, body);
        let topic_field = reader.binary()?; // [MQTT-3.3.2-1] [MQTT3-3.3.2-1]
        let topic_name = decode_topic_name(version, topic_field)?;
        let packet_id = match qos {
            QoS::AtMostOnce => None, // [MQTT-2.2.1-2] [MQTT3-2.3.1-5]
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
        };
        let properties =
            PropertyList::decode(version, PropertyPlace::Packet(PacketType::Publish), &mut reader)?;
        if topic_name.is_none() && properties.topic_alias().is_none() {
            return Err(DecodeError::NoTopicName); // 3.3.2.1
        }
        let payload = reader.rest();
        let payload_start = (body.len() - payload.len()) as u32;
        let properties_len = properties.encoded().len() as u32;
        let layout = PublishLayout {
            topic: Span { start: 2, len: topic_field.len() as u32 },
            properties: Span { start: payload_start - properties_len, len: properties_len },
            payload_start,
        };
        Ok((Self { dup, qos, retain: flags & 1 != 0, topic_name, packet_id, properties, payload }, layout))
    }

    /// Appends the packet to `out`; before version 5.0 without its Properties.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`]: Packet Identifier missing with QoS 1 or 2 or there with QoS 0, DUP with QoS 0, no
    /// Topic Name without Topic Alias. [`EncodeError::InvalidProperty`], [`EncodeError::TooLarge`],
    /// [`EncodeError::BufferFull`].
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        let remaining_length = self.remaining_length(version)?;
        let packet_len = writer::packet_len(remaining_length)?;
        out.reserve(packet_len)?;
        let topic = self.topic_bytes();
        let (head, head_len) = self.head(remaining_length as u32, topic.len() as u16);
        out.put(head.get(..head_len).unwrap_or_default())?;
        out.put(topic)?;
        if let Some(packet_id) = self.packet_id {
            writer::put_packet_id(out, packet_id)?;
        }
        self.properties.put(version, out)?;
        out.put(self.payload)
    }

    /// Returns the number of bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), but for [`EncodeError::BufferFull`].
    #[inline]
    pub fn encoded_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        writer::packet_len(self.remaining_length(version)?)
    }

    #[inline]
    fn remaining_length(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        let is_acknowledged = self.qos != QoS::AtMostOnce;
        let has_topic =
            self.topic_name.is_some() || version.has_properties() && self.properties.topic_alias().is_some();
        if self.packet_id.is_some() != is_acknowledged || self.dup && !is_acknowledged || !has_topic {
            return Err(EncodeError::InvalidPacket);
        }
        let topic_len = text::binary_encoded_len(self.topic_bytes())?;
        let packet_id_len = if is_acknowledged { 2 } else { 0 };
        let properties_len = self.properties.put_len(version, PropertyPlace::Packet(PacketType::Publish))?;
        Ok((topic_len + packet_id_len + properties_len).saturating_add(self.payload.len()))
    }

    /// Fixed header and length of the Topic Name; 4 to 7 bytes.
    #[inline]
    fn head(&self, remaining_length: u32, topic_len: u16) -> ([u8; 8], usize) {
        let first = PacketType::Publish.value() << 4
            | u8::from(self.dup) << 3
            | self.qos.value() << 1
            | u8::from(self.retain);
        let [high, low] = topic_len.to_be_bytes();
        if remaining_length < 0x80 {
            return ([first, remaining_length as u8, high, low, 0, 0, 0, 0], 4);
        }
        let ([a, b, c, d], len) = variable_byte_integer::encode(remaining_length);
        match len {
            2 => ([first, a, b, high, low, 0, 0, 0], 5),
            3 => ([first, a, b, c, high, low, 0, 0], 6),
            _ => ([first, a, b, c, d, high, low, 0], 7),
        }
    }

    #[inline]
    fn topic_bytes(&self) -> &'a [u8] {
        self.topic_name.map_or(&[], |topic_name| topic_name.as_str().as_bytes())
    }
}

/// Takes the field as a Topic Name; empty stands for a Topic Alias in version 5.0.
#[inline]
fn decode_topic_name<'a>(
    version: ProtocolVersion,
    field: &'a [u8],
) -> Result<Option<TopicName<'a>>, DecodeError> {
    let packet_type = PacketType::Publish;
    if field.is_empty() && version.has_properties() {
        return Ok(None);
    }
    match TopicName::from_field(field) {
        Ok(Ok(topic_name)) => Ok(Some(topic_name)),
        Ok(Err(error)) => Err(DecodeError::InvalidTopicName { packet_type, error }),
        Err(fault) => Err(reader::text_error(packet_type, fault)),
    }
}
