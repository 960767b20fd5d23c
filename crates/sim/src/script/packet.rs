//! A packet as a script writes it: to send, to expect, or as it came.

use super::vocabulary::Kind;

/// A protocol version, as the script names it: `v5`, `v3.1.1`, `v3.1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Version {
    V3_1,
    V3_1_1,
    V5,
}

/// A number that is written, or left open: `7`, `0x07`, `5..9`, `?`, `?name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Number {
    /// This number.
    Exact(u32),
    /// From the first to the second, both included.
    Range(u32, u32),
    /// Any number.
    Any,
    /// Any number at first, and the same from then on.
    Named(String),
}

/// Bytes that are written, or left open: `abc`, `"a c"`, `?`, `?name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bytes {
    /// These bytes.
    Exact(Vec<u8>),
    /// Any bytes.
    Any,
    /// Any bytes at first, and the same from then on.
    Named(String),
}

/// A Reason Code, or several that are as good: `Success`, `Success|NoMatchingSubscribers`. What came or is sent has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OneOf(pub Vec<u8>);

impl OneOf {
    /// The first, or the only one.
    pub fn first(&self) -> u8 {
        self.0[0]
    }
}

/// The value of a property.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PropertyValue {
    Number(Number),
    Bytes(Bytes),
    Pair(Vec<u8>, Vec<u8>),
}

/// A property: its identifier (a row of [`super::vocabulary::PROPERTIES`]) and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Property {
    pub identifier: u8,
    pub value: PropertyValue,
}

/// A Control Packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Its type.
    pub kind: Kind,
    /// Flags of the fixed header in place of the right ones (`flags=`), to send what is forbidden.
    pub flags: Option<u8>,
    /// What stands outside the properties.
    pub body: Body,
    /// The properties, in order.
    pub properties: Vec<Property>,
    /// Other properties may be there as well (`...`).
    pub is_open: bool,
    /// Identifiers of properties that must not be there (`!name`).
    pub absent: Vec<u8>,
}

/// What a packet says outside its properties.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum Body {
    Connect(Box<Connect>),
    Connack {
        session_present: bool,
        reason: OneOf,
    },
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Ack {
        packet_id: Number,
        reason: OneOf,
    },
    Subscribe {
        packet_id: Number,
        filters: Vec<(Bytes, u8)>,
    },
    Unsubscribe {
        packet_id: Number,
        filters: Vec<Bytes>,
    },
    /// SUBACK, UNSUBACK.
    Reasons {
        packet_id: Number,
        reasons: Vec<OneOf>,
    },
    /// PINGREQ, PINGRESP.
    Empty,
    /// DISCONNECT, AUTH.
    Reason(OneOf),
}

/// The fields of CONNECT (3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub struct Connect {
    pub version: Version,
    /// `protocol_name=`, in place of the right one.
    pub protocol_name: Option<Vec<u8>>,
    /// `level=`, in place of the right one.
    pub level: Option<u8>,
    /// `connect_flags=`, in place of the right ones.
    pub connect_flags: Option<u8>,
    pub clean_start: bool,
    pub keep_alive_s: u16,
    pub client_id: Bytes,
    pub will: Option<Will>,
    pub user_name: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
}

/// The Will Message of CONNECT (3.1.2.5).
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub struct Will {
    pub topic: Vec<u8>,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub properties: Vec<Property>,
}

/// The fields of PUBLISH (3.3).
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub struct Publish {
    pub packet_id: Option<Number>,
    pub topic: Bytes,
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
}

impl Packet {
    /// A packet with nothing but `body`.
    pub fn new(kind: Kind, body: Body) -> Packet {
        Packet { kind, flags: None, body, properties: Vec::new(), is_open: false, absent: Vec::new() }
    }

    /// The PINGREQ that fences `< nothing`.
    pub fn pingreq() -> Packet {
        Packet::new(Kind::Pingreq, Body::Empty)
    }
}
