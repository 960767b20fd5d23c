//! What would become of a Subscription.

use crate::tool::{SHARDS, connect, json, publish, quick, said, subscribe};

const RULES: &str = "\
[[rule]]
deny = \"receive\"
client_ids = \"reader\"
topics = \"r/secret\"

[[rule]]
deny = \"subscribe\"
client_ids = \"reader\"
topics = \"hidden/#\"

[[rule]]
allow = \"all\"
topics = \"#\"
";

#[test]
fn what_a_subscription_brings_is_foretold() {
    for shards in SHARDS {
        let server = quick(shards, "[limits]\nsubscriptions_max = 2\n", RULES);
        let mut publisher = connect(&server, "publisher", &[]);
        for number in 0..30 {
            assert_eq!(publish(&mut publisher, &format!("r/{number}"), true, b"x") & 0x80, 0);
        }
        publish(&mut publisher, "r/secret", true, b"x");
        let mut reader = connect(&server, "reader", &[]);
        subscribe(&mut reader, "a/b", 1, None);
        let told = json(&server, "subscribe --client reader -f r/# -q 2", 0);
        assert_eq!((&told["granted_qos"], &told["is_shared"]), (&2.into(), &false.into()), "{told}");
        assert_eq!((&told["retained_messages"], &told["retained_denied"]), (&30.into(), &1.into()));
        assert_eq!(told["retained"].as_array().map(Vec::len), Some(20));
        assert_eq!(
            (&told["session_subscriptions"], &told["session_subscriptions_max"]),
            (&1.into(), &2.into())
        );
        assert_eq!(told["rule"]["line"], 12);
        let all = json(&server, "subscribe --client reader -f r/# -n 100", 0);
        let rows = all["retained"].as_array().expect("a list");
        let secret = rows.iter().find(|row| row["topic"] == "r/secret").expect("it is shown");
        assert!(secret["objection"].as_str().is_some_and(|why| why.ends_with("rules.toml:2")), "{secret}");
        assert!(rows.iter().filter(|row| row["objection"].is_null()).count() == 30);
        let again = json(&server, "subscribe --client reader -f a/b", 0);
        assert_eq!((&again["replaces"]["qos"], &again["retained_messages"]), (&1.into(), &0.into()));
        let denied = json(&server, "subscribe --client reader -f hidden/x", 135);
        assert_eq!((&denied["rule"]["line"], &denied["granted_qos"]), (&7.into(), &serde_json::Value::Null));
        let shared = said(&server, "subscribe --client reader -f $share/g/r/# -q 1", 0);
        assert!(shared.contains("shared      each message goes to one member"), "{shared}");
        assert!(shared.contains("has         1 of 2 Subscriptions"), "{shared}");
        subscribe(&mut reader, "a/c", 1, None);
        let full = json(&server, "subscribe --client reader -f a/d", 151);
        assert_eq!(full["reason"], "a Session has at most 2 Subscriptions");
        json(&server, "subscribe --client reader -f a/c", 0);
        said(&server, "subscribe --client reader -f a/#/b", 1);
        let receive = json(&server, "receive --client reader -t r/secret", 135);
        assert_eq!((&receive["rule"]["line"], &receive["action"]), (&2.into(), &"receive".into()));
        said(&server, "receive --client reader -t r/1", 0);
    }
}
