//! UNSUBACK (3.11).

use crate::{
    error::{DecodeError, EncodeError},
    fixed_header::FixedHeader,
    packet_identifier::PacketId,
    packet_type::PacketType,
    property::{identifier::PropertyPlace, list::PropertyList},
    suback::ReasonCodes,
    version::ProtocolVersion,
    wire::{
        reader::Reader,
        writer::{self, Buffer},
    },
};

/// The Server's answer to UNSUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsuback<'a> {
    /// The one of the UNSUBSCRIBE. [MQTT-3.10.4-4] [MQTT3-3.10.4-4]
    pub packet_id: PacketId,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
    /// One for each Topic Filter of the UNSUBSCRIBE; empty before version 5.0.
    pub reason_codes: ReasonCodes<'a>,
}

impl<'a> Unsuback<'a> {
    /// Decodes the packet whose fixed header is `header`.
    ///
    /// # Errors
    /// Packet Identifier 0, bad Properties; in 5.0 no code or one that does not belong there, before 5.0 any payload.
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(header.packet_type, body);
        let packet_id = reader.packet_id()?;
        if !version.has_properties() {
            reader.finish()?;
            return Ok(Self { packet_id, properties: PropertyList::EMPTY, reason_codes: ReasonCodes::EMPTY });
        }
        let place = PropertyPlace::Packet(PacketType::Unsuback);
        let properties = PropertyList::decode(version, place, &mut reader)?;
        let reason_codes = ReasonCodes::decode(version, reader)?;
        Ok(Self { packet_id, properties, reason_codes })
    }

    /// Appends the packet to `out`; before version 5.0 only the Packet Identifier.
    ///
    /// # Errors
    /// In 5.0 [`EncodeError::InvalidPacket`] without codes or with one that does not belong there, and those of the
    /// Properties; [`EncodeError::BufferFull`].
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        writer::put_fixed_header(out, 0xB0, self.remaining_length(version)?)?;
        writer::put_packet_id(out, self.packet_id)?;
        if version.has_properties() {
            self.properties.put(version, out)?;
            self.reason_codes.put(version, out)?;
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
            return Ok(2);
        }
        self.reason_codes.check(PacketType::Unsuback)?;
        let properties_len = self.properties.put_len(version, PropertyPlace::Packet(PacketType::Unsuback))?;
        Ok((2 + properties_len).saturating_add(self.reason_codes.len()))
    }
}
