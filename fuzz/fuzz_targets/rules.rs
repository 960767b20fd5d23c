//! Files of rules of any text, and questions to them: no panic, every mistake with its file, and nothing allowed in two ways.
//!
//! Input: one byte for the kind of file, then user name, Client Identifier and topic, each ended by a zero byte, then the file.
#![no_main]

use std::{path::Path, sync::Arc};

use dunlin_auth::rights::{acl_file::parse_acl_file, rules_file::parse_rules_file};
use dunlin_broker::permissions::{Permissions, subject::Subject};
use dunlin_packet::{
    qos::QoS,
    topic::{filter::TopicFilter, name::TopicName},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let mut parts = rest.splitn(4, |&byte| byte == 0).map(std::str::from_utf8);
    let (Some(Ok(user)), Some(Ok(client_id)), Some(Ok(topic)), Some(Ok(file))) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let is_ours = kind % 2 == 0;
    let path = Path::new("rules");
    let parsed = match is_ours {
        true => parse_rules_file("main", path, file),
        false => parse_acl_file("main", path, file),
    };
    let rules = match parsed {
        Ok(rules) => rules,
        Err(error) => return assert!(error.to_string().starts_with("rules:"), "{error}"),
    };
    assert!(!rules.is_empty(), "a file without rules is refused");
    let user_name = (!user.is_empty()).then(|| user.into());
    let subject = Subject { user_name, client_id: client_id.into(), ..Subject::default() };
    let rights = Permissions::new(Arc::new(subject), Arc::new(rules));
    if let Ok(filter) = TopicFilter::parse(topic) {
        let _ = rights.may_subscribe(filter, QoS::ExactlyOnce);
    }
    let (Ok(name), Ok(filter)) = (TopicName::parse(topic), TopicFilter::parse(topic)) else { return };
    let publishes = rights.may_publish(name, QoS::AtMostOnce, false).is_allowed();
    assert!(!(publishes && topic.starts_with("$SYS/")), "$SYS is the Server's");
    // What may be subscribed to may be received, unless a rule tells the two apart.
    let subscribes = filter.share().is_none() && rights.may_subscribe(filter, QoS::AtMostOnce).is_allowed();
    if subscribes && !file.contains("receive") {
        assert!(rights.may_receive(name).is_allowed(), "{file:?}");
    }
    // A name never becomes a wildcard: with nothing but patterns about it, only its own topics are allowed.
    if !is_ours && file.starts_with("pattern read u/%u") && file.lines().count() == 1 && file.len() == 17 {
        assert_eq!(rights.may_receive(name).is_allowed(), topic == format!("u/{user}") && is_plain(user, client_id));
    }
});

fn is_plain(user: &str, client_id: &str) -> bool {
    !user.is_empty() && !user.contains(['+', '#', '/']) && !client_id.contains(['+', '#'])
}
