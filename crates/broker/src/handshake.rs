//! The first packets of a Network Connection: CONNECT (3.1) and the AUTH exchange (4.12), up to the home shard's door.

use std::sync::Arc;

use dunlin_packet::{
    auth::Auth,
    connect::{Connect, Will},
    error::DecodeError,
    fixed_header::Frame,
    packet::{Packet, PacketType},
    property::{list::PropertyList, value::Property},
    reason_code::ReasonCode,
    version::ProtocolVersion,
};
use dunlin_protocol::limits::Limits;

use crate::{
    input::{Authentication, ConnectRequest, Decision, WillRequest},
    limits::Settings,
    message::{Message, MessageFacts, publisher_key},
    packets::publish::forwarded_properties,
    permissions::{Permissions, ruling::Ruling},
    reply::write_refusal,
    rights::enforcing::WILL_DENIED,
};

/// The Server's side of a Network Connection until the Client is authenticated.
///
/// Bytes go in by [`handle`](Self::handle), the providers' answers by [`decide`](Self::decide); both say what to do next.
#[derive(Debug)]
pub struct Handshake {
    settings: Arc<Settings>,
    peer: Box<str>,
    /// Fresh random bits for an Assigned Client Identifier.
    random: u128,
    unread: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No whole packet yet. [MQTT-3.1.0-1]
    Fresh,
    /// The providers are asked.
    Deciding(Box<ConnectRequest>),
    /// A challenge is out; AUTH is awaited.
    Challenged(Box<ConnectRequest>),
    /// Refused or handed over.
    Over,
}

/// A rule that CONNECT breaks: the Reason Code and the Reason String.
type Objection = (ReasonCode, &'static str);

/// What the caller of [`Handshake`] does next.
#[derive(Debug)]
pub enum Step {
    /// Read more and call [`Handshake::handle`].
    NeedBytes,
    /// Ask the providers and call [`Handshake::decide`].
    Authenticate(Credentials),
    /// Write these bytes, then read more.
    Challenge(Vec<u8>),
    /// Hand this to the home shard, together with the bytes that came after it.
    Welcome {
        /// The Client.
        request: Box<ConnectRequest>,
        /// What it sent without waiting for CONNACK.
        unread: Vec<u8>,
    },
    /// Write these bytes, if any, and close. [MQTT-3.2.2-7] [MQTT3-3.2.2-5]
    Refuse {
        /// CONNACK, or nothing.
        bytes: Vec<u8>,
        /// Why, for the log.
        reason: Refusal,
    },
}

/// Who a Client says it is.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The Client Identifier; one the Server has just chosen if the Client came without.
    pub client_id: Box<str>,
    /// The user name.
    pub user_name: Option<Box<str>>,
    /// The password: bytes.
    pub password: Option<Vec<u8>>,
    /// The Authentication Method, of 5.0 Clients that want extended authentication.
    pub method: Option<Box<str>>,
    /// The Authentication Data of this step; empty for none.
    pub data: Vec<u8>,
    /// Whether this is an answer to a challenge.
    pub is_continued: bool,
}

/// Why a Client did not get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first packet was none of MQTT, or not CONNECT. [MQTT-3.1.0-1] [MQTT3-3.1.0-1]
    NotConnect,
    /// A packet could not be decoded.
    Malformed(DecodeError),
    /// Told the Client.
    Code {
        /// The Reason Code.
        code: ReasonCode,
        /// The Reason String.
        reason: &'static str,
    },
    /// It may not publish its Will; it was told that with Not authorized (0x87).
    WillDenied {
        /// The Will Topic.
        topic: Box<str>,
        /// The rule that says so, in words.
        rule: Box<str>,
    },
    /// The Client gave up with DISCONNECT.
    GaveUp,
}

