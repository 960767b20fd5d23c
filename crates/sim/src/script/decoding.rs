//! Reads the packets that the Server sends, and accepts nothing that the standard does not allow it to send.

use super::{
    packet::{Body, Bytes, Number, OneOf, Packet, Property, PropertyValue, Publish, Version},
    vocabulary::{CONNECT_RETURN_CODES, Form, Kind, property_by_identifier, reason_name},
};

type Result<T> = std::result::Result<T, String>;

/// The first packet in `bytes` and its length; `None` if it is not whole yet.
///
/// # Errors
/// What the Server did wrong, for a person.
pub fn decode(bytes: &[u8], version: Version) -> Result<Option<(Packet, usize)>> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let mut reader = Reader { bytes: &bytes[1..] };
    let Some(remaining_length) = reader.variable()? else { return Ok(None) };
    let Some(body) = reader.bytes.get(..remaining_length as usize) else { return Ok(None) };
    let length = bytes.len() - reader.bytes.len() + body.len();
    let kind = Kind::from_value(first >> 4).ok_or("packet type 0")?;
    let packet = Frame { kind, flags: first & 0x0F, version, reader: Reader { bytes: body } }.packet()?;
    Ok(Some((packet, length)))
}

/// The version that the CONNECT at the start of `bytes` names, if one is there.
pub fn version_of_connect(bytes: &[u8]) -> Option<Version> {
    let mut reader = Reader { bytes: bytes.strip_prefix(&[0x10])? };
    reader.variable().ok()??;
    reader.counted().ok()?;
    match reader.byte().ok()? {
        3 => Some(Version::V3_1),
        4 => Some(Version::V3_1_1),
        _ => Some(Version::V5),
    }
}

struct Frame<'a> {
    kind: Kind,
    flags: u8,
    version: Version,
    reader: Reader<'a>,
}

