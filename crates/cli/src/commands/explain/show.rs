//! Takes the lines of an answer and prints them: short text for people, one object for programs.

use std::io::{self, Write};

use dunlin_admin_api::{
    answer::Answer,
    explain::{Ruling, Who},
    session::Session,
};
use serde_json::{Value, json};

use crate::commands::admin::rows::{Trouble, moment, safe};

use super::{
    args::{Action, ExplainArgs},
    exit_code, missing,
    publication::{self, Receivers},
    subscribing::{self, CalledRows},
    text::{line, value_of},
};

/// Who has answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The running Server.
    Server,
    /// The files; with the listeners of the configuration, each in a line.
    Files(Vec<String>),
}

/// Prints an answer as it comes.
pub(super) struct Printer<'a, W> {
    args: &'a ExplainArgs,
    source: Source,
    out: W,
    /// What programs get at the end.
    object: Value,
    receivers: Receivers,
    called: CalledRows,
    code: i32,
}

impl<'a, W: Write> Printer<'a, W> {
    pub(super) fn new(args: &'a ExplainArgs, source: Source, out: W) -> Self {
        let (receivers, called) = (Receivers::default(), CalledRows::default());
        Self { args, source, out, object: json!({}), receivers, called, code: 0 }
    }

    pub(super) fn take(&mut self, answer: Answer) -> Result<(), Trouble> {
        match answer {
            Answer::Publication(publication) => {
                self.code = exit_code::of_refusal(publication.refusal.as_ref());
                self.head(&publication.who, &publication.ruling, publication.refusal.as_ref())?;
                if self.is_for_programs() {
                    self.object["retained"] = value_of(&publication.keeping);
                } else if let Some(keeping) = &publication.keeping {
                    publication::print_keeping(keeping, &mut self.out)?;
                }
            }
            Answer::Receivers { rows, sessions, subscriptions } => {
                self.receivers.add(rows, sessions, subscriptions);
            }
            Answer::Outlooks { rows, total } => self.receivers.add_groups(rows, total),
            Answer::Subscribing(subscribing) => {
                self.code = exit_code::of_refusal(subscribing.refusal.as_ref());
                self.head(&subscribing.who, &subscribing.ruling, subscribing.refusal.as_ref())?;
                if self.is_for_programs() {
                    subscribing::put(&subscribing, &mut self.object);
                } else if self.source == Source::Server {
                    subscribing::print(&subscribing, &mut self.out)?;
                }
            }
            Answer::Called { rows, messages, denied, is_cut } => {
                self.called.add(rows, messages, denied, is_cut);
            }
            Answer::Receiving(receiving) => {
                self.code = exit_code::of_refusal(receiving.refusal.as_ref());
                self.head(&receiving.who, &receiving.ruling, receiving.refusal.as_ref())?;
            }
            Answer::Missing(missing) => {
                self.code = exit_code::of_verdict(missing.verdict);
                if self.is_for_programs() {
                    self.object = value_of(&*missing);
                    self.put_question();
                } else {
                    missing::print(&missing, &mut self.out)?;
                }
            }
            // Answers to other questions.
            _ => {}
        }
        Ok(())
    }

    /// Prints what is left, and returns the exit code.
    pub(super) fn finish(mut self) -> io::Result<i32> {
        if self.is_for_programs() {
            self.receivers.put(&mut self.object);
            self.called.put(&mut self.object);
            writeln!(self.out, "{}", self.object)?;
        } else {
            self.receivers.print(&mut self.out)?;
            self.called.print(&mut self.out)?;
        }
        self.out.flush()?;
        Ok(self.code)
    }

    fn is_for_programs(&self) -> bool {
        self.args.asker().json
    }

    /// Whether it is allowed, why, and who the Client is.
    fn head(
        &mut self,
        who: &Who,
        ruling: &Ruling,
        refusal: Option<&dunlin_admin_api::explain::Refusal>,
    ) -> Result<(), Trouble> {
        if self.is_for_programs() {
            self.object = json!({
                "allowed": refusal.is_none(),
                "reason": refusal.map_or(&ruling.reason, |refusal| &refusal.reason),
                "reason_code": refusal.map_or(0, |refusal| refusal.reason_code),
                "rule": ruling.rule,
                "who": who,
            });
            self.put_question();
            return Ok(());
        }
        let mark = if refusal.is_none() { "yes" } else { "no" };
        let wish = self.wish(refusal.is_none());
        line(&mut self.out, mark, &wish)?;
        if let Some(refusal) = refusal.filter(|refusal| refusal.reason != ruling.reason) {
            let text =
                format!("refused     {} (0x{:02X}): {}", refusal.name, refusal.reason_code, refusal.reason);
            line(&mut self.out, "", &safe(&text))?;
        }
        line(&mut self.out, "", &format!("rule        {}", safe(&ruling.reason)))?;
        for text in self.lines_about(who) {
            line(&mut self.out, "", &text)?;
        }
        Ok(())
    }

