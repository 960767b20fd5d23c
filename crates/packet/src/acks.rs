//! PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7).

use crate::{
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

/// The content of PUBACK, PUBREC, PUBREL or PUBCOMP; the type is told from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack<'a> {
    /// The message it is about.
    pub packet_id: PacketId,
    /// Always Success before version 5.0.
    pub reason_code: ReasonCode,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
}

impl<'a> Ack<'a> {
    /// Makes the usual one: Success, no Properties.
    #[inline]
    #[must_use]
    pub const fn success(packet_id: PacketId) -> Self {
        Self { packet_id, reason_code: ReasonCode::Success, properties: PropertyList::EMPTY }
    }

    /// Makes one with a Reason Code and no Properties.
    #[inline]
    #[must_use]
    pub const fn with_reason(packet_id: PacketId, reason_code: ReasonCode) -> Self {
        Self { packet_id, reason_code, properties: PropertyList::EMPTY }
    }

    /// Decodes the packet whose fixed header is `header`; its type decides which Reason Codes are allowed.
    ///
    /// # Errors
    /// Packet Identifier 0, a Reason Code that does not belong there, bad Properties, a wrong length.
    #[inline]
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(header.packet_type, body);
        let packet_id = reader.packet_id()?;
        if reader.is_empty() {
            return Ok(Self::success(packet_id)); // 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1
        }
        if !version.has_properties() {
            return Err(DecodeError::TrailingBytes { packet_type: header.packet_type });
        }
        // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
        let reason_code = decode_reason_code(&mut reader)?;
        if reader.is_empty() {
            return Ok(Self::with_reason(packet_id, reason_code));
        }
        let place = PropertyPlace::Packet(header.packet_type);
        let properties = PropertyList::decode(version, place, &mut reader)?;
        reader.finish()?;
        Ok(Self { packet_id, reason_code, properties })
    }

    /// Appends the packet to `out` as a `packet_type`, in the shortest form that says it.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`] if `packet_type` is none of the four or the Reason Code does not belong there;
    /// [`EncodeError::InvalidProperty`], [`EncodeError::TooLong`], [`EncodeError::NullCharacter`],
    /// [`EncodeError::TooLarge`], [`EncodeError::BufferFull`].
    #[inline]
    pub fn encode(
        &self,
        packet_type: PacketType,
        version: ProtocolVersion,
        out: &mut impl Buffer,
    ) -> Result<(), EncodeError> {
        let remaining_length = self.remaining_length(packet_type, version)?;
        let first = first_byte(packet_type)?;
        let [high, low] = self.packet_id.value().to_be_bytes();
        if remaining_length == 2 {
            return out.put(&[first, 2, high, low]);
        }
        writer::put_fixed_header(out, first, remaining_length)?;
        out.put(&[high, low, self.reason_code.value()])?;
        if remaining_length > 3 {
            self.properties.put(version, out)?;
        }
        Ok(())
    }

    /// Returns the number of bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), but for [`EncodeError::BufferFull`].
    pub fn encoded_len(
        &self,
        packet_type: PacketType,
        version: ProtocolVersion,
    ) -> Result<usize, EncodeError> {
        writer::packet_len(self.remaining_length(packet_type, version)?)
    }

    #[inline]
    fn remaining_length(
        &self,
        packet_type: PacketType,
        version: ProtocolVersion,
    ) -> Result<usize, EncodeError> {
        first_byte(packet_type)?;
        if !version.has_properties() || self.reason_code == ReasonCode::Success && self.properties.is_empty()
        {
            return Ok(2);
        }
        if !self.reason_code.is_allowed_in(packet_type) {
            return Err(EncodeError::InvalidPacket);
        }
        if self.properties.is_empty() {
            return Ok(3);
        }
        Ok(3 + self.properties.put_len(version, PropertyPlace::Packet(packet_type))?)
    }
}

/// The first byte with its fixed flags. [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT3-3.6.1-1]
#[inline]
const fn first_byte(packet_type: PacketType) -> Result<u8, EncodeError> {
    match packet_type {
        PacketType::Puback => Ok(0x40),
        PacketType::Pubrec => Ok(0x50),
        PacketType::Pubrel => Ok(0x62),
        PacketType::Pubcomp => Ok(0x70),
        _ => Err(EncodeError::InvalidPacket),
    }
}

/// Reads a Reason Code of the reader's packet.
///
/// # Errors
/// [`DecodeError::UnknownReasonCode`], [`DecodeError::ReasonCodeNotAllowed`], [`DecodeError::CutShort`].
#[inline]
pub(crate) fn decode_reason_code(reader: &mut Reader<'_>) -> Result<ReasonCode, DecodeError> {
    check_reason_code(reader.packet_type(), reader.u8()?)
}

/// Takes `value` as a Reason Code of `packet_type`.
///
/// # Errors
/// [`DecodeError::UnknownReasonCode`], [`DecodeError::ReasonCodeNotAllowed`].
#[inline]
pub(crate) fn check_reason_code(packet_type: PacketType, value: u8) -> Result<ReasonCode, DecodeError> {
    match ReasonCode::from_value(value) {
        None => Err(DecodeError::UnknownReasonCode { packet_type, value }),
        Some(reason_code) if reason_code.is_allowed_in(packet_type) => Ok(reason_code),
        Some(reason_code) => Err(DecodeError::ReasonCodeNotAllowed { packet_type, reason_code }),
    }
}
