//! Rules, read and put in order: immutable, shared by all Clients that they are about.

use std::sync::Arc;

use dunlin_packet::{qos::QoS, topic::filter::TopicFilter};
use foldhash::{HashMap, HashSet};
use thin_vec::ThinVec;

use super::{
    revoked::Revoked,
    ruling::{Ground, Ruling},
    subject::Subject,
    topics::{Fit, TopicPattern},
    who::Who,
};

/// Rules about what Clients may do. The first rule that fits decides; if none does, it is denied.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// By which name it is swapped for a newer one; none for rules that came with one Client.
    name: Option<Arc<str>>,
    kind: Kind,
    files: Box<[Box<str>]>,
    /// All files, for words.
    all_files: Box<str>,
    rules: Box<[Rule]>,
    /// By user name: the rules that are about this user only, by number, in order.
    by_user: HashMap<Box<str>, Vec<u32>>,
    /// All others, in order.
    for_many: Vec<u32>,
    users: Option<Arc<Users>>,
    revoked: Option<Arc<Revoked>>,
}

/// Where rules come from, which says how some things are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// There are no rules: everything is allowed but publishing to `$SYS`.
    #[default]
    Open,
    /// Our own. A Topic Filter is refused unless all that it matches is allowed.
    Dunlin,
    /// An ACL file of mosquitto. A Topic Filter is taken if anything that it matches is allowed; the rest is left out at
    /// delivery. A name with `+` or `#` in it has no right by a pattern.
    Mosquitto,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Which of the files it stands in.
    pub file: u16,
    /// Its line, from 1.
    pub line: u32,
    /// Whether it allows or denies.
    pub is_allowing: bool,
    /// Whom it is about.
    pub who: Who,
    /// What it is about.
    pub actions: Actions,
    /// To which topics; one is enough.
    pub topics: Box<[TopicPattern]>,
    /// Only up to this QoS, published or asked for.
    pub qos_max: Option<QoS>,
    /// Only messages with RETAIN, or only those without.
    pub retain: Option<bool>,
}

/// What a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Actions {
    /// To publish, by PUBLISH or by a Will.
    pub publish: bool,
    /// To subscribe, and to get what comes of it.
    pub subscribe: bool,
    /// To get a message that a Subscription matches.
    pub receive: bool,
}

/// The users there are, where all of them are listed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Users {
    /// Their names.
    pub names: HashSet<Box<str>>,
    /// Whether a Client without a user name may be.
    pub allows_anonymous: bool,
}

