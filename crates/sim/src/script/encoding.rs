//! Writes a packet of a script as bytes, right or wrong as the script wants it.

use super::{
    matching::Names,
    packet::{Body, Bytes, Connect, Number, OneOf, Packet, Property, PropertyValue, Publish, Version, Will},
    vocabulary::{CONNECT_RETURN_CODES, Form, Kind, PROPERTIES},
};

type Result<T> = std::result::Result<T, String>;

/// The bytes of `packet` on a Network Connection of `version`; CONNECT has its own version.
///
/// # Errors
/// For a person: a value was left open that `names` does not know, or is too big for its field.
pub fn encode(packet: &Packet, version: Version, names: &Names) -> Result<Vec<u8>> {
    let mut writer = Writer { bytes: Vec::new(), names };
    let flags = writer.packet(packet, version)?;
    let mut bytes = vec![(packet.kind as u8) << 4 | packet.flags.unwrap_or(flags)];
    variable(writer.bytes.len(), &mut bytes)?;
    bytes.extend(writer.bytes);
    Ok(bytes)
}

struct Writer<'a> {
    bytes: Vec<u8>,
    names: &'a Names,
}

impl Writer<'_> {
    /// Writes everything after the fixed header, and returns the flags for it.
    fn packet(&mut self, packet: &Packet, version: Version) -> Result<u8> {
        let has_properties = version == Version::V5;
        let properties = |writer: &mut Self| {
            if has_properties { writer.properties(&packet.properties) } else { Ok(()) }
        };
        match &packet.body {
            Body::Connect(connect) => self.connect(connect, &packet.properties)?,
            Body::Connack { session_present, reason } => {
                self.bytes.extend([u8::from(*session_present), connack_reason(reason.first(), version)?]);
                properties(self)?;
            }
            Body::Publish(publish) => {
                self.publish_head(publish)?;
                properties(self)?;
                self.raw(&publish.payload)?;
                return Ok(u8::from(publish.dup) << 3 | publish.qos << 1 | u8::from(publish.retain));
            }
            Body::Ack { packet_id, reason } => {
                self.two(packet_id)?;
                self.short_form(reason.first(), packet, version)?;
            }
            Body::Subscribe { packet_id, filters } => {
                self.two(packet_id)?;
                properties(self)?;
                for (filter, options) in filters {
                    self.text(filter)?;
                    self.bytes.push(*options);
                }
            }
            Body::Unsubscribe { packet_id, filters } => {
                self.two(packet_id)?;
                properties(self)?;
                filters.iter().try_for_each(|filter| self.text(filter))?;
            }
            Body::Reasons { packet_id, reasons } => {
                self.two(packet_id)?;
                properties(self)?;
                self.bytes.extend(reasons.iter().map(OneOf::first));
            }
            Body::Empty => {}
            Body::Reason(reason) => self.short_form(reason.first(), packet, version)?,
        }
        Ok(packet.kind.reserved_flags())
    }

    /// A Reason Code and properties, as short as 3.4.2 and 3.14.2 allow. [MQTT-2.2.2-1]
    fn short_form(&mut self, reason: u8, packet: &Packet, version: Version) -> Result<()> {
        if version != Version::V5 || (reason == 0 && packet.properties.is_empty()) {
            return Ok(());
        }
        self.bytes.push(reason);
        if packet.properties.is_empty() && packet.kind != Kind::Auth {
            return Ok(());
        }
        self.properties(&packet.properties)
    }

    fn connect(&mut self, connect: &Connect, properties: &[Property]) -> Result<()> {
        let (name, level) = match connect.version {
            Version::V3_1 => ("MQIsdp", 3),
            Version::V3_1_1 => ("MQTT", 4),
            Version::V5 => ("MQTT", 5),
        };
        self.counted(connect.protocol_name.as_deref().unwrap_or(name.as_bytes()))?;
        self.bytes.push(connect.level.unwrap_or(level));
        self.bytes.push(connect.connect_flags.unwrap_or_else(|| connect_flags(connect)));
        self.bytes.extend(connect.keep_alive_s.to_be_bytes());
        let has_properties = connect.version == Version::V5;
        if has_properties {
            self.properties(properties)?;
        }
        self.text(&connect.client_id)?;
        if let Some(will) = &connect.will {
            if has_properties {
                self.properties(&will.properties)?;
            }
            self.counted(&will.topic)?;
            self.counted(&will.payload)?;
        }
        for field in [&connect.user_name, &connect.password].into_iter().flatten() {
            self.counted(field)?;
        }
        Ok(())
    }

    fn publish_head(&mut self, publish: &Publish) -> Result<()> {
        self.text(&publish.topic)?;
        publish.packet_id.as_ref().map_or(Ok(()), |packet_id| self.two(packet_id))
    }

    fn properties(&mut self, properties: &[Property]) -> Result<()> {
        let mut list = Writer { bytes: Vec::new(), names: self.names };
        properties.iter().try_for_each(|property| list.property(property))?;
        variable(list.bytes.len(), &mut self.bytes)?;
        self.bytes.extend(list.bytes);
        Ok(())
    }

    fn property(&mut self, property: &Property) -> Result<()> {
        let row = PROPERTIES.iter().find(|row| row.identifier == property.identifier);
        let row = row.expect("a script names properties of the table");
        self.bytes.push(row.identifier);
        match &property.value {
            PropertyValue::Number(number) => self.number(row.form, number),
            PropertyValue::Bytes(bytes) => self.text(bytes),
            PropertyValue::Pair(name, value) => {
                self.counted(name)?;
                self.counted(value)
            }
        }
    }

    fn number(&mut self, form: Form, number: &Number) -> Result<()> {
        let value = self.names.number(number)?;
        let too_big = || format!("{value} is too big for its field");
        match form {
            Form::Byte => self.bytes.push(value.try_into().map_err(|_| too_big())?),
            Form::Two => self.bytes.extend(u16::try_from(value).map_err(|_| too_big())?.to_be_bytes()),
            Form::Variable => variable(value as usize, &mut self.bytes)?,
            Form::Four | Form::Text | Form::Binary | Form::Pair => self.bytes.extend(value.to_be_bytes()),
        }
        Ok(())
    }

    fn two(&mut self, number: &Number) -> Result<()> {
        self.number(Form::Two, number)
    }

    fn text(&mut self, text: &Bytes) -> Result<()> {
        let bytes = self.names.bytes(text)?;
        self.counted(&bytes)
    }

    fn raw(&mut self, bytes: &Bytes) -> Result<()> {
        let bytes = self.names.bytes(bytes)?;
        self.bytes.extend(bytes);
        Ok(())
    }

    fn counted(&mut self, bytes: &[u8]) -> Result<()> {
        let length =
            u16::try_from(bytes.len()).map_err(|_| format!("{} bytes are too long a text", bytes.len()))?;
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(bytes);
        Ok(())
    }
}

