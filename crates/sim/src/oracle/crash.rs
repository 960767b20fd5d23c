//! The Server crashes and starts again: what it has promised is still true (4.1, 4.4).
//!
//! A commit makes everything durable that has happened so far, so the durable state is the model as it was at the last
//! commit. Whatever was promised since then may not have been.

use std::rc::Rc;

use dunlin_broker::{input::Storage, slot::home_of};
use dunlin_packet::qos::QoS;

use crate::oracle::{
    connection::Phase,
    session::{Ghost, InFlight, Promised, Session},
    state::Oracle,
    words::{Check, Tick, broken},
};

impl Session {
    fn ghost(&self, in_flight: &InFlight) -> Ghost {
        let delivery = &self.deliveries[in_flight.delivery];
        Ghost {
            packet_id: in_flight.packet_id,
            key: delivery.key.clone(),
            is_met: delivery.is_met,
            is_taken: delivery.is_taken,
        }
    }
}

impl Oracle {
    /// The Server crashes; `durable` is the model as it was when the last thing became durable, and `last_alive_ms` the time
    /// until which the Server knows that it ran.
    ///
    /// # Errors
    /// If something was promised since then that is lost.
    pub fn crashed(&mut self, durable: Self, last_alive_ms: u64) -> Check {
        self.tick();
        self.tally.count("crashes");
        self.check_promises(&durable)?;
        let Self { moment, call, tally, sessions, latest_ms, .. } = std::mem::replace(self, durable);
        (self.moment, self.call, self.tally, self.latest_ms) = (moment, call, tally, latest_ms);
        self.last_crash = moment.tick;
        self.remember_clients(&sessions);
        self.announced.clear();
        self.goes_down(last_alive_ms);
        Ok(())
    }

    /// The Server is gone, and nothing that is durable with it.
    pub fn goes_down(&mut self, last_alive_ms: u64) {
        self.tick();
        self.storages.fill(Storage::Ready);
        for connection in self.connections.values_mut() {
            connection.phase = Phase::Ended;
            connection.is_closing = true;
        }
        for index in self.living.values().copied().collect::<Vec<_>>() {
            self.session_goes_down(index, last_alive_ms);
        }
        for (number, shard) in self.messages.settle_all(self.moment.tick) {
            self.settle(number, shard);
        }
    }

    /// From now on there are `shards`. Nothing is under way.
    pub fn reshards(&mut self, shards: usize) {
        self.storages = vec![Storage::Ready; shards];
        self.messages.reshard(shards);
        self.retained.reshard(shards);
        for session in &mut self.sessions {
            session.shard = home_of(&session.client, shards as u8).index();
            if let Some(will) = &mut session.will {
                will.accept.shard = session.shard;
            }
        }
    }

    /// The numbers of Sessions are not used again, and what Clients have got they have got.
    fn remember_clients(&mut self, before: &[Session]) {
        for (session, before) in self.sessions.iter_mut().zip(before) {
            for (delivery, before) in session.deliveries.iter_mut().zip(&before.deliveries) {
                delivery.is_met |= before.is_met;
                delivery.is_taken |= before.is_taken;
            }
            session.ghosts.clone_from(&before.ghosts);
            session.ghosts.extend(before.in_flight.iter().map(|in_flight| before.ghost(in_flight)));
        }
        for lost in &before[self.sessions.len()..] {
            let mut session = Session::new(Rc::clone(&lost.client), lost.shard, lost.opened);
            session.ended = Some(self.moment.tick);
            self.sessions.push(session);
        }
    }

    /// A Session when its Server is gone: its Network Connection ends now. One that ends with it leaves only its Will.
    fn session_goes_down(&mut self, index: usize, last_alive_ms: u64) {
        let moment = self.moment;
        let session = &mut self.sessions[index];
        if session.link.take().is_some() {
            session.expires_at_ms =
                (session.expiry_s != u32::MAX).then(|| last_alive_ms + u64::from(session.expiry_s) * 1_000);
            if let Some(will) = &mut session.will {
                will.due_ms = Some(last_alive_ms + u64::from(will.delay_s) * 1_000);
            }
        }
        session.last_unhealthy = moment.tick;
        session.timeline.answer_all(moment.tick);
        session.shares.values_mut().for_each(|share| share.answer_all(moment.tick));
        session.replays.iter_mut().for_each(|replay| replay.is_checked = true);
        for packet_id in std::mem::take(&mut session.refused) {
            session.inbound.remove(&packet_id);
        }
        if session.is_kept() {
            return;
        }
        session.is_lost = true;
        session.in_flight.clear();
        session.inbound.clear();
        session.unchecked.clear();
        let change = session.timeline.ask(moment.tick, Rc::default());
        session.timeline.answer(change, moment.tick);
        for share in session.shares.values_mut() {
            let change = share.ask(moment.tick, None);
            share.answer(change, moment.tick);
        }
        if session.will.is_none() {
            self.ends_session(index);
        }
    }

