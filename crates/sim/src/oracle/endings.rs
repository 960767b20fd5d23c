//! Sessions begin, go on and end (3.1.2.4, 4.1); takeovers (3.1.4); Wills (3.1.2.5).

use std::rc::Rc;

use dunlin_packet::{
    connack::Connack, disconnect::Disconnect, fixed_header::Frame, packet::Packet, qos::QoS,
    reason_code::ReasonCode, version::ProtocolVersion,
};

use crate::{
    network::LinkId,
    oracle::{
        connection::{Phase, Role},
        session::Session,
        state::{NO_ROOM, Oracle, SHUTTING_DOWN, STORAGE_FAILED, TIMED_OUT},
        words::{Check, Tick, broken},
    },
};

impl Oracle {
    /// A Client has arrived at its home, and `bytes` were written to it: CONNACK must be the first packet.
    pub(crate) fn opens(&mut self, link: LinkId, bytes: &[u8]) -> Check {
        let version = self.connection(link).version;
        let name = self.connection(link).name();
        let frame = Frame::split(bytes, u32::MAX).ok().flatten();
        let Some(Packet::Connack(connack)) = frame.and_then(|frame| Packet::decode(version, frame).ok())
        else {
            let promise = format!("{name}: the first packet is not CONNACK but {bytes:02x?}");
            return broken("MQTT-3.2.0-1", promise, &[&name]);
        };
        if connack.reason_code != ReasonCode::Success {
            return self.refuses(link, &connack);
        }
        self.check_let_in(link)?;
        self.check_connack(link, &connack)?;
        self.tally.count("connections opened");
        let is_resumed = self.takes_session(link, &connack)?;
        self.attach(link, is_resumed);
        self.read_packets(link)
    }

    fn check_connack(&mut self, link: LinkId, connack: &Connack<'_>) -> Check {
        let settings = std::sync::Arc::clone(&self.settings);
        let connection = self.connection(link);
        let name = connection.name();
        let wrong = |clause, what: String| broken(clause, format!("{name}: CONNACK {what}"), &[&name]);
        if !connection.version.has_properties() {
            return Ok(());
        }
        let properties = &connack.properties;
        let assigned = properties.assigned_client_identifier();
        if assigned != connection.asked.is_assigned.then_some(&*connection.client) {
            return wrong("MQTT-3.2.2-16", format!("assigns the Client Identifier {assigned:?}"));
        }
        if properties.receive_maximum().unwrap_or(u16::MAX) != settings.receive_maximum {
            return wrong("3.2.2.3.3", "has another Receive Maximum than the Server".to_owned());
        }
        if properties.maximum_qos().unwrap_or(QoS::ExactlyOnce) != settings.maximum_qos {
            return wrong("MQTT-3.2.2-9", "has another Maximum QoS than the Server".to_owned());
        }
        if properties.topic_alias_maximum().unwrap_or(0) != settings.topic_alias_maximum {
            return wrong("3.2.2.3.8", "has another Topic Alias Maximum than the Server".to_owned());
        }
        let expiry_s = properties.session_expiry_interval_s().unwrap_or(connection.asked.wanted_expiry_s);
        if expiry_s != connection.asked.expiry_s {
            return wrong("3.2.2.3.2", format!("tells a Session Expiry Interval of {expiry_s} s"));
        }
        if properties.server_keep_alive_s().is_some_and(|seconds| seconds != connection.keep_alive_s) {
            return wrong("MQTT-3.1.2-21", "has another Keep Alive than the Server".to_owned());
        }
        Ok(())
    }

    /// What becomes of the Session that the Client Identifier has, and whether CONNACK tells the truth about it.
    fn takes_session(&mut self, link: LinkId, connack: &Connack<'_>) -> Check<bool> {
        let connection = self.connection(link);
        let (client, name) = (Rc::clone(&connection.client), connection.name());
        let (version, clean_start) = (connection.version, connection.asked.clean_start);
        self.takes_over(&client);
        let Some(&old) = self.living.get(&client) else {
            return match connack.session_present {
                false => Ok(false),
                true => broken(
                    "MQTT-3.2.2-2",
                    format!("{name}: Session Present, but there was no Session"),
                    &[&client],
                ),
            };
        };
        if self.sessions[old].is_lost {
            self.sessions[old].will = None; // Its Client is back in time.
            self.ends_session(old);
            return match connack.session_present {
                false => Ok(false),
                true => broken(
                    "MQTT-3.2.2-2",
                    format!("{name}: Session Present, but the Session ended with a crash"),
                    &[&client],
                ),
            };
        }
        let is_overdue = self.sessions[old].expires_at_ms.is_some_and(|at| at <= self.moment.now_ms);
        // Clients of 3.1 are told nothing: what must be is.
        let is_told = version != ProtocolVersion::V3_1 || is_overdue;
        let is_present = if is_told { connack.session_present } else { !clean_start };
        if clean_start && is_present {
            let promise = format!("{name}: Clean Start, but Session Present [MQTT-3.1.2-4]");
            return broken("MQTT-3.2.2-2", promise, &[&client]);
        }
        if !clean_start && !is_present && !is_overdue {
            let promise = format!("{name}: the Session lives, but Session Present is 0");
            return broken("MQTT-3.2.2-3", promise, &[&client]);
        }
        if is_present {
            return Ok(true);
        }
        self.ends_session(old);
        Ok(false)
    }

