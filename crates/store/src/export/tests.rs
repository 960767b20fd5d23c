//! Exports, and imports of what was exported.

use dunlin_broker::records::batch::Batch;

use super::*;
use crate::{
    facts::refuse_unfinished_import,
    import::{ImportError, import},
    memory::Memory,
    testing::{all, filled},
};

fn exported(store: &dyn Store) -> String {
    let mut out = Vec::new();
    export(store, &mut out, &mut |_| {}).expect("it can be read and written");
    String::from_utf8(out).expect("JSON is text")
}

fn imported(text: &str) -> (Memory, Result<u64, ImportError>) {
    let store = Memory::new();
    let result = import(&store, &mut text.as_bytes(), &mut |_| {});
    (store, result)
}

fn error_of(text: &str) -> String {
    let (store, result) = imported(text);
    let unfinished = refuse_unfinished_import(&store, "/data".as_ref());
    assert!(unfinished.is_err(), "what is there counts as a whole");
    result.expect_err("it is refused").to_string()
}

#[test]
fn what_was_exported_is_imported_to_the_same_records() {
    let store = filled();
    let text = exported(&store);
    let (copy, result) = imported(&text);
    assert_eq!(result.unwrap(), all(&store).len() as u64);
    assert_eq!(all(&copy), all(&store));
    assert_eq!(exported(&copy), text);
    refuse_unfinished_import(&copy, "/data".as_ref()).expect("it is finished");
}

#[test]
fn lines_are_readable() {
    let text = exported(&filled());
    for part in [
        r#"{"record":"Export","format":1,"program":"dunlin "#,
        r#"{"record":"Fact","name":"shards","value":{"number":2}}"#,
        r#"{"record":"Fact","name":"alive","value":{"time_ms":1760936591360}}"#,
        r#"{"record":"Fact","name":"later","value":{"base64":"/3g="}}"#,
        r#"{"record":"Session","session":{"client_identifier":"pump \"7\"","slot":"#,
        r#""session_expiry_interval_s":4294967295,"left_at_ms":5,"owner":{"user_name":"ann\n","client_identifier":"pump \"7\"","address":"2001:db8::1","groups":["staff"],"rules":"main","certificate":{"subject":"CN=pump","common_name":"pump","dns_names":["pump.example"],"issuer":"CN=\"ca\"","serial":"01","sha256":"a5a5"#,
        r#""payload_base64":"/wA="},"set_by":{"user_name""#,
        r#""topic_filter":"a/#","qos":1,"no_local":true,"retain_as_published":false,"retain_handling":2,"subscription_identifier":8}"#,
        r#""will_delay_interval_s":3,"message_expiry_interval_s":4,"message":{"topic_name":"a/ü","qos":2,"retain":true,"#,
        r#""sent":"PUBREL","number":"117000000000000000"}"#,
        r#""number":"117000000000000002","qos":1,"retain":false,"subscription_identifiers":[1],"shared_subscription":"$share/g/a","body_bytes":"#,
        r#""properties":[{"payload_format_indicator":1},{"content_type":"text/x"},{"response_topic":"a/b"},{"correlation_data_base64":"/wA="},{"user_property":["k","v"]},{"user_property":["k",""]}],"payload":"hot\n"}"#,
        r#""payload_base64":"/wA="}"#,
        r#""from_shard":0,"to_shard":1,"number":"3","purpose":"share","shared_subscription":"$share/g/a","message":"#,
        "{\"record\":\"End\",\"records\":20}\n",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

#[test]
fn every_line_is_checked() {
    let text = exported(&filled());
    for (from, to, expected) in [
        ("Export", "Session", "line 1: unknown field `format`"),
        ("{\"record\":\"Export\",", "{", "line 1: missing field `record`"),
        ("\"format\":1", "\"format\":2", "use a newer version"),
        ("\"records\":20", "\"records\":17", "line 22: 17 records are announced, and 20 were there"),
        ("{\"record\":\"End\",\"records\":20}\n", "", "line 22: the export ends too early"),
        ("\"records\":20}\n", "\"records\":20}\n{}", "line 23: "),
        ("\"slot\":", "\"slot\":1", "belongs to the slot"),
        ("\"qos\":1,\"no_local\"", "\"qos\":3,\"no_local\"", "`qos` is 0, 1 or 2"),
        ("\"qos\":1,\"retain\":false", "\"qos\":0,\"retain\":false", "`qos` is 1 or 2"),
        ("\"no_local\":true", "\"no_local\":true,\"x\":1", "line 6: unknown field `x`"),
        ("a/#", "a/#/b", "`topic_filter`"),
        ("\"packet_identifier\":65535", "\"packet_identifier\":0", "never 0"),
        ("\"packet_identifier\":65535", "\"packet_identifier\":65536", "65536"),
        ("\"topic_name\":\"a/binary\"", "\"topic_name\":\"a/+\"", "`topic_name`"),
        ("\"payload_base64\":\"/wA=\"", "\"payload_base64\":\"/wA\"", "`payload_base64` is not base64"),
        ("\"number\":\"3\"", "\"number\":3", "invalid type"),
        ("\"number\":\"3\"", "\"number\":\"2\"", "there was a line about the same before"),
        ("\"name\":\"later\"", "\"name\":\"format\"", "belongs to another folder"),
        ("\"name\":\"later\"", "\"name\":\"import\"", "belongs to another folder"),
        ("\"purpose\":\"publish\"", "\"purpose\":\"share\"", "`shared_subscription` belongs to"),
        ("\"address\":\"2001:db8::1\"", "\"address\":\"host\"", "`address` is not an address"),
        ("\"sha256\":\"a5", "\"sha256\":\"x5", "`sha256` is not 64 hexadecimal digits"),
        ("\"rules\":\"main\"", "\"rules\":\"\"", "`rules` is left out"),
        ("\"to_shard\":1", "\"to_shard\":64", "a shard is 0 to 63"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let error = error_of(&changed);
        assert!(error.contains(expected), "{to}\n{error}\nhas not\n{expected}");
    }
    assert!(error_of("").contains("line 1: the first line"));
}

#[test]
fn an_import_that_was_not_finished_begins_anew() {
    let text = exported(&filled());
    let (store, result) = imported(&text[..text.len() / 2]);
    result.expect_err("half of it is missing");
    import(&store, &mut text.as_bytes(), &mut |_| {}).unwrap();
    assert_eq!(all(&store), all(&filled()));
    let again = import(&store, &mut text.as_bytes(), &mut |_| {});
    assert!(matches!(again, Err(ImportError::NotEmpty)), "{again:?}");
    assert_eq!(all(&store), all(&filled()));
}

#[test]
fn damaged_records_are_left_out() {
    let store = filled();
    let mut batch = Batch::new();
    batch.put(b"t\0\0x", b"\x01damaged");
    store.commit(&mut batch.changes(), true).unwrap();
    let mut out = Vec::new();
    let exported = export(&store, &mut out, &mut |_| {}).unwrap();
    assert_eq!(exported, Exported { records: 20, damaged: 1, unreadable: 0 });
}