impl Handshake {
    /// Starts with a fresh Network Connection from `peer`; `random` is used for an Assigned Client Identifier.
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: Box<str>, random: u128) -> Self {
        Self { settings, peer, random, unread: Vec::new(), state: State::Fresh }
    }

    /// Takes bytes from the Client, cut anywhere.
    pub fn handle(&mut self, bytes: &[u8]) -> Step {
        self.unread.extend_from_slice(bytes);
        // After a refusal nothing is looked at any more. [MQTT-3.1.4-6] [MQTT3-3.1.4-5]
        if matches!(self.state, State::Deciding(_) | State::Over) {
            return Step::NeedBytes;
        }
        let unread = std::mem::take(&mut self.unread);
        let frame = match Frame::split(&unread, self.settings.connect_packet_size_max) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                self.unread = unread;
                return Step::NeedBytes;
            }
            Err(error) => return self.refuse_malformed(error, None),
        };
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh => self.first(frame),
            State::Challenged(request) => self.answered(request, frame),
            State::Deciding(_) | State::Over => Step::NeedBytes,
        };
        self.unread = unread[frame.encoded_len..].to_vec();
        step
    }

    /// Whether bytes are there that [`handle`](Self::handle) has not used; after a challenge, call it with none.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    fn first(&mut self, frame: Frame<'_>) -> Step {
        if frame.header.packet_type != PacketType::Connect {
            return refuse(Vec::new(), Refusal::NotConnect); // [MQTT-3.1.0-1] [MQTT3-3.1.0-1]
        }
        let connect = match Connect::decode(ProtocolVersion::V5_0, frame.header, frame.body) {
            Ok(connect) => connect,
            Err(error) => return self.refuse_malformed(error, version_of(frame.body)),
        };
        // [MQTT-3.1.4-2]
        if let Some(objection) = self.objection(&connect) {
            let maximum = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
            return refuse_with(connect.version, maximum, objection);
        }
        let (request, credentials) = self.request(&connect);
        self.state = State::Deciding(Box::new(request));
        Step::Authenticate(credentials)
    }

    /// The first rule that `connect` breaks.
    fn objection(&self, connect: &Connect<'_>) -> Option<Objection> {
        let settings = &*self.settings;
        if connect.client_id.is_empty() {
            let needs_id = match connect.version {
                ProtocolVersion::V3_1 => true,
                ProtocolVersion::V3_1_1 => !connect.clean_start, // [MQTT3-3.1.3-7] [MQTT3-3.1.3-8]
                ProtocolVersion::V5_0 => false,
            };
            if needs_id || !settings.allow_empty_client_id {
                // [MQTT-3.1.3-8] [MQTT3-3.1.3-9]
                return Some((ReasonCode::ClientIdentifierNotValid, "the Client Identifier is empty"));
            }
        }
        // The setting is never below 23 bytes. [MQTT-3.1.3-5] [MQTT3-3.1.3-5]
        if connect.client_id.len() > settings.client_id_bytes_max as usize {
            return Some((ReasonCode::ClientIdentifierNotValid, "the Client Identifier is too long"));
        }
        if connect.properties.user_properties().count() > settings.user_properties_max as usize {
            return Some((ReasonCode::QuotaExceeded, "too many User Properties"));
        }
        self.objection_to_will(connect.will.as_ref()?)
    }

    fn objection_to_will(&self, will: &Will<'_>) -> Option<Objection> {
        let settings = &*self.settings;
        if will.qos > settings.maximum_qos {
            return Some((ReasonCode::QoSNotSupported, "the QoS of the Will is not available")); // [MQTT-3.2.2-12]
        }
        if will.retain && !settings.retain_available {
            // [MQTT-3.2.2-13]
            return Some((ReasonCode::RetainNotSupported, "Will Retain is not available"));
        }
        if will.properties.user_properties().count() > settings.user_properties_max as usize {
            return Some((ReasonCode::QuotaExceeded, "too many User Properties in the Will"));
        }
        let levels = will.topic_name.levels().take(settings.topic_levels_max as usize + 1).count();
        (levels > settings.topic_levels_max as usize)
            .then_some((ReasonCode::TopicNameInvalid, "the Will Topic has too many levels"))
    }

    fn request(&self, connect: &Connect<'_>) -> (ConnectRequest, Credentials) {
        let version = connect.version;
        let is_assigned = connect.client_id.is_empty();
        // [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT3-3.1.3-6]: as if the Client had sent a unique one.
        let client_id: Box<str> = if is_assigned { self.assigned_id() } else { connect.client_id.into() };
        let limits = Limits::from_connect(connect);
        let session_expiry_s = match version {
            ProtocolVersion::V5_0 => connect.properties.session_expiry_interval_s().unwrap_or(0),
            _ if connect.clean_start => 0,
            _ => u32::MAX,
        };
        let method: Option<Box<str>> = connect.properties.authentication_method().map(Into::into);
        let credentials = Credentials {
            client_id: client_id.clone(),
            user_name: connect.user_name.map(Into::into),
            password: connect.password.map(<[u8]>::to_vec),
            method: method.clone(),
            data: connect.properties.authentication_data().unwrap_or_default().to_vec(),
            is_continued: false,
        };
        let request = ConnectRequest {
            version,
            is_assigned,
            clean_start: connect.clean_start,
            keep_alive_s: connect.keep_alive_s,
            session_expiry_s,
            receive_maximum: limits.receive_maximum,
            maximum_packet_size: limits.maximum_packet_size,
            topic_alias_maximum: limits.topic_alias_maximum,
            request_response_information: connect.properties.request_response_information().unwrap_or(false),
            request_problem_information: connect.properties.request_problem_information().unwrap_or(true),
            will: connect.will.as_ref().map(|will| will_request(will, &client_id)),
            user_name: connect.user_name.map(Into::into),
            permissions: Permissions::default(),
            valid_for: None,
            authentication: method.map(|method| Authentication { method, data: Vec::new() }),
            peer: self.peer.clone(),
            entry: None,
            client_id,
        };
        (request, credentials)
    }

    /// 122 random bits and more, as text.
    fn assigned_id(&self) -> Box<str> {
        format!("auto-{:032x}", self.random).into()
    }

    /// Takes the answer to [`Step::Authenticate`].
    pub fn decide(&mut self, decision: Decision) -> Step {
        let State::Deciding(mut request) = std::mem::replace(&mut self.state, State::Over) else {
            return Step::NeedBytes;
        };
        match decision {
            Decision::Grant { permissions, data, terms } => {
                if let Some(client_id) = terms.client_id.filter(|id| *id != request.client_id) {
                    if !request.is_assigned {
                        let objection = (
                            ReasonCode::ClientIdentifierNotValid,
                            "the Client Identifier is not this user's",
                        );
                        return refuse_with(request.version, request.maximum_packet_size, objection);
                    }
                    request.client_id = client_id;
                }
                if let Some(refusal) = request.will.as_ref().and_then(|will| refusal_of(&permissions, will)) {
                    let mut bytes = Vec::new();
                    let (version, maximum) = (request.version, request.maximum_packet_size);
                    write_refusal(version, maximum, ReasonCode::NotAuthorized, WILL_DENIED, &mut bytes);
                    return refuse(bytes, refusal);
                }
                request.permissions = permissions;
                request.valid_for = terms.valid_for;
                request.entry = terms.entry;
                if let Some(authentication) = &mut request.authentication {
                    authentication.data = data;
                }
                Step::Welcome { request, unread: std::mem::take(&mut self.unread) }
            }
            Decision::Deny(code) => {
                // [MQTT-3.1.4-2] [MQTT-4.12.0-4]
                refuse_with(request.version, request.maximum_packet_size, (code, code.name()))
            }
            Decision::Challenge(data) => match &request.authentication {
                // [MQTT-4.12.0-6]: never an AUTH to a Client that did not ask for it.
                None => {
                    let objection =
                        (ReasonCode::UnspecifiedError, "a challenge needs an Authentication Method");
                    refuse_with(request.version, request.maximum_packet_size, objection)
                }
                Some(authentication) => {
                    let bytes = auth_bytes(ReasonCode::ContinueAuthentication, &authentication.method, &data);
                    self.state = State::Challenged(request);
                    Step::Challenge(bytes) // [MQTT-4.12.0-2]
                }
            },
        }
    }

    /// What a Client may send after a challenge: AUTH or DISCONNECT. [MQTT-3.1.2-30]
    fn answered(&mut self, request: Box<ConnectRequest>, frame: Frame<'_>) -> Step {
        let packet = match Packet::decode(request.version, frame) {
            Ok(packet) => packet,
            Err(error) => return self.refuse_malformed(error, Some(request.version)),
        };
        let method = request.authentication.as_ref().map(|authentication| &*authentication.method);
        match packet {
            Packet::Auth(auth)
                if auth.reason_code == ReasonCode::ContinueAuthentication // [MQTT-4.12.0-3]
                    && auth.properties.authentication_method() == method // [MQTT-4.12.0-5]
                    && method.is_some() =>
            {
                let credentials = Credentials {
                    client_id: request.client_id.clone(),
                    user_name: request.user_name.clone(),
                    password: None,
                    method: method.map(Into::into),
                    data: auth.properties.authentication_data().unwrap_or_default().to_vec(),
                    is_continued: true,
                };
                self.state = State::Deciding(request);
                Step::Authenticate(credentials)
            }
            Packet::Disconnect(_) => refuse(Vec::new(), Refusal::GaveUp),
            _ => {
                let objection = (ReasonCode::ProtocolError, "neither AUTH that goes on nor DISCONNECT");
                refuse_with(request.version, request.maximum_packet_size, objection)
            }
        }
    }

    /// A Client of 5.0 is told with CONNACK, one of 3.x only if its version is not supported. [MQTT-3.1.4-1]
    fn refuse_malformed(&self, error: DecodeError, version: Option<ProtocolVersion>) -> Step {
        let mut bytes = Vec::new();
        match (error, version) {
            (DecodeError::UnsupportedProtocolVersion { level }, _) => {
                // [MQTT-3.1.2-2] [MQTT3-3.1.2-2]: in a form that the Client understands.
                let version = if level >= 5 { ProtocolVersion::V5_0 } else { ProtocolVersion::V3_1_1 };
                let code = ReasonCode::UnsupportedProtocolVersion;
                write_refusal(version, u32::MAX, code, code.name(), &mut bytes);
            }
            (error, Some(ProtocolVersion::V5_0)) => {
                // A packet that cannot be read sets no Maximum Packet Size.
                let code = error.reason_code();
                write_refusal(ProtocolVersion::V5_0, u32::MAX, code, &error.to_string(), &mut bytes);
            }
            _ => {} // [MQTT3-3.1.4-1] [MQTT3-3.2.2-6]
        }
        refuse(bytes, Refusal::Malformed(error))
    }
}

