//! Whether a Topic Filter matches a Topic Name (4.7.1, 4.7.2).

/// Tells whether `filter` (valid, without `$share/name/`) matches `topic_name`, level by level.
///
/// `#` takes the rest, the parent level included; `+` takes one level, also an empty one.
#[must_use]
pub fn matches(filter: &str, topic_name: &str) -> bool {
    if topic_name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false; // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
    }
    let mut filter_levels = filter.split('/');
    let mut topic_levels = topic_name.split('/');
    loop {
        match (filter_levels.next(), topic_levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(filter_level), Some(topic_level)) if filter_level == topic_level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_take_what_chapter_4_7_says() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/tennis/player1/#", "sport/tennis/player2", false),
            ("#", "a", true),
            ("#", "/", true),
            ("+", "a", true),
            ("+", "a/b", false),
            ("+", "/a", false),
            ("/+", "/finance", true),
            ("+/+", "/finance", true),
            ("+", "/finance", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("sport/#", "sport/", true),
            ("a//b", "a//b", true),
            ("a/+/b", "a//b", true),
            ("a/b", "a/B", false),
            ("a/b", "a/b/", false),
            ("a/b/", "a/b", false),
            ("a", "/a", false),
            ("a/#", "ab", false),
            ("+/#", "a", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }

    #[test]
    fn topics_that_start_with_a_dollar_hide_from_leading_wildcards() {
        // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
        for (filter, topic, expected) in [
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("+/#", "$SYS", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("$SYS/+", "$SYS/uptime", true),
            ("$SYS/#", "$SYS", true),
            ("#", "$other", false),
            ("a/+", "a/$b", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }
}
