//! What a token or another service says of a user, in JSON.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dunlin_broker::permissions::{
    rule_set::{Actions, Kind, Rule, RuleSet},
    topics::TopicPattern,
    who::Who,
};
use serde_json::{Map, Value};

/// Fields by name; a name with dots finds what is nested.
pub(crate) type Claims = Map<String, Value>;

/// The field `name`: as it stands, or step by step at the dots.
pub(crate) fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// A text that is not empty; numbers count as their digits.
pub(crate) fn text(claims: &Claims, name: &str) -> Result<Option<Box<str>>, String> {
    match find(claims, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text))
            if !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains('\0') =>
        {
            Ok(Some(text.as_str().into()))
        }
        Some(Value::Number(number)) => Ok(Some(number.to_string().into())),
        Some(_) => Err(format!("`{name}` is no text of 1 to {TEXT_BYTES_MAX} bytes without NUL")),
    }
}

/// A list of texts, or one text with blanks between them.
pub(crate) fn texts(claims: &Claims, name: &str) -> Result<Box<[Box<str>]>, String> {
    let wrong = || format!("`{name}` is no list of at most {TEXTS_MAX} texts");
    let texts: Vec<&str> = match find(claims, name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split_whitespace().collect(),
        Some(Value::Array(values)) => {
            values.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?
        }
        Some(_) => return Err(wrong()),
    };
    if texts.len() > TEXTS_MAX { Err(wrong()) } else { Ok(texts.into_iter().map(Into::into).collect()) }
}

/// Seconds since 1970, with a fraction perhaps.
pub(crate) fn time(claims: &Claims, name: &str) -> Result<Option<SystemTime>, String> {
    let wrong = || format!("`{name}` is no number of seconds since 1970");
    let seconds = match find(claims, name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_f64().ok_or_else(wrong)?,
    };
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    Ok(Some(UNIX_EPOCH.checked_add(since).ok_or_else(wrong)?))
}

/// Rules of its own: `{"publish": [...], "subscribe": [...]}`, lists of Topic Filters; what is in neither is denied.
pub(crate) fn rights(claims: &Claims, name: &str, origin: &str) -> Result<Option<Arc<RuleSet>>, String> {
    let value = match find(claims, name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let lists = value
        .as_object()
        .ok_or_else(|| format!("`{name}` is not like {{\"publish\": [], \"subscribe\": []}}"))?;
    let mut rules = Vec::new();
    for (action, filters) in lists {
        let actions = match action.as_str() {
            "publish" => Actions { publish: true, ..Actions::default() },
            "subscribe" => Actions { subscribe: true, ..Actions::default() },
            other => return Err(format!("`{name}` has `{other}`; known are publish and subscribe")),
        };
        let filters = filters.as_array().ok_or_else(|| format!("`{action}` in `{name}` is no list"))?;
        let topics =
            filters.iter().map(|filter| pattern(filter, action, name)).collect::<Result<Vec<_>, _>>()?;
        if topics.len() > TEXTS_MAX {
            return Err(format!("`{action}` in `{name}` has more than {TEXTS_MAX} Topic Filters"));
        }
        if !topics.is_empty() {
            rules.push(Rule {
                file: 0,
                line: 1,
                is_allowing: true,
                who: Who::default(),
                actions,
                topics: topics.into(),
                qos_max: None,
                retain: None,
            });
        }
    }
    Ok(Some(Arc::new(RuleSet::new(None, Kind::Dunlin, &[origin], rules))))
}

fn pattern(filter: &Value, action: &str, name: &str) -> Result<TopicPattern, String> {
    let text =
        filter.as_str().ok_or_else(|| format!("`{action}` in `{name}` has something that is no text"))?;
    TopicPattern::parse(text).map_err(|error| format!("`{action}` in `{name}`: {error}"))
}

const TEXT_BYTES_MAX: usize = 65_535;
const TEXTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use dunlin_broker::permissions::{Permissions, subject::Subject};
    use dunlin_packet::{
        qos::QoS,
        topic::{filter::TopicFilter, name::TopicName},
    };
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn fields_are_found_by_name_and_by_path() {
        let claims = claims(
            json!({"a.b": "1", "a": {"b": "2", "c": {"d": ["x"]}}, "n": 7, "s": "x  y", "e": "", "z": null}),
        );
        assert_eq!(text(&claims, "a.b").unwrap().as_deref(), Some("1"));
        assert_eq!(texts(&claims, "a.c.d").unwrap(), ["x".into()].into());
        assert_eq!(texts(&claims, "s").unwrap(), ["x".into(), "y".into()].into());
        assert_eq!(text(&claims, "n").unwrap().as_deref(), Some("7"));
        assert_eq!((text(&claims, "z"), text(&claims, "a.x.y")), (Ok(None), Ok(None)));
        assert!(text(&claims, "e").is_err() && text(&claims, "a").is_err() && texts(&claims, "n").is_err());
        assert_eq!(time(&claims, "n").unwrap(), Some(UNIX_EPOCH + Duration::from_secs(7)));
        assert!(time(&claims, "s").is_err() && time(&self::claims(json!({"t": -1})), "t").is_err());
        assert!(time(&self::claims(json!({"t": 1e300})), "t").is_err());
    }

    #[test]
    fn rights_are_lists_of_what_is_allowed() {
        let claims = claims(json!({"rights": {"publish": ["out/%u/#"], "subscribe": ["in/#", "all"]}}));
        let rules = rights(&claims, "rights", "the token").unwrap().unwrap();
        let subject = Subject { user_name: Some("ann".into()), ..Subject::default() };
        let permissions = Permissions::new(Arc::new(subject), rules);
        let publish = |topic| {
            permissions.may_publish(TopicName::parse(topic).unwrap(), QoS::AtMostOnce, false).is_allowed()
        };
        let subscribe = |filter| {
            permissions.may_subscribe(TopicFilter::parse(filter).unwrap(), QoS::AtMostOnce).is_allowed()
        };
        assert!(publish("out/ann/x") && !publish("out/bob/x") && !publish("in/x"));
        assert!(subscribe("in/+") && subscribe("all") && !subscribe("#") && !subscribe("out/ann/x"));
        assert!(rights(&claims, "none", "").unwrap().is_none());
    }

    #[test]
    fn wrong_rights_are_no_rights() {
        for value in [
            json!({"r": []}),
            json!({"r": {"publish": "a"}}),
            json!({"r": {"read": []}}),
            json!({"r": {"publish": ["a/#/b"]}}),
            json!({"r": {"publish": [1]}}),
        ] {
            assert!(rights(&claims(value.clone()), "r", "").is_err(), "{value}");
        }
        let nothing = rights(&claims(json!({"r": {}})), "r", "x").unwrap().unwrap();
        let permissions = Permissions::new(Arc::default(), nothing);
        assert!(
            !permissions.may_publish(TopicName::parse("a").unwrap(), QoS::AtMostOnce, false).is_allowed()
        );
    }
}
