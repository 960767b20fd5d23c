//! The figures of a run: one list, printed as a table for people or as one JSON object for scripts.

use std::fmt::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::failure::NOT_VALID;
use crate::measure::{Percentiles, Point};
use crate::process::{Snapshot, Used};

/// One figure.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Count(u64),
    /// A number with its unit, for people.
    Number(f64, &'static str),
    Bytes(f64),
    /// Microseconds.
    Latency(Percentiles),
    Points(Vec<Point>),
    /// The heading of a section, of which scripts see nothing.
    Heading,
}

/// The figures of a run, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Key for scripts, words for people (none: not in the table), figure.
    entries: Vec<(&'static str, &'static str, Value)>,
    ended_early: bool,
    problems: Vec<String>,
}

impl Report {
    /// The report of a subcommand.
    pub(crate) fn new(scenario: &'static str) -> Self {
        let mut report = Self::default();
        report.entries.push(("scenario", "", Value::Text(scenario.into())));
        report
    }

    /// What the figures below belong to, for people.
    pub(crate) fn section(&mut self, name: &'static str) {
        self.entries.push(("", name, Value::Heading));
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str, label: &'static str, text: impl Into<String>) {
        self.entries.push((key, label, Value::Text(text.into())));
    }

    /// A number of things.
    pub(crate) fn count(&mut self, key: &'static str, label: &'static str, count: u64) {
        self.entries.push((key, label, Value::Count(count)));
    }

    /// Any other number.
    pub(crate) fn number(&mut self, key: &'static str, label: &'static str, number: f64, unit: &'static str) {
        self.entries.push((key, label, Value::Number(number, unit)));
    }

    /// An amount of memory, negative if it has shrunk.
    pub(crate) fn bytes(&mut self, key: &'static str, label: &'static str, bytes: f64) {
        self.entries.push((key, label, Value::Bytes(bytes)));
    }

    /// Percentiles, if anything was measured.
    pub(crate) fn latency(&mut self, key: &'static str, label: &'static str, latency: Option<Percentiles>) {
        if let Some(latency) = latency {
            self.entries.push((key, label, Value::Latency(latency)));
        }
    }

    /// How it went over time, for scripts.
    pub(crate) fn points(&mut self, points: Vec<Point>) {
        self.entries.push(("timeline", "", Value::Points(points)));
    }

    /// The user ended it before its time.
    pub(crate) fn end_early(&mut self) {
        self.ended_early = true;
    }

    /// What makes the run not valid.
    pub(crate) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// `count` of what should not be; nothing if there are none.
    pub(crate) fn fault(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.problem(format!("{} {what}", grouped(count)));
        }
    }

    /// What this program used for `messages` messages.
    pub(crate) fn bench(&mut self, used: &Used, messages: u64) {
        self.section("This program");
        self.number("bench_cores", "processors", used.processor_s() / used.wall_s.max(1e-9), "");
        let each = used.processor_s() * 1e6 / messages.max(1) as f64;
        self.number("bench_cpu_us_per_message", "time for a message", each, "us");
    }

    /// What the Server used for `published` messages and `delivered` deliveries.
    pub(crate) fn server(&mut self, pid: u32, used: &Used, published: u64, delivered: u64) {
        self.section("Server");
        self.count("broker_pid", "process", u64::from(pid));
        self.number("broker_cores", "processors", used.processor_s() / used.wall_s.max(1e-9), "");
        self.number("broker_cpu_s", "", used.processor_s(), "s");
        self.number("broker_user_share", "", used.user_s / used.processor_s().max(1e-9), "");
        let each = |amount: f64, count: u64| amount / count.max(1) as f64;
        let cpu_us = used.processor_s() * 1e6;
        if published > 0 {
            self.number(
                "broker_cpu_us_per_publish",
                "time for a message published",
                each(cpu_us, published),
                "us",
            );
        }
        if delivered > 0 {
            self.number(
                "broker_cpu_us_per_delivery",
                "time for a message delivered",
                each(cpu_us, delivered),
                "us",
            );
        }
        let count = if delivered > 0 { delivered } else { published };
        let switches = (used.voluntary_switches + used.involuntary_switches) as f64;
        self.number(
            "broker_voluntary_switches_per_s",
            "waits",
            used.voluntary_switches as f64 / used.wall_s.max(1e-9),
            "/s",
        );
        self.number("broker_switches_per_delivery", "", each(switches, count), "");
    }

    /// The Server's memory.
    pub(crate) fn memory(&mut self, before: &Snapshot, after: &Snapshot) {
        self.bytes("broker_rss_start", "memory before", before.resident as f64);
        self.bytes("broker_rss_end", "memory after", after.resident as f64);
        self.bytes("broker_rss_peak", "memory at most", after.resident_peak as f64);
        self.count("broker_threads", "", after.threads);
    }

    /// What the exit code says: 0 if nothing was wrong.
    pub(crate) fn exit_code(&self) -> i32 {
        if self.problems.is_empty() { 0 } else { NOT_VALID }
    }

    /// One JSON object in one line.
    pub(crate) fn json(&self) -> String {
        let mut keys: Vec<_> =
            self.entries.iter().map(|(key, _, _)| *key).filter(|key| !key.is_empty()).collect();
        keys.sort_unstable();
        debug_assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "each key stands once: {keys:?}");
        serde_json::to_string(self).expect("the figures have no keys that JSON has not")
    }

    /// A table, and below it whether the run is valid.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for (key, label, value) in &self.entries {
            match (key.is_empty(), label.is_empty()) {
                (true, _) => writeln!(text, "{label}"),
                (false, true) => Ok(()),
                (false, false) => writeln!(text, "  {label:<28} {}", value.words()),
            }
            .expect("a String takes everything");
        }
        if self.ended_early {
            text.push_str("ended early\n");
        }
        if self.problems.is_empty() {
            text.push_str("valid: nothing lost, doubled or out of order\n");
        } else {
            text.push_str("NOT VALID\n");
            self.problems.iter().for_each(|problem| text.extend(["  ", problem, "\n"]));
        }
        text
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, _, value) in self.entries.iter().filter(|(key, _, _)| !key.is_empty()) {
            match value {
                Value::Text(text) => map.serialize_entry(key, text)?,
                Value::Count(count) => map.serialize_entry(key, count)?,
                Value::Number(number, _) | Value::Bytes(number) => map.serialize_entry(key, number)?,
                Value::Latency(latency) => map.serialize_entry(key, latency)?,
                Value::Points(points) => map.serialize_entry(key, points)?,
                Value::Heading => {}
            }
        }
        map.serialize_entry("ended_early", &self.ended_early)?;
        map.serialize_entry("valid", &self.problems.is_empty())?;
        map.serialize_entry("problems", &self.problems)?;
        map.end()
    }
}

