//! One Control Packet of any type (chapter 3).

pub use crate::packet_type::PacketType;
use crate::{
    acks::Ack,
    auth::Auth,
    connack::Connack,
    connect::Connect,
    disconnect::Disconnect,
    error::{DecodeError, EncodeError},
    fixed_header::{self, Frame},
    publish::Publish,
    suback::Suback,
    subscribe::Subscribe,
    unsuback::Unsuback,
    unsubscribe::Unsubscribe,
    version::ProtocolVersion,
    wire::writer::Buffer,
};

/// One Control Packet; its strings, payload and Properties are borrowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Packet<'a> {
    /// CONNECT (3.1).
    Connect(Connect<'a>),
    /// CONNACK (3.2).
    Connack(Connack<'a>),
    /// PUBLISH (3.3).
    Publish(Publish<'a>),
    /// PUBACK (3.4).
    Puback(Ack<'a>),
    /// PUBREC (3.5).
    Pubrec(Ack<'a>),
    /// PUBREL (3.6).
    Pubrel(Ack<'a>),
    /// PUBCOMP (3.7).
    Pubcomp(Ack<'a>),
    /// SUBSCRIBE (3.8).
    Subscribe(Subscribe<'a>),
    /// SUBACK (3.9).
    Suback(Suback<'a>),
    /// UNSUBSCRIBE (3.10).
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBACK (3.11).
    Unsuback(Unsuback<'a>),
    /// PINGREQ (3.12).
    Pingreq,
    /// PINGRESP (3.13).
    Pingresp,
    /// DISCONNECT (3.14).
    Disconnect(Disconnect<'a>),
    /// AUTH (3.15).
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Decodes the packet in `frame` by the rules of `version`; a CONNECT carries its own, and `version` is not looked at.
    ///
    /// # Errors
    /// The [`DecodeError`] that tells what the sender did wrong. The Network Connection is then to be closed.
    /// [MQTT-4.13.1-1] [MQTT3-4.8.0-1]
    #[inline]
    pub fn decode(version: ProtocolVersion, frame: Frame<'a>) -> Result<Self, DecodeError> {
        let Frame { header, body, .. } = frame;
        if header.packet_type == PacketType::Publish {
            return Publish::decode(version, header, body).map(Self::Publish);
        }
        fixed_header::check_flags_of_version(version, header)?;
        Ok(match header.packet_type {
            PacketType::Connect => Self::Connect(Connect::decode(version, header, body)?),
            PacketType::Connack => Self::Connack(Connack::decode(version, header, body)?),
            PacketType::Publish => Self::Publish(Publish::decode(version, header, body)?),
            PacketType::Puback => Self::Puback(Ack::decode(version, header, body)?),
            PacketType::Pubrec => Self::Pubrec(Ack::decode(version, header, body)?),
            PacketType::Pubrel => Self::Pubrel(Ack::decode(version, header, body)?),
            PacketType::Pubcomp => Self::Pubcomp(Ack::decode(version, header, body)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::decode(version, header, body)?),
            PacketType::Suback => Self::Suback(Suback::decode(version, header, body)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::decode(version, header, body)?),
            PacketType::Unsuback => Self::Unsuback(Unsuback::decode(version, header, body)?),
            PacketType::Pingreq => without_body(header.packet_type, body, Self::Pingreq)?,
            PacketType::Pingresp => without_body(header.packet_type, body, Self::Pingresp)?,
            PacketType::Disconnect => Self::Disconnect(Disconnect::decode(version, header, body)?),
            PacketType::Auth => Self::Auth(Auth::decode(version, header, body)?),
        })
    }

    /// Returns the type of the packet.
    #[inline]
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::Publish(_) => PacketType::Publish,
            Self::Puback(_) => PacketType::Puback,
            Self::Pubrec(_) => PacketType::Pubrec,
            Self::Pubrel(_) => PacketType::Pubrel,
            Self::Pubcomp(_) => PacketType::Pubcomp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Appends the packet to `out` by the rules of `version`; what the version cannot say is left out (Properties and
    /// most Reason Codes before 5.0). A CONNECT goes by its own version.
    ///
    /// # Errors
    /// See [`EncodeError`]. A fault of the packet is found before anything is written.
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        match self {
            Self::Connect(packet) => packet.encode(version, out),
            Self::Connack(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::Puback(ack) | Self::Pubrec(ack) | Self::Pubrel(ack) | Self::Pubcomp(ack) => {
                ack.encode(self.packet_type(), version, out)
            }
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::Suback(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::Unsuback(packet) => packet.encode(version, out),
            Self::Pingreq => out.put(&[0xC0, 0]),
            Self::Pingresp => out.put(&[0xD0, 0]),
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(version, out),
        }
    }

    /// Returns the number of bytes [`encode`](Self::encode) appends, fixed header included.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), but for [`EncodeError::BufferFull`].
    pub fn encoded_len(&self, version: ProtocolVersion) -> Result<usize, EncodeError> {
        match self {
            Self::Connect(packet) => packet.encoded_len(version),
            Self::Connack(packet) => packet.encoded_len(version),
            Self::Publish(packet) => packet.encoded_len(version),
            Self::Puback(ack) | Self::Pubrec(ack) | Self::Pubrel(ack) | Self::Pubcomp(ack) => {
                ack.encoded_len(self.packet_type(), version)
            }
            Self::Subscribe(packet) => packet.encoded_len(version),
            Self::Suback(packet) => packet.encoded_len(version),
            Self::Unsubscribe(packet) => packet.encoded_len(version),
            Self::Unsuback(packet) => packet.encoded_len(version),
            Self::Pingreq | Self::Pingresp => Ok(2),
            Self::Disconnect(packet) => packet.encoded_len(version),
            Self::Auth(packet) => packet.encoded_len(version),
        }
    }
}

fn without_body<'a>(
    packet_type: PacketType,
    body: &[u8],
    packet: Packet<'a>,
) -> Result<Packet<'a>, DecodeError> {
    if body.is_empty() { Ok(packet) } else { Err(DecodeError::TrailingBytes { packet_type }) }
}
