//! Our own rules: TOML, the first rule that fits decides.
//!
//! ```toml
//! [[rule]]
//! deny = "all"
//! topics = "+/secret/#"
//!
//! [[rule]]
//! allow = ["publish", "subscribe"]
//! users = ["ann", "meter-*"]
//! topics = ["%u/#", "devices/%c/state"]
//! qos_max = 1
//! ```

use std::{ops::Range, path::Path};

use dunlin_broker::permissions::{
    rule_set::{Actions, Kind, Rule, RuleSet},
    topics::TopicPattern,
    who::{CertificateField, CertificateTest, NamePattern, Who},
};
use dunlin_packet::qos::QoS;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::{MISTAKES_MAX, Mistake, RulesError, excerpt, read};

/// Reads a file of rules; `name` says which rules it replaces when it is read again.
///
/// # Errors
/// If it cannot be read, is not as described in the guide, or has no rule at all.
pub fn read_rules_file(name: &str, file: &Path) -> Result<RuleSet, RulesError> {
    parse_rules_file(name, file, &read(file)?)
}

/// The same for its `text`; `file` is for messages only.
///
/// # Errors
/// [`RulesError::Mistakes`].
pub fn parse_rules_file(name: &str, file: &Path, text: &str) -> Result<RuleSet, RulesError> {
    let mut reader = Reader { file, text, mistakes: Vec::new() };
    let mut rules = Vec::new();
    match DeTable::parse(text) {
        Ok(document) => rules = reader.document(document.get_ref()),
        Err(error) => {
            let found = error.message().lines().next().unwrap_or_default().to_owned();
            reader.mistake(error.span().unwrap_or(0..0), found, "TOML: [[rule]] and its keys below");
        }
    }
    if rules.is_empty() && reader.mistakes.is_empty() {
        let expected = "at least one [[rule]]; without any, everything would be denied";
        reader.mistake(0..0, "no rule".into(), expected);
    }
    let mut mistakes = reader.mistakes;
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| mistake.line);
        mistakes.truncate(MISTAKES_MAX);
        return Err(RulesError::Mistakes(mistakes));
    }
    Ok(RuleSet::new(Some(name), Kind::Dunlin, &[&file.display().to_string()], rules))
}

/// The keys of a rule.
const KEYS: &str = "allow, deny, topics, users, groups, client_ids, addresses, certificate, anonymous, qos_max, \
                    retain";

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    mistakes: Vec<Mistake>,
}

/// A value with its place.
type Place<'a, 'b> = &'a Spanned<DeValue<'b>>;

