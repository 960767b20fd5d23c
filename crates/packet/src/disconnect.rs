//! DISCONNECT (3.14).

use crate::{
    acks,
    error::{DecodeError, EncodeError},
    fixed_header::FixedHeader,
    packet_type::PacketType,
    property::{identifier::PropertyPlace, list::PropertyList},
    reason_code::ReasonCode,
    version::ProtocolVersion,
    wire::{
        reader::Reader,
        writer::{self, Buffer},
    },
};

/// The last packet on a Network Connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disconnect<'a> {
    /// Why; always Normal disconnection before version 5.0.
    pub reason_code: ReasonCode,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
}

impl<'a> Disconnect<'a> {
    /// Makes one with a Reason Code and no Properties.
    #[inline]
    #[must_use]
    pub const fn with_reason(reason_code: ReasonCode) -> Self {
        Self { reason_code, properties: PropertyList::EMPTY }
    }

    /// Decodes the packet whose fixed header is `header`. No Reason Code means Normal disconnection, no Property Length
    /// no Properties (3.14.2.1, 3.14.2.2.1).
    ///
    /// # Errors
    /// A Reason Code that does not belong there, bad Properties, a wrong length.
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(header.packet_type, body);
        if reader.is_empty() {
            return Ok(Self::with_reason(ReasonCode::NORMAL_DISCONNECTION));
        }
        if !version.has_properties() {
            return Err(DecodeError::TrailingBytes { packet_type: header.packet_type });
        }
        let reason_code = acks::decode_reason_code(&mut reader)?; // [MQTT-3.14.2-1]
        if reader.is_empty() {
            return Ok(Self::with_reason(reason_code));
        }
        let place = PropertyPlace::Packet(PacketType::Disconnect);
        let properties = PropertyList::decode(version, place, &mut reader)?;
        reader.finish()?;
        Ok(Self { reason_code, properties })
    }

    /// Appends the packet to `out` in the shortest form that says it.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`] if the Reason Code does not belong there; those of the Properties;
    /// [`EncodeError::BufferFull`].
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        let remaining_length = self.remaining_length(version)?;
        writer::put_fixed_header(out, 0xE0, remaining_length)?;
        if remaining_length > 0 {
            out.put(&[self.reason_code.value()])?;
        }
        if remaining_length > 1 {
            self.properties.put(version, out)?;
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
        if !version.has_properties() {
            return Ok(0);
        }
        if !self.reason_code.is_allowed_in(PacketType::Disconnect) {
            return Err(EncodeError::InvalidPacket);
        }
        match (self.properties.is_empty(), self.reason_code) {
            (true, ReasonCode::NORMAL_DISCONNECTION) => Ok(0),
            (true, _) => Ok(1),
            (false, _) => {
                Ok(1 + self.properties.put_len(version, PropertyPlace::Packet(PacketType::Disconnect))?)
            }
        }
    }
}