/// The version in the body of a CONNECT, as far as it can be read.
fn version_of(body: &[u8]) -> Option<ProtocolVersion> {
    match body {
        [0, 4, b'M', b'Q', b'T', b'T', 5, ..] => Some(ProtocolVersion::V5_0),
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] if level & 0x7f == 4 => Some(ProtocolVersion::V3_1_1),
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..] => Some(ProtocolVersion::V3_1),
        _ => None,
    }
}

fn will_request(will: &Will<'_>, client_id: &str) -> WillRequest {
    let mut properties = Vec::new();
    forwarded_properties(&will.properties, &mut properties); // in their order [MQTT-3.1.3-10]
    let facts = MessageFacts {
        qos: will.qos,
        retain: will.retain,
        expires_at: None,
        publisher: publisher_key(client_id),
    };
    WillRequest {
        message: Message::from_parts(will.topic_name, &properties, will.payload, facts),
        delay_s: will.properties.will_delay_interval_s().unwrap_or(0),
        expiry_s: will.properties.message_expiry_interval_s(),
    }
}

/// Why the Client may not publish its Will, if so, and by which rule.
fn refusal_of(permissions: &Permissions, will: &WillRequest) -> Option<Refusal> {
    let (facts, topic_name) = (will.message.facts(), will.message.topic_name());
    match permissions.may_publish(topic_name, facts.qos, facts.retain) {
        Ruling::Allowed(_) => None,
        Ruling::Denied(ground) => {
            Some(Refusal::WillDenied { topic: topic_name.as_str().into(), rule: ground.to_string().into() })
        }
    }
}

fn refuse(bytes: Vec<u8>, reason: Refusal) -> Step {
    Step::Refuse { bytes, reason }
}

/// Refuses with CONNACK; DISCONNECT is for those who are in. [MQTT-3.14.0-1]
fn refuse_with(version: ProtocolVersion, maximum_packet_size: u32, (code, reason): Objection) -> Step {
    let mut bytes = Vec::new();
    write_refusal(version, maximum_packet_size, code, reason, &mut bytes);
    refuse(bytes, Refusal::Code { code, reason })
}

/// AUTH with a method and data [MQTT-4.12.0-5], never with Reason String or User Properties. [MQTT-3.15.2-2] [MQTT-3.15.2-3]
pub(crate) fn auth_bytes(reason_code: ReasonCode, method: &str, data: &[u8]) -> Vec<u8> {
    let items = [Property::AuthenticationMethod(method), Property::AuthenticationData(data)];
    let used = if data.is_empty() { 1 } else { 2 };
    let auth = Auth { reason_code, properties: PropertyList::from_items(&items[..used]) };
    let mut bytes = Vec::new();
    auth.encode(ProtocolVersion::V5_0, &mut bytes).expect("a method and data that were received fit");
    bytes
}
