//! CONNACK (3.2).

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

/// The Server's answer to CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connack<'a> {
    /// The Server goes on with a Session it has; false with any refusal, and always in version 3.1.
    pub session_present: bool,
    /// The outcome; before version 5.0 one of the six that have a Connect Return code.
    pub reason_code: ReasonCode,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
}

impl<'a> Connack<'a> {
    /// Decodes the packet whose fixed header is `header`.
    ///
    /// In version 3.1 the first byte has no meaning and is not looked at. In version 5.0 the two bytes `00 01` are taken
    /// as [`ReasonCode::UnsupportedProtocolVersion`]: so a Server answers that knows only older versions.
    ///
    /// # Errors
    /// Reserved flags, Session Present with a refusal, an unknown or misplaced code, bad Properties, a wrong length.
    pub fn decode(
        version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let packet_type = PacketType::Connack;
        let mut reader = Reader::new(header.packet_type, body);
        let flags = reader.u8()?;
        let value = reader.u8()?;
        let is_answer_of_older_server = version.has_properties() && body == [0, 1];
        let reason_code = if version.has_properties() && !is_answer_of_older_server {
            acks::check_reason_code(packet_type, value)? // [MQTT-3.2.2-8]
        } else {
            ReasonCode::from_connect_return_code(value)
                .ok_or(DecodeError::UnknownReasonCode { packet_type, value })?
        };
        let session_present = version != ProtocolVersion::V3_1 && flags & 1 != 0;
        if version != ProtocolVersion::V3_1 && flags > 1 {
            return Err(DecodeError::ReservedConnackFlags { flags }); // [MQTT-3.2.2-1]
        }
        if session_present && reason_code.is_error() {
            return Err(DecodeError::SessionPresentOnRefusal); // [MQTT-3.2.2-6] [MQTT3-3.2.2-4]
        }
        if is_answer_of_older_server {
            return Ok(Self { session_present, reason_code, properties: PropertyList::EMPTY });
        }
        let properties = PropertyList::decode(version, PropertyPlace::Packet(packet_type), &mut reader)?;
        reader.finish()?;
        Ok(Self { session_present, reason_code, properties })
    }

    /// Appends the packet to `out`; before version 5.0 with the Connect Return code that says the same.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`] for Session Present with a refusal, and for a Reason Code that does not belong into
    /// CONNACK; those of the Properties; [`EncodeError::BufferFull`].
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        writer::put_fixed_header(out, 0x20, self.remaining_length(version)?)?;
        let session_present = u8::from(self.session_present && version != ProtocolVersion::V3_1);
        let code = if version.has_properties() {
            self.reason_code.value()
        } else {
            self.reason_code.connect_return_code()
        };
        out.put(&[session_present, code])?;
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
        let is_allowed = self.reason_code.is_allowed_in(PacketType::Connack);
        if !is_allowed || self.session_present && self.reason_code.is_error() {
            return Err(EncodeError::InvalidPacket); // [MQTT-3.2.2-6] [MQTT-3.2.2-8] [MQTT3-3.2.2-4]
        }
        Ok(2 + self.properties.put_len(version, PropertyPlace::Packet(PacketType::Connack))?)
    }
}
