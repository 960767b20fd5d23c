//! Reads a packet from the words of a line, as in `PUBLISH 1 a/b "hot" qos1 retain`.

use super::{
    packet::{Body, Bytes, Connect, Number, OneOf, Packet, Property, PropertyValue, Publish, Version, Will},
    vocabulary::{Form, Kind, property_by_name, reason_by_name},
    words::{Token, Written},
};

type Result<T> = std::result::Result<T, String>;

/// Reads a packet from `tokens`, whose first is the name of its type.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn read(tokens: Vec<Token>) -> Result<Packet> {
    let mut tokens = tokens.into_iter();
    let Some(Token::Word(name)) = tokens.next() else { return Err("a packet begins with its name".into()) };
    let kind = Kind::from_name(&name).ok_or_else(|| format!("`{name}` is no packet"))?;
    let mut parts = Parts::default();
    for token in tokens {
        parts.take(kind, token)?;
    }
    parts.into_packet(kind)
}

/// The parts of a packet, sorted by what they are.
#[derive(Default)]
struct Parts {
    /// Words and texts that are none of the known words; a Packet Identifier stays the first to the end.
    fields: Vec<Written>,
    qos: Option<u8>,
    retain: bool,
    dup: bool,
    session_present: bool,
    clean: bool,
    version: Option<Version>,
    will: Option<Will>,
    /// Pairs that are no properties.
    pairs: Vec<(String, Written)>,
    properties: Vec<Property>,
    absent: Vec<u8>,
    is_open: bool,
    /// Options of the Topic Filter being read, and the finished ones of SUBSCRIBE and UNSUBSCRIBE.
    options: u8,
    filters: Vec<(Bytes, u8)>,
}

impl Parts {
    fn take(&mut self, kind: Kind, token: Token) -> Result<()> {
        match token {
            Token::Word(word) => self.take_word(kind, word),
            Token::Text(text) => {
                self.fields.push(Written::Quoted(text));
                Ok(())
            }
            Token::Pair(key, value) => self.take_pair(kind, key, value),
            Token::Group(name, tokens) if name == "will" && kind == Kind::Connect => {
                self.will = Some(read_will(tokens)?);
                Ok(())
            }
            Token::Group(name, _) => Err(format!("`{name}(` is not known here")),
            Token::Comma => self.finish_filter(kind),
        }
    }

    fn take_word(&mut self, kind: Kind, word: String) -> Result<()> {
        match (kind, word.as_str()) {
            (_, "...") => self.is_open = true,
            (_, absent) if absent.starts_with('!') => {
                let row =
                    property_by_name(&absent[1..]).ok_or_else(|| format!("`{absent}` names no property"))?;
                self.absent.push(row.identifier);
            }
            (Kind::Connect, "v5") => self.version = Some(Version::V5),
            (Kind::Connect, "v3.1.1") => self.version = Some(Version::V3_1_1),
            (Kind::Connect, "v3.1") => self.version = Some(Version::V3_1),
            (Kind::Connect, "clean") => self.clean = true,
            (Kind::Connack, "present") => self.session_present = true,
            (Kind::Publish, "retain") => self.retain = true,
            (Kind::Publish, "dup") => self.dup = true,
            (Kind::Publish, "qos0" | "qos1" | "qos2" | "qos3") => self.qos = Some(word.as_bytes()[3] - b'0'),
            (Kind::Subscribe, "qos0" | "qos1" | "qos2" | "qos3") => self.options |= word.as_bytes()[3] - b'0',
            (Kind::Subscribe, "no_local") => self.options |= 0b0000_0100,
            (Kind::Subscribe, "rap") => self.options |= 0b0000_1000,
            _ => self.fields.push(Written::Bare(word)),
        }
        Ok(())
    }

    fn take_pair(&mut self, kind: Kind, key: String, value: Written) -> Result<()> {
        match (kind, key.as_str()) {
            (Kind::Subscribe, "rh") => self.options |= small::<u8>(value)? << 4,
            (Kind::Subscribe, "options") => self.options = small(value)?,
            (Kind::Connect, "id" | "keep_alive" | "user_name" | "password") => self.pairs.push((key, value)),
            (Kind::Connect, "protocol_name" | "level" | "connect_flags") => self.pairs.push((key, value)),
            (_, "flags") => self.pairs.push((key, value)),
            _ => self.properties.push(read_property(&key, value)?),
        }
        Ok(())
    }

