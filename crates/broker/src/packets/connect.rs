//! CONNECT (3.1): a Client arrives at the home of its Session; CONNACK (3.2).

use std::sync::Arc;

use dunlin_packet::{
    connack::Connack,
    property::{list::PropertyList, value::Property},
    qos::QoS,
    reason_code::ReasonCode,
    version::ProtocolVersion,
};
use dunlin_protocol::{
    time::Instant,
    topic_aliases::{InboundAliases, OutboundAliases},
};
use smallvec::SmallVec;

use crate::{
    connection::{Connection, Extras, Unfinished},
    ids::ConnectionId,
    input::{Arrival, ConnectRequest, Storage},
    limits::{Settings, client::ClientLimits},
    message::publisher_key,
    output::{Outbox, Takeover},
    reply::write_refusal,
    sessions::session::Will,
    state::State,
    timers::Timer,
    topics::ids::SessionIndex,
};

impl State {
    /// Connects a Client: takes over, opens or resumes the Session, answers, sends what waited. [MQTT-3.1.4-5]
    pub(crate) fn arrive(&mut self, now: Instant, arrival: Arrival, out: &mut Outbox) -> Vec<u8> {
        let Arrival { connection: id, mut request, unread } = arrival;
        let limits = self.limits.of(
            &self.settings,
            request.permissions.subject(),
            request.entry.as_deref().map(|entry| &*entry.listener),
        );
        let objection = match has_room_for_connack(&self.settings, &limits, &request) {
            true => objection_to_will(&limits, &request).or_else(|| self.objection_to(now, &mut request)),
            false => Some((ReasonCode::PacketTooLarge, "CONNACK is larger than the Maximum Packet Size")),
        };
        if let Some((code, reason)) = objection {
            self.refuse(id, &request, code, reason, out);
            return Vec::new();
        }
        let changes = out.batch.len();
        let old = self.take_over(now, &request, out);
        // The end of a kept Session must not be taken back by a crash either.
        let key = publisher_key(&request.client_id);
        let was_kept = old.is_some_and(|index| self.sessions[index].was_kept);
        let is_promise = was_kept || request.session_expiry_s > 0 || self.filing.end_of(key).is_some();
        if self.filing.storage == Storage::Failed && is_promise {
            let reason = "the Server cannot keep Sessions any more";
            self.refuse(id, &request, ReasonCode::ServerUnavailable, reason, out);
            return Vec::new();
        }
        if old.is_none() && self.sessions.len() >= self.settings.sessions_max as usize {
            let reason = "there are as many Sessions as there may be";
            self.refuse(id, &request, ReasonCode::QuotaExceeded, reason, out);
            return Vec::new();
        }
        let (index, session_present) = self.open_session(now, old, &mut request, &limits, out);
        self.counters.connects += 1;
        let expiry_s = self.sessions[index].expiry_s;
        let valid_for = request.valid_for;
        // [MQTT-3.1.2-21] [MQTT-3.2.2-22]
        let keep_alive_s = limits.keep_alive_s(&self.settings, request.version, request.keep_alive_s);
        let permissions = std::mem::take(&mut request.permissions);
        write_connack(&self.settings, &limits, &request, session_present, expiry_s, out.buffer(id));
        let connection = connection_of(&self.settings, now, index, request, keep_alive_s);
        self.put_connection(id, Box::new(connection));
        self.sessions[index].connection = Some(id);
        self.give_rights(now, index, permissions, out);
        self.withdraw_subscriptions(now, index, out);
        self.file_session(now, index, out);
        self.file_will(index, out);
        // A new Session or Will, or the end of an old one: no crash may take it back.
        if out.batch.len() > changes && self.filing.storage != Storage::Failed {
            self.hold_connack(id, out.batch_number(), out);
        } else if let Some(batch) = self.filing.end_of(key) {
            self.hold_connack(id, batch, out);
        }
        self.tell_arrival(now, id, session_present);
        self.arm_keep_alive(now, id);
        self.limit_stay(now, id, valid_for);
        self.limit_rates(now, id, &limits);
        self.tell_presence(now, index, true, out);
        self.pump(now, id, out); // [MQTT-4.4.0-1] [MQTT3-4.4.0-1]
        unread
    }

    /// Takes the Session of the Client Identifier from its old Network Connection; returns it if it goes on.
    fn take_over(
        &mut self,
        now: Instant,
        request: &ConnectRequest,
        out: &mut Outbox,
    ) -> Option<SessionIndex> {
        if let Some(old_id) = self.sessions[self.sessions.find(&request.client_id)?].connection {
            // [MQTT-3.1.4-3] [MQTT3-3.1.4-2]: before Clean Start is looked at. [MQTT-3.1.4-4]
            self.counters.takeovers += 1;
            self.tell_takeover(old_id, request, out);
            let reason = "another connection with this Client Identifier";
            self.disconnect(now, old_id, ReasonCode::SessionTakenOver, reason, out);
        }
        let index = self.sessions.find(&request.client_id)?;
        (!self.end_if_over(now, index, request, out)).then_some(index)
    }

