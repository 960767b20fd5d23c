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

#[track_caller]
fn assert_shape(answers: &[Value], expected: &str) {
    let mut fields = BTreeSet::new();
    answers.iter().for_each(|answer| shape(answer, "", &mut fields));
    // What a Session is, is said by `dunlin admin`.
    fields.retain(|field| !field.starts_with("who.session."));
    let expected: BTreeSet<String> =
        expected.split_whitespace().map(|field| field.replace(':', " ")).collect();
    let lost: Vec<_> = expected.difference(&fields).collect();
    let new: Vec<_> = fields.difference(&expected).collect();
    assert!(
        lost.is_empty() && new.is_empty(),
        "lost: {lost:?}; new, to be added here and to the guide: {new:?}"
    );
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
    assert_shape(&[publication, json(&server, stated, 135)], PUBLISH);
    let taken = json(&server, "subscribe --client sub -f t -q 1", 0);
    let kept_back = json(&server, "subscribe --client denied -f t", 135);
    assert_shape(&[taken, kept_back], SUBSCRIBE);
    assert_shape(&[json(&server, "receive --client denied -t t", 135)], RECEIVE);
    assert_shape(&[json(&server, "missing --client denied -t t --from publisher", 135)], MISSING);
}

const PUBLISH: &str = "";
const SUBSCRIBE: &str = "";
const RECEIVE: &str = "";
const MISSING: &str = "";