impl Value {
    fn words(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => grouped(*count),
            Self::Number(number, unit) => format!("{} {unit}", figures(*number)).trim_end().to_owned(),
            Self::Bytes(bytes) => memory(*bytes),
            Self::Latency(latency) => {
                let Percentiles { p50, p90, p99, p999, max, n, .. } = latency;
                let list = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)];
                let list = list.map(|(name, us)| format!("{name} {}", time(*us)));
                format!("{}   ({} measured)", list.join("  "), grouped(*n))
            }
            Self::Points(points) => format!("{} points", points.len()),
            Self::Heading => String::new(),
        }
    }
}

/// Thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// About three figures.
pub(crate) fn figures(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => {
            format!("{}{}", if number < 0.0 { "-" } else { "" }, grouped(size.round() as u64))
        }
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// Microseconds in the unit that suits them.
pub(crate) fn time(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", figures(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", figures(us / 1e3)),
        us => format!("{} us", figures(us)),
    }
}

fn memory(bytes: f64) -> String {
    match bytes.abs() {
        size if size >= f64::from(1 << 20) => format!("{} MiB", figures(bytes / f64::from(1 << 20))),
        size if size >= 1_024.0 => format!("{} KiB", figures(bytes / 1_024.0)),
        _ => format!("{} bytes", figures(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_units() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(figures(-1_234.4), "-1,234");
        assert_eq!(figures(0.0), "0.00");
        assert_eq!(figures(0.1234), "0.123");
        assert_eq!(time(1_500.0), "1.50 ms");
        assert_eq!(time(999.0), "999 us");
        assert_eq!(memory(5.5 * 1_048_576.0), "5.50 MiB");
    }

    #[test]
    fn people_and_scripts_read_the_same() {
        let mut report = Report::new("pair");
        report.section("Messages");
        report.count("published", "published", 1_000);
        report.number("publish_per_s", "a second", 99_999.6, "/s");
        assert_eq!(report.exit_code(), 0);
        report.fault(0, "duplicates");
        report.fault(1_000, "deliveries lost");
        assert_eq!(report.exit_code(), 20);
        let table = report.table();
        assert!(table.contains("  a second                     100,000 /s\n"), "{table}");
        assert!(table.ends_with("NOT VALID\n  1,000 deliveries lost\n"), "{table}");
        let json = report.json();
        assert_eq!(
            json,
            r#"{"scenario":"pair","published":1000,"publish_per_s":99999.6,"ended_early":false,"valid":false,"problems":["1,000 deliveries lost"]}"#
        );
    }
}
