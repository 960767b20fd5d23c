//! Prints answers: tables for people, JSON for programs.

use std::io::Write;

use dunlin_admin_api::{
    answer::Answer,
    session::{Group, Retained, Session, Subscription},
    status::{Drops, Durability, Queue, Status, Storage},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::output;

use super::{
    rows::{Trouble, bytes, moment, safe, seconds},
    table::Table,
};

/// For whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Tables,
    Json,
}

/// Takes the lines of an answer and prints them.
pub(super) struct Printer<W> {
    form: Form,
    out: W,
    table: Option<Table>,
    printed: u64,
    matched: u64,
    /// An answer of several parts that is one object for programs.
    object: Option<Value>,
}

impl<W: Write> Printer<W> {
    pub(super) fn new(form: Form, out: W) -> Self {
        Self { form, out, table: None, printed: 0, matched: 0, object: None }
    }

    pub(super) fn take(&mut self, answer: Answer) -> Result<(), Trouble> {
        match answer {
            Answer::Status(status) if self.form == Form::Json => self.object(&*status),
            Answer::Status(status) => self.fields(&status_fields(&status)),
            Answer::Session(session) if self.form == Form::Json => {
                let mut value = value_of(&*session);
                value["subscriptions"] = json!([]);
                self.object = Some(value);
                Ok(())
            }
            Answer::Session(session) => {
                self.fields(&session_fields(&session))?;
                Ok(writeln!(self.out)?)
            }
            Answer::Drops(drops) if self.form == Form::Json => {
                self.object = Some(json!({ "by_cause": drops, "sessions": [] }));
                Ok(())
            }
            Answer::Drops(drops) => {
                self.fields(&drops.by_cause().map(|(cause, count)| (cause, count.to_string())))?;
                self.table = Some(Table::new(&DROP_COLUMNS));
                Ok(writeln!(self.out)?)
            }
            Answer::Sessions { rows, matched } => {
                let is_about_drops = self.table.is_some();
                self.matched = matched;
                self.rows("sessions", &rows, &SESSION_COLUMNS, |session| match is_about_drops {
                    true => drop_cells(session),
                    false => session_cells(session),
                })
            }
            Answer::Subscriptions { rows, matched } => {
                self.matched = matched;
                self.rows("subscriptions", &rows, &SUBSCRIPTION_COLUMNS, subscription_cells)
            }
            Answer::Groups { rows } => self.groups(&rows),
            Answer::Retained { rows, matched } => {
                self.matched = matched;
                self.rows("retained", &rows, &RETAINED_COLUMNS, retained_cells)
            }
            Answer::Reloaded { changed, restart } if self.form == Form::Json => {
                self.object(&json!({ "changed": changed, "restart": restart }))
            }
            Answer::Reloaded { changed, restart } => {
                let list = |names: &[String]| match names {
                    [] => "nothing".to_owned(),
                    names => safe(&names.join(", ")),
                };
                let fields = [("changed now", list(&changed)), ("needs a restart", list(&restart))];
                self.fields(&fields)
            }
            Answer::Done { message } if self.form == Form::Json => self.object(&json!({ "done": message })),
            Answer::Done { message } => Ok(writeln!(self.out, "{message}")?),
            // The link has made a failure of it; the others are what `dunlin explain` asks for.
            _ => Ok(()),
        }
    }

    pub(super) fn finish(mut self) -> Result<(), Trouble> {
        if let Some(object) = self.object.take() {
            self.object(&object)?;
        }
        self.out.flush()?;
        if self.form == Form::Tables && self.matched > self.printed {
            output::warn(false, format_args!("{} of {} are shown", self.printed, self.matched));
        }
        Ok(())
    }

    fn object(&mut self, object: &impl Serialize) -> Result<(), Trouble> {
        let text = serde_json::to_string(object).expect("the words of the API are JSON");
        Ok(writeln!(self.out, "{text}")?)
    }

    fn fields(&mut self, fields: &[(&str, String)]) -> Result<(), Trouble> {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in fields {
            writeln!(self.out, "{name:<width$}  {value}")?;
        }
        Ok(())
    }

