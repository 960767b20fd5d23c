//! The broker holds what it must hold, and nothing else: counted while all is at rest (4.1).

use std::collections::BTreeSet;

use dunlin_broker::{inspect::Census, slot::home_of};

use crate::{
    network::LinkId,
    oracle::{
        connection::Phase,
        session::Session,
        state::Oracle,
        words::{Check, broken},
    },
};

impl Oracle {
    /// What a shard holds when nothing moves; the Clients on `resting` have answered everything.
    ///
    /// # Errors
    /// If it holds more or less than the model.
    pub fn checks_census(&self, shard: usize, census: &Census, resting: &BTreeSet<LinkId>) -> Check {
        if self.living.values().any(|&index| self.sessions[index].is_lost) {
            return Ok(()); // What a crash has left of it need not be looked at.
        }
        let counts = [
            ("connections", census.connections, self.connections_in(shard)),
            ("Sessions", census.sessions, self.sessions_in(shard).count()),
            (
                "Subscriptions",
                census.subscriptions,
                self.sum(shard, |session| session.timeline.latest().len()),
            ),
            ("Shared Subscriptions", census.shares, self.sum(shard, |session| session.shares_now().count())),
            ("groups", census.groups, self.groups_in(shard)),
            ("QoS 2 identifiers", census.awaiting_pubrel, self.sum(shard, |session| session.inbound.len())),
            ("questions to other shards", census.waiting_for_peers, 0),
            ("packets that wait for the disk", census.held, 0),
        ];
        for (what, held, expected) in counts {
            if held != expected {
                let promise = format!("shard {shard} holds {held} {what}, not {expected}: {census:?}");
                return broken("4.1", promise, &[]);
            }
        }
        self.check_in_flight_count(shard, census, resting)?;
        self.check_queue(shard, census, resting)?;
        self.check_retained_count(shard, census)
    }

    fn check_in_flight_count(&self, shard: usize, census: &Census, resting: &BTreeSet<LinkId>) -> Check {
        // What has an identifier waits until it is durable, and for a Client that does not read: it has not been sent.
        let is_held = |session: &Session| self.settings.is_durable && !session.is_resting(resting);
        let most = self.sum(shard, |session| match is_held(session) {
            true => u16::MAX.into(),
            false => session.in_flight.len(),
        });
        let least =
            self.sum(shard, |session| session.in_flight.iter().filter(|it| !it.may_be_dropped).count());
        if (least..=most).contains(&census.in_flight) {
            return Ok(());
        }
        let promise =
            format!("shard {shard} has {} messages in flight, not {least} to {most}", census.in_flight);
        broken("4.1", promise, &[])
    }

    /// Messages wait only for Clients that are away.
    fn check_queue(&self, shard: usize, census: &Census, resting: &BTreeSet<LinkId>) -> Check {
        if census.queued == 0 || !self.sessions_in(shard).all(|session| session.is_resting(resting)) {
            return Ok(());
        }
        let promise = format!("{} messages wait in shard {shard}, but no Client is away", census.queued);
        broken("MQTT-4.5.0-1", promise, &[])
    }

    /// Expired messages may be kept until somebody asks, and of two from different shards either may have won.
    fn check_retained_count(&self, shard: usize, census: &Census) -> Check {
        let (mut least, mut most) = (0, 0);
        for topic in self.retained.topics().filter(|topic| self.is_home(shard, topic)) {
            let current = self.retained.current(&self.messages, topic);
            let is_kept = |number: &usize| !self.messages.get(*number).payload.is_empty();
            let is_sure = |number: &usize| {
                let accept = self.messages.get(*number);
                is_kept(number) && accept.is_sure && !accept.has_expired(self.latest_ms)
            };
            most += usize::from(current.iter().any(is_kept));
            least += usize::from(!current.is_empty() && current.iter().all(is_sure));
        }
        if (least..=most).contains(&census.retained) {
            return Ok(());
        }
        let promise =
            format!("shard {shard} has {} Retained Messages, not {least} to {most}", census.retained);
        broken("MQTT-3.3.1-5", promise, &[])
    }

    fn sessions_in(&self, shard: usize) -> impl Iterator<Item = &Session> {
        let sessions = self.living.values().map(|&index| &self.sessions[index]);
        sessions.filter(move |session| session.shard == shard)
    }

    fn sum(&self, shard: usize, count: impl Fn(&Session) -> usize) -> usize {
        self.sessions_in(shard).map(count).sum()
    }

    fn connections_in(&self, shard: usize) -> usize {
        let connections = self.connections.values().filter(|connection| connection.shard == shard);
        connections.filter(|connection| connection.phase == Phase::Connected).count()
    }

    /// Groups that have a member, at the home of their whole Topic Filter.
    fn groups_in(&self, shard: usize) -> usize {
        let sessions = self.living.values().map(|&index| &self.sessions[index]);
        let filters: BTreeSet<&str> = sessions.flat_map(Session::shares_now).collect();
        filters.into_iter().filter(|filter| self.is_home(shard, filter)).count()
    }

    fn is_home(&self, shard: usize, name: &str) -> bool {
        home_of(name, self.retained.shards() as u8).index() == shard
    }
}
