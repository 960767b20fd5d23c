//! Tags such as `[MQTT-3.1.0-1]` in a text.

use super::catalogue;

/// What a bracket that begins like a tag holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Clause(String),
    /// Neither an id nor a list of ids.
    Unreadable(String),
}

/// The tags of one line, in order. A bracket holds one id, or several with commas between them.
pub(crate) fn tags(line: &str) -> Vec<Tag> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("[MQTT") {
        rest = &rest[at + 1..];
        if !(rest.starts_with("MQTT-") || rest.starts_with("MQTT3-")) {
            continue;
        }
        let Some((inside, after)) = rest.split_once(']') else {
            found.push(Tag::Unreadable(rest.trim_end().to_owned()));
            break;
        };
        found.extend(inside.split(',').map(|id| match id.trim() {
            id if catalogue::is_id(id) => Tag::Clause(id.to_owned()),
            other => Tag::Unreadable(other.to_owned()),
        }));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clause(id: &str) -> Tag {
        Tag::Clause(id.to_owned())
    }

    #[test]
    fn single_tags_and_lists_are_read() {
        assert_eq!(
            tags("x [MQTT-3.1.2-11, MQTT-3.1.2-13] y [MQTT3-3.8.3-1]"),
            [clause("MQTT-3.1.2-11"), clause("MQTT-3.1.2-13"), clause("MQTT3-3.8.3-1")]
        );
    }

    #[test]
    fn ranges_and_short_forms_are_told() {
        assert_eq!(tags("[MQTT-3.1.2-11..13]"), [Tag::Unreadable("MQTT-3.1.2-11..13".into())]);
        assert_eq!(tags("[MQTT-3.1.2-11, -13]"), [clause("MQTT-3.1.2-11"), Tag::Unreadable("-13".into())]);
        assert_eq!(tags("[MQTT-3.1.2-11,"), [Tag::Unreadable("MQTT-3.1.2-11,".into())]);
    }

    #[test]
    fn other_brackets_are_left_alone() {
        assert_eq!(tags("[MQTT] [MQTTV5] list[0] MQTT-3.1.2-11"), []);
    }
}
