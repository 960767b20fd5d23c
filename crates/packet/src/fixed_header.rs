//! Fixed header: type, flags, Remaining Length (2.1); one packet cut out of a stream.

use crate::{
    error::DecodeError,
    packet_type::PacketType,
    version::ProtocolVersion,
    wire::variable_byte_integer::{self, Decoded},
};

/// The first two to five bytes of each Control Packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FixedHeader {
    /// What packet it is.
    pub packet_type: PacketType,
    /// The lower four bits of the first byte.
    pub flags: u8,
    /// The number of bytes that follow the fixed header, 0 to 268,435,455.
    pub remaining_length: u32,
}

impl FixedHeader {
    /// Decodes the fixed header at the start of `bytes`, and tells how many bytes it takes; `None` asks for more bytes.
    ///
    /// The DUP bit of PUBREL, SUBSCRIBE and UNSUBSCRIBE passes here, since version 3.1 had it;
    /// [`Packet::decode`](crate::packet::Packet::decode) knows the version and refuses it for the others.
    ///
    /// # Errors
    /// [`DecodeError::ReservedPacketType`], [`DecodeError::ReservedFlags`], [`DecodeError::InvalidPublishQoS`],
    /// [`DecodeError::DupWithQoS0`], [`DecodeError::VariableByteIntegerTooLong`],
    /// [`DecodeError::VariableByteIntegerNotMinimal`]; each as soon as the bytes show it.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let flags = first & 0x0F;
        let value = first >> 4;
        let Some(packet_type) = PacketType::from_value(value) else {
            return Err(DecodeError::ReservedPacketType { value });
        };
        check_flags(packet_type, flags)?;
        match variable_byte_integer::decode(rest)? {
            Decoded::Value { value, len } => {
                Ok(Some((Self { packet_type, flags, remaining_length: value }, len + 1)))
            }
            Decoded::MoreBytes => Ok(None),
        }
    }
}

/// One whole Control Packet at the start of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// The fixed header.
    pub header: FixedHeader,
    /// Variable header and payload: Remaining Length bytes.
    pub body: &'a [u8],
    /// Bytes of the whole packet, fixed header included; the next packet starts there.
    pub encoded_len: usize,
}

impl<'a> Frame<'a> {
    /// Cuts the first packet out of `bytes`; `None` asks for more bytes. `maximum_packet_size` is in bytes and counts the
    /// whole packet (3.1.2.11.4).
    ///
    /// # Errors
    /// [`DecodeError::PacketTooLarge`] as soon as the fixed header is complete, and those of [`FixedHeader::decode`].
    #[inline]
    pub fn split(bytes: &'a [u8], maximum_packet_size: u32) -> Result<Option<Self>, DecodeError> {
        let Some((header, header_len)) = FixedHeader::decode(bytes)? else { return Ok(None) };
        let encoded_len = header_len + header.remaining_length as usize;
        if encoded_len > maximum_packet_size as usize {
            return Err(DecodeError::PacketTooLarge { encoded_len, maximum: maximum_packet_size });
        }
        match bytes.get(header_len..encoded_len) {
            Some(body) => Ok(Some(Self { header, body, encoded_len })),
            None => Ok(None),
        }
    }
}

/// Checks the flags against the table of 2.1.3. [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]
#[inline]
fn check_flags(packet_type: PacketType, flags: u8) -> Result<(), DecodeError> {
    if LEGAL_FLAGS[packet_type as usize & 0x0F] & (1 << (flags & 0x0F)) != 0 {
        return Ok(());
    }
    Err(match (packet_type, flags) {
        (PacketType::Publish, flags) if flags & 0b0110 == 0b0110 => DecodeError::InvalidPublishQoS,
        (PacketType::Publish, _) => DecodeError::DupWithQoS0,
        (packet_type, flags) => DecodeError::ReservedFlags { packet_type, flags },
    })
}

/// For each type a bit for each legal value of the flags.
const LEGAL_FLAGS: [u16; 16] = {
    // For DISCONNECT and AUTH, too. [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT3-3.14.1-1]
    let mut table = [1 << 0b0000; 16];
    // DUP only with QoS 1 and 2 [MQTT-3.3.1-2] [MQTT3-3.3.1-2], QoS never 3 [MQTT-3.3.1-4] [MQTT3-3.3.1-4].
    table[PacketType::Publish as usize] = 0b0011_1100_0011_1111;
    // Bit 3 is DUP, which version 3.1 knew here. [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
    table[PacketType::Pubrel as usize] = 1 << 0b0010 | 1 << 0b1010;
    table[PacketType::Subscribe as usize] = 1 << 0b0010 | 1 << 0b1010;
    table[PacketType::Unsubscribe as usize] = 1 << 0b0010 | 1 << 0b1010;
    table
};

/// Checks what only the version can tell: AUTH since 5.0, and DUP outside PUBLISH only in 3.1.
#[inline]
pub(crate) fn check_flags_of_version(
    version: ProtocolVersion,
    header: FixedHeader,
) -> Result<(), DecodeError> {
    let FixedHeader { packet_type, flags, .. } = header;
    if packet_type == PacketType::Auth && !version.has_properties() {
        return Err(DecodeError::ReservedPacketType { value: packet_type.value() });
    }
    if flags & 0b1000 != 0 && packet_type != PacketType::Publish && version != ProtocolVersion::V3_1 {
        return Err(DecodeError::ReservedFlags { packet_type, flags });
    }
    Ok(())
}
