//! AUTH (3.15); only in version 5.0.

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

/// A step of extended authentication (4.12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Auth<'a> {
    /// Success, Continue authentication or Re-authenticate.
    pub reason_code: ReasonCode,
    /// Properties; Authentication Method is there unless the list is empty and the Reason Code is Success.
    pub properties: PropertyList<'a>,
}

impl<'a> Auth<'a> {
    /// Decodes the packet whose fixed header is `header`. An empty body means Success and no Properties (3.15.2.1).
    ///
    /// # Errors
    /// [`DecodeError::ReservedPacketType`] before version 5.0; a Reason Code that does not belong there; Authentication
    /// Method missing; bad Properties; a wrong length.
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        if !version.has_properties() {
            return Err(DecodeError::ReservedPacketType { value: PacketType::Auth.value() });
        }
        let mut reader = Reader::new(header.packet_type, body);
        if reader.is_empty() {
            return Ok(Self { reason_code: ReasonCode::Success, properties: PropertyList::EMPTY });
        }
        let reason_code = acks::decode_reason_code(&mut reader)?; // [MQTT-3.15.2-1]
        let properties = PropertyList::decode(version, PropertyPlace::Packet(PacketType::Auth), &mut reader)?;
        reader.finish()?;
        if properties.authentication_method().is_none() {
            return Err(DecodeError::AuthWithoutMethod); // 3.15.2.2.2
        }
        Ok(Self { reason_code, properties })
    }

    /// Appends the packet to `out` in the shortest form that says it.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`] before version 5.0, without Authentication Method, and if the Reason Code does not
    /// belong there; those of the Properties; [`EncodeError::BufferFull`].
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        let remaining_length = self.remaining_length(version)?;
        writer::put_fixed_header(out, 0xF0, remaining_length)?;
        if remaining_length == 0 {
            return Ok(());
        }
        out.put(&[self.reason_code.value()])?;
        self.properties.put(version, out)
    }

    /// Returns the number of bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), but for [`EncodeError::BufferFull`].
    pub fn encoded_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        writer::packet_len(self.remaining_length(version)?)
    }

    fn remaining_length(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        if !version.has_properties() || !self.reason_code.is_allowed_in(PacketType::Auth) {
            return Err(EncodeError::InvalidPacket);
        }
        if self.reason_code == ReasonCode::Success && self.properties.is_empty() {
            return Ok(0);
        }
        if self.properties.authentication_method().is_none() {
            return Err(EncodeError::InvalidPacket);
        }
        Ok(1 + self.properties.put_len(version, PropertyPlace::Packet(PacketType::Auth))?)
    }
}
