//! CONNECT (3.1).

use crate::{
    error::{DecodeError, EncodeError},
    fixed_header::FixedHeader,
    packet_type::PacketType,
    property::{identifier::PropertyPlace, list::PropertyList},
    qos::QoS,
    topic::name::TopicName,
    version::ProtocolVersion,
    wire::{
        reader::{self, Reader},
        text,
        writer::{self, Buffer},
    },
};

/// The first packet of a Client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connect<'a> {
    /// The version that the Client wants to speak.
    pub version: ProtocolVersion,
    /// Begin with a new Session (Clean Session before version 5.0).
    pub clean_start: bool,
    /// Seconds; 0 turns Keep Alive off.
    pub keep_alive_s: u16,
    /// The Client Identifier; empty if the Server is to choose one.
    pub client_id: &'a str,
    /// Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
    /// The Will Message.
    pub will: Option<Will<'a>>,
    /// The User Name.
    pub user_name: Option<&'a str>,
    /// The Password, at most 65,535 bytes; before version 5.0 only together with a User Name.
    pub password: Option<&'a [u8]>,
    /// Bit 7 of the Protocol Level, by which bridges of some Servers make themselves known; not part of the standard, and
    /// known with 3.1 and 3.1.1 only.
    pub is_bridge: bool,
}

/// A message to be published when the Network Connection ends without DISCONNECT (3.1.2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Will<'a> {
    /// Quality of Service it is published with.
    pub qos: QoS,
    /// Published as a Retained Message. [MQTT-3.1.2-14] [MQTT-3.1.2-15]
    pub retain: bool,
    /// The Will Topic.
    pub topic_name: TopicName<'a>,
    /// The Will Payload, at most 65,535 bytes.
    pub payload: &'a [u8],
    /// Will Properties; empty before version 5.0.
    pub properties: PropertyList<'a>,
}

impl<'a> Connect<'a> {
    /// Decodes the packet whose fixed header is `header`; the given version is not looked at, CONNECT has its own.
    ///
    /// # Errors
    /// [`DecodeError::UnsupportedProtocolName`] and [`DecodeError::UnsupportedProtocolVersion`] before all else; then
    /// flags that contradict each other, bad strings, Properties or Will Topic, a wrong length.
    pub fn decode(
        _version: ProtocolVersion,
        header: FixedHeader,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(header.packet_type, body);
        let (version, is_bridge) = decode_version(&mut reader)?;
        let flags = ConnectFlags(reader.u8()?);
        flags.check(version)?;
        let keep_alive_s = reader.u16()?;
        let properties =
            PropertyList::decode(version, PropertyPlace::Packet(PacketType::Connect), &mut reader)?;
        // The order of the payload: [MQTT-3.1.3-1] [MQTT3-3.1.3-1]
        let client_id = reader.text()?; // [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT3-3.1.3-3] [MQTT3-3.1.3-4]
        // [MQTT-3.1.2-9] [MQTT3-3.1.2-9] [MQTT3-3.1.2-11]
        let will = match flags.has(WILL) {
            true => Some(Will::decode(version, flags, &mut reader)?),
            false => None,
        };
        // Version 3.1 tells receivers to go by the Remaining Length if a field is announced and not there.
        let may_be_missing = version == ProtocolVersion::V3_1;
        // [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT3-3.1.2-18] [MQTT3-3.1.2-19]
        let user_name = match flags.has(USER_NAME) && !(may_be_missing && reader.is_empty()) {
            true => Some(reader.text()?), // [MQTT-3.1.3-12] [MQTT3-3.1.3-11]
            false => None,
        };
        // [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT3-3.1.2-20] [MQTT3-3.1.2-21]
        let password = match flags.has(PASSWORD) && !(may_be_missing && reader.is_empty()) {
            true => Some(reader.binary()?),
            false => None,
        };
        reader.finish()?;
        let clean_start = flags.has(CLEAN_START);
        Ok(Self {
            version,
            clean_start,
            keep_alive_s,
            client_id,
            properties,
            will,
            user_name,
            password,
            is_bridge,
        })
    }

    /// Returns the version that a CONNECT with this `body` announces, also if the rest of it is malformed: so the answer
    /// can be one that the Client understands.
    #[must_use]
    pub fn announced_version(body: &[u8]) -> Option<ProtocolVersion> {
        let mut reader = Reader::new(PacketType::Connect, body);
        decode_version(&mut reader).ok().map(|(version, _)| version)
    }

    /// Appends the packet to `out`, by the rules of its own version.
    ///
    /// # Errors
    /// [`EncodeError::InvalidPacket`] for a Password without User Name before version 5.0, and for a bridge in 5.0;
    /// [`EncodeError::TooLong`], [`EncodeError::NullCharacter`]; those of the Properties; [`EncodeError::BufferFull`].
    pub fn encode(&self, _version: ProtocolVersion, out: &mut impl Buffer) -> Result<(), EncodeError> {
        writer::put_fixed_header(out, 0x10, self.remaining_length()?)?;
        writer::put_text(out, self.version.protocol_name())?;
        let bridge = u8::from(self.is_bridge) << 7;
        let [high, low] = self.keep_alive_s.to_be_bytes();
        out.put(&[self.version.level() | bridge, self.flags(), high, low])?;
        self.properties.put(self.version, out)?;
        writer::put_text(out, self.client_id)?;
        if let Some(will) = &self.will {
            will.properties.put(self.version, out)?;
            writer::put_text(out, will.topic_name.as_str())?;
            writer::put_binary(out, will.payload)?;
        }
        if let Some(user_name) = self.user_name {
            writer::put_text(out, user_name)?;
        }
        if let Some(password) = self.password {
            writer::put_binary(out, password)?;
        }
        Ok(())
    }

