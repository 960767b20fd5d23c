//! What a Client may do: data, decided once, evaluated on every packet.

use std::sync::Arc;

use dunlin_packet::{
    qos::QoS,
    topic::{filter::TopicFilter, name::TopicName},
};

use self::{
    identity::Identity,
    rule_set::{RuleSet, Selection, Wish},
    ruling::{Ground, Ruling},
    subject::Subject,
};

pub mod identity;
pub mod revoked;
pub mod rule_set;
pub mod ruling;
pub mod subject;
pub mod topics;
pub mod who;

/// The rights of one Client: who it is, and the rules that are about it. Without rules everything is allowed but
/// publishing to `$SYS`, and to find that out costs a look at one flag.
#[derive(Clone, Debug)]
pub struct Permissions {
    subject: Arc<Subject>,
    rules: Arc<RuleSet>,
    selection: Selection,
}

thread_local! {
    /// Nobody in particular, whom nothing limits: shared by all who need nothing else.
    static FREE: Permissions = Permissions::new(Arc::default(), Arc::default());
}

impl Default for Permissions {
    /// Those of a Client of whom nothing is known, without rules.
    fn default() -> Self {
        FREE.with(Self::clone)
    }
}

impl Permissions {
    /// The rights of `subject` by `rules`.
    #[must_use]
    pub fn new(subject: Arc<Subject>, rules: Arc<RuleSet>) -> Self {
        let selection = rules.select(&subject);
        Self { subject, rules, selection }
    }

