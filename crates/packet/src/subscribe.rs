//! SUBSCRIBE (3.8).

use core::{fmt, slice};

use crate::{
    error::{DecodeError, EncodeError, TopicError},
    fixed_header::FixedHeader,
    packet_identifier::PacketId,
    packet_type::PacketType,
    property::{identifier::PropertyPlace, list::PropertyList},
    qos::QoS,
    topic::filter::{SHARE, TopicFilter},
    version::ProtocolVersion,
    wire::{
        reader::Reader,
        text,
        writer::{self, Buffer},
    },
};

/// Tells what the Server does with Retained Messages when a Subscription is made (3.8.3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// Send them at each SUBSCRIBE. [MQTT-3.3.1-9]
    #[default]
    SendAtSubscribe = 0,
    /// Send them only if the Subscription did not exist. [MQTT-3.3.1-10]
    SendIfNew = 1,
    /// Do not send them. [MQTT-3.3.1-11]
    DoNotSend = 2,
}

/// Subscription Options (3.8.3.1); before version 5.0 only the QoS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SubscriptionOptions {
    /// The greatest QoS at which messages are to be sent.
    pub qos: QoS,
    /// Messages published under the subscriber's own Client Identifier are not sent to it. [MQTT-3.8.3-3]
    pub no_local: bool,
    /// RETAIN is forwarded as it was published. [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    pub retain_as_published: bool,
    /// What to do with Retained Messages at SUBSCRIBE.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// Makes options as all versions have them: a QoS, all else at its default.
    #[inline]
    #[must_use]
    pub const fn with_qos(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    /// Takes a byte as options.
    ///
    /// # Errors
    /// [`DecodeError::ReservedSubscriptionOptions`], [`DecodeError::InvalidSubscriptionQoS`],
    /// [`DecodeError::InvalidRetainHandling`].
    pub fn decode(version: ProtocolVersion, options: u8) -> Result<Self, DecodeError> {
        let reserved = if version.has_properties() { 0b1100_0000 } else { 0b1111_1100 };
        if options & reserved != 0 {
            return Err(DecodeError::ReservedSubscriptionOptions { options }); // [MQTT-3.8.3-5] [MQTT3-3.8.3-4]
        }
        let qos = QoS::from_value(options & 0b11).ok_or(DecodeError::InvalidSubscriptionQoS { version })?;
        let retain_handling = match options >> 4 {
            0 => RetainHandling::SendAtSubscribe,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::InvalidRetainHandling),
        };
        let no_local = options & 0b100 != 0;
        Ok(Self { qos, no_local, retain_as_published: options & 0b1000 != 0, retain_handling })
    }

    /// Returns the byte on the wire; before version 5.0 the QoS alone.
    #[must_use]
    pub const fn encode(self, version: ProtocolVersion) -> u8 {
        if !version.has_properties() {
            return self.qos.value();
        }
        self.qos.value()
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }
}

/// One entry of a SUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionRequest<'a> {
    /// The text as it came: sound UTF-8, but not always a Topic Filter.
    pub topic_filter: &'a str,
    /// The options.
    pub options: SubscriptionOptions,
}

impl<'a> SubscriptionRequest<'a> {
    /// Takes the text as a Topic Filter; if it is none, this entry alone is refused with 0x8F. [MQTT-3.8.4-5]
    ///
    /// # Errors
    /// Those of [`TopicFilter::parse`].
    pub fn filter(&self) -> Result<TopicFilter<'a>, TopicError> {
        TopicFilter::parse(self.topic_filter)
    }
}

/// The entries of a SUBSCRIBE, in order: a slice, or the payload of a decoded packet.
#[derive(Clone, Copy)]
pub struct SubscriptionFilters<'a>(Entries<'a>);

#[derive(Clone, Copy)]
enum Entries<'a> {
    Encoded { bytes: &'a [u8], version: ProtocolVersion },
    Values(&'a [SubscriptionRequest<'a>]),
}