    /// Connects the Client with its old or a new Session.
    fn attach(&mut self, link: LinkId, is_resumed: bool) {
        self.tick();
        let tick = self.moment.tick;
        let connection = self.connections.get_mut(&link).expect("it has arrived");
        let index = match is_resumed {
            true => self.living[&connection.client],
            false => {
                let client = Rc::clone(&connection.client);
                self.sessions.push(Session::new(Rc::clone(&client), connection.shard, tick));
                self.living.insert(client, self.sessions.len() - 1);
                self.sessions.len() - 1
            }
        };
        let session = &mut self.sessions[index];
        if is_resumed {
            self.tally.count("sessions resumed");
            if session.will.take().is_some() {
                self.tally.count("wills overtaken by their client"); // [MQTT-3.1.3-9]
            }
        }
        session.link = Some(link);
        session.expires_at_ms = None;
        session.expiry_s = connection.asked.expiry_s;
        session.will = connection.will.take();
        session.last_unhealthy = tick;
        session.sizes.push((tick, connection.asked.maximum_packet_size));
        connection.phase = Phase::Connected;
        connection.session = Some(index);
        connection.connected = tick;
        session.fit_in_flight(connection.asked.maximum_packet_size);
        connection.to_resend = session.in_flight.iter().map(|in_flight| in_flight.packet_id).collect();
        self.tick();
    }

    /// The broker is about to be told that a Network Connection is gone.
    pub fn leaves(&mut self, link: LinkId) {
        if self.connection(link).phase == Phase::Connected {
            self.tally.count("connections cut");
            self.ends_connection(link, true);
        }
    }

    /// The broker wants a connection closed; `bytes` is the last it has written there.
    pub(crate) fn closes(&mut self, link: LinkId, bytes: &[u8]) -> Check {
        let is_stopping = self.is_stopping;
        let now_ms = self.moment.now_ms;
        let connection = self.connection(link);
        if connection.is_closing {
            return broken("none", format!("{} is closed twice", connection.name()), &[]);
        }
        connection.is_closing = true;
        if connection.phase == Phase::Ended {
            return Ok(());
        }
        let silence_ms = now_ms - connection.last_packet_ms;
        let silence_max_ms = u64::from(connection.keep_alive_s) * 1_500;
        let is_silent_too_long = silence_max_ms > 0 && silence_ms >= silence_max_ms;
        let told = last_disconnect(connection.version, bytes);
        connection.to_tell = match &connection.role {
            _ if is_stopping => Some(SHUTTING_DOWN),
            // The answer of the providers may come too late.
            _ if is_silent_too_long && told == Some(ReasonCode::KeepAliveTimeout) => Some(TIMED_OUT),
            Role::Rogue(misdeed) if connection.has_offended => Some(misdeed.codes),
            _ if connection.is_refused => Some(NO_ROOM),
            _ if connection.may_be_cut => Some(STORAGE_FAILED),
            _ if is_silent_too_long => Some(TIMED_OUT), // [MQTT-3.1.2-22]
            role => {
                let promise =
                    format!("{} was ended without reason ({told:?}); it is {role:?}", connection.name());
                let client = Rc::clone(&connection.client);
                return broken("MQTT-4.13.1-1", promise, &[&client, &link.to_string()]);
            }
        };
        let (has_offended, is_cut) = (connection.has_offended, connection.to_tell == Some(STORAGE_FAILED));
        if is_cut {
            self.tally.count("Clients cut off by a failed disk");
        } else if has_offended {
            self.tally.count("misdeeds answered");
        } else if is_silent_too_long {
            self.tally.count("keep alive timeouts");
        }
        if is_stopping && let Some(session) = self.session_of(link) {
            self.sessions[session].will = None;
        }
        self.ends_connection(link, true);
        Ok(())
    }

    /// All that the broker writes to a closing connection has been seen: was the Client told why?
    pub(crate) fn has_closed(&mut self, link: LinkId) -> Check {
        let connection = self.connection(link);
        let Some(codes) = connection.to_tell else { return Ok(()) };
        if !connection.version.has_properties() {
            return Ok(());
        }
        let must_be_told = match &connection.role {
            Role::Rogue(misdeed) => misdeed.must_be_told,
            Role::Right => true,
        };
        let is_right = match connection.told {
            Some(code) => codes.contains(&code),
            // A DISCONNECT with a Reason Code has three bytes.
            None => !must_be_told || connection.asked.maximum_packet_size < 3,
        };
        if is_right {
            return Ok(());
        }
        let promise = format!(
            "{} was ended with {:?} in place of {codes:?}; it is {:?}",
            connection.name(),
            connection.told,
            connection.role
        );
        let client = Rc::clone(&connection.client);
        broken("MQTT-4.13.1-1", promise, &[&client, &link.to_string()])
    }