impl Reader<'_> {
    fn mistake(&mut self, span: Range<usize>, found: String, expected: &str) {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|&&byte| byte == b'\n').count() as u32 + 1;
        self.mistakes.push(Mistake {
            file: self.file.to_owned(),
            line,
            found,
            expected: expected.to_owned(),
        });
    }

    fn line(&self, at: usize) -> u32 {
        self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|&&byte| byte == b'\n').count() as u32
            + 1
    }

    fn document(&mut self, document: &DeTable<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (key, value) in document {
            match (&**key.get_ref(), value.get_ref()) {
                ("rule", DeValue::Array(tables)) => {
                    rules.extend(tables.iter().filter_map(|table| self.rule(table)));
                }
                ("rule", _) => self.mistake(key.span(), "`rule` is no list".into(), "[[rule]]"),
                (other, _) => {
                    let found = format!("`{}`", excerpt(other));
                    self.mistake(key.span(), found, "nothing but [[rule]] tables");
                }
            }
        }
        rules
    }

    /// One rule, unless it has mistakes.
    fn rule(&mut self, value: Place<'_, '_>) -> Option<Rule> {
        let DeValue::Table(table) = value.get_ref() else {
            self.mistake(value.span(), "a rule that is no table".into(), "[[rule]]");
            return None;
        };
        let before = self.mistakes.len();
        let mut rule = Rule {
            file: 0,
            line: 0,
            is_allowing: false,
            who: Who::default(),
            actions: Actions::default(),
            topics: Box::default(),
            qos_max: None,
            retain: None,
        };
        for (key, value) in table {
            self.key(&mut rule, key, value);
        }
        if self.mistakes.len() == before {
            self.check(&rule, value.span());
        }
        (self.mistakes.len() == before).then_some(rule)
    }

    /// What all keys of a rule together must be.
    fn check(&mut self, rule: &Rule, span: Range<usize>) {
        if rule.line == 0 {
            self.mistake(span, "a rule that neither allows nor denies".into(), "`allow` or `deny`");
        } else if rule.topics.is_empty() {
            self.mistake(span, "a rule without topics".into(), "`topics`");
        } else if rule.retain.is_some() && !rule.actions.publish {
            let expected = "`retain` in a rule about \"publish\" only";
            self.mistake(span, "`retain`, and the rule is not about \"publish\"".into(), expected);
        } else if rule.who.is_anonymous == Some(true)
            && (!rule.who.users.is_empty() || !rule.who.groups.is_empty())
        {
            let found = "a rule for users or groups and for Clients without a user name";
            self.mistake(span, found.into(), "two rules, one for each");
        }
    }

    fn key(&mut self, rule: &mut Rule, key: &Spanned<std::borrow::Cow<'_, str>>, value: Place<'_, '_>) {
        let name = &**key.get_ref();
        match name {
            "allow" | "deny" => {
                if rule.line != 0 {
                    let found = "`allow` and `deny` in one rule".into();
                    return self.mistake(key.span(), found, "one of them");
                }
                rule.line = self.line(key.span().start);
                rule.is_allowing = name == "allow";
                rule.actions = self.actions(value);
            }
            "topics" => rule.topics = self.list(value, TopicPattern::parse),
            "users" => rule.who.users = self.names(value),
            "groups" => rule.who.groups = self.list(value, |text| filled(text).map(Into::into)),
            "client_ids" => rule.who.client_ids = self.names(value),
            "addresses" => rule.who.addresses = self.list(value, str::parse),
            "certificate" => rule.who.certificate = self.certificate(value),
            "anonymous" => rule.who.is_anonymous = self.boolean(value),
            "retain" => rule.retain = self.boolean(value),
            "qos_max" => match value.get_ref() {
                DeValue::Integer(digits) if matches!(digits.as_str(), "0" | "1" | "2") => {
                    rule.qos_max = digits.as_str().parse().ok().and_then(QoS::from_value);
                }
                _ => self.mistake(value.span(), "another `qos_max`".into(), "0, 1 or 2"),
            },
            _ => {
                let found = format!("unknown key `{}` in a rule", excerpt(name));
                self.mistake(key.span(), found, &format!("one of {KEYS}"));
            }
        }
    }

    fn actions(&mut self, value: Place<'_, '_>) -> Actions {
        let words: Box<[Actions]> = self.list(value, |word| {
            let mut actions = Actions::default();
            match word {
                "publish" => actions.publish = true,
                "subscribe" => actions.subscribe = true,
                "receive" => actions.receive = true,
                "all" => actions = Actions { publish: true, subscribe: true, receive: true },
                _ => return Err("not \"publish\", \"subscribe\", \"receive\" or \"all\""),
            }
            Ok(actions)
        });
        words.iter().fold(Actions::default(), |sum, one| Actions {
            publish: sum.publish | one.publish,
            subscribe: sum.subscribe | one.subscribe,
            receive: sum.receive | one.receive,
        })
    }

    fn names(&mut self, value: Place<'_, '_>) -> Box<[NamePattern]> {
        self.list(value, |text| filled(text).map(NamePattern::parse))
    }

    fn certificate(&mut self, value: Place<'_, '_>) -> Box<[CertificateTest]> {
        let DeValue::Table(table) = value.get_ref() else {
            self.mistake(value.span(), "a certificate that is no table".into(), "{ common_name = \"...\" }");
            return Box::default();
        };
        if table.is_empty() {
            // It would fit Clients without any certificate.
            self.mistake(value.span(), "a certificate without a field".into(), "{ common_name = \"...\" }");
        }
        let mut tests = Vec::new();
        for (key, value) in table {
            let name = &**key.get_ref();
            let Some(&(_, field)) = CertificateField::ALL.iter().find(|(known, _)| *known == name) else {
                let known: Vec<_> = CertificateField::ALL.iter().map(|(known, _)| *known).collect();
                let found = format!("unknown field `{}` of a certificate", excerpt(name));
                self.mistake(key.span(), found, &format!("one of {}", known.join(", ")));
                continue;
            };
            let values = match field {
                CertificateField::Fingerprint | CertificateField::Serial => {
                    self.list(value, |text| digits(text).map(|text| NamePattern::Exact(text.into())))
                }
                _ => self.names(value),
            };
            tests.push(CertificateTest { field, values });
        }
        tests.into()
    }

    fn boolean(&mut self, value: Place<'_, '_>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.mistake(value.span(), "another value".into(), "true or false");
                None
            }
        }
    }

    /// One string, or a list of them, at least one: an empty list would ask for nothing and fit everybody.
    fn list<T, E: ToString>(
        &mut self,
        value: Place<'_, '_>,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Box<[T]> {
        let values = match value.get_ref() {
            DeValue::Array(values) if values.is_empty() => {
                self.mistake(value.span(), "an empty list".into(), "at least one entry, or no such key");
                return Box::default();
            }
            DeValue::Array(values) => values.iter().collect(),
            _ => vec![value],
        };
        let mut read_values = Vec::new();
        for value in values {
            match value.get_ref() {
                DeValue::String(text) => match read(text) {
                    Ok(value) => read_values.push(value),
                    Err(error) => {
                        let found = format!("\"{}\": {}", excerpt(text), error.to_string());
                        self.mistake(value.span(), found, "another one");
                    }
                },
                _ => self.mistake(value.span(), "another type".into(), "a string, or a list of strings"),
            }
        }
        read_values.into()
    }
}