    /// Who the Client is.
    #[must_use]
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// The same rights, in memory that nobody else has: what stays should not keep the memory of where it came from.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { subject: Arc::new(Subject::clone(&self.subject)), ..self.clone() }
    }

    /// What stays of it when the Client is gone.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { subject: Arc::clone(&self.subject), rules: self.rules.shared_name().cloned() }
    }

    /// The rules it is judged by.
    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Whether the Client may publish such a message. `$SYS` belongs to the Server (4.7.2).
    #[inline]
    #[must_use]
    pub fn may_publish(&self, topic_name: TopicName<'_>, qos: QoS, retain: bool) -> Ruling<'_> {
        let topic = topic_name.as_str();
        if !self.selection.limits_publish && !topic.starts_with('$') {
            return Ruling::Allowed(Ground::Free);
        }
        self.rules.judge(&self.selection, &self.subject, Wish::Publish { topic, qos, retain })
    }

    /// Whether the Client may subscribe to `topic_filter`; of a Shared Subscription the filter behind the Share Name
    /// counts.
    #[must_use]
    pub fn may_subscribe(&self, topic_filter: TopicFilter<'_>, qos: QoS) -> Ruling<'_> {
        let filter = topic_filter.without_share();
        self.rules.judge(&self.selection, &self.subject, Wish::Subscribe { filter, qos })
    }

    /// Whether the Client may get a message from `topic_name` that one of its Subscriptions matches.
    #[inline]
    #[must_use]
    pub fn may_receive(&self, topic_name: TopicName<'_>) -> Ruling<'_> {
        if self.may_receive_all_but_dollar(topic_name) {
            return Ruling::Allowed(Ground::Free);
        }
        self.rules.judge(&self.selection, &self.subject, Wish::Receive { topic: topic_name.as_str() })
    }

    /// As [`may_publish`](Self::may_publish), with the rule that decides also where nothing has to be looked up.
    #[must_use]
    pub fn rule_for_publish(&self, topic_name: TopicName<'_>, qos: QoS, retain: bool) -> Ruling<'_> {
        let wish = Wish::Publish { topic: topic_name.as_str(), qos, retain };
        self.rules.judge(&self.selection, &self.subject, wish)
    }

    /// As [`may_receive`](Self::may_receive), with the rule that decides also where nothing has to be looked up.
    #[must_use]
    pub fn rule_for_receive(&self, topic_name: TopicName<'_>) -> Ruling<'_> {
        self.rules.judge(&self.selection, &self.subject, Wish::Receive { topic: topic_name.as_str() })
    }

    /// Whether there is no need to look at the rules for a message from `topic_name`.
    #[inline]
    pub(crate) fn may_receive_all_but_dollar(&self, topic_name: TopicName<'_>) -> bool {
        !self.selection.limits_receive && !topic_name.as_str().starts_with('$')
    }

    /// Whether every message may be delivered, from whatever topic.
    #[must_use]
    pub fn may_receive_everything(&self) -> bool {
        self.rules.is_open()
    }

    /// Why the Client may not be at all any more, if so: its user is none of those there are, or its certificate is revoked.
    #[must_use]
    pub fn withdrawal(&self) -> Option<Ground<'static>> {
        if self.rules.is_user_gone(self.subject.user_name.as_deref()) {
            return Some(Ground::UserGone);
        }
        self.rules.is_revoked(&self.subject).then_some(Ground::CertificateRevoked)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        rule_set::{Actions, Kind, Rule, Users},
        topics::TopicPattern,
        who::{NamePattern, Who},
        *,
    };

    const PUBLISH: Actions = Actions { publish: true, subscribe: false, receive: false };
    const SUBSCRIBE: Actions = Actions { publish: false, subscribe: true, receive: false };
    const RECEIVE: Actions = Actions { publish: false, subscribe: false, receive: true };

    fn rule(line: u32, is_allowing: bool, actions: Actions, topic: &str) -> Rule {
        let topics = [TopicPattern::parse(topic).unwrap()].into();
        let who = Who::default();
        Rule { file: 0, line, is_allowing, who, actions, topics, qos_max: None, retain: None }
    }

    fn ann() -> Subject {
        Subject { user_name: Some("ann".into()), client_id: "c1".into(), ..Subject::default() }
    }

    fn permissions(kind: Kind, subject: Subject, rules: Vec<Rule>) -> Permissions {
        let rules = RuleSet::new(Some("main"), kind, &["rules.toml"], rules);
        Permissions::new(Arc::new(subject), Arc::new(rules))
    }

    fn name(text: &str) -> TopicName<'_> {
        TopicName::parse(text).unwrap()
    }

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    fn line(ruling: Ruling<'_>) -> (bool, u32) {
        match ruling.ground() {
            Ground::Rule { line, .. } => (ruling.is_allowed(), line),
            _ => (ruling.is_allowed(), 0),
        }
    }

    #[test]
    fn without_rules_all_is_allowed_but_what_only_the_server_says() {
        let free = Permissions::default();
        let publish = |topic| free.may_publish(name(topic), QoS::ExactlyOnce, true);
        assert_eq!(publish("a/b"), Ruling::Allowed(Ground::Free));
        assert_eq!(publish("$other/b"), Ruling::Allowed(Ground::Free));
        assert_eq!(publish("$SYS/b"), Ruling::Denied(Ground::ServerOnly));
        assert_eq!(publish("$SYS"), Ruling::Denied(Ground::ServerOnly));
        assert!(free.may_subscribe(filter("#"), QoS::ExactlyOnce).is_allowed());
        assert!(free.may_receive(name("$SYS/b")).is_allowed() && free.may_receive_everything());
        assert_eq!(free.withdrawal(), None);
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_none_denies() {
        let rules = vec![
            rule(1, false, PUBLISH, "a/secret"),
            rule(2, true, PUBLISH, "a/#"),
            rule(3, false, PUBLISH, "a/b"),
            rule(4, true, SUBSCRIBE, "a/#"),
        ];
        let rights = permissions(Kind::Dunlin, ann(), rules);
        for (topic, expected) in [("a/secret", (false, 1)), ("a/b", (true, 2)), ("b", (false, 0))] {
            assert_eq!(line(rights.may_publish(name(topic), QoS::AtMostOnce, false)), expected, "{topic}");
        }
        let ground = rights.may_receive(name("b")).ground();
        assert_eq!(ground.to_string(), "no rule in rules.toml allows it");
        assert_eq!(rights.may_receive(name("a/b")).ground().to_string(), "rules.toml:4");
    }

    #[test]
    fn an_allowance_of_all_is_found_without_a_look_at_the_rules() {
        let all =
            vec![rule(1, true, PUBLISH, "#"), rule(2, true, RECEIVE, "a/#"), rule(3, true, RECEIVE, "#")];
        let rights = permissions(Kind::Dunlin, ann(), all);
        assert_eq!(rights.may_publish(name("x"), QoS::ExactlyOnce, true), Ruling::Allowed(Ground::Free));
        assert_eq!(rights.may_receive(name("x")), Ruling::Allowed(Ground::Free));
        // # does not mean topics with $. [MQTT-4.7.2-1]
        assert!(!rights.may_receive(name("$SYS/x")).is_allowed() && !rights.may_receive_everything());
        let denied_first = vec![rule(1, false, PUBLISH, "x"), rule(2, true, PUBLISH, "#")];
        let rights = permissions(Kind::Dunlin, ann(), denied_first);
        assert_eq!(line(rights.may_publish(name("x"), QoS::AtMostOnce, false)), (false, 1));
    }

    #[test]
    fn our_rules_take_a_filter_only_as_a_whole_and_mosquittos_in_part() {
        let rules = || {
            vec![
                rule(1, false, SUBSCRIBE, "a/secret"),
                rule(2, true, SUBSCRIBE, "a/#"),
                rule(3, true, SUBSCRIBE, "b"),
                rule(4, false, RECEIVE, "a/x"),
            ]
        };
        let ours = permissions(Kind::Dunlin, ann(), rules());
        let theirs = permissions(Kind::Mosquitto, ann(), rules());
        for (text, by_ours, by_theirs) in [
            ("a/b", (true, 2), (true, 2)),
            ("a/b/#", (true, 2), (true, 2)),
            ("a/secret", (false, 1), (false, 1)),
            ("a/+", (false, 1), (true, 2)),
            ("a/#", (false, 1), (true, 2)),
            ("#", (false, 1), (true, 2)),
            ("+", (false, 0), (true, 2)), // `a`
            ("$share/g/a/b", (true, 2), (true, 2)),
            ("a/x", (true, 2), (true, 2)),
            ("c/#", (false, 0), (false, 0)),
        ] {
            assert_eq!(line(ours.may_subscribe(filter(text), QoS::AtMostOnce)), by_ours, "{text}");
            assert_eq!(line(theirs.may_subscribe(filter(text), QoS::AtMostOnce)), by_theirs, "{text}");
        }
    }

    #[test]
    fn qos_and_retain_are_limits() {
        let mut limited = rule(1, true, Actions { subscribe: true, ..PUBLISH }, "a");
        (limited.qos_max, limited.retain) = (Some(QoS::AtLeastOnce), Some(false));
        let rights = permissions(Kind::Dunlin, ann(), vec![limited]);
        assert!(rights.may_publish(name("a"), QoS::AtLeastOnce, false).is_allowed());
        assert!(!rights.may_publish(name("a"), QoS::ExactlyOnce, false).is_allowed());
        assert!(!rights.may_publish(name("a"), QoS::AtMostOnce, true).is_allowed());
        assert!(rights.may_subscribe(filter("a"), QoS::AtLeastOnce).is_allowed());
        assert!(!rights.may_subscribe(filter("a"), QoS::ExactlyOnce).is_allowed());
    }

    /// CVE-2017-7650
    #[test]
    fn a_name_that_poses_as_a_wildcard_gains_nothing_and_escapes_nothing() {
        for name_of_user in ["+", "#", "a/b", ""] {
            let subject = Subject { user_name: Some(name_of_user.into()), ..ann() };
            let rules = vec![rule(1, false, PUBLISH, "private/%u"), rule(2, true, PUBLISH, "%u/#")];
            let rights = permissions(Kind::Dunlin, subject, rules);
            for (topic, decided) in [("private/a/b", 1), ("private/other", 1), ("other/x", 0), ("a/b/x", 0)] {
                let ruling = rights.may_publish(name(topic), QoS::AtMostOnce, false);
                assert_eq!(line(ruling), (false, decided), "{name_of_user} to {topic}");
            }
        }
        let subject = Subject { user_name: Some("#".into()), ..ann() };
        let mut own = rule(1, true, PUBLISH, "own");
        own.who.users = [NamePattern::Exact("#".into())].into();
        let rights = permissions(Kind::Mosquitto, subject, vec![own, rule(2, true, PUBLISH, "other")]);
        assert!(rights.may_publish(name("own"), QoS::AtMostOnce, false).is_allowed());
        let ruling = rights.may_publish(name("other"), QoS::AtMostOnce, false);
        assert_eq!(ruling, Ruling::Denied(Ground::UnsafeName { files: "rules.toml" }));
    }

    #[test]
    fn rules_of_one_user_stand_in_order_with_those_of_all() {
        let mut rules =
            vec![rule(1, false, PUBLISH, "a"), rule(2, true, PUBLISH, "a"), rule(3, true, PUBLISH, "#")];
        rules[0].who.users = [NamePattern::parse("bob")].into();
        rules[1].who.users = [NamePattern::parse("ann")].into();
        for (user, expected) in [("ann", (true, 2)), ("bob", (false, 1)), ("eve", (true, 3))] {
            let subject = Subject { user_name: Some(user.into()), ..ann() };
            let mut rules = rules.clone();
            rules[2].retain = Some(false);
            let rights = permissions(Kind::Dunlin, subject, rules);
            assert_eq!(line(rights.may_publish(name("a"), QoS::AtMostOnce, false)), expected, "{user}");
        }
    }

    #[test]
    fn a_user_who_is_not_listed_is_gone() {
        let users = Users { names: ["ann".into()].into_iter().collect(), allows_anonymous: false };
        let rules = Arc::new(RuleSet::open("main").with_users(Some(Arc::new(users))));
        for (user_name, is_gone) in [(Some("ann"), false), (Some("bob"), true), (None, true)] {
            let subject = Subject { user_name: user_name.map(Into::into), ..ann() };
            let withdrawal = Permissions::new(Arc::new(subject), Arc::clone(&rules)).withdrawal();
            assert_eq!(withdrawal, is_gone.then_some(Ground::UserGone), "{user_name:?}");
        }
    }
}
