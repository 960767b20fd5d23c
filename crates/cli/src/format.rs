//! What `sub` prints for a message: payload, `-v`, or the language of `-F`.

use std::iter::Peekable;
use std::str::Chars;

use dunlin_client::messages::ReceivedMessage;
use jiff::Zoned;
use jiff::fmt::strtime;
use thiserror::Error;

use crate::json::{self, NotJson};

/// A format, ready to print messages with.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pieces: Vec<Piece>,
    is_pretty: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Literal(String),
    Field(Field),
    /// `@` and a letter of strftime, as `%` and that letter.
    Time(String),
    /// `@N`.
    Nanoseconds,
    /// The payload, or `(null)` for none, as `-v` has it.
    VerbosePayload,
}

/// `%`, and how wide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Field {
    letter: char,
    is_left: bool,
    is_zero_padded: bool,
    width: usize,
    precision: Option<usize>,
    separator: char,
}

/// Why a format cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(crate) enum FormatError {
    #[error("-F ends with `{0}`; write `{0}{0}` for the character itself")]
    Unfinished(char),
    #[error("-F has no `{0}{1}`; write `{0}{0}` for the character `{0}` itself")]
    Unknown(char, char),
    #[error("-F has a width of more than 10000 in `%`")]
    TooWide,
}

impl Format {
    /// The payload alone, or with `-v` topic and payload.
    pub(crate) fn plain(is_verbose: bool) -> Self {
        let topic = Field::plain('t');
        let pieces = match is_verbose {
            true => vec![Piece::Field(topic), Piece::Literal(" ".into()), Piece::VerbosePayload],
            false => vec![Piece::Field(Field::plain('p'))],
        };
        Self { pieces, is_pretty: false }
    }

    /// Reads the language of `-F`; `is_pretty` is for its JSON.
    pub(crate) fn parse(text: &str, is_pretty: bool) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let piece = match c {
                '%' => parse_field(&mut chars)?,
                '@' => parse_time(&mut chars)?,
                '\\' => parse_escape(&mut chars)?,
                c => Piece::Literal(c.into()),
            };
            match (pieces.last_mut(), piece) {
                (Some(Piece::Literal(last)), Piece::Literal(more)) => last.push_str(&more),
                (_, piece) => pieces.push(piece),
            }
        }
        Ok(Self { pieces, is_pretty })
    }

    /// Appends `received`, which came at `now`.
    ///
    /// # Errors
    /// [`NotJson`] if `%J` meets another payload; `out` then holds the part before it.
    pub(crate) fn print(
        &self,
        received: &ReceivedMessage,
        now: &Zoned,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(field) => self.print_field(field, received, now, out)?,
                Piece::Time(format) => out.extend_from_slice(time(format, now).as_bytes()),
                Piece::Nanoseconds => out.extend_from_slice(nanoseconds(now).as_bytes()),
                Piece::VerbosePayload if received.message.payload.is_empty() => {
                    out.extend_from_slice(b"(null)")
                }
                Piece::VerbosePayload => out.extend_from_slice(&received.message.payload),
            }
        }
        Ok(())
    }

    fn print_field(
        &self,
        field: &Field,
        received: &ReceivedMessage,
        now: &Zoned,
        out: &mut Vec<u8>,
    ) -> Result<(), NotJson> {
        let message = &received.message;
        let list = message.properties.list();
        let number = |value: Option<u32>| field.number(value.map(|value| value.to_string()));
        let text = |value: Option<&str>| field.text(value.unwrap_or_default());
        let packet_id = received.packet_id.map_or(0, |packet_id| packet_id.value());
        let printed = match field.letter {
            '%' => "%".into(),
            'A' => number(list.topic_alias().map(u32::from)),
            'C' => text(list.content_type()),
            'D' => return append(out, list.correlation_data().unwrap_or_default()),
            'E' => number(list.message_expiry_interval_s()),
            'F' => number(list.payload_format_indicator().map(u32::from)),
            'I' => field.text(&time(ISO_8601, now)),
            'j' | 'J' => {
                let object = json::message(received, &time(JSON_TIME, now), field.letter == 'J')?;
                if self.is_pretty { json::layout(&object, true) } else { object }
            }
            'l' => number(u32::try_from(message.payload.len()).ok()),
            'm' => number(Some(u32::from(packet_id))),
            'P' => {
                let pairs: Vec<_> =
                    list.user_properties().map(|(name, value)| format!("{name}:{value}")).collect();
                pairs.join(" ")
            }
            'p' => return append(out, &field.bytes(&message.payload)),
            'q' => message.qos.value().to_string(),
            'R' => text(list.response_topic()),
            'r' => u8::from(message.retain).to_string(),
            'S' => number(list.subscription_identifiers().next()),
            't' => field.text(&message.topic_name),
            'U' => format!("{}.{}", time("%s", now), nanoseconds(now)),
            'x' => field.hex(&message.payload, |byte| format!("{byte:02x}")),
            'X' => field.hex(&message.payload, |byte| format!("{byte:02X}")),
            'd' => field.float(message.payload.first_chunk().map(|bytes| f64::from_le_bytes(*bytes))),
            _ => {
                field.float(message.payload.first_chunk().map(|bytes| f64::from(f32::from_le_bytes(*bytes))))
            }
        };
        append(out, printed.as_bytes())
    }
}