/// The Connect Flags that say what is there (3.1.2.3).
fn connect_flags(connect: &Connect) -> u8 {
    let will =
        connect.will.as_ref().map_or(0, |Will { qos, retain, .. }| 0x04 | qos << 3 | u8::from(*retain) << 5);
    let user_name = u8::from(connect.user_name.is_some()) << 7;
    let password = u8::from(connect.password.is_some()) << 6;
    user_name | password | will | u8::from(connect.clean_start) << 1
}

fn connack_reason(reason: u8, version: Version) -> Result<u8> {
    if version == Version::V5 {
        return Ok(reason);
    }
    let code = CONNECT_RETURN_CODES.iter().position(|&known| known == reason);
    code.map(|code| code as u8).ok_or_else(|| format!("0x{reason:02x} has no return code in this version"))
}

/// A Variable Byte Integer in as few bytes as possible (1.5.5).
fn variable(mut value: usize, bytes: &mut Vec<u8>) -> Result<()> {
    if value > 268_435_455 {
        return Err(format!("{value} is too big for a Variable Byte Integer"));
    }
    loop {
        let byte = (value & 0x7F) as u8;
        value >>= 7;
        bytes.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{packet_text, words};

    fn encoded(text: &str, version: Version) -> Vec<u8> {
        let tokens = words::split(text).expect("the line is well formed");
        let packet = packet_text::read(tokens).expect("it is a packet");
        encode(&packet, version, &Names::default()).expect("it can be written")
    }

    #[test]
    fn connect_is_written_with_all_its_fields() {
        let line = r#"CONNECT id=a v5 clean keep_alive=10 will(topic=t qos=1 retain delay=5 "w") user_name=u password=p receive_maximum=2"#;
        let expected = b"\x10\x23\x00\x04MQTT\x05\xEE\x00\x0A\x03\x21\x00\x02\x00\x01a\x05\x18\x00\x00\x00\x05\x00\x01t\x00\x01w\x00\x01u\x00\x01p";
        assert_eq!(encoded(line, Version::V5), expected);
        assert_eq!(
            encoded("CONNECT id=a v3.1", Version::V5),
            b"\x10\x0F\x00\x06MQIsdp\x03\x00\x00\x00\x00\x01a"
        );
    }

    #[test]
    fn the_other_packets_are_written_as_short_as_possible() {
        assert_eq!(encoded("PUBLISH a \"x\"", Version::V5), b"\x30\x05\x00\x01a\x00x");
        let line = "PUBLISH 1 a \"x\" qos1 retain dup topic_alias=3";
        assert_eq!(encoded(line, Version::V5), b"\x3B\x0A\x00\x01a\x00\x01\x03\x23\x00\x03x");
        assert_eq!(encoded("PUBLISH a \"x\" retain", Version::V3_1_1), b"\x31\x04\x00\x01ax");
        assert_eq!(encoded("PUBACK 1", Version::V5), b"\x40\x02\x00\x01");
        assert_eq!(encoded("PUBREC 1 NotAuthorized", Version::V5), b"\x50\x03\x00\x01\x87");
        assert_eq!(encoded("DISCONNECT", Version::V5), b"\xE0\x00");
        assert_eq!(
            encoded("DISCONNECT session_expiry=0", Version::V5),
            b"\xE0\x07\x00\x05\x11\x00\x00\x00\x00"
        );
        assert_eq!(encoded("PINGREQ flags=1", Version::V5), b"\xC1\x00");
    }

    #[test]
    fn topic_filters_have_their_options() {
        let line = "SUBSCRIBE 1 a/+ qos1 no_local rap rh=2, b qos0 subscription_identifier=7";
        assert_eq!(encoded(line, Version::V5), b"\x82\x0F\x00\x01\x02\x0B\x07\x00\x03a/+\x2D\x00\x01b\x00");
        assert_eq!(encoded("UNSUBSCRIBE 2 a, b", Version::V3_1_1), b"\xA2\x08\x00\x02\x00\x01a\x00\x01b");
        assert_eq!(encoded("SUBSCRIBE 1", Version::V3_1_1), b"\x82\x02\x00\x01");
    }
}