/// What a Client wants to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish<'a> {
    Publish { topic: &'a str, qos: QoS, retain: bool },
    Subscribe { filter: TopicFilter<'a>, qos: QoS },
    Receive { topic: &'a str },
}

/// What must be looked at for a Client, and what need not.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// The rules about this Client, by number, in order.
    rules: ThinVec<u32>,
    /// Whether a publication to a topic without `$` may be denied.
    pub(super) limits_publish: bool,
    /// Whether a delivery from a topic without `$` may be denied.
    pub(super) limits_receive: bool,
    /// Whether its names keep it from what patterns allow.
    has_unsafe_name: bool,
}

impl RuleSet {
    /// Rules of `kind` that stand in `files`, in their order; `name` says which set they replace when they are read again.
    ///
    /// # Panics
    /// If a rule names a file that is not there.
    #[must_use]
    pub fn new(name: Option<&str>, kind: Kind, files: &[&str], rules: Vec<Rule>) -> Self {
        assert!(rules.iter().all(|rule| usize::from(rule.file) < files.len()), "a rule stands in a file");
        let mut by_user: HashMap<Box<str>, Vec<u32>> = HashMap::default();
        let mut for_many = Vec::new();
        for (number, rule) in (0..).zip(&rules) {
            match rule.who.only_user() {
                Some(user) => by_user.entry(user.into()).or_default().push(number),
                None => for_many.push(number),
            }
        }
        Self {
            name: name.map(Into::into),
            kind,
            files: files.iter().map(|&file| file.into()).collect(),
            all_files: files.join(", ").into(),
            rules: rules.into(),
            by_user,
            for_many,
            users: None,
            revoked: None,
        }
    }

    /// A set with this name that allows everything but publishing to `$SYS`.
    #[must_use]
    pub fn open(name: &str) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// The same rules, for these users only: a name that is not among them has no right any more. `None` is for
    /// providers that cannot list their users.
    #[must_use]
    pub fn with_users(self, users: Option<Arc<Users>>) -> Self {
        Self { users, ..self }
    }

    /// The same rules, but a Client that has shown one of these certificates has no right any more.
    #[must_use]
    pub fn with_revoked(self, revoked: Arc<Revoked>) -> Self {
        Self { revoked: Some(revoked).filter(|revoked| !revoked.is_empty()), ..self }
    }

    /// The certificates that give no right any more, if there are any.
    #[must_use]
    pub fn revoked(&self) -> Option<&Arc<Revoked>> {
        self.revoked.as_ref()
    }

    /// Whether the certificate of `subject` gives no right any more.
    #[must_use]
    pub fn is_revoked(&self, subject: &Subject) -> bool {
        let facts = subject.certificate.as_deref();
        self.revoked.as_deref().zip(facts).is_some_and(|(revoked, facts)| revoked.has(facts))
    }

    /// By which name it is swapped for a newer one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The same, to be kept.
    pub(super) fn shared_name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.kind == Kind::Open
    }

    /// Whether anybody may be denied anything, but to publish what only the Server says.
    #[must_use]
    pub fn limits_anybody(&self) -> bool {
        !self.is_open() || self.users.is_some() || self.revoked.is_some()
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether `user_name` is none of the users there are.
    #[must_use]
    pub fn is_user_gone(&self, user_name: Option<&str>) -> bool {
        self.users.as_deref().is_some_and(|users| match user_name {
            Some(name) => !users.names.contains(name),
            None => !users.allows_anonymous,
        })
    }

    /// Finds the rules about `subject`.
    pub(super) fn select(&self, subject: &Subject) -> Selection {
        if self.is_open() {
            return Selection::default();
        }
        let has_unsafe_name = self.kind == Kind::Mosquitto && has_wildcard(subject);
        let of_user = subject.user_name.as_deref().and_then(|name| self.by_user.get(name));
        let of_user = of_user.map_or(&[][..], Vec::as_slice);
        let mut rules: ThinVec<u32> = self.for_many.iter().chain(of_user).copied().collect();
        rules.retain(|&number| {
            let rule = self.rule(number);
            rule.who.fits(subject) && !(has_unsafe_name && rule.is_for_all())
        });
        rules.sort_unstable();
        let limits = |wanted: fn(Actions) -> bool| {
            let mut rules = rules.iter().map(|&number| self.rule(number));
            let first = rules.find(|rule| wanted(rule.actions) && !rule.is_narrow_allowance());
            !first.is_some_and(|rule| rule.is_allowing)
        };
        Selection {
            limits_publish: limits(|actions| actions.publish),
            limits_receive: limits(|actions| actions.receive || actions.subscribe),
            has_unsafe_name,
            rules,
        }
    }

    /// Answers by the rules of `selection`, which are those about `subject`.
    pub(super) fn judge(&self, selection: &Selection, subject: &Subject, wish: Wish<'_>) -> Ruling<'_> {
        if matches!(wish, Wish::Publish { topic, .. } if is_of_server(topic)) {
            return Ruling::Denied(Ground::ServerOnly);
        }
        if self.is_open() {
            return Ruling::Allowed(Ground::Free);
        }
        for &number in &selection.rules {
            let rule = self.rule(number);
            let decides = match wish {
                Wish::Publish { topic, qos, retain } => {
                    rule.actions.publish && rule.fits_message(qos, retain) && rule.fits_topic(topic, subject)
                }
                Wish::Receive { topic } => {
                    (rule.actions.receive || rule.actions.subscribe) && rule.fits_topic(topic, subject)
                }
                Wish::Subscribe { filter, qos } => {
                    // mosquitto's file knows no difference between asking and getting.
                    rule.actions.subscribe
                        && rule.qos_max.is_none_or(|max| qos <= max)
                        && rule.decides_filter(filter, subject, self.kind)
                }
            };
            if decides {
                let ground = Ground::Rule { file: &self.files[usize::from(rule.file)], line: rule.line };
                return if rule.is_allowing { Ruling::Allowed(ground) } else { Ruling::Denied(ground) };
            }
        }
        let files = &*self.all_files;
        Ruling::Denied(match selection.has_unsafe_name {
            true => Ground::UnsafeName { files },
            false => Ground::NoRule { files },
        })
    }

    fn rule(&self, number: u32) -> &Rule {
        &self.rules[number as usize]
    }
}

impl Rule {
    /// Whether it is about everybody: a `pattern` of mosquitto.
    fn is_for_all(&self) -> bool {
        self.who == Who::default()
    }

    /// Whether it allows, but not everything.
    fn is_narrow_allowance(&self) -> bool {
        self.is_allowing
            && (self.qos_max.is_some()
                || self.retain.is_some()
                || !self.topics.iter().any(TopicPattern::is_everything))
    }

    fn fits_message(&self, qos: QoS, retain: bool) -> bool {
        self.qos_max.is_none_or(|max| qos <= max) && self.retain.is_none_or(|wanted| wanted == retain)
    }

    /// What nobody can say is denied: a rule that allows does not fit, one that denies does.
    fn is_fit(&self, fit: Fit) -> bool {
        match fit {
            Fit::Yes => true,
            Fit::No => false,
            Fit::Unsafe => !self.is_allowing,
        }
    }

    fn fits_topic(&self, topic: &str, subject: &Subject) -> bool {
        self.topics.iter().any(|pattern| self.is_fit(pattern.matches(topic, subject)))
    }

    /// Whether it is the last word on a Topic Filter. Our own rules are strict: any part that is denied decides, and only
    /// an allowance of all. mosquitto's are not: any part that is allowed decides, and only a denial of all.
    fn decides_filter(&self, filter: TopicFilter<'_>, subject: &Subject, kind: Kind) -> bool {
        let needs_all = self.is_allowing == (kind == Kind::Dunlin);
        self.topics.iter().any(|pattern| {
            self.is_fit(match needs_all {
                true => pattern.covers(filter, subject),
                false => pattern.overlaps(filter, subject),
            })
        })
    }
}

/// Whether `topic` is one that only the Server publishes to.
fn is_of_server(topic: &str) -> bool {
    topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn has_wildcard(subject: &Subject) -> bool {
    let user_name = subject.user_name.as_deref().unwrap_or_default();
    user_name.contains(['+', '#']) || subject.client_id.contains(['+', '#'])
}