impl<'a> SubscriptionFilters<'a> {
    /// Makes a list of values; they are checked when a packet is encoded.
    #[inline]
    #[must_use]
    pub const fn from_slice(requests: &'a [SubscriptionRequest<'a>]) -> Self {
        Self(Entries::Values(requests))
    }

    /// Takes the rest of a packet as its entries.
    fn decode(version: ProtocolVersion, mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let bytes = reader.rest();
        if bytes.is_empty() {
            return Err(DecodeError::NoTopicFilter { packet_type: reader.packet_type() });
        }
        while !reader.is_empty() {
            let request = decode_request(version, &mut reader)?;
            if request.options.no_local && request.topic_filter.starts_with(SHARE) {
                return Err(DecodeError::NoLocalOnSharedSubscription); // [MQTT-3.8.3-4]
            }
        }
        Ok(Self(Entries::Encoded { bytes, version }))
    }

    /// Returns the entries in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> SubscriptionIter<'a> {
        let (bytes, version, values): (&[u8], _, &[_]) = match self.0 {
            Entries::Encoded { bytes, version } => (bytes, version, &[]),
            Entries::Values(values) => (&[], ProtocolVersion::V5_0, values),
        };
        SubscriptionIter { values: values.iter(), reader: Reader::new(PacketType::Subscribe, bytes), version }
    }

    /// Returns the number of bytes of the payload, if it may be sent.
    fn put_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        let mut len: usize = 0;
        for request in self.iter() {
            let is_no_local = version.has_properties() && request.options.no_local;
            if is_no_local && request.topic_filter.starts_with(SHARE) {
                return Err(EncodeError::InvalidPacket); // [MQTT-3.8.3-4]
            }
            len = len.saturating_add(text::encoded_len(request.topic_filter)? + 1);
        }
        if len == 0 { Err(EncodeError::InvalidPacket) } else { Ok(len) } // [MQTT-3.8.3-2]
    }
}

impl PartialEq for SubscriptionFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscriptionFilters<'_> {}

impl fmt::Debug for SubscriptionFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The entries of a SUBSCRIBE in order; made by [`SubscriptionFilters::iter`].
#[derive(Clone, Debug)]
pub struct SubscriptionIter<'a> {
    values: slice::Iter<'a, SubscriptionRequest<'a>>,
    reader: Reader<'a>,
    version: ProtocolVersion,
}

impl<'a> Iterator for SubscriptionIter<'a> {
    type Item = SubscriptionRequest<'a>;

    #[inline]
    fn next(&mut self) -> Option<SubscriptionRequest<'a>> {
        match self.values.next() {
            Some(request) => Some(*request),
            None => decode_request(self.version, &mut self.reader).ok(),
        }
    }
}

fn decode_request<'a>(
    version: ProtocolVersion,
    reader: &mut Reader<'a>,
) -> Result<SubscriptionRequest<'a>, DecodeError> {
    let topic_filter = reader.text()?; // [MQTT-3.8.3-1] [MQTT3-3.8.3-1]
    let options = SubscriptionOptions::decode(version, reader.u8()?)?;
    Ok(SubscriptionRequest { topic_filter, options })
}

/// A Client's wish for Subscriptions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscribe<'a> {
    /// Not zero. [MQTT-2.2.1-3] [MQTT3-2.3.1-1]
    pub packet_id: PacketId,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
    /// At least one. [MQTT-3.8.3-2] [MQTT3-3.8.3-3]
    pub filters: SubscriptionFilters<'a>,
}

impl<'a> Subscribe<'a> {
    /// Decodes the packet whose fixed header is `header`. Whether a text is a Topic Filter is told for each entry, by
    /// [`SubscriptionRequest::filter`].
    ///
    /// # Errors
    /// Packet Identifier 0, no entry, bad options, strings or Properties.
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(header.packet_type, body);
        let packet_id = reader.packet_id()?;
        let place = PropertyPlace::Packet(PacketType::Subscribe);
        let properties = PropertyList::decode(version, place, &mut reader)?;
        let filters = SubscriptionFilters::decode(version, reader)?;
        Ok(Self { packet_id, properties, filters })
    }

    /// Returns the entries in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> SubscriptionIter<'a> {
        self.filters.iter()
    }

    /// Appends the packet to `out`.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`] without entries, and for No Local with a Shared Subscription;
    /// [`EncodeError::TooLong`], [`EncodeError::NullCharacter`], [`EncodeError::TooLarge`]; those of the Properties;
    /// [`EncodeError::BufferFull`].
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        writer::put_fixed_header(out, 0x82, self.remaining_length(version)?)?; // [MQTT-3.8.1-1] [MQTT3-3.8.1-1]
        writer::put_packet_id(out, self.packet_id)?;
        self.properties.put(version, out)?;
        for request in self.iter() {
            writer::put_text(out, request.topic_filter)?;
            out.put(&[request.options.encode(version)])?;
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
        let properties_len =
            self.properties.put_len(version, PropertyPlace::Packet(PacketType::Subscribe))?;
        Ok((2 + properties_len).saturating_add(self.filters.put_len(version)?))
    }
}
