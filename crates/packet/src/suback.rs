//! SUBACK (3.9), and the list of Reason Codes it shares with UNSUBACK.

use core::fmt;

use crate::{
    acks,
    error::{DecodeError, EncodeError},
    fixed_header::FixedHeader,
    packet_identifier::PacketId,
    packet_type::PacketType,
    property::{identifier::PropertyPlace, list::PropertyList},
    reason_code::ReasonCode,
    version::ProtocolVersion,
    wire::{
        reader::Reader,
        writer::{self, Buffer},
    },
};

/// Reason Codes in the order of the Topic Filters they answer. [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT3-3.9.3-1]
#[derive(Clone, Copy)]
pub struct ReasonCodes<'a>(Codes<'a>);

/// Codes of a decoded packet are bytes that were checked; codes to be sent are values.
#[derive(Clone, Copy)]
enum Codes<'a> {
    Encoded(&'a [u8]),
    Values(&'a [ReasonCode]),
}

impl<'a> ReasonCodes<'a> {
    /// No codes, as UNSUBACK has before version 5.0.
    pub const EMPTY: Self = Self(Codes::Values(&[]));

    /// Makes a list of values; they are checked when a packet is encoded.
    #[inline]
    #[must_use]
    pub const fn from_slice(codes: &'a [ReasonCode]) -> Self {
        Self(Codes::Values(codes))
    }

    /// Takes the rest of a packet as its codes.
    pub(crate) fn decode(version: ProtocolVersion, reader: Reader<'a>) -> Result<Self, DecodeError> {
        let packet_type = reader.packet_type();
        let encoded = reader.rest();
        if encoded.is_empty() {
            return Err(DecodeError::NoReasonCode { packet_type });
        }
        for &value in encoded {
            let reason_code = acks::check_reason_code(packet_type, value)?; // [MQTT-3.9.3-2] [MQTT-3.11.3-2]
            let is_failure_of_version = version == ProtocolVersion::V3_1_1 && value == 0x80;
            if !version.has_properties() && reason_code.is_error() && !is_failure_of_version {
                return Err(DecodeError::UnknownReasonCode { packet_type, value }); // [MQTT3-3.9.3-2]
            }
        }
        Ok(Self(Codes::Encoded(encoded)))
    }

    /// Returns the codes in order.
    pub fn iter(&self) -> impl Iterator<Item = ReasonCode> + use<'a> {
        let (encoded, values): (&[u8], &[ReasonCode]) = match self.0 {
            Codes::Encoded(encoded) => (encoded, &[]),
            Codes::Values(values) => (&[], values),
        };
        let encoded = encoded.iter().filter_map(|value| ReasonCode::from_value(*value));
        encoded.chain(values.iter().copied())
    }

    /// Returns the number of codes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.0 {
            Codes::Encoded(encoded) => encoded.len(),
            Codes::Values(values) => values.len(),
        }
    }

    /// Tells whether there are no codes.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether the codes may stand in `packet_type`.
    pub(crate) fn check(&self, packet_type: PacketType) -> Result<(), EncodeError> {
        if self.is_empty() || self.iter().any(|code| !code.is_allowed_in(packet_type)) {
            return Err(EncodeError::InvalidPacket);
        }
        Ok(())
    }

    /// Writes the codes by the rules of SUBACK: 3.1.1 knows one failure only, 3.1 none.
    pub(crate) fn put(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        for code in self.iter() {
            let value = match version {
                ProtocolVersion::V5_0 => code.value(),
                ProtocolVersion::V3_1_1 if code.is_error() => ReasonCode::UnspecifiedError.value(),
                ProtocolVersion::V3_1 if code.is_error() => ReasonCode::GRANTED_QOS_0.value(),
                _ => code.value(),
            };
            out.put(&[value])?;
        }
        Ok(())
    }
}

impl PartialEq for ReasonCodes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ReasonCodes<'_> {}

impl fmt::Debug for ReasonCodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The Server's answer to SUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suback<'a> {
    /// The one of the SUBSCRIBE. [MQTT-3.8.4-2] [MQTT3-3.8.4-2]
    pub packet_id: PacketId,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
    /// One for each Topic Filter of the SUBSCRIBE.
    pub reason_codes: ReasonCodes<'a>,
}

impl<'a> Suback<'a> {
    /// Decodes the packet whose fixed header is `header`.
    ///
    /// # Errors
    /// Packet Identifier 0, no code, a code that does not belong there (before 5.0 only 0, 1, 2, and in 3.1.1 0x80), bad
    /// Properties.
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(header.packet_type, body);
        let packet_id = reader.packet_id()?;
        let properties =
            PropertyList::decode(version, PropertyPlace::Packet(PacketType::Suback), &mut reader)?;
        let reason_codes = ReasonCodes::decode(version, reader)?;
        Ok(Self { packet_id, properties, reason_codes })
    }

    /// Appends the packet to `out`. Each failure is written as 0x80 in 3.1.1; 3.1 has no failure, there it is written as
    /// QoS 0.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`] without codes or with one that does not belong there; those of the Properties;
    /// [`EncodeError::BufferFull`].
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        writer::put_fixed_header(out, 0x90, self.remaining_length(version)?)?;
        writer::put_packet_id(out, self.packet_id)?;
        self.properties.put(version, out)?;
        self.reason_codes.put(version, out)
    }

    /// Returns the number of bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), but for [`EncodeError::BufferFull`].
    pub fn encoded_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        writer::packet_len(self.remaining_length(version)?)
    }

    fn remaining_length(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        self.reason_codes.check(PacketType::Suback)?;
        let properties_len = self.properties.put_len(version, PropertyPlace::Packet(PacketType::Suback))?;
        Ok((2 + properties_len).saturating_add(self.reason_codes.len()))
    }
}