    /// Returns the number of bytes [`encode`](Self::encode) appends.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), but for [`EncodeError::BufferFull`].
    pub fn encoded_len(&self, _version: ProtocolVersion) -> Result<usize, EncodeError> {
        writer::packet_len(self.remaining_length()?)
    }

    fn remaining_length(&self) -> Result<usize, EncodeError> {
        let version = self.version;
        let has_lone_password = self.password.is_some() && self.user_name.is_none();
        if !version.has_properties() && has_lone_password || version.has_properties() && self.is_bridge {
            return Err(EncodeError::InvalidPacket); // [MQTT3-3.1.2-22]
        }
        let mut len = text::encoded_len(version.protocol_name())? + 4;
        len += self.properties.put_len(version, PropertyPlace::Packet(PacketType::Connect))?;
        len += text::encoded_len(self.client_id)?;
        if let Some(will) = &self.will {
            len += will.properties.put_len(version, PropertyPlace::Will)?;
            len += text::encoded_len(will.topic_name.as_str())?;
            len += text::binary_encoded_len(will.payload)?;
        }
        if let Some(user_name) = self.user_name {
            len += text::encoded_len(user_name)?;
        }
        if let Some(password) = self.password {
            len += text::binary_encoded_len(password)?;
        }
        Ok(len)
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        let mut set = |bit: u8, is_set: bool| flags |= if is_set { bit } else { 0 };
        set(CLEAN_START, self.clean_start);
        set(USER_NAME, self.user_name.is_some());
        set(PASSWORD, self.password.is_some());
        if let Some(will) = &self.will {
            set(WILL, true);
            set(will.qos.value() << 3, true);
            set(WILL_RETAIN, will.retain);
        }
        flags
    }
}

impl<'a> Will<'a> {
    fn decode(
        version: ProtocolVersion,
        flags: ConnectFlags,
        reader: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let qos = QoS::from_value(flags.will_qos()).ok_or(DecodeError::InvalidWillQoS)?;
        let properties = PropertyList::decode(version, PropertyPlace::Will, reader)?;
        let packet_type = PacketType::Connect;
        let topic_name = match TopicName::from_field(reader.binary()?) {
            Ok(Ok(topic_name)) => topic_name,
            Ok(Err(error)) => return Err(DecodeError::InvalidTopicName { packet_type, error }),
            Err(fault) => return Err(reader::text_error(packet_type, fault)), // [MQTT-3.1.3-11] [MQTT3-3.1.3-10]
        };
        let payload = reader.binary()?;
        Ok(Self { qos, retain: flags.has(WILL_RETAIN), topic_name, payload, properties })
    }
}

/// The Connect Flags (3.1.2.3).
#[derive(Clone, Copy)]
struct ConnectFlags(u8);

const RESERVED: u8 = 1 << 0;
const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS: u8 = 0b11 << 3;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USER_NAME: u8 = 1 << 7;

impl ConnectFlags {
    const fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    const fn will_qos(self) -> u8 {
        (self.0 & WILL_QOS) >> 3
    }

    /// Checks the flags against each other. Version 3.1 does not look at the reserved bit, nor at Will QoS and Will
    /// Retain without Will Flag.
    const fn check(self, version: ProtocolVersion) -> Result<(), DecodeError> {
        let is_3_1 = matches!(version, ProtocolVersion::V3_1);
        if self.has(RESERVED) && !is_3_1 {
            return Err(DecodeError::ReservedConnectFlag); // [MQTT-3.1.2-3] [MQTT3-3.1.2-3]
        }
        if self.has(WILL) && self.will_qos() == 3 {
            return Err(DecodeError::InvalidWillQoS); // [MQTT-3.1.2-12] [MQTT3-3.1.2-14]
        }
        if !self.has(WILL) && self.has(WILL_QOS | WILL_RETAIN) && !is_3_1 {
            // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT3-3.1.2-11] [MQTT3-3.1.2-13] [MQTT3-3.1.2-15]
            return Err(DecodeError::WillOptionsWithoutWill);
        }
        if self.has(PASSWORD) && !self.has(USER_NAME) && !version.has_properties() {
            return Err(DecodeError::PasswordWithoutUserName); // [MQTT3-3.1.2-22]
        }
        Ok(())
    }
}

/// Reads Protocol Name and Protocol Level; the second value is the bridge bit.
fn decode_version(reader: &mut Reader<'_>) -> Result<(ProtocolVersion, bool), DecodeError> {
    let name = reader.binary()?;
    let is_mqisdp = name == ProtocolVersion::V3_1.protocol_name().as_bytes();
    if !is_mqisdp && name != ProtocolVersion::V3_1_1.protocol_name().as_bytes() {
        return Err(DecodeError::UnsupportedProtocolName); // [MQTT-3.1.2-1] [MQTT3-3.1.2-1]
    }
    let level = reader.u8()?;
    match (is_mqisdp, level) {
        (true, 0x03) => Ok((ProtocolVersion::V3_1, false)),
        (true, 0x83) => Ok((ProtocolVersion::V3_1, true)),
        (false, 0x04) => Ok((ProtocolVersion::V3_1_1, false)),
        (false, 0x84) => Ok((ProtocolVersion::V3_1_1, true)),
        (false, 0x05) => Ok((ProtocolVersion::V5_0, false)),
        (_, level) => Err(DecodeError::UnsupportedProtocolVersion { level }), // [MQTT-3.1.2-2] [MQTT3-3.1.2-2]
    }
}