fn filled(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() { Err("an empty name") } else { Ok(text) }
}

/// Hexadecimal digits as certificates have them here: lower case, without colons.
fn digits(text: &str) -> Result<String, &'static str> {
    let text: String = text.chars().filter(|&c| c != ':').map(|c| c.to_ascii_lowercase()).collect();
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { Ok(text) } else { Err("not hexadecimal digits") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dunlin_broker::permissions::{
        Permissions,
        subject::{CertificateFacts, Subject},
    };
    use dunlin_packet::topic::{filter::TopicFilter, name::TopicName};

    use super::*;

    const FILE: &str = r##"
[[rule]]
deny = "all"
topics = "+/secret/#"

[[rule]]
allow = ["publish", "subscribe"]
users = ["ann", "meter-*"]
topics = ["%u/#", "devices/%c/state"]
qos_max = 1

[[rule]]
allow = "receive"
addresses = "192.0.2.0/24"
topics = "lan/#"

[[rule]]
allow = "publish"
anonymous = true
client_ids = "guest-*"
topics = "guests"
retain = false

[[rule]]
topics = "ops/#"
allow = "all"
groups = ["ops"]
certificate = { dns = ["a.example", "b.example"], fingerprint = "AB:AB" }
"##;

    fn rights(subject: Subject) -> Permissions {
        let rules = parse_rules_file("main", Path::new("rules.toml"), FILE).unwrap();
        assert_eq!(rules.len(), 5);
        Permissions::new(Arc::new(subject), Arc::new(rules))
    }

    fn user(name: &str) -> Subject {
        Subject { user_name: Some(name.into()), client_id: "c1".into(), ..Subject::default() }
    }

    fn publish(rights: &Permissions, topic: &str, qos: QoS, retain: bool) -> String {
        let ruling = rights.may_publish(TopicName::parse(topic).unwrap(), qos, retain);
        format!("{} {}", if ruling.is_allowed() { "yes" } else { "no" }, ruling.ground())
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let ann = rights(user("ann"));
        let none = "no no rule in rules.toml allows it";
        assert_eq!(publish(&ann, "ann/x", QoS::AtLeastOnce, true), "yes rules.toml:7");
        assert_eq!(publish(&ann, "ann/x", QoS::ExactlyOnce, true), none);
        assert_eq!(publish(&ann, "ann/secret/x", QoS::AtMostOnce, false), "no rules.toml:3");
        assert_eq!(publish(&ann, "devices/c1/state", QoS::AtMostOnce, false), "yes rules.toml:7");
        assert_eq!(publish(&ann, "bob/x", QoS::AtMostOnce, false), none);
        let filter = |text| TopicFilter::parse(text).unwrap();
        // A part of it is denied.
        assert!(!ann.may_subscribe(filter("ann/#"), QoS::AtMostOnce).is_allowed());
        assert!(ann.may_subscribe(filter("ann/x/#"), QoS::AtMostOnce).is_allowed());
        let meter = rights(user("meter-7"));
        assert_eq!(publish(&meter, "meter-7/x", QoS::AtMostOnce, false), "yes rules.toml:7");
        let guest = Subject { client_id: "guest-1".into(), ..Subject::default() };
        assert_eq!(publish(&rights(guest.clone()), "guests", QoS::AtMostOnce, false), "yes rules.toml:18");
        assert_eq!(publish(&rights(guest), "guests", QoS::AtMostOnce, true), none);
    }

    #[test]
    fn addresses_groups_and_certificates_are_asked() {
        let lan = Subject { address: "192.0.2.9".parse().unwrap(), ..user("eve") };
        let name = |text| TopicName::parse(text).unwrap();
        let ruling = |subject, topic| {
            let rights = rights(subject);
            let ruling = rights.may_receive(name(topic));
            (ruling.is_allowed(), ruling.ground().to_string())
        };
        assert_eq!(ruling(lan, "lan/x"), (true, "rules.toml:13".into()));
        assert!(!ruling(user("eve"), "lan/x").0);
        let facts = CertificateFacts {
            dns_names: ["b.example".into()].into(),
            fingerprint: [0xAB; 32],
            ..CertificateFacts::default()
        };
        let certificate = Some(Arc::new(facts));
        let ops = Subject { groups: ["ops".into()].into(), certificate, ..user("eve") };
        // The fingerprint is not that of the rule.
        assert!(!ruling(ops, "ops/x").0);
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        for (text, expected) in [
            ("", "rules.toml:1: no rule; expected at least one [[rule]]"),
            ("rule = []", "rules.toml:1: no rule; expected"),
            ("[[rule]]\nallow = \"all\"\n", "a rule without topics; expected `topics`"),
            ("[[rule]]\ntopics = \"a\"\n", "a rule that neither allows nor denies"),
            ("[[rule]]\nallow = \"all\"\ndeny = \"all\"\ntopics = \"a\"", "`allow` and `deny` in one rule"),
            ("[[rule]]\nallow = \"all\"\ntopics = [\n\"a\",\n\"b/#/c\"]", "rules.toml:5: \"b/#/c\": "),
            ("[[rule]]\nallow = \"all\"\ntopics = []", "rules.toml:3: an empty list"),
            ("[[rule]]\nallow = \"al\"\ntopics = \"a\"", "rules.toml:2: \"al\": not \"publish\""),
            ("[[rule]]\nallow = 1\ntopics = \"a\"", "rules.toml:2: another type"),
            ("[[rule]]\nallow = \"all\"\ntopic = \"a\"", "rules.toml:3: unknown key `topic` in a rule"),
            ("[[rule]]\nallow = \"all\"\ntopics = \"a\"\nusers = \"\"", "rules.toml:4: \"\": an empty name"),
            ("[[rule]]\nallow = \"all\"\ntopics = \"a\"\naddresses = \"::/200\"", "no network such as"),
            ("[[rule]]\nallow = \"all\"\ntopics = \"a\"\nqos_max = 3", "rules.toml:4: another `qos_max`"),
            ("[[rule]]\nallow = \"subscribe\"\ntopics = \"a\"\nretain = true", "not about \"publish\""),
            ("[[rule]]\nallow = \"all\"\ntopics = \"a\"\ncertificate = {}", "a certificate without a field"),
            ("[[rule]]\nallow = \"all\"\ntopics = \"a\"\ncertificate = { x = \"\" }", "unknown field `x`"),
            ("[[rule]]\nallow = \"all\"\ntopics = \"a\"\ncertificate = { serial = \"x\" }", "hexadecimal"),
            ("[[rule]]\nallow = \"all\"\ntopics = \"a\"\nanonymous = true\nusers = \"a\"", "two rules"),
            ("[rule]\nallow = \"all\"", "`rule` is no list"),
            ("rule = [1]", "a rule that is no table"),
            ("port = 1", "rules.toml:1: `port`; expected nothing but [[rule]] tables"),
            ("[[rule]]\nallow = ", "rules.toml:2: "),
            ("user ann\n", "rules.toml:1: "),
        ] {
            let error = parse_rules_file("main", Path::new("rules.toml"), text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
