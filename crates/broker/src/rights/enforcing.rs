//! Where rights are asked: at CONNECT, SUBSCRIBE and PUBLISH, at delivery, for Wills, and when the rules change.

use std::sync::Arc;

use dunlin_packet::{
    publish::Publish,
    qos::QoS,
    reason_code::ReasonCode,
    topic::{filter::TopicFilter, name::TopicName},
};
use dunlin_protocol::time::Instant;

use crate::{
    ids::ConnectionId,
    input::ConnectRequest,
    output::Outbox,
    pace::FOR_A_CLIENT,
    permissions::{
        Permissions,
        rule_set::RuleSet,
        ruling::{Ground, Ruling},
        subject::Subject,
    },
    rights::denials::{Denied, note},
    routing::group_mail::{GroupMail, GroupName},
    sessions::{
        session::{Session, Will},
        troubles::Troubles,
    },
    state::State,
    topics::ids::SessionIndex,
};

impl State {
    /// Puts rules in force before any Client is there.
    pub(crate) fn put_rules(&mut self, rules: Arc<RuleSet>) {
        self.in_force.put(rules);
        self.publishers.forget_rights();
    }

    /// Puts rules in force and judges all connected Clients anew: one whose user is gone or whose certificate is
    /// revoked is disconnected, Subscriptions that are not allowed any more are taken away. Sessions that are away are judged when their Clients come back.
    pub(crate) fn change_rules(&mut self, now: Instant, rules: Arc<RuleSet>, out: &mut Outbox) {
        self.put_rules(rules);
        for number in 0..self.connections.len() as u32 {
            let id = ConnectionId(number);
            let Some(connection) = self.find_connection(id) else { continue };
            let index = connection.session;
            let mut permissions = self.sessions[index].permissions.clone();
            self.in_force.refresh(&mut permissions);
            if Arc::ptr_eq(permissions.rules(), self.sessions[index].permissions.rules()) {
                continue;
            }
            self.give_rights(now, index, permissions, out);
            if let Some(ground) = self.sessions[index].permissions.withdrawal() {
                tell_withdrawal(self.sessions[index].permissions.subject(), ground);
                self.disconnect(now, id, ReasonCode::NotAuthorized, words(ground), out);
                continue;
            }
            self.withdraw_subscriptions(now, index, out);
        }
    }

    /// Why a Client may not come in, if so: its rights may have changed on its way here, and the Session may be
    /// another's.
    pub(crate) fn objection_to(
        &mut self,
        now: Instant,
        request: &mut ConnectRequest,
    ) -> Option<(ReasonCode, &'static str)> {
        self.in_force.refresh(&mut request.permissions);
        let permissions = &request.permissions;
        if let Some(ground) = permissions.withdrawal() {
            return Some((ReasonCode::NotAuthorized, words(ground)));
        }
        if let Some(will) = &request.will {
            let facts = will.message.facts();
            let ruling = permissions.may_publish(will.message.topic_name(), facts.qos, facts.retain);
            if !ruling.is_allowed() {
                return Some((ReasonCode::NotAuthorized, WILL_DENIED));
            }
        }
        let index = self.sessions.find(&request.client_id)?;
        if !self.is_anothers(now, index, permissions.subject()) {
            return None;
        }
        let Session { permissions: owner, troubles, .. } = &mut self.sessions[index];
        if let Some(untold) = troubles.get_or_insert_default().denials.refusals.may_tell(now, FOR_A_CLIENT) {
            tracing::info!(
                client_id = &*request.client_id,
                user = permissions.subject().user_name.as_deref(),
                address = %permissions.subject().address,
                owner = owner.subject().user_name.as_deref(),
                refused_without_a_line = (untold > 0).then_some(untold),
                "CONNECT refused: the Client Identifier belongs to another user"
            );
        }
        Some((ReasonCode::NotAuthorized, FOREIGN))
    }