    /// Who keeps an eye on all shards hears of it.
    fn tell_takeover(&mut self, old_id: ConnectionId, request: &ConnectRequest, out: &mut Outbox) {
        if out.takeovers.len() < TAKEOVERS_MAX {
            out.takeovers.push(Takeover {
                client_id: request.client_id.clone(),
                old_peer: self.connection(old_id).peer.clone(),
                new_peer: request.peer.clone(),
            });
        }
    }

    /// Ends a Session that was left over by a restart or whose time is over; returns whether it was one.
    fn end_if_over(
        &mut self,
        now: Instant,
        index: SessionIndex,
        request: &ConnectRequest,
        out: &mut Outbox,
    ) -> bool {
        let session = &self.sessions[index];
        let is_remains = session.expiry_s == 0;
        if !is_remains && session.expires_at.is_none_or(|at| at > now) {
            return false;
        }
        let owner = session.permissions.subject();
        if is_remains && (!session.has_owner || owner.is_same_identity(request.permissions.subject())) {
            self.take_will(index, out); // Its Client is back.
        }
        self.end_session(now, index, out);
        true
    }

    fn refuse(
        &mut self,
        id: ConnectionId,
        request: &ConnectRequest,
        reason_code: ReasonCode,
        reason: &str,
        out: &mut Outbox,
    ) {
        write_refusal(request.version, request.maximum_packet_size, reason_code, reason, out.buffer(id));
        out.closings.push(id); // [MQTT-3.2.2-7]
    }

    /// Opens a new Session or resumes the old one, which has no Network Connection any more; says which. [MQTT3-3.1.4-3]
    fn open_session(
        &mut self,
        now: Instant,
        old: Option<SessionIndex>,
        request: &mut ConnectRequest,
        limits: &Arc<ClientLimits>,
        out: &mut Outbox,
    ) -> (SessionIndex, bool) {
        let index = match old {
            Some(index) if !request.clean_start => {
                self.take_will(index, out); // Not sent: the Client is back in time. [MQTT-3.1.3-9]
                // [MQTT-4.1.0-1] [MQTT3-4.1.0-2]
                if let Some(at) = self.sessions[index].expires_at.take() {
                    self.timers.cancel(at, Timer::SessionExpiry(index));
                }
                index // [MQTT-3.1.2-5] [MQTT3-3.1.2-4]
            }
            Some(index) => {
                self.end_session(now, index, out); // [MQTT-3.1.2-4] [MQTT3-3.1.2-6]
                self.sessions.create(request.client_id.clone(), Arc::clone(limits))
            }
            None => self.sessions.create(request.client_id.clone(), Arc::clone(limits)), // [MQTT-3.1.2-6]
        };
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT3-3.2.2-1] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3]
        let session_present = old.is_some() && !request.clean_start;
        let session = &mut self.sessions[index];
        session.limits = Arc::clone(limits);
        session.expiry_s = request.session_expiry_s.min(limits.session_expiry_max_s);
        session.outbound.connect(request.receive_maximum.min(limits.in_flight_max)); // [MQTT-3.3.4-9] [MQTT-4.9.0-1]
        session.inbound.connect(match request.version {
            ProtocolVersion::V5_0 => limits.receive_maximum,
            _ => u16::MAX, // 3.x knows no Receive Maximum.
        });
        session.will = request.will.take().map(|will| {
            // [MQTT-3.1.2-7] [MQTT3-3.1.2-8] [MQTT3-3.1.2-12]
            Box::new(Will {
                message: will.message,
                delay_s: will.delay_s,
                expiry_s: will.expiry_s,
                due_at: None,
            })
        });
        (index, session_present)
    }

    /// Sets the Keep Alive timer from the last packet on.
    pub(crate) fn arm_keep_alive(&mut self, now: Instant, id: ConnectionId) {
        let connection = self.connection(id);
        let Some(at) = connection.silent_until().filter(|&at| at > now) else { return };
        connection.keep_alive_at = Some(at);
        self.timers.set(at, Timer::KeepAlive(id));
    }

    /// The Keep Alive timer came up: the Client has been silent for too long, or the timer is set anew.
    pub(crate) fn check_keep_alive(&mut self, now: Instant, id: ConnectionId, out: &mut Outbox) {
        let Some(connection) = self.find_connection(id) else { return };
        connection.keep_alive_at = None;
        if connection.silent_until().is_none_or(|at| at > now) {
            self.arm_keep_alive(now, id);
            return;
        }
        // [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
        self.disconnect(
            now,
            id,
            ReasonCode::KeepAliveTimeout,
            "nothing came for 1.5 times the Keep Alive",
            out,
        );
    }
}

