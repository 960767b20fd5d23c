//! What must have happened once all is at rest: nothing is owed any more.

use std::{collections::BTreeSet, rc::Rc};

use dunlin_packet::qos::QoS;

use crate::{
    network::LinkId,
    oracle::{
        connection::Phase,
        session::{Due, ReplayRequest, Session, publish_bytes_max},
        state::Oracle,
        subscriptions::{matches, outcome, outcome_of_one},
        words::{Check, broken},
    },
};

impl Oracle {
    /// Nothing moves: all mail and all bytes have been handled, and the Clients on `resting` have answered everything.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn rests(&mut self, resting: &BTreeSet<LinkId>) -> Check {
        self.tally.count("rests");
        for link in resting {
            self.check_answers(*link)?;
        }
        let indices: Vec<usize> = self.living.values().copied().collect();
        for index in indices {
            let is_resting = self.sessions[index].link.is_some_and(|link| resting.contains(&link));
            if is_resting {
                self.check_in_flight(index)?;
                self.check_owed(index)?;
                self.check_replays(index)?;
            }
        }
        self.check_groups(resting)
    }

    /// Each shard must know when it has something to do: `next` is what it says, in milliseconds of virtual time.
    ///
    /// # Errors
    /// If it will not be woken in time.
    pub fn checks_timeout(&self, shard: usize, next: Option<u64>) -> Check {
        let Some((at, what)) = self.next_deadline(shard) else { return Ok(()) };
        if next.is_some_and(|next| next <= at + TIMER_SLACK_MS) {
            return Ok(());
        }
        let promise = format!("shard {shard} waits until {next:?}, but {what} is due at {at}");
        broken("MQTT-3.1.2-8", promise, &[])
    }

    fn check_answers(&mut self, link: LinkId) -> Check {
        let connection = self.connection(link);
        if connection.phase == Phase::Arrived {
            return broken("MQTT-3.2.0-1", format!("{} has got no CONNACK", connection.name()), &[]);
        }
        let (name, client) = (connection.name(), Rc::clone(&connection.client));
        if connection.has_offended && connection.phase == Phase::Connected {
            let promise = format!("{name} is still open, but it is {:?}", connection.role);
            return broken("MQTT-4.13.1-1", promise, &[&client]);
        }
        if connection.is_refused && connection.phase == Phase::Connected {
            let promise = format!("{name} is still open, but its message was refused");
            return broken("MQTT3-3.3.5-2", promise, &[&client]);
        }
        let Some(owed) = connection.owed.first() else { return Ok(()) };
        broken("MQTT-4.3.2-4", format!("{name} has not got {owed}"), &[&client, &link.to_string()])
    }

    fn check_in_flight(&mut self, index: usize) -> Check {
        let session = &self.sessions[index];
        let mut in_flight = session.in_flight.iter();
        if let Some(stuck) = in_flight.find(|in_flight| !in_flight.may_be_dropped) {
            let key = session.deliveries[stuck.delivery].key.to_string();
            let promise =
                format!("{} still has {key} in flight under {}", session.client, stuck.packet_id.value());
            return broken("MQTT-4.4.0-1", promise, &[&session.client, &key]);
        }
        let link = session.link;
        let lost =
            session.deliveries.iter().find(|delivery| !delivery.is_met && delivery.qos > QoS::AtMostOnce);
        let Some(lost) = lost.filter(|lost| link.is_some() && !lost.may_be_dropped) else { return Ok(()) };
        let key = lost.key.to_string();
        let promise = format!("{} acknowledged {key}, but its application never got it", session.client);
        broken("MQTT-4.3.2-4", promise, &[&session.client, &key])
    }

    /// What a Session must be sent has been sent. [MQTT-4.5.0-1]
    fn check_owed(&mut self, index: usize) -> Check {
        let mut numbers = std::mem::take(&mut self.sessions[index].unchecked);
        // First those that are owed no more: what was sent for them may answer others that are alike.
        numbers.retain(|&number| {
            let is_excused = self.is_excused(&self.sessions[index], number);
            if is_excused {
                self.sessions[index].owed.remove(&number);
            }
            !is_excused
        });
        for number in numbers {
            let session = &mut self.sessions[index];
            let owed = &session.owed;
            let is_owed = |due: &Due| matches!(due, Due::Live(number) if owed.contains(number));
            if session.matching.is_answered(&Due::Live(number), &is_owed) {
                continue;
            }
            let session = &self.sessions[index];
            let accept = self.messages.get(number);
            let key = accept.key.to_string();
            let promise = format!(
                "{} was never sent {key} on {}, which {} published with QoS {} at tick {}",
                session.client,
                accept.topic,
                accept.publisher,
                accept.qos.value(),
                accept.at.tick
            );
            let clause = "MQTT-4.5.0-1";
            return broken(clause, promise, &[&session.client, &key, &accept.publisher]);
        }
        Ok(())
    }

    /// Whether a message need not be sent after all.
    fn is_excused(&self, session: &Session, number: usize) -> bool {
        let accept = self.messages.get(number);
        if accept.is_refused || !accept.is_sure || accept.has_expired(self.latest_ms) {
            return true; // [MQTT-3.3.2-5]
        }
        if session.last_full >= accept.at.tick {
            return true;
        }
        let outcomes = session.outcomes(accept, u64::MAX);
        let ids = outcomes.iter().flatten().map(|outcome| outcome.ids.len()).max().unwrap_or(0);
        if !session.takes(publish_bytes_max(accept, ids), accept.at.tick) {
            return true; // [MQTT-3.1.2-25]
        }
        if outcome(session.timeline.latest(), accept, &session.client).is_none() {
            return true; // What waits for a Subscription that is gone may be dropped (3.10.4).
        }
        let is_qos_0 = outcomes.iter().flatten().any(|outcome| outcome.qos == QoS::AtMostOnce);
        is_qos_0 && !session.is_healthy_since(accept.at.tick)
    }

    /// Retained Messages that a SUBSCRIBE called for have come, or newer ones. [MQTT-3.3.1-9]
    fn check_replays(&mut self, index: usize) -> Check {
        let session = &self.sessions[index];
        let mut checked = Vec::new();
        for (number, replay) in session.replays.iter().enumerate() {
            if replay.is_checked {
                continue;
            }
            checked.push(number);
            if session.link != Some(replay.link)
                || session.timeline.latest().get(&replay.filter) != Some(&replay.sub)
            {
                continue;
            }
            for topic in self.retained.topics().filter(|topic| matches(&replay.filter, topic)) {
                self.check_replay(session, replay, topic)?;
            }
        }
        checked.into_iter().for_each(|number| self.sessions[index].replays[number].is_checked = true);
        Ok(())
    }

    fn check_replay(&self, session: &Session, replay: &ReplayRequest, topic: &str) -> Check {
        let [current] = self.retained.current(&self.messages, topic)[..] else { return Ok(()) };
        let accept = self.messages.get(current);
        let is_excused = accept.payload.is_empty()
            || !accept.is_sure
            || accept.has_expired(self.latest_ms)
            || session.last_full >= replay.asked.min(accept.at.tick)
            || replay.sub.options.no_local && accept.publisher == session.client
            // It may come live in its stead, with the Subscription Identifiers of all that match.
            || !session.takes(publish_bytes_max(accept, session.timeline.latest().len()), replay.asked);
        let is_qos_0 =
            outcome_of_one(&replay.sub, accept).is_none_or(|outcome| outcome.qos == QoS::AtMostOnce);
        if is_excused || is_qos_0 && !session.is_healthy_since(replay.asked) {
            return Ok(());
        }
        let mut since =
            session.deliveries.iter().rev().take_while(|delivery| delivery.at.tick >= replay.asked);
        if since.any(|delivery| delivery.key == accept.key) {
            return Ok(());
        }
        let key = accept.key.to_string();
        let promise = format!(
            "{} subscribed to {} and did not get {key}, the Retained Message of {topic}",
            session.client, replay.filter
        );
        broken("MQTT-3.3.1-9", promise, &[&session.client, &key, &accept.publisher])
    }
}

/// Timers may be this late, in milliseconds.
const TIMER_SLACK_MS: u64 = 1_000;