impl Frame<'_> {
    fn packet(mut self) -> Result<Packet> {
        if self.kind != Kind::Publish && self.flags != self.kind.reserved_flags() {
            return Err(format!("{} with the flags {:04b} [MQTT-2.1.3-1]", self.kind.name(), self.flags));
        }
        let mut properties = Vec::new();
        let body = match self.kind {
            Kind::Connack => self.connack()?,
            Kind::Publish => self.publish(&mut properties)?,
            Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
                let packet_id = self.packet_id()?;
                Body::Ack { packet_id, reason: OneOf(vec![self.short_form(&mut properties)?]) }
            }
            Kind::Suback | Kind::Unsuback => self.reasons(&mut properties)?,
            Kind::Pingresp => Body::Empty,
            Kind::Disconnect | Kind::Auth if self.version == Version::V5 => {
                Body::Reason(OneOf(vec![self.short_form(&mut properties)?]))
            }
            kind => return Err(format!("a Server never sends {}", kind.name())),
        };
        if self.kind == Kind::Connack {
            self.properties(&mut properties)?;
        }
        if !self.reader.bytes.is_empty() {
            return Err(format!("{} bytes after the end of {}", self.reader.bytes.len(), self.kind.name()));
        }
        let mut packet = Packet::new(self.kind, body);
        packet.properties = properties;
        Ok(packet)
    }

    /// [MQTT-3.2.2-1]: the flags but Session Present are 0; in 3.1 that one as well.
    fn connack(&mut self) -> Result<Body> {
        let flags = self.reader.byte()?;
        if flags > u8::from(self.version != Version::V3_1) {
            return Err(format!("CONNACK with the Connect Acknowledge Flags {flags:08b} [MQTT-3.2.2-1]"));
        }
        let code = self.reader.byte()?;
        let reason = match self.version {
            Version::V5 => code,
            _ => *CONNECT_RETURN_CODES.get(usize::from(code)).ok_or(format!("CONNACK return code {code}"))?,
        };
        self.check_reason(reason)?;
        if flags == 1 && reason != 0 {
            return Err("CONNACK with Session Present and an error [MQTT-3.2.2-6]".into());
        }
        Ok(Body::Connack { session_present: flags == 1, reason: OneOf(vec![reason]) })
    }

    fn publish(&mut self, properties: &mut Vec<Property>) -> Result<Body> {
        let (dup, qos, retain) = (self.flags & 8 != 0, self.flags >> 1 & 3, self.flags & 1 != 0);
        if qos == 3 || (qos == 0 && dup) {
            return Err(format!("PUBLISH with the flags {:04b} [MQTT-3.3.1-2] [MQTT-3.3.1-4]", self.flags));
        }
        let topic = Bytes::Exact(self.reader.text()?);
        let packet_id = if qos > 0 { Some(self.packet_id()?) } else { None };
        self.properties(properties)?;
        let payload = Bytes::Exact(std::mem::take(&mut self.reader.bytes).to_vec());
        Ok(Body::Publish(Publish { packet_id, topic, payload, qos, retain, dup }))
    }

    fn reasons(&mut self, properties: &mut Vec<Property>) -> Result<Body> {
        let packet_id = self.packet_id()?;
        self.properties(properties)?;
        let reasons = std::mem::take(&mut self.reader.bytes).to_vec();
        if self.kind == Kind::Suback && self.version != Version::V5 {
            // [MQTT3-3.9.3-2]; 3.1 knows no failure.
            let allowed: &[u8] = if self.version == Version::V3_1 { &[0, 1, 2] } else { &[0, 1, 2, 0x80] };
            if let Some(wrong) = reasons.iter().find(|reason| !allowed.contains(reason)) {
                return Err(format!("SUBACK with the return code 0x{wrong:02x} [MQTT3-3.9.3-2]"));
            }
        }
        reasons.iter().try_for_each(|&reason| self.check_reason(reason))?;
        Ok(Body::Reasons {
            packet_id,
            reasons: reasons.into_iter().map(|reason| OneOf(vec![reason])).collect(),
        })
    }

    /// Reason Code and properties, which may be left out from the end (3.4.2.1, 3.14.2.1, 3.15.2.1).
    fn short_form(&mut self, properties: &mut Vec<Property>) -> Result<u8> {
        if self.reader.bytes.is_empty() {
            return Ok(0);
        }
        if self.version != Version::V5 {
            return Err(format!("{} is too long for this version", self.kind.name()));
        }
        let reason = self.reader.byte()?;
        self.check_reason(reason)?;
        if !self.reader.bytes.is_empty() {
            self.properties(properties)?;
        }
        Ok(reason)
    }

    fn check_reason(&self, reason: u8) -> Result<()> {
        let name = reason_name(self.kind, reason);
        name.map(drop).ok_or_else(|| format!("{} with the Reason Code 0x{reason:02x}", self.kind.name()))
    }

    /// [MQTT-2.2.1-4]: never 0.
    fn packet_id(&mut self) -> Result<Number> {
        let packet_id = self.reader.number(2)?;
        if packet_id == 0 {
            return Err(format!("{} with the Packet Identifier 0", self.kind.name()));
        }
        Ok(Number::Exact(packet_id))
    }

    fn properties(&mut self, properties: &mut Vec<Property>) -> Result<()> {
        if self.version != Version::V5 {
            return Ok(());
        }
        let length = self.reader.variable()?.ok_or("a Property Length is cut off")? as usize;
        let mut list = Reader { bytes: self.reader.take(length)? };
        while !list.bytes.is_empty() {
            let property = self.property(&mut list)?;
            let may_repeat = matches!(property.identifier, 0x0B | 0x26);
            if !may_repeat
                && properties.iter().any(|known: &Property| known.identifier == property.identifier)
            {
                return Err(format!(
                    "{} with a property twice: 0x{:02x}",
                    self.kind.name(),
                    property.identifier
                ));
            }
            properties.push(property);
        }
        Ok(())
    }

    fn property(&self, list: &mut Reader<'_>) -> Result<Property> {
        let identifier = list.variable()?.ok_or("a Property Identifier is cut off")?;
        let row = property_by_identifier(identifier)
            .ok_or_else(|| format!("unknown property 0x{identifier:02x}"))?;
        if !row.from_server.contains(&self.kind) {
            return Err(format!("{} in {}", row.name, self.kind.name()));
        }
        let value = match row.form {
            Form::Byte => PropertyValue::Number(Number::Exact(list.number(1)?)),
            Form::Two => PropertyValue::Number(Number::Exact(list.number(2)?)),
            Form::Four => PropertyValue::Number(Number::Exact(list.number(4)?)),
            Form::Variable => {
                PropertyValue::Number(Number::Exact(list.variable()?.ok_or("a number is cut off")?))
            }
            Form::Text => PropertyValue::Bytes(Bytes::Exact(list.text()?)),
            Form::Binary => PropertyValue::Bytes(Bytes::Exact(list.counted()?.to_vec())),
            Form::Pair => PropertyValue::Pair(list.text()?, list.text()?),
        };
        Ok(Property { identifier: row.identifier, value })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("a packet ends inside a field")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self, width: usize) -> Result<u32> {
        Ok(self.take(width)?.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// A Variable Byte Integer (1.5.5), `None` if more bytes must come. [MQTT-1.5.5-1]: minimal.
    fn variable(&mut self) -> Result<Option<u32>> {
        let mut value = 0;
        for place in 0..4 {
            let Some((&byte, rest)) = self.bytes.split_first() else { return Ok(None) };
            self.bytes = rest;
            value |= u32::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                let is_minimal = place == 0 || byte != 0;
                return if is_minimal {
                    Ok(Some(value))
                } else {
                    Err("a length is not minimal [MQTT-1.5.5-1]".into())
                };
            }
        }
        Err("a length has more than four bytes".into())
    }

    fn counted(&mut self) -> Result<&'a [u8]> {
        let length = self.number(2)?;
        self.take(length as usize)
    }

    /// A UTF-8 Encoded String (1.5.4). [MQTT-1.5.4-1] [MQTT-1.5.4-2]
    fn text(&mut self) -> Result<Vec<u8>> {
        let bytes = self.counted()?;
        let text = std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8 [MQTT-1.5.4-1]")?;
        if text.contains('\0') {
            return Err("a text has U+0000 [MQTT-1.5.4-2]".into());
        }
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], version: Version) -> String {
        match decode(bytes, version) {
            Ok(Some((packet, length))) => {
                assert_eq!(length, bytes.len());
                packet.to_string()
            }
            Ok(None) => "more".into(),
            Err(error) => error,
        }
    }

    #[test]
    fn packets_of_the_server_are_read() {
        let v5 = [
            (&b"\x20\x06\x01\x00\x03\x21\x00\x0A"[..], "CONNACK Success present receive_maximum=10"),
            (b"\x3B\x08\x00\x01a\x00\x07\x00hi", "PUBLISH 7 a \"hi\" qos1 retain dup"),
            (b"\x40\x02\x00\x01", "PUBACK 1 Success"),
            (b"\x50\x03\x00\x01\x10", "PUBREC 1 NoMatchingSubscribers"),
            (b"\x90\x05\x00\x01\x00\x01\x8F", "SUBACK 1 GrantedQoS1 TopicFilterInvalid"),
            (b"\xD0\x00", "PINGRESP"),
            (b"\xE0\x00", "DISCONNECT NormalDisconnection"),
            (b"\xE0\x02\x8E\x00", "DISCONNECT SessionTakenOver"),
            (b"\xF0\x06\x18\x04\x15\x00\x01m", "AUTH ContinueAuthentication authentication_method=m"),
            (b"\xD0", "more"),
            (b"\x40\x02\x00", "more"),
        ];
        for (bytes, expected) in v5 {
            assert_eq!(text(bytes, Version::V5), expected);
        }
        assert_eq!(text(b"\x20\x02\x00\x05", Version::V3_1_1), "CONNACK NotAuthorized");
        assert_eq!(text(b"\x30\x04\x00\x01ax", Version::V3_1_1), "PUBLISH a \"x\"");
    }

    #[test]
    fn what_the_server_must_not_send_is_refused() {
        let v5: [&[u8]; 12] = [
            b"\xD1\x00",
            b"\x20\x03\x02\x00\x00",
            b"\x20\x03\x01\x87\x00",
            b"\x38\x04\x00\x01a\x00",
            b"\x32\x06\x00\x01a\x00\x00\x00",
            b"\x40\x03\x00\x01\x92",
            b"\xE0\x07\x00\x05\x11\x00\x00\x00\x01",
            b"\x40\x82\x00\x00\x01",
            b"\x30\x05\x00\x02\xC3\x28\x00",
            b"\x30\x04\x00\x01\x00\x00",
            b"\x20\x09\x00\x00\x06\x21\x00\x01\x21\x00\x01",
            b"\xC0\x00",
        ];
        for bytes in v5 {
            assert!(decode(bytes, Version::V5).is_err(), "{bytes:02x?}");
        }
        assert!(decode(b"\x90\x03\x00\x01\x87", Version::V3_1_1).is_err());
        assert!(decode(b"\x90\x03\x00\x01\x80", Version::V3_1).is_err());
        assert!(decode(b"\x20\x02\x01\x00", Version::V3_1).is_err());
        assert!(decode(b"\x40\x03\x00\x01\x00", Version::V3_1_1).is_err());
        assert!(decode(b"\xE0\x00", Version::V3_1_1).is_err());
    }

    #[test]
    fn the_version_of_a_raw_connect_is_seen() {
        let connect = b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00";
        assert_eq!(version_of_connect(connect), Some(Version::V3_1_1));
        assert_eq!(version_of_connect(b"\xC0\x00"), None);
    }
}