    /// Whether a Client Identifier belongs to somebody else than `subject`, who so may not connect with it.
    pub(crate) fn is_anothers(&self, now: Instant, index: SessionIndex, subject: &Subject) -> bool {
        let session = &self.sessions[index];
        let is_living = session.connection.is_some() || session.is_waited_for(now);
        let is_foreign = session.has_owner && !session.permissions.subject().is_same_identity(subject);
        self.settings.bind_client_id && is_living && is_foreign
    }

    /// Gives a connected Client its rights, and tells them to the groups it shares Subscriptions with.
    pub(crate) fn give_rights(
        &mut self,
        now: Instant,
        index: SessionIndex,
        permissions: Permissions,
        out: &mut Outbox,
    ) {
        let session = &mut self.sessions[index];
        session.permissions = permissions;
        session.has_owner = true;
        session.is_filtered = !session.permissions.may_receive_everything();
        if let Some(troubles) = &mut session.troubles {
            troubles.receive_cache.clear();
        }
        let groups: Vec<GroupName> = session.shares.iter().map(|share| share.group.clone()).collect();
        for group in groups {
            self.tell_rights(now, index, group, out);
        }
    }

    /// Tells the home of a group what a member may receive, if that is limited or was when it was told last.
    pub(crate) fn tell_rights(
        &mut self,
        now: Instant,
        index: SessionIndex,
        group: GroupName,
        out: &mut Outbox,
    ) {
        let session = &mut self.sessions[index];
        if !session.is_filtered && !session.has_told_rights {
            return;
        }
        session.has_told_rights = true;
        let rights = session.is_filtered.then(|| Box::new(session.permissions.clone()));
        let member = self.member(index);
        self.send_to_group(now, GroupMail::Rights { group, member, rights }, out);
    }

    /// Takes away the Subscriptions that are not allowed any more.
    pub(crate) fn withdraw_subscriptions(&mut self, now: Instant, index: SessionIndex, out: &mut Outbox) {
        if !self.sessions[index].is_filtered {
            return;
        }
        let mut withdrawn = Vec::new();
        let session = &self.sessions[index];
        for &filter_id in &session.filters {
            let mut text = String::new();
            self.subscriptions.filter_text(filter_id, &mut text);
            if let Some(subscription) = self.subscriptions.get(filter_id, index) {
                withdrawn.push((text, subscription.options.qos));
            }
        }
        let shares = session.shares.iter();
        withdrawn.extend(shares.map(|it| (it.group.as_str().to_owned(), it.subscription.options.qos)));
        withdrawn.retain(|(text, qos)| {
            let filter = TopicFilter::parse(text).expect("it was filed as a filter");
            !self.may_subscribe(now, index, filter, *qos)
        });
        for (text, _) in withdrawn {
            self.unsubscribe(now, index, &text, out);
        }
    }

    /// Whether the Client of a Session may publish this message, and have the answers that it asks for.
    #[inline]
    pub(crate) fn may_publish(
        &mut self,
        now: Instant,
        index: SessionIndex,
        publish: &Publish<'_>,
        topic_name: TopicName<'_>,
    ) -> bool {
        let Session { permissions, troubles, is_filtered, .. } = &mut self.sessions[index];
        let ruling = permissions.may_publish(topic_name, publish.qos, publish.retain);
        let (ground, topic) = match ruling {
            Ruling::Denied(ground) => (ground, topic_name.as_str()),
            Ruling::Allowed(_) if !*is_filtered || publish.properties.is_empty() => return true,
            Ruling::Allowed(_) => {
                // An answer goes to the Response Topic with the rights of whoever answers.
                let Some(topic) = publish.properties.response_topic() else { return true };
                match TopicName::parse(topic).map(|topic_name| permissions.may_receive(topic_name)) {
                    Ok(Ruling::Denied(ground)) => (ground, topic),
                    Ok(Ruling::Allowed(_)) | Err(_) => return true,
                }
            }
        };
        note(
            &mut troubles.get_or_insert_default().denials,
            now,
            Denied::Publish,
            permissions.subject(),
            topic,
            ground,
        );
        self.counters.denied_publish += 1;
        false
    }

