//! What would become of a Subscription.

use std::io::{self, Write};

use dunlin_admin_api::explain::{Called, Subscribing};
use serde_json::Value;

use crate::commands::admin::{
    rows::{bytes, safe},
    table::Table,
};

use super::{
    publication::subscription_words,
    text::{count, line, value_of},
};

/// Adds it to what programs get.
pub(super) fn put(subscribing: &Subscribing, object: &mut Value) {
    object["granted_qos"] = value_of(&subscribing.granted_qos);
    object["is_shared"] = subscribing.is_shared.into();
    object["replaces"] = value_of(&subscribing.replaces);
    object["session_subscriptions"] = subscribing.subscriptions.into();
    object["session_subscriptions_max"] = subscribing.subscriptions_max.into();
}

pub(super) fn print(subscribing: &Subscribing, out: &mut impl Write) -> io::Result<()> {
    if let Some(qos) = subscribing.granted_qos {
        line(out, "", &format!("granted     QoS {qos}"))?;
    }
    if let Some(replaced) = &subscribing.replaces {
        line(out, "", &format!("replaces    {}", safe(&subscription_words(replaced))))?;
    }
    let Subscribing { subscriptions, subscriptions_max, .. } = subscribing;
    line(out, "", &format!("has         {subscriptions} of {subscriptions_max} Subscriptions"))?;
    if subscribing.is_shared && subscribing.refusal.is_none() {
        line(out, "", "shared      each message goes to one member of the group; no Retained Messages come")?;
    }
    Ok(())
}

/// The Retained Messages that it would call for.
#[derive(Default)]
pub(super) struct CalledRows {
    rows: Vec<Called>,
    /// Those that would come, those that rules keep back, and whether there may be more.
    counted: Option<(u64, u64, bool)>,
}

impl CalledRows {
    pub(super) fn add(&mut self, rows: Vec<Called>, messages: u64, denied: u64, is_cut: bool) {
        self.rows.extend(rows);
        self.counted = Some((messages, denied, is_cut));
    }

    /// Adds them to what programs get.
    pub(super) fn put(&self, object: &mut Value) {
        let Some((messages, denied, is_cut)) = self.counted else { return };
        object["retained"] = value_of(&self.rows);
        object["retained_messages"] = messages.into();
        object["retained_denied"] = denied.into();
        object["retained_is_cut"] = is_cut.into();
    }

    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Some((messages, denied, is_cut)) = self.counted else { return Ok(()) };
        let least = if is_cut { "at least " } else { "" };
        let shown = self.rows.len() as u64;
        let kept_back = if denied > 0 { format!("; rules keep {denied} back") } else { String::new() };
        let cut = if shown < messages + denied { format!("; {shown} are shown") } else { String::new() };
        let come = count(messages, "Retained Message");
        writeln!(out, "{least}{come} would come{kept_back}{cut}")?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = self.rows.iter().map(cells).collect();
        Table::new(&COLUMNS).print(out, &rows)
    }
}

const COLUMNS: [&str; 5] = ["", "TOPIC", "QOS ", "SIZE ", "WHY NOT"];

fn cells(called: &Called) -> Vec<String> {
    let message = &called.message;
    vec![
        if called.objection.is_none() { "yes" } else { "no" }.to_owned(),
        safe(&message.topic),
        message.qos.to_string(),
        bytes(message.payload_bytes),
        called.objection.as_deref().map_or(String::new(), safe),
    ]
}