    /// A shard has read what it had filed, and goes on. Clients have `grace_ms` to come back before Wills are sent.
    pub fn restarts(&mut self, shard: usize, grace_ms: u64) {
        let now_ms = self.moment.now_ms;
        for index in self.living.values().copied().collect::<Vec<_>>() {
            let session = &mut self.sessions[index];
            if session.shard != shard {
                continue;
            }
            if session.is_lost {
                session.expires_at_ms = Some(now_ms + grace_ms);
                session.will.iter_mut().for_each(|will| will.due_ms = None);
            } else if session.expires_at_ms.is_some_and(|at| at <= now_ms) {
                self.tally.count("sessions expired");
                self.ends_session(index);
            } else if let Some(due_ms) = session.will.as_mut().and_then(|will| will.due_ms.as_mut()) {
                *due_ms = (*due_ms).max(now_ms + grace_ms);
            }
            if self.sessions[index].is_kept() && self.sessions[index].ended.is_none() {
                self.tally.count("sessions restored");
            }
        }
    }

    /// Some bytes have left for a Client.
    pub fn is_heard(&mut self, link: crate::network::LinkId) {
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.is_heard = true;
        }
    }

    /// Nothing may have been promised that is not durable.
    fn check_promises(&self, durable: &Self) -> Check {
        let since = durable.moment.tick;
        self.check_acknowledged(durable)?;
        self.check_begun(durable)?;
        for (client, &index) in &durable.living {
            let session = &self.sessions[index];
            if !session.is_kept() || !durable.sessions[index].is_kept() {
                continue;
            }
            if session.timeline.has_promised_since(since)
                || session.shares.values().any(|share| share.has_promised_since(since))
            {
                let promise = format!("{client} was told of a change of its Subscriptions that is lost");
                return broken("MQTT-3.8.4-1", promise, &[client]);
            }
            self.check_exchange(session, since)?;
            if session.ended.is_some() && self.has_heard(client, since) {
                let promise = format!("{client} was told that its old Session is gone, and it comes back");
                return broken("MQTT-3.1.2-4", promise, &[client]);
            }
        }
        Ok(())
    }

    /// What a Client was told about an exchange with QoS 2 is durable.
    fn check_exchange(&self, session: &Session, since: Tick) -> Check {
        let Some(Promised { packet, packet_id, asked, link }) = session.promised else { return Ok(()) };
        let is_heard = self.connections.get(&link).is_some_and(|connection| connection.is_heard);
        if asked <= since || !is_heard || session.ended.is_some() {
            return Ok(());
        }
        let promise = format!("{} was sent {packet} {}, and that is lost", session.client, packet_id.value());
        broken("MQTT-4.3.3-1", promise, &[&session.client, &link.to_string()])
    }

    /// A Session that a Client was told of, and that is to outlive its connection, is durable.
    fn check_begun(&self, durable: &Self) -> Check {
        let began = durable.sessions.len();
        let mut connections = self.connections.values().filter(|connection| {
            connection.is_heard
                && connection.asked.expiry_s > 0
                && connection
                    .session
                    .is_some_and(|session| session >= began && self.sessions[session].ended.is_none())
        });
        let Some(lost) = connections.next() else { return Ok(()) };
        let promise = format!("{} was told of a new Session that is lost", lost.name());
        broken("MQTT-4.1.0-1", promise, &[&lost.client])
    }

    /// Whether a Client has been told of a Session that began after `since`.
    fn has_heard(&self, client: &str, since: Tick) -> bool {
        let mut connections = self.connections.values().filter(|connection| *connection.client == *client);
        connections.any(|connection| connection.is_heard && connection.connected > since)
    }

    /// No message is lost that was acknowledged.
    fn check_acknowledged(&self, durable: &Self) -> Check {
        for number in durable.messages.len()..self.messages.len() {
            let accept = self.messages.get(number);
            if !accept.is_acknowledged || accept.has_expired(self.latest_ms) {
                continue;
            }
            let is_owed = |session: &&Session| {
                let outcomes = session.outcomes(accept, u64::MAX);
                let is_promised = outcomes.iter().flatten().all(|outcome| outcome.qos > QoS::AtMostOnce);
                session.is_kept() && session.owed.contains(&number) && is_promised
            };
            let mut sessions = self.living.values().map(|&index| &self.sessions[index]);
            let receiver = sessions.find(is_owed).map(|session| &session.client);
            if receiver.is_none() && !accept.retain {
                continue;
            }
            let key = accept.key.to_string();
            let receiver = receiver.map_or("everybody who asks", |client| client);
            let promise =
                format!("{} was told that {key} is safe, and it is lost for {receiver}", accept.publisher);
            return broken("MQTT-4.3.2-4", promise, &[&accept.publisher, &key]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use dunlin_broker::limits::Settings;
    use dunlin_packet::subscribe::SubscriptionOptions;

    use super::*;
    use crate::oracle::{
        messages::{Accept, Forwarded, MessageKey},
        session::Will,
        subscriptions::Sub,
        words::Moment,
    };

    fn accept() -> Accept {
        Accept {
            key: MessageKey::Numbered(1),
            publisher: "p".into(),
            shard: 0,
            at: Moment { tick: 30, now_ms: 0 },
            topic: "a".into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at_ms: None,
            expiry_s: None,
            payload: (*b"m1").into(),
            properties: Forwarded::default(),
            is_sure: true,
            is_acknowledged: false,
            is_refused: false,
            settled: Vec::new(),
            will_call: None,
            quiet_before: 0,
            quiet: None,
        }
    }

    /// Two Sessions that subscribe to everything; that of "kept" outlives its connection by a minute.
    fn oracle() -> Oracle {
        let mut oracle = Oracle::new(Arc::new(Settings { is_durable: true, ..Settings::default() }), 1);
        for (client, expiry_s) in [("kept", 60), ("short", 0)] {
            let mut session = Session::new(client.into(), 0, 1);
            session.expiry_s = expiry_s;
            let sub = Sub { options: SubscriptionOptions::with_qos(QoS::AtLeastOnce), id: None };
            let change = session.timeline.ask(5, Rc::new(BTreeMap::from([("#".into(), sub)])));
            session.timeline.answer(change, 6);
            oracle.sessions.push(session);
            oracle.living.insert(client.into(), oracle.sessions.len() - 1);
        }
        oracle.moment.tick = 20;
        oracle
    }

    #[test]
    fn a_session_that_ends_with_its_connection_leaves_its_will_and_nothing_else() {
        let mut oracle = oracle();
        oracle.sessions[1].will = Some(Will { accept: accept(), delay_s: 9, due_ms: None });
        let durable = oracle.clone();
        oracle.crashed(durable, 0).unwrap();
        oracle.moment.now_ms = 500;
        oracle.restarts(0, 2_000);
        let will = oracle.sessions[1].will.as_ref().map(|will| will.due_ms);
        assert_eq!((will, oracle.sessions[1].expires_at_ms), (Some(None), Some(2_500)));
        assert!(oracle.sessions[1].timeline.latest().is_empty());
        assert_eq!(oracle.sessions[0].timeline.latest().len(), 1);
        assert_eq!(oracle.living.len(), 2);
    }

    #[test]
    fn what_was_not_durable_is_gone_and_its_numbers_are_not_used_again() {
        let mut oracle = oracle();
        let durable = oracle.clone();
        oracle.accept(accept());
        oracle.sessions.push(Session::new("new".into(), 0, 40));
        oracle.living.insert("new".into(), 2);
        oracle.crashed(durable, 0).unwrap();
        assert!(oracle.messages.is_empty() && oracle.sessions[0].owed.is_empty());
        assert_eq!(oracle.living.keys().map(|client| &**client).collect::<Vec<_>>(), ["kept"]);
        assert_eq!(oracle.sessions.len(), 3);
    }

    #[test]
    fn an_acknowledged_message_must_be_durable() {
        let mut oracle = oracle();
        let durable = oracle.clone();
        let number = oracle.accept(accept());
        oracle.messages.answer(number, false);
        assert_eq!(oracle.crashed(durable, 0).unwrap_err().clause, "MQTT-4.3.2-4");
    }
}