    fn rows<R: Serialize>(
        &mut self,
        name: &str,
        rows: &[R],
        columns: &'static [&'static str],
        cells: impl Fn(&R) -> Vec<String>,
    ) -> Result<(), Trouble> {
        self.printed += rows.len() as u64;
        if let Some(Value::Array(list)) = self.object.as_mut().map(|object| &mut object[name]) {
            list.extend(rows.iter().map(value_of));
            return Ok(());
        }
        if self.form == Form::Json {
            return rows.iter().try_for_each(|row| self.object(row));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
        let table = self.table.get_or_insert_with(|| Table::new(columns));
        Ok(table.print(&mut self.out, &rows)?)
    }

    fn groups(&mut self, rows: &[Group]) -> Result<(), Trouble> {
        if self.form == Form::Json {
            return rows.iter().try_for_each(|row| self.object(row));
        }
        for Group { topic_filter, members, connected } in rows {
            let filter = safe(topic_filter);
            writeln!(self.out, "one of {members} members ({connected} connected) of {filter}")?;
        }
        Ok(())
    }
}

fn value_of(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("the words of the API are JSON")
}

fn status_fields(status: &Status) -> Vec<(&'static str, String)> {
    let traffic = &status.traffic;
    let mut fields = vec![
        ("version", status.version.clone()),
        ("uptime", seconds(status.uptime_s)),
        ("shards", status.shards.to_string()),
        ("connections", status.connections.to_string()),
        ("Sessions", status.sessions.to_string()),
        ("Subscriptions", format!("{} and {} shared", status.subscriptions, status.shared_subscriptions)),
        ("Retained Messages", format!("{} ({})", status.retained_messages, bytes(status.retained_bytes))),
        ("queued messages", queue(&status.queue)),
        ("in-flight messages", status.in_flight_messages.to_string()),
        ("unread by Clients", bytes(status.output_bytes)),
        ("connects", traffic.connects.to_string()),
        ("PUBLISH received", traffic.publishes_received.to_string()),
        ("PUBLISH sent", traffic.publishes_sent.to_string()),
        ("protocol errors", traffic.protocol_errors.to_string()),
        ("dropped messages", dropped(&status.drops)),
        ("durability", durability(status.durability).to_owned()),
        ("storage", storage(status.storage).to_owned()),
        ("memory", status.resident_bytes.map_or("unknown".to_owned(), bytes)),
    ];
    if status.panics > 0 {
        fields.push(("PANICS", format!("{}: a fault of the program, see the log", status.panics)));
    }
    fields
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Sync => "sync: what is acknowledged is on the disk",
        Durability::Interval => "interval, UNSAFE: a loss of power takes what was acknowledged lately",
        Durability::None => "none, UNSAFE: a loss of power takes what was acknowledged lately",
        Durability::MemoryOnly => "memory only: Sessions and messages end with the program",
    }
}

fn storage(storage: Storage) -> &'static str {
    match storage {
        Storage::Ready => "ready",
        Storage::Low => "LOW: messages that must be kept are refused until there is more room",
        Storage::Failed => "FAILED: nothing is kept any more; see the log, then start the Server anew",
        Storage::Off => "none",
    }
}

fn queue(queue: &Queue) -> String {
    let Queue { messages, bytes: size, disk_messages, disk_bytes } = *queue;
    match disk_messages {
        0 => format!("{messages} ({})", bytes(size)),
        _ => format!(
            "{messages} ({}), of these {disk_messages} ({}) on the disk",
            bytes(size),
            bytes(disk_bytes)
        ),
    }
}

fn dropped(drops: &Drops) -> String {
    let causes: Vec<String> = drops
        .by_cause()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect();
    match causes.is_empty() {
        true => "0".to_owned(),
        false => format!("{} ({})", drops.total(), causes.join(", ")),
    }
}