    fn put_question(&mut self) {
        let asker = self.args.asker();
        let object = &mut self.object;
        object["client_id"] = asker.client.as_str().into();
        object["source"] = if self.source == Source::Server { "server" } else { "files" }.into();
        if let Source::Files(doors) = &self.source {
            object["listeners"] = value_of(doors);
        }
        let (action, topic) = match &self.args.action {
            Action::Publish { topic, qos, retain, .. } => {
                (object["qos"], object["retain"]) = ((*qos).into(), (*retain).into());
                ("publish", topic)
            }
            Action::Subscribe { filter, qos, .. } => {
                object["qos"] = (*qos).into();
                ("subscribe", filter)
            }
            Action::Receive { topic, .. } => ("receive", topic),
            Action::Missing { topic, qos, from, .. } => {
                (object["qos"], object["from"]) = ((*qos).into(), value_of(from));
                ("missing", topic)
            }
        };
        (object["action"], object["topic"]) = (action.into(), topic.as_str().into());
    }

    /// What is asked, as a sentence.
    fn wish(&self, may: bool) -> String {
        let verb = if may { "may" } else { "may not" };
        let client_id = self.args.action.client_id();
        let text = match &self.args.action {
            Action::Publish { topic, qos, retain, .. } => {
                let retain = if *retain { " and RETAIN" } else { "" };
                format!("{client_id:?} {verb} publish to {topic:?} with QoS {qos}{retain}")
            }
            Action::Subscribe { filter, qos, .. } => {
                format!("{client_id:?} {verb} subscribe to {filter:?} with QoS {qos}")
            }
            Action::Receive { topic, .. } | Action::Missing { topic, .. } => {
                format!("{client_id:?} {verb} receive from {topic:?}")
            }
        };
        safe(&text)
    }

    fn lines_about(&self, who: &Who) -> Vec<String> {
        let mut lines = Vec::new();
        if let Source::Files(doors) = &self.source {
            lines.push(format!("Client      {}", identity(who)));
            lines.extend(doors.iter().map(|door| format!("listener    {}", safe(door))));
            lines.push(
                "files       only a running Server knows who is connected and who subscribes".to_owned(),
            );
            return lines;
        }
        lines.push(format!("Client      {}", session_words(who.session.as_ref(), who.shard)));
        let connection = who.session.as_ref().and_then(|session| session.connection.as_ref());
        if let Some(connection) = connection {
            let name = |name: &Option<String>, other: &str| name.as_deref().map_or(other.to_owned(), safe);
            let listener = name(&connection.listener, "without name");
            lines.push(format!("listener    {listener}, provider {}", name(&connection.provider, "none")));
        }
        let note = if who.is_stated { " (as stated, not as known)" } else { "" };
        lines.push(format!("identity    {}{note}", identity(who)));
        lines
    }
}

/// User, groups, address and certificate.
fn identity(who: &Who) -> String {
    let mut text = who.user_name.as_ref().map_or("no user name".to_owned(), |user| format!("user {user:?}"));
    if !who.groups.is_empty() {
        text += &format!(", groups {}", who.groups.join(", "));
    }
    if let Some(address) = &who.address {
        text += &format!(", {address}");
    }
    if let Some(certificate) = &who.certificate {
        text += &format!(", certificate {certificate}");
    }
    safe(&text)
}

fn session_words(session: Option<&Session>, shard: u8) -> String {
    let Some(session) = session else {
        return format!("has no Session; its home would be shard {shard}");
    };
    let queue = match session.queue.messages {
        0 => String::new(),
        messages => format!(", {messages} messages wait for it"),
    };
    match &session.connection {
        None => format!("is away, its Session waits in shard {shard}{queue}"),
        Some(connection) => format!(
            "connected since {} from {}, MQTT {}, Keep Alive {}, shard {shard}{queue}",
            moment(connection.connected_at_ms),
            safe(&connection.address),
            safe(&connection.version),
            match connection.keep_alive_s {
                0 => "off".to_owned(),
                keep_alive_s => format!("{keep_alive_s} s"),
            }
        ),
    }
}