    /// Ends the description of one Topic Filter: at a comma and at the end of the line.
    fn finish_filter(&mut self, kind: Kind) -> Result<()> {
        if !matches!(kind, Kind::Subscribe | Kind::Unsubscribe) {
            return Err("a comma stands only between Topic Filters".into());
        }
        if self.fields.len() != 2 {
            return Err("a Packet Identifier and one Topic Filter stand before a comma or the end".into());
        }
        let filter = bytes(self.fields.pop().expect("there are two"))?;
        self.filters.push((filter, std::mem::take(&mut self.options)));
        Ok(())
    }

    fn into_packet(mut self, kind: Kind) -> Result<Packet> {
        let flags = self.pair("flags").map(small).transpose()?;
        let body = match kind {
            Kind::Connect => Body::Connect(Box::new(self.connect()?)),
            Kind::Connack => {
                let session_present = self.session_present;
                Body::Connack { session_present, reason: self.reason(kind)? }
            }
            Kind::Publish => Body::Publish(self.publish()?),
            Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
                let packet_id = self.packet_id()?;
                Body::Ack { packet_id, reason: self.reason(kind)? }
            }
            Kind::Subscribe | Kind::Unsubscribe => self.filters(kind)?,
            Kind::Suback | Kind::Unsuback => {
                let packet_id = self.packet_id()?;
                let fields = std::mem::take(&mut self.fields).into_iter();
                let reasons = fields.map(|field| reason(kind, field)).collect::<Result<_>>()?;
                Body::Reasons { packet_id, reasons }
            }
            Kind::Pingreq | Kind::Pingresp => Body::Empty,
            Kind::Disconnect | Kind::Auth => Body::Reason(self.reason(kind)?),
        };
        if let Some(field) = self.fields.first() {
            return Err(format!("{} is too much", String::from_utf8_lossy(&field.clone().into_bytes())));
        }
        Ok(Packet {
            kind,
            flags,
            body,
            properties: self.properties,
            is_open: self.is_open,
            absent: self.absent,
        })
    }

    fn connect(&mut self) -> Result<Connect> {
        let client_id = self.pair("id").ok_or("CONNECT needs id=, which may be id=\"\"")?;
        Ok(Connect {
            version: self.version.ok_or("CONNECT needs v5, v3.1.1 or v3.1")?,
            protocol_name: self.pair("protocol_name").map(Written::into_bytes),
            level: self.pair("level").map(small).transpose()?,
            connect_flags: self.pair("connect_flags").map(small).transpose()?,
            clean_start: self.clean,
            keep_alive_s: self.pair("keep_alive").map(small).transpose()?.unwrap_or(0),
            client_id: bytes(client_id)?,
            will: self.will.take(),
            user_name: self.pair("user_name").map(Written::into_bytes),
            password: self.pair("password").map(Written::into_bytes),
        })
    }

    /// `[packet identifier] topic payload`
    fn publish(&mut self) -> Result<Publish> {
        let packet_id = if self.fields.len() == 3 { Some(self.packet_id()?) } else { None };
        let [topic, payload] = <[Written; 2]>::try_from(std::mem::take(&mut self.fields)).map_err(
            |_| "PUBLISH has a Topic Name and a payload, and before them perhaps a Packet Identifier",
        )?;
        Ok(Publish {
            packet_id,
            topic: bytes(topic)?,
            payload: bytes(payload)?,
            qos: self.qos.unwrap_or(0),
            retain: self.retain,
            dup: self.dup,
        })
    }

    fn filters(&mut self, kind: Kind) -> Result<Body> {
        if self.fields.len() > 1 {
            self.finish_filter(kind)?;
        }
        let packet_id = self.packet_id()?;
        let filters = std::mem::take(&mut self.filters);
        Ok(match kind {
            Kind::Subscribe => Body::Subscribe { packet_id, filters },
            _ => Body::Unsubscribe {
                packet_id,
                filters: filters.into_iter().map(|(filter, _)| filter).collect(),
            },
        })
    }

    fn packet_id(&mut self) -> Result<Number> {
        if self.fields.is_empty() {
            return Err("a Packet Identifier is missing".into());
        }
        number(self.fields.remove(0))
    }

    /// The Reason Code; without one, Success.
    fn reason(&mut self, kind: Kind) -> Result<OneOf> {
        if self.fields.is_empty() { Ok(OneOf(vec![0])) } else { reason(kind, self.fields.remove(0)) }
    }

    fn pair(&mut self, key: &str) -> Option<Written> {
        let place = self.pairs.iter().position(|(known, _)| known == key)?;
        Some(self.pairs.remove(place).1)
    }
}

