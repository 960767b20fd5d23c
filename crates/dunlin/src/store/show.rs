//! Tables for people, and JSON for programs.

use std::io::{self, Write};

use dunlin_store::{
    check::{Checked, KINDS},
    stat::{Messages, Stat},
};
use serde_json::{Value, json};

use super::size::Size;

/// The table of a check.
pub(super) fn show_checked(out: &mut dyn Write, checked: &Checked) -> io::Result<()> {
    if !checked.is_well() {
        writeln!(out)?;
    }
    writeln!(out, "{:<32} {:>10} {:>10}", "kind", "records", "size")?;
    for (kind, name) in KINDS {
        let amount = checked.kinds.get(&kind).copied().unwrap_or_default();
        writeln!(out, "{name:<32} {:>10} {:>10}", amount.records, bytes(amount.bytes))?;
    }
    let known = KINDS.map(|(kind, _)| kind);
    let others: u64 =
        checked.kinds.iter().filter(|(kind, _)| !known.contains(kind)).map(|(_, it)| it.records).sum();
    if others > 0 {
        writeln!(out, "{:<32} {others:>10}", "of no known kind")?;
    }
    writeln!(out)?;
    if checked.leftovers > 0 {
        writeln!(
            out,
            "{} records that nothing refers to: harmless, the Server takes them away",
            checked.leftovers
        )?;
    }
    match checked.findings {
        0 => writeln!(out, "all is well"),
        1 => writeln!(out, "1 thing cannot be used, it is told above"),
        findings => writeln!(out, "{findings} things cannot be used, they are told above"),
    }
}

/// The table of what there is.
pub(super) fn show_stat(out: &mut dyn Write, stat: &Stat, size: Size) -> io::Result<()> {
    let number = |number: Option<u64>| number.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
    let messages = |it: Messages| format!("{} ({})", it.count, bytes(it.bytes));
    let rows = [
        ("format", number(stat.format.map(u64::from))),
        ("shards", number(stat.shards.map(u64::from))),
        ("last alive", stat.alive.map_or_else(|| "unknown".to_owned(), |it| utc(it.as_ms()))),
        ("on the disk", format!("{}, and {} in reserve", bytes(size.records), bytes(size.reserve))),
        ("Sessions", stat.sessions.to_string()),
        ("Subscriptions", stat.subscriptions.to_string()),
        ("Shared Subscriptions", stat.shared_subscriptions.to_string()),
        ("messages in queues", messages(stat.queued)),
        ("  kept once for several", messages(stat.shared)),
        ("Packet Ids in flight", stat.in_flight.to_string()),
        ("Packet Ids received", stat.received.to_string()),
        ("Retained Messages", messages(stat.retained)),
        ("Wills", stat.wills.to_string()),
        ("between shards", messages(stat.mail)),
    ];
    for (name, value) in rows {
        writeln!(out, "{name:<25} {value}")?;
    }
    if !stat.longest.is_empty() {
        writeln!(out, "\nlongest queues")?;
    }
    for queue in &stat.longest {
        let client_id = queue.client_id.as_deref().unwrap_or("(no Session)");
        let Messages { count, bytes: size } = queue.messages;
        writeln!(out, "{count:>10} messages {:>10}  {client_id}", bytes(size))?;
    }
    Ok(())
}

/// What there is, for programs. Times are in milliseconds since the Unix epoch.
pub(super) fn stat_as_json(stat: &Stat, size: Size) -> Value {
    let messages = |it: Messages| json!({ "count": it.count, "bytes": it.bytes });
    let longest: Vec<_> = stat
        .longest
        .iter()
        .map(|queue| json!({ "client_identifier": queue.client_id, "messages": messages(queue.messages) }))
        .collect();
    json!({
        "format": stat.format,
        "shards": stat.shards,
        "alive_ms": stat.alive.map(|alive| alive.as_ms()),
        "disk_bytes": size.records,
        "reserve_bytes": size.reserve,
        "sessions": stat.sessions,
        "subscriptions": stat.subscriptions,
        "shared_subscriptions": stat.shared_subscriptions,
        "queued_messages": messages(stat.queued),
        "shared_messages": messages(stat.shared),
        "in_flight": stat.in_flight,
        "received": stat.received,
        "retained_messages": messages(stat.retained),
        "wills": stat.wills,
        "messages_between_shards": messages(stat.mail),
        "damaged": stat.damaged,
        "longest_queues": longest,
    })
}

/// A size for people.
pub(super) fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    for unit in ["KiB", "MiB", "GiB"] {
        size /= 1024.0;
        if size < 1023.95 {
            return format!("{size:.1} {unit}");
        }
    }
    format!("{:.1} TiB", size / 1024.0)
}

/// Milliseconds since the Unix epoch as a date.
fn utc(ms: u64) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Years begin in March here, so that the day that some years have more is their last one.
    let day = days + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_dates_are_for_people() {
        for (number, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (1 << 50, "1024.0 TiB")]
        {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_795_267_488_999), "2026-11-21 13:24:48 UTC");
    }
}
