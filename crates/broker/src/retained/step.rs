//! How a Topic Filter walks over Topic Names in order, and leaps over those that cannot match (4.7.1).

use std::cmp::Ordering;

use crate::topics::levels::level_end;

/// What the filter says to a topic, and where the next topic that may match stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step<'a> {
    /// It matches; the next one may match too.
    Matches,
    /// It does not match, but the next one may.
    Next,
    /// None before `level`, right below `above`, matches. `above` ends with `/` or is empty.
    Seek { above: &'a str, level: &'a str },
    /// None of those that are left below `above` matches.
    Leave { above: &'a str },
    /// None of those that follow matches.
    End,
}

/// Compares `topic`, and with it all that follow, with `filter`, which is a valid one with or without
/// wildcards.
pub(super) fn step<'a>(filter: &'a str, topic: &'a str) -> Step<'a> {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return Step::Seek { above: "", level: BEHIND_DOLLAR }; // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
    }
    // The levels up to the last one that a `+` takes: behind them, that level has its next value.
    let mut free = None;
    let mut start = Some(0);
    for wanted in filter.split('/') {
        if wanted == "#" {
            return Step::Matches; // the level above too: `a/#` matches `a` [MQTT-4.7.1-1]
        }
        let Some(from) = start else {
            return Step::Next;
        };
        let end = level_end(topic.as_bytes(), from);
        if wanted == "+" {
            free = Some(&topic[..end]); // any level, the empty one too [MQTT-4.7.1-2]
        } else {
            match topic[from..end].cmp(wanted) {
                Ordering::Equal => {}
                Ordering::Less => return Step::Seek { above: &topic[..from], level: wanted },
                Ordering::Greater => return leave(free),
            }
        }
        start = (end < topic.len()).then_some(end + 1);
    }
    if start.is_some() { leave(free) } else { Step::Matches }
}

fn leave(free: Option<&str>) -> Step<'_> {
    free.map_or(Step::End, |above| Step::Leave { above })
}

/// The character after `$`.
const BEHIND_DOLLAR: &str = "%";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaps_go_as_far_as_the_filter_allows() {
        let leave = |above| Step::Leave { above };
        let seek = |above, level| Step::Seek { above, level };
        for (filter, topic, expected) in [
            ("a/#", "a", Step::Matches),
            ("a/+", "a", Step::Next),
            ("a/+", "a/", Step::Matches),
            ("a/+", "a/b/c", leave("a/b")),
            ("+/b", "a/a/x", seek("a/", "b")),
            ("+/b", "a/b/x", leave("a")),
            ("+/b", "a/c", leave("a")),
            ("+/b/#", "a/b/x/y", Step::Matches),
            ("a/b/+", "a/c/d", Step::End),
            ("b/+", "a", seek("", "b")),
            ("/+/x", "/a", Step::Next),
            ("+/x", "/w", seek("/", "x")),
            ("#", "$SYS/a", seek("", "%")), // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
            ("$SYS/#", "$SYS/a", Step::Matches),
            ("a/b", "a/b/c", Step::End),
        ] {
            assert_eq!(step(filter, topic), expected, "{filter} {topic}");
        }
    }
}