    /// Whether the Client of a Session may subscribe.
    pub(crate) fn may_subscribe(
        &mut self,
        now: Instant,
        index: SessionIndex,
        filter: TopicFilter<'_>,
        qos: QoS,
    ) -> bool {
        let Session { permissions, troubles, .. } = &mut self.sessions[index];
        let Ruling::Denied(ground) = permissions.may_subscribe(filter, qos) else { return true };
        note(
            &mut troubles.get_or_insert_default().denials,
            now,
            Denied::Subscribe,
            permissions.subject(),
            filter.as_str(),
            ground,
        );
        self.counters.denied_subscribe += 1;
        false
    }

    /// Whether the connected Client of a Session may get a message from this topic. Without rules this is one branch.
    #[inline]
    pub(crate) fn may_deliver(
        &mut self,
        now: Instant,
        index: SessionIndex,
        topic_name: TopicName<'_>,
    ) -> bool {
        !self.sessions[index].is_filtered || self.may_deliver_filtered(now, index, topic_name)
    }

    fn may_deliver_filtered(&mut self, now: Instant, index: SessionIndex, topic_name: TopicName<'_>) -> bool {
        let Session { permissions, troubles, .. } = &mut self.sessions[index];
        if permissions.may_receive_all_but_dollar(topic_name) {
            return true;
        }
        let Troubles { denials, receive_cache, .. } = &mut **troubles.get_or_insert_default();
        let judge = || permissions.may_receive(topic_name).is_allowed();
        if receive_cache.look_up(topic_name.as_str(), judge) {
            return true;
        }
        let ground = permissions.may_receive(topic_name).ground();
        note(denials, now, Denied::Receive, permissions.subject(), topic_name.as_str(), ground);
        self.counters.denied_receive += 1;
        false
    }

    /// Whether the Will of a Session may be sent now, whatever was allowed when it was left. Rights of Sessions from
    /// older records are not known.
    pub(crate) fn may_send_will(&mut self, now: Instant, index: SessionIndex, will: &Will) -> bool {
        let Session { permissions, troubles, has_owner, .. } = &mut self.sessions[index];
        if !*has_owner {
            return true;
        }
        self.in_force.refresh(permissions);
        let facts = will.message.facts();
        let topic_name = will.message.topic_name();
        let ground = match permissions.may_publish(topic_name, facts.qos, facts.retain) {
            _ if let Some(ground) = permissions.withdrawal() => ground,
            Ruling::Denied(ground) => ground,
            Ruling::Allowed(_) => return true,
        };
        note(
            &mut troubles.get_or_insert_default().denials,
            now,
            Denied::Will,
            permissions.subject(),
            topic_name.as_str(),
            ground,
        );
        self.counters.denied_publish += 1;
        false
    }
}

/// Tells the log of a Client that has to go because its certificate was taken back.
fn tell_withdrawal(subject: &Subject, ground: Ground<'_>) {
    let Some(certificate) = subject.certificate.as_deref().filter(|_| ground == Ground::CertificateRevoked)
    else {
        return;
    };
    tracing::info!(
        client_id = &*subject.client_id,
        user = subject.user_name.as_deref(),
        address = %subject.address,
        issuer = &*certificate.issuer,
        serial = &*certificate.serial,
        "disconnecting: the certificate is revoked"
    );
}

fn words(ground: Ground<'_>) -> &'static str {
    if ground == Ground::CertificateRevoked { CERTIFICATE_REVOKED } else { USER_GONE }
}

/// Why a Client is refused that comes with somebody else's Client Identifier.
pub(crate) const FOREIGN: &str = "the Client Identifier belongs to another user";
/// Why a Client is disconnected or refused whose user was taken away.
const USER_GONE: &str = "the user is not known any more";
/// Why a Client is disconnected or refused whose certificate was taken back.
const CERTIFICATE_REVOKED: &str = "the certificate is revoked";
/// Why a Client with such a Will is refused.
pub(crate) const WILL_DENIED: &str = "the Client may not publish to its Will Topic";
