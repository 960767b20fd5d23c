//! A message as JSON: `%j` and `%J` of `sub -F`.

use dunlin_client::messages::ReceivedMessage;
use dunlin_packet::property::list::{Property, PropertyList};
use serde::de::IgnoredAny;

use crate::properties::spelled;

/// The payload is not JSON, which `%J` needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotJson;

/// Writes `received` as one JSON object; `time` is its `tst`. With `is_embedded` the payload is taken as the JSON it is.
pub(crate) fn message(received: &ReceivedMessage, time: &str, is_embedded: bool) -> Result<String, NotJson> {
    let message = &received.message;
    let mut fields = vec![
        ("tst", text(time)),
        ("topic", text(&message.topic_name)),
        ("qos", message.qos.value().to_string()),
        ("retain", u8::from(message.retain).to_string()),
        ("payloadlen", message.payload.len().to_string()),
    ];
    if let Some(packet_id) = received.packet_id {
        fields.push(("mid", packet_id.to_string()));
    }
    if !message.properties.is_empty() {
        fields.push(("properties", properties(&message.properties.list())));
    }
    let payload = if is_embedded { embedded(&message.payload)? } else { quoted(&message.payload) };
    fields.push(("payload", payload));
    Ok(object(fields.iter().map(|(name, value)| (*name, value.as_str()))))
}

/// Lays valid JSON out anew: on one line, or with a line for each value.
pub(crate) fn layout(json: &str, is_pretty: bool) -> String {
    let mut out = String::with_capacity(json.len());
    let mut depth = 0;
    let (mut is_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        if is_string {
            out.push(c);
            is_string = c != '"' || is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let is_end = matches!(c, '}' | ']');
        let is_inside = out.ends_with(['{', '[']);
        if is_end {
            depth -= 1;
        }
        // An empty object or list stays on its line.
        if is_pretty && (is_end != is_inside || out.ends_with(',')) {
            out.push('\n');
            out.extend(std::iter::repeat_n('\t', depth));
        }
        out.push(c);
        match c {
            '"' => is_string = true,
            '{' | '[' => depth += 1,
            ':' if is_pretty => out.push(' '),
            _ => {}
        }
    }
    out
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let all: Vec<_> = fields.map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", all.join(","))
}

fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text as a string, other bytes as an array of numbers, nothing as null.
fn quoted(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok("") => "null".into(),
        Ok(payload) => text(payload),
        Err(_) => serde_json::Value::from(payload).to_string(),
    }
}

fn embedded(payload: &[u8]) -> Result<String, NotJson> {
    if payload.is_empty() {
        return Ok("null".into());
    }
    let json = std::str::from_utf8(payload).map_err(|_| NotJson)?;
    serde_json::from_str::<IgnoredAny>(json).map_err(|_| NotJson)?;
    Ok(layout(json, false))
}

const USER_PROPERTIES: &str = "user-properties";

fn properties(list: &PropertyList<'_>) -> String {
    let pairs: Vec<_> = list.user_properties().map(|(name, value)| (name, text(value))).collect();
    let pairs = object(pairs.iter().map(|(name, value)| (*name, value.as_str())));
    let mut fields: Vec<(String, String)> = Vec::new();
    for property in list.iter() {
        let value = match property {
            Property::PayloadFormatIndicator(value) => u8::from(value).to_string(),
            Property::MessageExpiryInterval(value) | Property::SubscriptionIdentifier(value) => {
                value.to_string()
            }
            Property::TopicAlias(value) => value.to_string(),
            Property::ContentType(value) | Property::ResponseTopic(value) => text(value),
            Property::CorrelationData(value) => quoted(value),
            // All of them together, where the first one stood.
            Property::UserProperty(..) if fields.iter().all(|(name, _)| name != USER_PROPERTIES) => {
                fields.push((USER_PROPERTIES.into(), pairs.clone()));
                continue;
            }
            _ => continue,
        };
        fields.push((spelled(property.id()), value));
    }
    object(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

#[cfg(test)]
mod tests {
    use dunlin_client::options::{Message, Properties, QoS};
    use dunlin_packet::packet::PacketType;
    use dunlin_packet::packet_identifier::PacketId;
    use dunlin_packet::property::identifier::PropertyPlace;

    use super::*;

    fn received(qos: QoS, payload: &[u8]) -> ReceivedMessage {
        let packet_id = (qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        ReceivedMessage { message: Message::new("f/a", qos, payload), dup: false, packet_id }
    }

    #[test]
    fn a_message_has_its_fields_in_a_fixed_order() {
        let mut one = received(QoS::AtLeastOnce, b"x\"y\\z\n");
        let items = [
            Property::UserProperty("k", "v"),
            Property::ContentType("text/x"),
            Property::CorrelationData(b"\xFF"),
            Property::UserProperty("k2", "v2"),
            Property::PayloadFormatIndicator(true),
        ];
        one.message.properties = Properties::new(PropertyPlace::Packet(PacketType::Publish), &items).unwrap();
        let expected = concat!(
            r#"{"tst":"now","topic":"f/a","qos":1,"retain":0,"payloadlen":6,"mid":1,"properties":{"user-properties":"#,
            r#"{"k":"v","k2":"v2"},"content-type":"text/x","correlation-data":[255],"payload-format-indicator":1},"#,
            r#""payload":"x\"y\\z\n"}"#
        );
        assert_eq!(message(&one, "now", false).unwrap(), expected);
    }

    #[test]
    fn a_payload_is_embedded_if_it_is_json() {
        let embedded = |payload: &[u8]| message(&received(QoS::AtMostOnce, payload), "now", true);
        let json = embedded(b" { \"a\" : [ 1, 2.50 ,\"b \\\" }\" ],\n\"c\":{} } ").unwrap();
        assert!(json.ends_with(r#""payload":{"a":[1,2.50,"b \" }"],"c":{}}}"#), "{json}");
        assert!(embedded(b"").unwrap().ends_with(r#""payload":null}"#));
        assert_eq!(embedded(b"{"), Err(NotJson));
        assert_eq!(embedded(b"\xFF"), Err(NotJson));
    }

    #[test]
    fn pretty_json_has_a_line_for_each_value() {
        let pretty = layout(r#"{"a b":[1,{"c":"d , e"}],"f":[],"g":{}}"#, true);
        assert_eq!(
            pretty,
            "{\n\t\"a b\": [\n\t\t1,\n\t\t{\n\t\t\t\"c\": \"d , e\"\n\t\t}\n\t],\n\t\"f\": [],\n\t\"g\": {}\n}"
        );
    }
}