impl Field {
    const fn plain(letter: char) -> Self {
        let (is_left, is_zero_padded, width) = (false, false, 0);
        Self { letter, is_left, is_zero_padded, width, precision: None, separator: ' ' }
    }

    /// A number, or as much blank as it would take.
    fn number(&self, value: Option<String>) -> String {
        let value = value.unwrap_or_default();
        match (self.is_left, self.is_zero_padded) {
            (false, true) => format!("{value:0>width$}", width = self.width),
            _ => self.pad(&value),
        }
    }

    fn text(&self, value: &str) -> String {
        match self.precision {
            Some(precision) => self.pad(&value.chars().take(precision).collect::<String>()),
            None => self.pad(value),
        }
    }

    fn pad(&self, value: &str) -> String {
        match self.is_left {
            true => format!("{value:<width$}", width = self.width),
            false => format!("{value:>width$}", width = self.width),
        }
    }

    /// The width is also the most that is printed of a payload.
    fn bytes(&self, payload: &[u8]) -> Vec<u8> {
        if self.width == 0 {
            return payload.to_vec();
        }
        let shown = &payload[..payload.len().min(self.width)];
        let blank = vec![b' '; self.width - shown.len()];
        if self.is_left { [shown, &blank].concat() } else { [&blank, shown].concat() }
    }

    /// The precision is the digits of a group.
    fn hex(&self, payload: &[u8], digits: impl Fn(&u8) -> String) -> String {
        let shown = if self.width == 0 { payload.len() } else { payload.len().min(self.width / 2) };
        let all: String = payload[..shown].iter().map(digits).collect();
        let grouped = match self.precision {
            None | Some(0) => all,
            Some(group) => {
                let chars: Vec<_> = all.chars().collect();
                let groups: Vec<String> = chars.chunks(group).map(|group| group.iter().collect()).collect();
                groups.join(&self.separator.to_string())
            }
        };
        self.number(Some(grouped))
    }

    /// A payload that is one binary floating point number, the lowest byte first.
    fn float(&self, value: Option<f64>) -> String {
        let precision = self.precision.unwrap_or(6);
        self.number(value.map(|value| format!("{value:.precision$}")))
    }
}

fn append(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), NotJson> {
    out.extend_from_slice(bytes);
    Ok(())
}

fn parse_field(chars: &mut Peekable<Chars<'_>>) -> Result<Piece, FormatError> {
    let mut field = Field::plain('%');
    while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '0')) {
        match flag {
            '-' => field.is_left = true,
            _ => field.is_zero_padded = true,
        }
    }
    field.width = parse_number(chars)?.unwrap_or(0);
    if chars.next_if_eq(&'.').is_some() {
        field.precision = Some(parse_number(chars)?.unwrap_or(0));
        if let Some(separator) = chars.next_if(|c| !c.is_ascii_alphanumeric() && *c != '%') {
            field.separator = separator;
        }
    }
    match chars.next() {
        Some(letter) if FIELD_LETTERS.contains(letter) => Ok(Piece::Field(Field { letter, ..field })),
        Some(letter) => Err(FormatError::Unknown('%', letter)),
        None => Err(FormatError::Unfinished('%')),
    }
}

fn parse_number(chars: &mut Peekable<Chars<'_>>) -> Result<Option<usize>, FormatError> {
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        let value = number.unwrap_or(0) * 10 + digit as usize;
        if value > 10_000 {
            return Err(FormatError::TooWide);
        }
        number = Some(value);
    }
    Ok(number)
}

fn parse_time(chars: &mut Peekable<Chars<'_>>) -> Result<Piece, FormatError> {
    match chars.next() {
        None => Err(FormatError::Unfinished('@')),
        Some('@') => Ok(Piece::Literal("@".into())),
        Some('N') => Ok(Piece::Nanoseconds),
        Some(letter) => {
            let format = format!("%{letter}");
            match letter.is_ascii_alphabetic() && strtime::format(&format, &Zoned::now()).is_ok() {
                true => Ok(Piece::Time(format)),
                false => Err(FormatError::Unknown('@', letter)),
            }
        }
    }
}

fn parse_escape(chars: &mut Peekable<Chars<'_>>) -> Result<Piece, FormatError> {
    let c = match chars.next() {
        None => return Err(FormatError::Unfinished('\\')),
        Some('\\') => '\\',
        Some('0') => '\0',
        Some('a') => '\x07',
        Some('e') => '\x1B',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('v') => '\x0B',
        Some(other) => return Err(FormatError::Unknown('\\', other)),
    };
    Ok(Piece::Literal(c.into()))
}

