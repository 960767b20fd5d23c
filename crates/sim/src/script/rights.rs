//! Rules of a conversation: `= rule allow publish,subscribe a/# client=pub`.

use dunlin_broker::permissions::{
    rule_set::{Actions, Kind, Rule, RuleSet},
    topics::TopicPattern,
    who::{NamePattern, Who},
};

/// The keys of settings that stand in the table `[rights]`, not in `[mqtt]`.
pub const KEYS: [&str; 2] = ["close_denied_3x", "bind_client_id"];

/// The parts of one rule.
struct Line<'a> {
    effect: &'a str,
    actions: Vec<&'a str>,
    topic: &'a str,
    client_id: Option<&'a str>,
}

/// The rules among `settings`; nothing if there is none.
fn lines(settings: &[(String, String)]) -> Result<Vec<Line<'_>>, String> {
    let rules = settings.iter().filter(|(key, _)| key == "rule");
    rules
        .map(|(_, text)| {
            let wrong = || format!("a rule is `allow publish,subscribe a/# client=pub`, not `{text}`");
            let words: Vec<&str> = text.split_whitespace().collect();
            let (effect, actions, topic, client) = match words[..] {
                [effect, actions, topic] => (effect, actions, topic, None),
                [effect, actions, topic, client] => (effect, actions, topic, Some(client)),
                _ => return Err(wrong()),
            };
            let client_id = client.map(|it| it.strip_prefix("client=").ok_or_else(wrong)).transpose()?;
            if !matches!(effect, "allow" | "deny") {
                return Err(wrong());
            }
            Ok(Line { effect, actions: actions.split(',').collect(), topic, client_id })
        })
        .collect()
}

/// The rules as the file that the real Server reads; nothing if there are none.
///
/// # Errors
/// A rule that is none.
pub fn file(settings: &[(String, String)]) -> Result<Option<String>, String> {
    let mut text = String::new();
    for Line { effect, actions, topic, client_id } in lines(settings)? {
        text += &format!("[[rule]]\n{effect} = {actions:?}\ntopics = {topic:?}\n");
        text += &client_id.map_or(String::new(), |id| format!("client_ids = {id:?}\n"));
    }
    Ok((!text.is_empty()).then_some(text))
}

/// The same for the pure broker.
///
/// # Errors
/// A rule that is none.
pub fn rule_set(settings: &[(String, String)]) -> Result<RuleSet, String> {
    let rules = lines(settings)?.into_iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    if rules.is_empty() {
        return Ok(RuleSet::open("main"));
    }
    Ok(RuleSet::new(Some("main"), Kind::Dunlin, &["the conversation"], rules))
}

fn rule(line: Line<'_>) -> Result<Rule, String> {
    let mut actions = Actions::default();
    for action in &line.actions {
        match *action {
            "publish" => actions.publish = true,
            "subscribe" => actions.subscribe = true,
            "receive" => actions.receive = true,
            "all" => actions = Actions { publish: true, subscribe: true, receive: true },
            other => return Err(format!("`{other}` is none of publish, subscribe, receive, all")),
        }
    }
    let topics = [TopicPattern::parse(line.topic).map_err(|error| format!("`{}`: {error}", line.topic))?];
    Ok(Rule {
        file: 0,
        line: 1,
        is_allowing: line.effect == "allow",
        who: Who {
            client_ids: line.client_id.map(NamePattern::parse).into_iter().collect(),
            ..Who::default()
        },
        actions,
        topics: topics.into(),
        qos_max: None,
        retain: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rule: &str) -> Vec<(String, String)> {
        vec![("maximum_qos".into(), "1".into()), ("rule".into(), rule.into())]
    }

    #[test]
    fn a_rule_is_the_same_in_both_forms() {
        let written = settings("allow publish,receive a/%c client=pub");
        let expected =
            "[[rule]]\nallow = [\"publish\", \"receive\"]\ntopics = \"a/%c\"\nclient_ids = \"pub\"\n";
        assert_eq!(file(&written).unwrap().as_deref(), Some(expected));
        assert_eq!(rule_set(&written).unwrap().len(), 1);
        assert_eq!(file(&written[..1]), Ok(None));
        assert!(rule_set(&written[..1]).unwrap().is_open());
        for wrong in
            ["allow publish", "permit publish a", "allow write a", "deny all a/#/b", "deny all a x=y"]
        {
            let is_wrong = file(&settings(wrong)).is_err() || rule_set(&settings(wrong)).is_err();
            assert!(is_wrong, "{wrong}");
        }
    }
}
