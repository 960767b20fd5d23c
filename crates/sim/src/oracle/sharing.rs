//! Shared Subscriptions: each message goes to one member of each group, and is not lost (4.8.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use dunlin_packet::qos::QoS;

use crate::{
    network::LinkId,
    oracle::{
        groups::{Group, Sent},
        matching::Matching,
        messages::{Accept, MessageKey},
        session::{Content, Session, publish_bytes_max},
        state::Oracle,
        subscriptions::outcome_of_one,
        words::{Check, broken},
    },
};

/// What is known of a message in a group.
#[derive(PartialEq, Eq)]
enum Finding {
    /// It need not be sent to anybody.
    Excused,
    /// It may wait for a Client that is away.
    Waiting,
    /// This member has been there all the time: it, or another one, must have got it.
    Owed(Rc<str>),
}

impl Oracle {
    /// A message is sent for a Shared Subscription: to a member, and to nobody else. [MQTT-4.8.2-3]
    pub(crate) fn shared_delivery(
        &mut self,
        index: usize,
        delivery: usize,
        filter: &Rc<str>,
        content: &Content,
        has_properties: bool,
    ) -> Check {
        self.tally.count("shared deliveries");
        let session = &self.sessions[index];
        let (key, qos) = (session.deliveries[delivery].key.clone(), session.deliveries[delivery].qos);
        let ids = has_properties.then_some(&content.ids[..]);
        let is_due = |number: &usize| {
            let accept = self.messages.get(*number);
            let mut states = session.share_states(filter, accept.at.tick, self.moment.tick);
            states.any(|sub| {
                let outcome = sub.and_then(|sub| outcome_of_one(&sub, accept));
                outcome.is_some_and(|outcome| outcome.is(qos, content.retain, ids))
            })
        };
        let choices: Vec<usize> = self.messages.with_key(&key).filter(is_due).collect();
        let client = Rc::clone(&session.client);
        if choices.is_empty() {
            let promise = format!("{client} got {key} of {filter} with QoS {} and {content:?}", qos.value());
            return broken("MQTT-4.8.2-3", promise, &[&client, &key.to_string(), filter]);
        }
        let group = self.groups.groups.entry(Rc::clone(filter)).or_default();
        let sent = group.sent.entry(key.clone()).or_default();
        let others: BTreeSet<String> =
            sent.iter().map(|sent| self.sessions[sent.session].client.to_string()).collect();
        sent.push(Sent { session: index, delivery, choices });
        if assignment(sent, &self.sessions).is_some() {
            return Ok(());
        }
        let promise = format!("{client} got {key} of {filter}, but so did {others:?}");
        broken("MQTT-4.8.2-5", promise, &[&client, &key.to_string(), filter])
    }

    /// No mail is under way and the Clients on `resting` have acknowledged all they got: nothing may be lost.
    pub(crate) fn check_groups(&mut self, resting: &BTreeSet<LinkId>) -> Check {
        let mut groups = std::mem::take(&mut self.groups.groups);
        let lost = groups.iter_mut().find_map(|(filter, group)| {
            let (number, member) = self.check_group(filter, group, resting)?;
            Some((Rc::clone(filter), number, member))
        });
        self.groups.groups = groups;
        let Some((filter, number, member)) = lost else { return Ok(()) };
        let accept = self.messages.get(number);
        let (key, tick, publisher) = (accept.key.to_string(), accept.at.tick, &accept.publisher);
        let promise = format!(
            "no member of {filter} got {key} of {publisher} at tick {tick}, and {member} has been one all the time"
        );
        broken("4.8.2", promise, &[&key, &member, &filter])
    }

    /// Returns a message that is lost, and a member that should have got it.
    fn check_group(
        &self,
        filter: &Rc<str>,
        group: &mut Group,
        resting: &BTreeSet<LinkId>,
    ) -> Option<(usize, Rc<str>)> {
        let numbers = std::mem::take(&mut group.unchecked);
        let findings: Vec<_> = numbers
            .iter()
            .map(|&number| (number, self.find_in_group(filter, group, number, resting)))
            .collect();
        for (number, finding) in &findings {
            match finding {
                Finding::Excused | Finding::Waiting => group.owed.remove(number),
                Finding::Owed(_) => group.owed.insert(*number),
            };
        }
        let mut assignments: BTreeMap<&MessageKey, Option<Matching<usize>>> = BTreeMap::new();
        for (number, finding) in findings {
            let member = match finding {
                Finding::Excused => continue,
                // What was sent may be another one that is alike, and this one waits.
                Finding::Waiting => {
                    group.unchecked.push(number);
                    continue;
                }
                Finding::Owed(member) => member,
            };
            let accept = self.messages.get(number);
            let sent = group.sent.get(&accept.key).map_or(&[][..], Vec::as_slice);
            let is_owed = |other: &usize| group.owed.contains(other);
            let assignment =
                assignments.entry(&accept.key).or_insert_with(|| assignment(sent, &self.sessions));
            let answer = assignment.as_mut().and_then(|assignment| assignment.answer_to(&number, &is_owed));
            match answer {
                Some(answer) if self.is_final(sent, answer) => {}
                // A message in flight may still become another member's.
                Some(_) => group.unchecked.push(number),
                None => return Some((number, member)),
            }
        }
        None
    }

