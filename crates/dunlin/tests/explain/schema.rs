//! The JSON that programs read: every field and its type, so that none goes away unnoticed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tool::{away, connect, json, publish, quick, subscribe, subscriber};

/// Each field with its type, such as `who.shard number`; the elements of a list are named `[]`.
fn shape(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            shape(value, &path, fields);
        }),
        Value::Array(list) => list.iter().for_each(|value| shape(value, &format!("{path}[]"), fields)),
        Value::Null => {}
        Value::Bool(_) => drop(fields.insert(format!("{path} bool"))),
        Value::Number(_) => drop(fields.insert(format!("{path} number"))),
        Value::String(_) => drop(fields.insert(format!("{path} text"))),
    }
}

/// The fields of these answers, each with the word that asked for them.
fn fields(action: &str, answers: &[Value]) -> Vec<String> {
    let mut fields = BTreeSet::new();
    answers.iter().for_each(|answer| shape(answer, "", &mut fields));
    // What a Session is, is said by `dunlin admin`.
    fields.retain(|field| !field.starts_with("who.session."));
    fields.into_iter().map(|field| format!("{action} {field}")).collect()
}

const RULES: &str = "[[rule]]\ndeny = \"receive\"\nclient_ids = \"denied\"\ntopics = \"t\"\n\
                     [[rule]]\nallow = \"all\"\ntopics = \"#\"\n";

#[test]
fn every_field_stays() {
    let server = quick(2, "", RULES);
    let mut publisher = connect(&server, "publisher", &[]);
    publish(&mut publisher, "t", true, b"x");
    let mut sub = connect(&server, "sub", &[]);
    subscribe(&mut sub, "t", 1, Some(7));
    let _denied = subscriber(&server, "denied", "t", 1);
    away(&server, "away", "$share/g/t", 1);
    let publication = json(&server, "publish --client publisher -t t -q 1 --retain", 0);
    let stated = "publish --client other --user ann --group staff --address 192.0.2.9 -t $SYS/x";
    let taken = json(&server, "subscribe --client sub -f t -q 1", 0);
    let kept_back = json(&server, "subscribe --client denied -f t", 0);
    let found: BTreeSet<String> = [
        fields("publish", &[publication, json(&server, stated, 135)]),
        fields("subscribe", &[taken, kept_back]),
        fields("receive", &[json(&server, "receive --client denied -t t", 135)]),
        fields("missing", &[json(&server, "missing --client denied -t t --from publisher", 135)]),
    ]
    .concat()
    .into_iter()
    .collect();
    let expected: BTreeSet<String> = FIELDS.lines().map(str::to_owned).collect();
    let lost: Vec<_> = expected.difference(&found).collect();
    let new: Vec<_> = found.difference(&expected).collect();
    assert!(lost.is_empty(), "programs miss {lost:#?}");
    assert!(new.is_empty(), "new, to be added to explain/fields.txt: {new:#?}");
}

/// A line for each field: what is asked, the field, and its type.
const FIELDS: &str = include_str!("fields.txt");