fn session_fields(session: &Session) -> Vec<(&'static str, String)> {
    let mut fields = vec![("Client Identifier", safe(&session.client_id))];
    match &session.connection {
        None => fields.push(("state", "away".to_owned())),
        Some(connection) => fields.extend([
            ("state", "connected".to_owned()),
            ("connected since", moment(connection.connected_at_ms)),
            ("address", safe(&connection.address)),
            ("listener", connection.listener.as_deref().map_or("none".to_owned(), safe)),
            ("provider", connection.provider.as_deref().map_or("none".to_owned(), safe)),
            ("user name", connection.user_name.as_deref().map_or("none".to_owned(), safe)),
            ("protocol", format!("MQTT {}", safe(&connection.version))),
            (
                "Keep Alive",
                match connection.keep_alive_s {
                    0 => "off".to_owned(),
                    keep_alive_s => format!("{keep_alive_s} s"),
                },
            ),
            ("last packet", moment(connection.last_packet_at_ms)),
            ("unread by it", bytes(connection.output_bytes)),
        ]),
    }
    fields.extend([
        (
            "Session Expiry",
            match session.expiry_s {
                None => "never".to_owned(),
                Some(0) => "with its connection".to_owned(),
                Some(expiry_s) => format!("after {}", seconds(expiry_s.into())),
            },
        ),
        ("survives a restart", if session.is_kept { "yes" } else { "no" }.to_owned()),
        ("Will", if session.has_will { "waits" } else { "none" }.to_owned()),
        ("in flight to it", session.in_flight.to_string()),
        ("in flight from it", session.in_flight_from_client.to_string()),
        ("queue", queue(&session.queue)),
        ("dropped", dropped(&session.drops)),
        ("denied", session.denials.total().to_string()),
        ("Subscriptions", session.subscriptions.to_string()),
    ]);
    if let Some(expires_at_ms) = session.expires_at_ms {
        fields.insert(2, ("ends", moment(expires_at_ms)));
    }
    fields
}

const SESSION_COLUMNS: [&str; 8] =
    ["CLIENT ID", "STATE", "ADDRESS", "USER", "SUBS ", "QUEUE ", "IN FLIGHT ", "DROPPED "];

fn session_cells(session: &Session) -> Vec<String> {
    let connection = session.connection.as_ref();
    vec![
        safe(&session.client_id),
        connection.map_or("away".to_owned(), |connection| format!("MQTT {}", safe(&connection.version))),
        connection.map_or("-".to_owned(), |connection| safe(&connection.address)),
        connection.and_then(|connection| connection.user_name.as_deref()).map_or("-".to_owned(), safe),
        session.subscriptions.to_string(),
        session.queue.messages.to_string(),
        session.in_flight.to_string(),
        session.drops.total().to_string(),
    ]
}

const DROP_COLUMNS: [&str; 9] = [
    "CLIENT ID",
    "STATE",
    "TOTAL ",
    "SLOW ",
    "OFFLINE ",
    "QUEUE FULL ",
    "EXPIRED ",
    "TOO LARGE ",
    "DAMAGED ",
];

fn drop_cells(session: &Session) -> Vec<String> {
    let drops = &session.drops;
    vec![
        safe(&session.client_id),
        if session.connection.is_some() { "connected" } else { "away" }.to_owned(),
        drops.total().to_string(),
        drops.slow.to_string(),
        drops.offline.to_string(),
        drops.queue_full.to_string(),
        drops.expired.to_string(),
        drops.too_large.to_string(),
        drops.damaged.to_string(),
    ]
}

const SUBSCRIPTION_COLUMNS: [&str; 6] =
    ["TOPIC FILTER", "QOS ", "OPTIONS", "IDENTIFIER ", "CLIENT ID", "STATE"];

fn subscription_cells(subscription: &Subscription) -> Vec<String> {
    let mut options = Vec::new();
    if subscription.no_local {
        options.push("no-local");
    }
    if subscription.retain_as_published {
        options.push("retain-as-published");
    }
    match subscription.retain_handling {
        1 => options.push("retained-if-new"),
        2 => options.push("no-retained"),
        _ => {}
    }
    vec![
        safe(&subscription.topic_filter),
        subscription.qos.to_string(),
        if options.is_empty() { "-".to_owned() } else { options.join(",") },
        subscription.identifier.map_or("-".to_owned(), |identifier| identifier.to_string()),
        safe(&subscription.client_id),
        if subscription.is_connected { "connected" } else { "away" }.to_owned(),
    ]
}

const RETAINED_COLUMNS: [&str; 5] = ["TOPIC", "QOS ", "SIZE ", "EXPIRES", "PAYLOAD"];

fn retained_cells(retained: &Retained) -> Vec<String> {
    let shown = safe(&retained.payload_start);
    let is_cut = retained.payload_start.len() as u64 != retained.payload_bytes;
    vec![
        safe(&retained.topic),
        retained.qos.to_string(),
        bytes(retained.payload_bytes),
        retained.expires_at_ms.map_or("-".to_owned(), moment),
        if is_cut { format!("{shown}...") } else { shown },
    ]
}