    /// Whether a delivery, the one of those not lost with this number, cannot be lost any more.
    fn is_final(&self, sent: &[Sent], answer: usize) -> bool {
        let mut held = sent.iter().filter(|sent| !is_lost(&self.sessions[sent.session], sent.delivery));
        held.nth(answer).is_some_and(|held| {
            let delivery = &self.sessions[held.session].deliveries[held.delivery];
            delivery.is_acknowledged || delivery.qos != QoS::AtLeastOnce
        })
    }

    /// Whether a message must have been sent to a member, apart from whether it was.
    fn find_in_group(
        &self,
        filter: &Rc<str>,
        group: &Group,
        number: usize,
        resting: &BTreeSet<LinkId>,
    ) -> Finding {
        let accept = self.messages.get(number);
        let (first, now) = (accept.at.tick, self.moment);
        if accept.is_refused || !accept.is_sure || accept.has_expired(self.latest_ms) {
            return Finding::Excused;
        }
        // Members at any time since.
        let members: Vec<&Session> = group
            .members
            .iter()
            .map(|&index| &self.sessions[index])
            .filter(|session| session.ended.is_none_or(|ended| ended >= first))
            .filter(|session| session.share_states(filter, first, now.tick).any(|sub| sub.is_some()))
            .collect();
        let is_steady = |session: &&&Session| {
            session.ended.is_none()
                && session.opened < first
                && session.share_states(filter, first, now.tick).all(|sub| sub.is_some())
        };
        let Some(steady) = members.iter().find(is_steady) else { return Finding::Excused };
        // What waits until it is durable counts as sent, and ends with QoS 2 with the Session.
        let may_be_held = |session: &&Session| {
            self.settings.is_durable && accept.qos == QoS::ExactlyOnce && session.ended.is_some()
        };
        let may_be_dropped = members.iter().any(may_be_held)
            || members.iter().any(|session| session.is_lost || session.last_full >= first)
            || self.may_be_lost_in_group(group, accept);
        let may_be_dropped = may_be_dropped
            || members.iter().any(|session| {
                let is_fire_and_forget = accept.qos == QoS::AtMostOnce
                    || session
                        .share_states(filter, first, now.tick)
                        .any(|sub| sub.is_some_and(|sub| sub.options.qos == QoS::AtMostOnce));
                is_fire_and_forget && !session.is_healthy_since(first)
                    || !session.takes(publish_bytes_max(accept, 1), first)
            });
        if may_be_dropped {
            return Finding::Excused;
        }
        let is_away = |session: &&Session| {
            session.ended.is_none() && session.link.is_none_or(|link| !resting.contains(&link))
        };
        match members.iter().any(is_away) {
            true => Finding::Waiting,
            false => Finding::Owed(Rc::clone(&steady.client)),
        }
    }
}

impl Oracle {
    /// A member that is not kept may have had it, or have given it back, when a crash took it. The home of the group may
    /// not have known yet that its Session had ended.
    fn may_be_lost_in_group(&self, group: &Group, accept: &Accept) -> bool {
        let is_fleeting = |session: &Session| {
            !session.is_kept() && session.ended.is_none_or(|ended| ended >= accept.quiet_before)
        };
        accept.at.tick <= self.last_crash
            && group.members.iter().any(|&index| is_fleeting(&self.sessions[index]))
    }
}

/// Assigns each delivery that is not lost to an accepted message; `None` if there are more of them than messages.
fn assignment(sent: &[Sent], sessions: &[Session]) -> Option<Matching<usize>> {
    let mut assignment = Matching::new();
    let held = sent.iter().filter(|sent| !is_lost(&sessions[sent.session], sent.delivery));
    held.into_iter().all(|sent| assignment.add(sent.choices.clone())).then_some(assignment)
}

/// A QoS 1 message whose receiver has gone for good before it acknowledged: it goes to another member (4.8.2).
fn is_lost(session: &Session, delivery: usize) -> bool {
    let delivery = &session.deliveries[delivery];
    session.ended.is_some() && !delivery.is_acknowledged && delivery.qos == QoS::AtLeastOnce
}
