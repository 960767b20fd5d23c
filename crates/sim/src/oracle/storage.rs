//! What becomes of promises when the disk is full or has failed.

use std::rc::Rc;

use dunlin_broker::input::Storage;
use dunlin_packet::{
    connack::Connack, fixed_header::Frame, qos::QoS, reason_code::ReasonCode, topic::name::TopicName,
};

use crate::{
    network::LinkId,
    oracle::{
        connection::Phase,
        messages::Accept,
        session::Session,
        state::{Oracle, TAKEN_OVER},
        words::{Check, broken},
    },
};

impl Oracle {
    /// A shard is about to be told how it stands with the disk.
    pub fn storage_is(&mut self, shard: usize, storage: Storage) {
        self.storages[shard] = storage;
        if storage != Storage::Failed {
            return;
        }
        for connection in self.connections.values_mut() {
            if connection.shard == shard && connection.phase == Phase::Connected {
                let is_kept = connection.session.is_some_and(|session| self.sessions[session].is_kept());
                // What waits for the disk would wait for ever.
                connection.may_be_cut = is_kept || !connection.is_heard || connection.owed.first().is_some();
            }
        }
    }

    /// A shard has been told how it stands with the disk.
    ///
    /// # Errors
    /// If Clients do not learn that their Sessions cannot be kept.
    pub fn has_heard_of_storage(&self, shard: usize) -> Check {
        if self.storages[shard] != Storage::Failed {
            return Ok(());
        }
        let mut connected = self.connections.values().filter(|connection| {
            connection.shard == shard && connection.phase == Phase::Connected && !connection.is_closing
        });
        let kept = connected
            .find(|connection| connection.session.is_some_and(|session| self.sessions[session].is_kept()));
        match kept {
            None => Ok(()),
            Some(kept) => {
                let promise = format!("the disk has failed, and {} does not learn it", kept.name());
                broken("MQTT-4.1.0-1", promise, &[&kept.client])
            }
        }
    }

    /// Whether a shard may have to refuse messages.
    #[must_use]
    pub fn is_short(&self, shard: usize) -> bool {
        self.storages[shard] != Storage::Ready
    }

    /// Bytes up to the end of the next packet, of those that come on a connection.
    #[must_use]
    pub fn to_next_packet(&self, link: LinkId, coming: impl Iterator<Item = u8>) -> usize {
        let unread = self.connections.get(&link).map_or(&[][..], |connection| &connection.unread);
        let mut bytes = unread.to_vec();
        bytes.extend(coming);
        match Frame::split(&bytes, u32::MAX) {
            Ok(Some(frame)) => frame.encoded_len.saturating_sub(unread.len()).max(1),
            _ => usize::MAX,
        }
    }

    /// Whether a message is refused because it would have to be kept and cannot be. The broker asks a table in which two
    /// Topic Filters may fall on one place: it may refuse too much, but not too little.
    ///
    /// # Errors
    /// If it lets a message in that must be kept.
    pub(crate) fn is_short_for(&mut self, accept: &Accept) -> Check<bool> {
        if !self.is_short(accept.shard) || accept.qos == QoS::AtMostOnce {
            return Ok(false);
        }
        let topic = TopicName::parse(&accept.topic).expect("it was in a PUBLISH");
        let is_kept = self.kept.as_ref().is_some_and(|kept| kept.look_up(topic) != 0);
        if accept.retain || is_kept {
            self.tally.count("messages refused for want of room");
            return Ok(true);
        }
        let is_keeper = |session: &&Session| {
            let outcomes = session.outcomes(accept, accept.at.tick);
            session.is_kept()
                && outcomes
                    .iter()
                    .all(|outcome| outcome.as_ref().is_some_and(|outcome| outcome.qos > QoS::AtMostOnce))
        };
        let keeper = self.living.values().map(|&index| &self.sessions[index]).find(is_keeper);
        match keeper.map(|session| &session.client) {
            None => Ok(false),
            Some(client) => {
                let promise = format!("{} is let in for {client} and cannot be kept", accept.key);
                broken("MQTT-4.3.2-4", promise, &[client, &accept.publisher])
            }
        }
    }

    /// A Client is refused at its home: only if the disk has failed, and it has or wants a Session that is kept.
    pub(crate) fn refuses(&mut self, link: LinkId, connack: &Connack<'_>) -> Check {
        let connection = &self.connections[&link];
        let (client, name, shard) = (Rc::clone(&connection.client), connection.name(), connection.shard);
        let has_kept = self.sessions.iter().any(|session| session.client == client && session.is_kept());
        let is_promise = connection.asked.wanted_expiry_s > 0 || has_kept;
        let is_right = self.storages[shard] == Storage::Failed
            && is_promise
            && connack.reason_code == ReasonCode::ServerUnavailable
            && !connack.session_present;
        if !is_right {
            let promise =
                format!("{name}: CONNACK refuses a Client that kept all rules: {}", connack.reason_code);
            return broken("MQTT-3.1.4-5", promise, &[&client]);
        }
        self.tally.count("Clients refused by a failed disk");
        self.takes_over(&client);
        if let Some(&old) = self.living.get(&client)
            && self.sessions[old].expires_at_ms.is_some_and(|at| at <= self.moment.now_ms)
        {
            self.ends_session(old);
        }
        let call = self.call;
        let connection = self.connection(link);
        (connection.phase, connection.ended_in) = (Phase::Ended, call);
        Ok(())
    }

    /// Another connection of a Client ends before the new one is let in. [MQTT-3.1.4-3]
    pub(crate) fn takes_over(&mut self, client: &Rc<str>) {
        if let Some(old) = self.living.get(client).and_then(|&old| self.sessions[old].link) {
            self.tally.count("takeovers");
            self.connection(old).to_tell = Some(TAKEN_OVER);
            self.ends_connection(old, true);
        }
    }

    /// Whether a Client whose disk has failed is let in though its Session should be kept.
    pub(crate) fn check_let_in(&self, link: LinkId) -> Check {
        let connection = &self.connections[&link];
        let is_kept = connection.asked.wanted_expiry_s > 0
            || self.living.get(&connection.client).is_some_and(|&old| self.sessions[old].is_kept());
        if self.storages[connection.shard] != Storage::Failed || !is_kept {
            return Ok(());
        }
        let promise = format!("{} is let in, and its Session cannot be kept", connection.name());
        broken("MQTT-4.1.0-1", promise, &[&connection.client])
    }
}
