//! Shows a packet in the words of the language, for transcripts and messages.

use std::fmt::{Display, Formatter, Result};

use super::{
    packet::{Body, Bytes, Number, OneOf, Packet, Property, PropertyValue},
    vocabulary::{Kind, PROPERTIES, reason_name},
};

/// Longer payloads and texts are cut in messages.
const SHOWN_BYTES_MAX: usize = 60;

impl Display for Packet {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.kind.name())?;
        match &self.body {
            Body::Connect(connect) => write!(f, " id={}", Word(&connect.client_id))?,
            Body::Connack { session_present, reason } => {
                show_reason(f, self.kind, reason)?;
                flag(f, *session_present, "present")?;
            }
            Body::Publish(publish) => {
                if let Some(packet_id) = &publish.packet_id {
                    write!(f, " {packet_id}")?;
                }
                write!(f, " {} {}", Word(&publish.topic), Quoted(&publish.payload))?;
                flag(f, publish.qos == 1, "qos1")?;
                flag(f, publish.qos == 2, "qos2")?;
                flag(f, publish.retain, "retain")?;
                flag(f, publish.dup, "dup")?;
            }
            Body::Ack { packet_id, reason } => {
                write!(f, " {packet_id}")?;
                show_reason(f, self.kind, reason)?;
            }
            Body::Subscribe { packet_id, filters } => {
                write!(f, " {packet_id}")?;
                filters
                    .iter()
                    .try_for_each(|(filter, options)| write!(f, " {} 0x{options:02x}", Word(filter)))?;
            }
            Body::Unsubscribe { packet_id, filters } => {
                write!(f, " {packet_id}")?;
                filters.iter().try_for_each(|filter| write!(f, " {}", Word(filter)))?;
            }
            Body::Reasons { packet_id, reasons } => {
                write!(f, " {packet_id}")?;
                reasons.iter().try_for_each(|reason| show_reason(f, self.kind, reason))?;
            }
            Body::Empty => {}
            Body::Reason(reason) => show_reason(f, self.kind, reason)?,
        }
        self.properties.iter().try_for_each(|property| write!(f, " {property}"))?;
        flag(f, self.is_open, "...")
    }
}

impl Display for Property {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let row = PROPERTIES.iter().find(|row| row.identifier == self.identifier);
        write!(f, "{}=", row.expect("properties are rows of the table").name)?;
        match &self.value {
            PropertyValue::Number(number) => number.fmt(f),
            PropertyValue::Bytes(bytes) => Word(bytes).fmt(f),
            PropertyValue::Pair(name, value) => {
                write!(f, "{}:{}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            }
        }
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Number::Exact(number) => write!(f, "{number}"),
            Number::Range(low, high) => write!(f, "{low}..{high}"),
            Number::Any => f.write_str("?"),
            Number::Named(name) => write!(f, "?{name}"),
        }
    }
}

/// Bytes without quotation marks where that can be read.
struct Word<'a>(&'a Bytes);

impl Display for Word<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Bytes::Exact(bytes) => {
                let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\",=?()".contains(byte);
                if !bytes.is_empty() && bytes.len() <= SHOWN_BYTES_MAX && bytes.iter().all(is_plain) {
                    return f.write_str(&String::from_utf8_lossy(bytes));
                }
                Quoted(self.0).fmt(f)
            }
            Bytes::Any => f.write_str("?"),
            Bytes::Named(name) => write!(f, "?{name}"),
        }
    }
}

struct Quoted<'a>(&'a Bytes);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Bytes::Exact(bytes) = self.0 else { return Word(self.0).fmt(f) };
        let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
        f.write_str("\"")?;
        for chunk in shown.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '"' | '\\' => write!(f, "\\{letter}")?,
                    _ if letter.is_control() => write!(f, "\\x{:02x}", u32::from(letter))?,
                    _ => write!(f, "{letter}")?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        f.write_str("\"")?;
        if shown.len() < bytes.len() { write!(f, " and so on, {} bytes", bytes.len()) } else { Ok(()) }
    }
}

fn flag(f: &mut Formatter<'_>, is_set: bool, name: &str) -> Result {
    if is_set { write!(f, " {name}") } else { Ok(()) }
}

fn show_reason(f: &mut Formatter<'_>, kind: Kind, reason: &OneOf) -> Result {
    for (place, &value) in reason.0.iter().enumerate() {
        f.write_str(if place == 0 { " " } else { "|" })?;
        match reason_name(kind, value) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "0x{value:02x}")?,
        }
    }
    Ok(())
}
