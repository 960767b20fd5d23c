//! An ACL file of mosquitto, with mosquitto's meaning.
//!
//! ```text
//! topic read public/#             # Clients without a user name
//! user ann
//! topic readwrite ann/#
//! topic deny ann/secret
//! pattern write devices/%c/state  # everybody
//! ```
//! Of the lines for a Client's user name first those that deny count, then those that allow; then those of the patterns, in
//! the same way. What no line allows is denied. `read` is about what is delivered, and SUBSCRIBE is refused only if nothing
//! could ever come of it.

use std::path::Path;

use dunlin_broker::permissions::{
    rule_set::{Actions, Kind, Rule, RuleSet},
    topics::TopicPattern,
    who::{NamePattern, Who},
};

use super::error::{MISTAKES_MAX, Mistake, RulesError, excerpt, read};

/// Reads an ACL file; `name` says which rules it replaces when it is read again.
///
/// # Errors
/// If it cannot be read, has a line that is none, or has no rule at all.
pub fn read_acl_file(name: &str, file: &Path) -> Result<RuleSet, RulesError> {
    parse_acl_file(name, file, &read(file)?)
}

/// The same for its `text`; `file` is for messages only.
///
/// # Errors
/// [`RulesError::Mistakes`].
pub fn parse_acl_file(name: &str, file: &Path, text: &str) -> Result<RuleSet, RulesError> {
    let mut reader = Reader { who: anonymous(), rules: Vec::new() };
    let mut mistakes = Vec::new();
    let mut mistake = |line, (found, expected)| {
        mistakes.push(Mistake { file: file.to_owned(), line, found, expected });
    };
    for (number, line) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
        if let Err(wrong) = reader.line(number, line.trim()) {
            mistake(number, wrong);
        }
    }
    if reader.rules.is_empty() {
        // An empty file that allowed everything was CVE-2018-12550.
        let expected = "at least one `topic` or `pattern` line; to deny everything write `topic deny #`";
        mistake(1, ("no rule".to_owned(), expected.to_owned()));
    }
    if !mistakes.is_empty() {
        mistakes.truncate(MISTAKES_MAX);
        return Err(RulesError::Mistakes(mistakes));
    }
    reader.rules.sort_by_key(|&(rank, _)| rank);
    let rules = reader.rules.into_iter().map(|(_, rule)| rule).collect();
    Ok(RuleSet::new(Some(name), Kind::Mosquitto, &[&file.display().to_string()], rules))
}

/// What was found and what was expected.
type Wrong = (String, String);

struct Reader {
    /// Whom the `topic` lines are about.
    who: Who,
    rules: Vec<(Rank, Rule)>,
}

/// In which order rules count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_pattern: bool,
    is_allowing: bool,
}

fn anonymous() -> Who {
    Who { is_anonymous: Some(true), ..Who::default() }
}

impl Reader {
    fn line(&mut self, number: u32, line: &str) -> Result<(), Wrong> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (word, rest) = first_word(line);
        match word {
            "user" if rest.is_empty() => Err(("`user` without a name".into(), "user NAME".into())),
            "user" if rest.contains('\0') => Err(("a null character".into(), "a user name".into())),
            "user" => {
                let users = [NamePattern::Exact(rest.into())].into();
                self.who = Who { users, ..Who::default() };
                Ok(())
            }
            "topic" | "pattern" => self.rule(number, word == "pattern", rest),
            _ => {
                let expected = "a line that begins with `user`, `topic`, `pattern` or `#`";
                Err((format!("`{}`", excerpt(word)), expected.into()))
            }
        }
    }

    fn rule(&mut self, line: u32, is_pattern: bool, rest: &str) -> Result<(), Wrong> {
        let (access, topic) = match first_word(rest) {
            (topic, "") => ("readwrite", topic),
            words => words,
        };
        let (is_allowing, actions) = match access {
            "read" => (true, Actions { publish: false, ..ALL }),
            "write" => (true, Actions { publish: true, ..Actions::default() }),
            "readwrite" => (true, ALL),
            "deny" => (false, ALL),
            _ => {
                let expected = "`read`, `write`, `readwrite` or `deny` before the topic";
                return Err((format!("`{}`", excerpt(access)), expected.into()));
            }
        };
        let pattern = if is_pattern { TopicPattern::parse(topic) } else { TopicPattern::literal(topic) };
        let pattern = pattern.map_err(|error| {
            (format!("`{}`: {error}", excerpt(topic)), "a Topic Filter such as a/+/b or a/#".to_owned())
        })?;
        let who = if is_pattern { Who::default() } else { self.who.clone() };
        let topics = [pattern].into();
        let rule = Rule { file: 0, line, is_allowing, who, actions, topics, qos_max: None, retain: None };
        self.rules.push((Rank { is_pattern, is_allowing }, rule));
        Ok(())
    }
}

const ALL: Actions = Actions { publish: true, subscribe: true, receive: true };