/// The format was tried when it was parsed.
fn time(format: &str, now: &Zoned) -> String {
    strtime::format(format, now).unwrap_or_default()
}

fn nanoseconds(now: &Zoned) -> String {
    format!("{:09}", now.subsec_nanosecond())
}

const FIELD_LETTERS: &str = "%ACDEFIJPRSUXdfjlmpqrtx";
const ISO_8601: &str = "%Y-%m-%dT%H:%M:%S%z";
const JSON_TIME: &str = "%Y-%m-%dT%H:%M:%S.%6f%z";

#[cfg(test)]
mod tests {
    use dunlin_client::options::{Message, Properties, QoS};
    use dunlin_packet::packet::PacketType;
    use dunlin_packet::packet_identifier::PacketId;
    use dunlin_packet::property::identifier::PropertyPlace;
    use dunlin_packet::property::list::Property;

    use super::*;

    fn printed(format: &str, payload: &[u8]) -> String {
        let items = [
            Property::ContentType("text/x"),
            Property::CorrelationData(b"cd"),
            Property::MessageExpiryInterval(100),
            Property::ResponseTopic("r/t"),
            Property::UserProperty("k", "v"),
            Property::UserProperty("k2", "v2"),
        ];
        let properties = Properties::new(PropertyPlace::Packet(PacketType::Publish), &items).unwrap();
        let message = Message { properties, ..Message::new("some/topic", QoS::AtLeastOnce, payload) };
        let received = ReceivedMessage { message, dup: false, packet_id: PacketId::new(56) };
        let now: Zoned = "2026-02-03T04:05:06.000000789+01:00[+01:00]".parse().unwrap();
        let mut out = Vec::new();
        Format::parse(format, false).unwrap().print(&received, &now, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_letter_prints_its_part() {
        for (format, expected) in [
            ("%t %p", "some/topic message"),
            ("%%|@@|\\\\", "%|@|\\"),
            ("\\t\\n\\e\\0", "\t\n\x1B\0"),
            ("%l %q %r %m", "7 1 0 56"),
            ("[%A] [%F] [%S]", "[] [] []"),
            ("%C %D %E %R %P", "text/x cd 100 r/t k:v k2:v2"),
            ("%I", "2026-02-03T04:05:06+0100"),
            ("%U", "1770087906.000000789"),
            ("@Y/@m/@d @N", "2026/02/03 000000789"),
            ("%x %X", "6d657373616765 6D657373616765"),
        ] {
            assert_eq!(printed(format, b"message"), expected, "{format}");
        }
        assert!(
            printed("%j", b"x")
                .starts_with(r#"{"tst":"2026-02-03T04:05:06.000000+0100","topic":"some/topic","#)
        );
    }

    #[test]
    fn fields_have_a_width_a_precision_and_a_side() {
        for (format, expected) in [
            ("%12t|", "  some/topic|"),
            ("%-12t|", "some/topic  |"),
            ("%8.4t|", "    some|"),
            ("%-8.4t|", "some    |"),
            ("%04m|%-4m|%4m|", "0056|56  |  56|"),
            ("%4A|%04A|", "    |0000|"),
            ("%.1x", "6 d 6 5 7 3 7 3 6 1 6 7 6 5"),
            ("%.2x", "6d 65 73 73 61 67 65"),
            ("%.2:x", "6d:65:73:73:61:67:65"),
            ("%18x|%-18X|", "    6d657373616765|6D657373616765    |"),
            ("%4x|", "6d65|"),
            ("%9p|%-9p|%3p|", "  message|message  |mes|"),
        ] {
            assert_eq!(printed(format, b"message"), expected, "{format}");
        }
    }

    #[test]
    fn binary_numbers_are_printed_as_numbers() {
        assert_eq!(printed("%.3d", &12.345_67_f64.to_le_bytes()), "12.346");
        assert_eq!(printed("%.3f", &0.707_f32.to_le_bytes()), "0.707");
        assert_eq!(printed("[%f]", b"x"), "[]");
    }

    #[test]
    fn errors_are_told_before_anything_is_printed() {
        for (format, error) in [
            ("%", FormatError::Unfinished('%')),
            ("%z", FormatError::Unknown('%', 'z')),
            ("a@", FormatError::Unfinished('@')),
            ("@!", FormatError::Unknown('@', '!')),
            ("\\", FormatError::Unfinished('\\')),
            ("\\q", FormatError::Unknown('\\', 'q')),
            ("%99999t", FormatError::TooWide),
        ] {
            assert_eq!(Format::parse(format, false).map(|_| ()), Err(error), "{format}");
        }
    }
}