/// The topic of a Will has no more levels than any other of this Client.
fn objection_to_will(limits: &ClientLimits, request: &ConnectRequest) -> Option<(ReasonCode, &'static str)> {
    let levels_max = limits.topic_levels_max as usize;
    let will = request.will.as_ref()?;
    let levels = will.message.topic_name().levels().take(levels_max + 1).count();
    (levels > levels_max).then_some((ReasonCode::TopicNameInvalid, "the Will Topic has too many levels"))
}

fn connection_of(
    settings: &Settings,
    now: Instant,
    session: SessionIndex,
    request: ConnectRequest,
    keep_alive_s: u16,
) -> Connection {
    let extras = request.version.has_properties().then(|| {
        Box::new(Extras {
            inbound_aliases: InboundAliases::new(settings.topic_alias_maximum),
            outbound_aliases: OutboundAliases::new(
                request.topic_alias_maximum.min(settings.topic_alias_maximum),
            ),
            authentication: request.authentication.map(|authentication| authentication.method),
            is_reauthenticating: false,
        })
    });
    Connection {
        session,
        version: request.version,
        wants_problem_information: request.request_problem_information,
        maximum_packet_size: request.maximum_packet_size,
        last_packet: now,
        keep_alive_at: None,
        extras,
        peer: request.peer,
        entry: request.entry,
        user_name: request.user_name,
        connected_at: now,
        progress_at: now,
        keep_alive_s,
        serial: 0,
        held: 0,
        held_publishes: 0,
        unfinished: Unfinished::default(),
    }
}

/// Takeovers that wait to be told.
const TAKEOVERS_MAX: usize = 64;

/// Whether the Client has room for what CONNACK has to tell. [MQTT-3.1.2-24]
fn has_room_for_connack(settings: &Settings, limits: &ClientLimits, request: &ConnectRequest) -> bool {
    if request.maximum_packet_size == u32::MAX {
        return true;
    }
    let mut bytes = Vec::new();
    let expiry_s = request.session_expiry_s.min(limits.session_expiry_max_s);
    write_connack(settings, limits, request, false, expiry_s, &mut bytes);
    bytes.len() <= request.maximum_packet_size as usize
}

/// Writes CONNACK, the first packet. [MQTT-3.2.0-1] [MQTT3-3.1.4-4] [MQTT3-3.2.0-1]
fn write_connack(
    settings: &Settings,
    limits: &ClientLimits,
    request: &ConnectRequest,
    session_present: bool,
    expiry_s: u32,
    out: &mut Vec<u8>,
) {
    let mut items = SmallVec::<[Property<'_>; 16]>::new();
    if request.version.has_properties() {
        if expiry_s != request.session_expiry_s {
            items.push(Property::SessionExpiryInterval(expiry_s));
        }
        announce(settings, limits, request.keep_alive_s, &mut items);
        if request.is_assigned {
            items.push(Property::AssignedClientIdentifier(&request.client_id)); // [MQTT-3.2.2-16]
        }
        if request.request_response_information && !settings.response_information.is_empty() {
            items.push(Property::ResponseInformation(&settings.response_information)); // [MQTT-3.1.2-28]
        }
        if let Some(authentication) = &request.authentication {
            items.push(Property::AuthenticationMethod(&authentication.method)); // [MQTT-4.12.0-5]
            if !authentication.data.is_empty() {
                items.push(Property::AuthenticationData(&authentication.data));
            }
        }
    }
    let properties = PropertyList::from_items(&items);
    let connack = Connack { session_present, reason_code: ReasonCode::Success, properties };
    connack.encode(request.version, out).expect("Properties that were checked");
}

/// What the Server allows, where that is less than the standard's default (3.2.2.3).
fn announce(
    settings: &Settings,
    limits: &ClientLimits,
    asked_keep_alive_s: u16,
    items: &mut SmallVec<[Property<'_>; 16]>,
) {
    if limits.receive_maximum < u16::MAX {
        items.push(Property::ReceiveMaximum(limits.receive_maximum));
    }
    if settings.maximum_qos < QoS::ExactlyOnce {
        items.push(Property::MaximumQoS(settings.maximum_qos)); // [MQTT-3.2.2-9]
    }
    if !settings.retain_available {
        items.push(Property::RetainAvailable(false));
    }
    items.push(Property::MaximumPacketSize(limits.maximum_packet_size));
    if settings.topic_alias_maximum > 0 {
        items.push(Property::TopicAliasMaximum(settings.topic_alias_maximum));
    }
    if !settings.wildcard_subscription_available {
        items.push(Property::WildcardSubscriptionAvailable(false));
    }
    if !settings.subscription_identifier_available {
        items.push(Property::SubscriptionIdentifierAvailable(false));
    }
    if !settings.shared_subscription_available {
        items.push(Property::SharedSubscriptionAvailable(false));
    }
    let keep_alive_s = limits.keep_alive_s(settings, ProtocolVersion::V5_0, asked_keep_alive_s);
    if settings.server_keep_alive_s > 0 || keep_alive_s != asked_keep_alive_s {
        items.push(Property::ServerKeepAlive(keep_alive_s));
    }
}
