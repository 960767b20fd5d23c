//! Who would get a message.

use std::io::{self, Write};

use dunlin_admin_api::{
    explain::{Fate, GroupOutlook, Keeping, KeepingReport, Receiver},
    session::Subscription,
};
use serde_json::Value;

use crate::commands::admin::{
    rows::{bytes, safe},
    table::Table,
};

use super::text::{count, line, value_of};

/// All that came of them.
#[derive(Default)]
pub(super) struct Receivers {
    rows: Vec<Receiver>,
    /// Sessions and Subscriptions, once they are counted.
    total: Option<(u64, u64)>,
    groups: Vec<GroupOutlook>,
    groups_total: u64,
}

impl Receivers {
    pub(super) fn add(&mut self, rows: Vec<Receiver>, sessions: u64, subscriptions: u64) {
        self.rows.extend(rows);
        self.total = Some((sessions, subscriptions));
    }

    pub(super) fn add_groups(&mut self, rows: Vec<GroupOutlook>, total: u64) {
        (self.groups, self.groups_total) = (rows, total);
    }

    /// Adds them to what programs get.
    pub(super) fn put(&self, object: &mut Value) {
        let Some((sessions, subscriptions)) = self.total else { return };
        object["receivers"] = value_of(&self.rows);
        object["sessions"] = sessions.into();
        object["subscriptions"] = subscriptions.into();
        object["groups"] = value_of(&self.groups);
        object["groups_total"] = self.groups_total.into();
    }

    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Some((sessions, subscriptions)) = self.total else { return Ok(()) };
        let shown = self.rows.len() as u64;
        let cut = if shown < sessions { format!("; {shown} are shown") } else { String::new() };
        let (sessions, subscriptions) = (count(sessions, "Session"), count(subscriptions, "Subscription"));
        writeln!(out, "matched by {subscriptions} of {sessions}{cut}")?;
        if shown > 0 {
            let rows: Vec<Vec<String>> = self.rows.iter().map(cells).collect();
            Table::new(&COLUMNS).print(out, &rows)?;
        }
        let groups = self.groups.len() as u64;
        if self.groups_total > 0 {
            let cut =
                if groups < self.groups_total { format!("; {groups} are shown") } else { String::new() };
            let total = count(self.groups_total, "Shared Subscription");
            writeln!(out, "matched by {total}{cut}")?;
        }
        self.groups.iter().try_for_each(|outlook| print_group(outlook, out))
    }
}

const COLUMNS: [&str; 5] = ["", "CLIENT ID", "QOS ", "WHAT BECOMES OF IT", "BY"];

fn cells(receiver: &Receiver) -> Vec<String> {
    let gets_it = matches!(receiver.fate, Fate::Sent | Fate::Queued);
    let retain = if receiver.retain { ", with RETAIN" } else { "" };
    vec![
        mark(receiver.fate).to_owned(),
        safe(&receiver.client_id),
        if gets_it { receiver.qos.to_string() } else { "-".to_owned() },
        safe(&format!("{}{retain}", receiver.why)),
        safe(&by(receiver)),
    ]
}

/// By which Subscriptions.
fn by(receiver: &Receiver) -> String {
    let filters: Vec<String> = receiver.subscriptions.iter().map(subscription_words).collect();
    let others = receiver.matched.saturating_sub(filters.len() as u64);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{}{others}", filters.join(", "))
}

/// A Topic Filter with what was granted and asked for.
pub(super) fn subscription_words(subscription: &Subscription) -> String {
    let mut options = vec![format!("QoS {}", subscription.qos)];
    if subscription.no_local {
        options.push("No Local".to_owned());
    }
    if subscription.retain_as_published {
        options.push("Retain As Published".to_owned());
    }
    options.extend(subscription.identifier.map(|identifier| format!("identifier {identifier}")));
    format!("{} ({})", subscription.topic_filter, options.join(", "))
}

fn mark(fate: Fate) -> &'static str {
    match fate {
        Fate::Sent => "yes",
        Fate::Queued => "wait",
        Fate::Dropped | Fate::Denied | Fate::NoLocal => "no",
    }
}

fn print_group(outlook: &GroupOutlook, out: &mut impl Write) -> io::Result<()> {
    let group = &outlook.group;
    let (members, connected) = (group.members, group.connected);
    let filter = safe(&group.topic_filter);
    let Some(next) = &outlook.next else {
        return line(out, "no", &format!("{filter}: none of {members} members may receive it"));
    };
    let (client_id, why) = (safe(&next.client_id), safe(&next.why));
    let members = count(members, "member");
    let text = format!(
        "{filter}: one of {members} ({connected} connected), in turn; the next is {client_id} with QoS {}, {why}",
        next.qos
    );
    line(out, mark(next.fate), &text)
}

/// What a message with RETAIN would do.
pub(super) fn print_keeping(report: &KeepingReport, out: &mut impl Write) -> io::Result<()> {
    let present = report.present.as_ref().map_or(String::new(), |present| {
        let set_by = report.set_by.as_deref().map_or(String::new(), |id| format!(", set by {id:?}"));
        format!(" ({} with QoS {}{set_by})", bytes(present.payload_bytes), present.qos)
    });
    let words = match report.keeping {
        Keeping::Kept => "it would be kept; there is none now".to_owned(),
        Keeping::Replaces => format!("it would take the place of another{present}"),
        Keeping::Removes => format!("its payload is empty: it would remove what is there{present}"),
        Keeping::Nothing => "its payload is empty, and there is nothing to remove".to_owned(),
        Keeping::NoRoom => format!("there is no room for it, and what is there would be removed{present}"),
    };
    line(out, "", &safe(&format!("retained    {words}; shard {}", report.shard)))
}