/// The first word, and the rest without the blanks between.
fn first_word(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dunlin_broker::permissions::{Permissions, subject::Subject};
    use dunlin_packet::{
        qos::QoS,
        topic::{filter::TopicFilter, name::TopicName},
    };

    use super::*;

    const FILE: &str = "\
# The gate.
topic read public/#

user ann
topic ann/#
topic deny ann/secret
topic write log/ann here
user bob
topic readwrite #
\tpattern\twrite\tdevices/%c/state
pattern deny devices/broken/#
pattern read %u/inbox
";

    fn rights(text: &str, user_name: Option<&str>, client_id: &str) -> Permissions {
        let rules = parse_acl_file("main", Path::new("gate.acl"), text).unwrap();
        let user_name = user_name.map(Into::into);
        let subject = Subject { user_name, client_id: client_id.into(), ..Subject::default() };
        Permissions::new(Arc::new(subject), Arc::new(rules))
    }

    fn told(rights: &Permissions, action: &str, topic: &str) -> String {
        let name = || TopicName::parse(topic).unwrap();
        let ruling = match action {
            "write" => rights.may_publish(name(), QoS::ExactlyOnce, true),
            "read" => rights.may_receive(name()),
            _ => rights.may_subscribe(TopicFilter::parse(topic).unwrap(), QoS::ExactlyOnce),
        };
        format!("{} {}", if ruling.is_allowed() { "yes" } else { "no" }, ruling.ground())
    }

    #[test]
    fn lines_mean_what_they_mean_in_mosquitto() {
        let nobody = "no no rule in gate.acl allows it";
        for (user, client, action, topic, expected) in [
            (None, "c", "read", "public/x", "yes gate.acl:2"),
            (None, "c", "write", "public/x", nobody),
            // Lines before the first user are for those without a name.
            (Some("ann"), "c", "read", "public/x", nobody),
            (Some("ann"), "c", "write", "ann/x", "yes gate.acl:5"),
            // Denials count first, wherever they stand.
            (Some("ann"), "c", "write", "ann/secret", "no gate.acl:6"),
            (Some("ann"), "c", "read", "ann/secret", "no gate.acl:6"),
            (Some("ann"), "c", "write", "log/ann here", "yes gate.acl:7"),
            (Some("ann"), "c", "read", "log/ann here", nobody),
            // Patterns are for all, and their denials come before their allowances.
            (Some("ann"), "c", "write", "devices/c/state", "yes gate.acl:10"),
            (Some("ann"), "broken", "write", "devices/broken/state", "no gate.acl:11"),
            (Some("ann"), "c", "read", "ann/inbox", "yes gate.acl:5"),
            (Some("eve"), "c", "read", "eve/inbox", "yes gate.acl:12"),
            (None, "c", "read", "/inbox", nobody),
            // What a user has counts before what patterns deny.
            (Some("bob"), "c", "write", "devices/broken/x", "yes no rule limits it"),
            // # is not $SYS.
            (Some("bob"), "c", "read", "$SYS/x", nobody),
            // SUBSCRIBE: whatever something may come of.
            (Some("ann"), "c", "subscribe", "#", "yes gate.acl:5"),
            (Some("ann"), "c", "subscribe", "ann/secret", "no gate.acl:6"),
            (Some("ann"), "c", "subscribe", "bob/#", nobody),
        ] {
            let rights = rights(FILE, user, client);
            assert_eq!(told(&rights, action, topic), expected, "{user:?} {client} {action} {topic}");
        }
    }

    /// CVE-2017-7650
    #[test]
    fn dangerous_names_have_no_right_by_patterns() {
        let rule = "no a name with + or # in it, and gate.acl has patterns for names";
        for (user, client) in [(Some("+"), "c"), (Some("#"), "c"), (Some("eve"), "#"), (None, "a+")] {
            let rights = rights(FILE, user, client);
            assert_eq!(told(&rights, "read", "eve/inbox"), rule, "{user:?} {client}");
            assert_eq!(told(&rights, "write", "devices/c/state"), rule);
        }
        let slash = rights(FILE, Some("eve"), "a/b");
        assert_eq!(told(&slash, "write", "devices/a/b/state"), "no no rule in gate.acl allows it");
        let own = rights("user #\ntopic own\npattern read x", Some("#"), "c");
        assert_eq!(told(&own, "read", "own"), "yes gate.acl:2");
    }

    /// CVE-2018-12550 and what is like it: never is a file half taken.
    #[test]
    fn an_empty_or_broken_file_is_refused_with_its_line() {
        let empty = "1: no rule; expected at least one `topic` or `pattern` line; to deny everything write \
                     `topic deny #`";
        for (text, expected) in [
            ("", empty),
            ("# nothing\n\n", empty),
            ("user ann\n", empty),
            ("topic a\nuser\n", "2: `user` without a name; expected user NAME"),
            (
                "topic a\n\ntopics read b",
                "3: `topics`; expected a line that begins with `user`, `topic`, `pattern` or `#`",
            ),
            ("topic reed a", "1: `reed`; expected `read`, `write`, `readwrite` or `deny` before the topic"),
            ("topic a/#/b", "1: `a/#/b`: "),
            ("pattern read a/x%u", "1: `a/x%u`: %u or %c is not a whole level; "),
            ("topic", "1: ``: "),
            ("topic read $share/g/a", "1: `$share/g/a`: $share/ in a rule"),
            ("topic a\nuser a\0b", "2: a null character"),
        ] {
            let error = parse_acl_file("main", Path::new("gate.acl"), text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("gate.acl:{expected}")), "{text:?}: {error}");
        }
        let many = "x\n".repeat(1_000);
        let Err(RulesError::Mistakes(mistakes)) = parse_acl_file("main", Path::new("a"), &many) else {
            panic!("it has mistakes")
        };
        assert_eq!(mistakes.len(), MISTAKES_MAX);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let error = read_acl_file("main", Path::new("/nowhere/acl")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the rules /nowhere/acl: "), "{error}");
    }
}