fn read_will(tokens: Vec<Token>) -> Result<Will> {
    let mut will =
        Will { topic: Vec::new(), payload: Vec::new(), qos: 0, retain: false, properties: Vec::new() };
    for token in tokens {
        match token {
            Token::Word(word) if word == "retain" => will.retain = true,
            Token::Text(text) => will.payload = text,
            Token::Pair(key, value) if key == "topic" => will.topic = value.into_bytes(),
            Token::Pair(key, value) if key == "qos" => will.qos = small(value)?,
            Token::Pair(key, value) => will.properties.push(read_property(&key, value)?),
            other => return Err(format!("{other:?} is nothing of a Will")),
        }
    }
    Ok(will)
}

fn read_property(name: &str, value: Written) -> Result<Property> {
    let row = property_by_name(name).ok_or_else(|| format!("`{name}` is no property and no field"))?;
    let value = match row.form {
        Form::Byte | Form::Two | Form::Four | Form::Variable => PropertyValue::Number(number(value)?),
        Form::Text | Form::Binary => PropertyValue::Bytes(bytes(value)?),
        Form::Pair => {
            let whole = value.into_bytes();
            let colon =
                whole.iter().position(|&byte| byte == b':').ok_or("a User Property is written name:value")?;
            PropertyValue::Pair(whole[..colon].to_vec(), whole[colon + 1..].to_vec())
        }
    };
    Ok(Property { identifier: row.identifier, value })
}

/// Reason Codes by the names that they have in packets of this kind, or as `0x8f`.
fn reason(kind: Kind, value: Written) -> Result<OneOf> {
    let names = String::from_utf8_lossy(&value.into_bytes()).into_owned();
    let values = names.split('|').map(|name| {
        let value = match name.strip_prefix("0x") {
            Some(digits) => u8::from_str_radix(digits, 16).ok(),
            None => reason_by_name(kind, name),
        };
        value.ok_or_else(|| format!("`{name}` is no Reason Code of {}", kind.name()))
    });
    Ok(OneOf(values.collect::<Result<_>>()?))
}

/// The name after `?`, if the value is left open.
fn open_name(word: &str) -> Option<&str> {
    word.strip_prefix('?').filter(|name| name.chars().all(|letter| letter.is_alphanumeric() || letter == '_'))
}

fn bytes(value: Written) -> Result<Bytes> {
    Ok(match value {
        Written::Bare(word) => match open_name(&word) {
            Some("") => Bytes::Any,
            Some(name) => Bytes::Named(name.to_owned()),
            None => Bytes::Exact(word.into_bytes()),
        },
        Written::Quoted(bytes) => Bytes::Exact(bytes),
    })
}

fn number(value: Written) -> Result<Number> {
    let Written::Bare(word) = value else { return Err("here stands a number, not a text".into()) };
    if let Some(name) = open_name(&word) {
        return Ok(if name.is_empty() { Number::Any } else { Number::Named(name.to_owned()) });
    }
    match word.split_once("..") {
        Some((low, high)) => Ok(Number::Range(parse(low)?, parse(high)?)),
        None => Ok(Number::Exact(parse(&word)?)),
    }
}

/// A number that must be written out and fit into a `T`.
fn small<T: TryFrom<u32>>(value: Written) -> Result<T> {
    let word = String::from_utf8_lossy(&value.into_bytes()).into_owned();
    T::try_from(parse(&word)?).map_err(|_| format!("{word} is too big"))
}

fn parse(word: &str) -> Result<u32> {
    let number = match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.parse(),
    };
    number.map_err(|_| format!("`{word}` is no number"))
}
