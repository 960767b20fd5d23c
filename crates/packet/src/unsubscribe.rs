//! UNSUBSCRIBE (3.10).

use core::{fmt, slice};

use crate::{
    error::{DecodeError, EncodeError},
    fixed_header::FixedHeader,
    packet_identifier::PacketId,
    packet_type::PacketType,
    property::{identifier::PropertyPlace, list::PropertyList},
    version::ProtocolVersion,
    wire::{
        reader::Reader,
        text,
        writer::{self, Buffer},
    },
};

/// The Topic Filters of an UNSUBSCRIBE, in order: a slice, or the payload of a decoded packet.
///
/// The texts are sound UTF-8. They need no check: a text that is no Topic Filter has no Subscription.
#[derive(Clone, Copy)]
pub struct TopicFilters<'a>(Entries<'a>);

#[derive(Clone, Copy)]
enum Entries<'a> {
    Encoded(&'a [u8]),
    Values(&'a [&'a str]),
}

impl<'a> TopicFilters<'a> {
    /// Makes a list of texts; their lengths are checked when a packet is encoded.
    #[inline]
    #[must_use]
    pub const fn from_slice(filters: &'a [&'a str]) -> Self {
        Self(Entries::Values(filters))
    }

    /// Takes the rest of a packet as its Topic Filters.
    fn decode(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let bytes = reader.rest();
        if bytes.is_empty() {
            // [MQTT-3.10.3-2] [MQTT3-3.10.3-2]
            return Err(DecodeError::NoTopicFilter { packet_type: reader.packet_type() });
        }
        while !reader.is_empty() {
            reader.text()?; // [MQTT-3.10.3-1] [MQTT3-3.10.3-1]
        }
        Ok(Self(Entries::Encoded(bytes)))
    }

    /// Returns the texts in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> TopicFilterIter<'a> {
        let (bytes, values): (&[u8], &[_]) = match self.0 {
            Entries::Encoded(bytes) => (bytes, &[]),
            Entries::Values(values) => (&[], values),
        };
        TopicFilterIter { values: values.iter(), reader: Reader::new(PacketType::Unsubscribe, bytes) }
    }

    /// Returns the number of bytes of the payload, if it may be sent.
    fn put_len(&self) -> Result<usize, EncodeError> {
        let mut len: usize = 0;
        for topic_filter in self.iter() {
            len = len.saturating_add(text::encoded_len(topic_filter)?);
        }
        if len == 0 { Err(EncodeError::InvalidPacket) } else { Ok(len) }
    }
}

impl PartialEq for TopicFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for TopicFilters<'_> {}

impl fmt::Debug for TopicFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The Topic Filters of an UNSUBSCRIBE in order; made by [`TopicFilters::iter`].
#[derive(Clone, Debug)]
pub struct TopicFilterIter<'a> {
    values: slice::Iter<'a, &'a str>,
    reader: Reader<'a>,
}

impl<'a> Iterator for TopicFilterIter<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        match self.values.next() {
            Some(topic_filter) => Some(topic_filter),
            None => self.reader.text().ok(),
        }
    }
}

/// A Client's wish to end Subscriptions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsubscribe<'a> {
    /// Not zero. [MQTT-2.2.1-3] [MQTT3-2.3.1-1]
    pub packet_id: PacketId,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
    /// At least one. [MQTT-3.10.3-2] [MQTT3-3.10.3-2]
    pub filters: TopicFilters<'a>,
}

impl<'a> Unsubscribe<'a> {
    /// Decodes the packet whose fixed header is `header`.
    ///
    /// # Errors
    /// Packet Identifier 0, no Topic Filter, bad strings or Properties.
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(header.packet_type, body);
        let packet_id = reader.packet_id()?;
        let place = PropertyPlace::Packet(PacketType::Unsubscribe);
        let properties = PropertyList::decode(version, place, &mut reader)?;
        let filters = TopicFilters::decode(reader)?;
        Ok(Self { packet_id, properties, filters })
    }

    /// Returns the Topic Filters in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> TopicFilterIter<'a> {
        self.filters.iter()
    }

    /// Appends the packet to `out`.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`] without Topic Filters; [`EncodeError::TooLong`], [`EncodeError::NullCharacter`],
    /// [`EncodeError::TooLarge`]; those of the Properties; [`EncodeError::BufferFull`].
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        writer::put_fixed_header(out, 0xA2, self.remaining_length(version)?)?; // [MQTT-3.10.1-1] [MQTT3-3.10.1-1]
        writer::put_packet_id(out, self.packet_id)?;
        self.properties.put(version, out)?;
        for topic_filter in self.iter() {
            writer::put_text(out, topic_filter)?;
        }
        Ok(())
    }

    /// Returns the number of bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), but for [`EncodeError::BufferFull`].
    pub fn encoded_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        writer::packet_len(self.remaining_length(version)?)
    }

    fn remaining_length(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        let place = PropertyPlace::Packet(PacketType::Unsubscribe);
        let properties_len = self.properties.put_len(version, place)?;
        Ok((2 + properties_len).saturating_add(self.filters.put_len()?))
    }
}