    /// A Network Connection is over: what that means for its Will and its Session.
    pub(crate) fn ends_connection(&mut self, link: LinkId, is_will_sent: bool) {
        let call = self.call;
        let now_ms = self.moment.now_ms;
        let connection = self.connections.get_mut(&link).expect("it has arrived");
        connection.phase = Phase::Ended;
        connection.ended_in = call;
        let Some(index) = connection.session else { return };
        let session = &mut self.sessions[index];
        if session.link != Some(link) {
            return;
        }
        session.link = None;
        if !is_will_sent && session.will.take().is_some() {
            self.tally.count("wills discarded"); // [MQTT-3.14.4-3] [MQTT3-3.14.4-3]
        }
        let delay_ms = match &mut session.will {
            Some(will) => {
                let delay_ms = u64::from(will.delay_s) * 1_000;
                will.due_ms = Some(now_ms + delay_ms);
                Some(delay_ms)
            }
            None => None,
        };
        let expiry_s = session.expiry_s;
        session.expires_at_ms = (expiry_s != u32::MAX).then(|| now_ms + u64::from(expiry_s) * 1_000);
        if delay_ms == Some(0) {
            self.publishes_will(index); // [MQTT-3.1.2-8]
        }
        if expiry_s == 0 {
            self.ends_session(index); // [MQTT-3.1.2-23]
        }
    }

    /// A Session is over: its Will is sent at the latest now, its Subscriptions are gone. [MQTT-4.1.0-2] [MQTT-3.1.2-8]
    pub(crate) fn ends_session(&mut self, index: usize) {
        self.publishes_will(index);
        self.tick();
        let tick = self.moment.tick;
        let session = &mut self.sessions[index];
        session.ended = Some(tick);
        session.link = None;
        let client = Rc::clone(&session.client);
        self.living.remove(&client);
    }

    /// The Will is published now, if there is one. [MQTT-3.1.2-10]
    fn publishes_will(&mut self, index: usize) {
        let Some(will) = self.sessions[index].will.take() else { return };
        self.tally.count("wills sent");
        self.tick();
        let mut accept = will.accept;
        accept.at = self.moment;
        accept.will_call = Some(self.call);
        accept.expires_at_ms = accept.expiry_s.map(|seconds| accept.at.now_ms + u64::from(seconds) * 1_000);
        self.accept(accept);
    }

    /// A shard is about to be told that time has passed.
    pub fn times_out(&mut self, shard: usize) {
        let now_ms = self.moment.now_ms;
        let indices: Vec<usize> = self.living.values().copied().collect();
        for index in indices {
            let session = &self.sessions[index];
            if session.shard != shard || session.link.is_some() {
                continue;
            }
            let is_will_due =
                session.will.as_ref().and_then(|will| will.due_ms).is_some_and(|at| at <= now_ms);
            let is_over = session.expires_at_ms.is_some_and(|at| at <= now_ms);
            if is_will_due {
                self.publishes_will(index);
            }
            if is_over {
                self.tally.count("sessions expired");
                self.ends_session(index);
            }
        }
    }

    /// When a shard has something to do of its own accord, in milliseconds of virtual time, and what.
    #[must_use]
    pub fn next_deadline(&self, shard: usize) -> Option<(u64, String)> {
        let sessions = self.living.values().map(|&index| &self.sessions[index]);
        let of_sessions =
            sessions.filter(|session| session.shard == shard && session.link.is_none()).flat_map(|session| {
                let will = session.will.as_ref().and_then(|will| will.due_ms);
                let will = will.map(|at| (at, format!("the Will of {}", session.client)));
                let expiry = session
                    .expires_at_ms
                    .map(|at| (at, format!("the end of the Session of {}", session.client)));
                will.into_iter().chain(expiry)
            });
        let connected = self.connections.values();
        let connected = connected.filter(|other| other.shard == shard && other.phase == Phase::Connected);
        let of_connections = connected.filter(|connection| connection.keep_alive_s > 0).map(|connection| {
            // Bytes of an unfinished packet may count or not.
            let at = connection.last_bytes_ms + u64::from(connection.keep_alive_s) * 1_500;
            (at, format!("the Keep Alive of {}", connection.name()))
        });
        of_sessions.chain(of_connections).min()
    }

    /// How many Sessions live.
    #[must_use]
    pub fn living_sessions(&self) -> usize {
        self.living.len()
    }

    /// When the Session of `client` began; `None` if it has none.
    #[must_use]
    pub fn session_began(&self, client: &str) -> Option<Tick> {
        self.living.get(client).map(|&index| self.sessions[index].opened)
    }
}

/// The Reason Code of the DISCONNECT at the end of `bytes`.
fn last_disconnect(version: ProtocolVersion, bytes: &[u8]) -> Option<ReasonCode> {
    let mut rest = bytes;
    let mut last = None;
    while let Ok(Some(frame)) = Frame::split(rest, u32::MAX) {
        rest = &rest[frame.encoded_len..];
        if let Ok(Packet::Disconnect(Disconnect { reason_code, .. })) = Packet::decode(version, frame) {
            last = Some(reason_code);
        }
    }
    last
}
