//! `dunlin explain`: what would become of a message or a Subscription, and why; asked of the running Server.

pub mod args;
mod exit_code;
mod missing;
mod publication;
mod show;
mod subscribing;
mod text;

use std::io;

use dunlin_admin_api::{
    answer::Answer,
    explain::{Publication, Receiving, RulePlace, Ruling, Stated, Subscribing, Who},
    question::Question,
};
use dunlin_packet::reason_code::ReasonCode;

use crate::{
    commands::admin::{link::Link, rows::Trouble},
    exit::Failure,
    output,
};

use self::{
    args::{Action, Asker, ExplainArgs},
    show::{Printer, Source},
};

/// What came of asking the running Server.
#[derive(Debug)]
pub enum Asked {
    /// It has answered; the exit code of the process.
    Answered(i32),
    /// None runs where it was looked for; why, in words.
    NoServer(String),
}

/// What the rules in files say, where no Server answers.
#[derive(Clone, Debug)]
pub struct FromFiles {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// File and line of the rule that decides, if one does.
    pub rule: Option<(String, u32)>,
    /// The same in words.
    pub reason: String,
    /// The listeners that the Client could come to, and who is asked there, each in a line.
    pub doors: Vec<String>,
}

/// Asks the running Server and prints what it says.
#[must_use]
pub fn ask(args: &ExplainArgs) -> Asked {
    let asker = args.asker();
    let mut link = match Link::open(asker.socket.clone(), asker.data_dir.clone()) {
        Ok(link) => link,
        Err(failure) => return Asked::NoServer(failure.message),
    };
    let mut printer = Printer::new(args, Source::Server, io::stdout().lock());
    let told = link
        .ask(&question(&args.action), &mut |answer| printer.take(answer))
        .and_then(|()| printer.finish().map_err(Trouble::from));
    Asked::Answered(match told {
        Ok(code) => code,
        Err(Trouble::NobodyReads) => 0,
        Err(Trouble::Failed(failure)) => output::fail(false, &failure),
    })
}

/// Tells that nothing can be said, and returns the exit code for that.
#[must_use]
pub fn fail(why: &str) -> i32 {
    output::fail(false, &Failure::other(why))
}

/// Tells something that is to be known beside the answer.
pub fn warn(what: &str) {
    output::warn(false, what);
}

/// Prints what files say, in the same form, and returns the exit code of the process.
#[must_use]
pub fn tell(args: &ExplainArgs, found: &FromFiles) -> i32 {
    let mut printer = Printer::new(args, Source::Files(found.doors.clone()), io::stdout().lock());
    let told = printer.take(answer_of(args, found)).and_then(|()| printer.finish().map_err(Trouble::from));
    match told {
        Ok(code) => code,
        Err(Trouble::NobodyReads) => 0,
        Err(Trouble::Failed(failure)) => output::fail(false, &failure),
    }
}

fn question(action: &Action) -> Question {
    let client_id = action.client_id().to_owned();
    match action.clone() {
        Action::Publish { asker, topic, qos, retain, size, limit } => Question::ExplainPublish {
            client_id,
            topic,
            qos,
            retain,
            payload_bytes: size,
            stated: stated(&asker),
            limit: Some(limit),
        },
        Action::Subscribe { asker, filter, qos, limit } => Question::ExplainSubscribe {
            client_id,
            topic_filter: filter,
            qos,
            stated: stated(&asker),
            limit: Some(limit),
        },
        Action::Receive { asker, topic } => {
            Question::ExplainReceive { client_id, topic, stated: stated(&asker) }
        }
        Action::Missing { topic, qos, size, from, .. } => {
            Question::ExplainMissing { client_id, topic, qos, payload_bytes: size, from }
        }
    }
}

fn stated(asker: &Asker) -> Stated {
    Stated {
        user_name: asker.user.clone(),
        groups: (!asker.group.is_empty()).then(|| asker.group.clone()),
        address: asker.address.map(|address| address.to_string()),
    }
}

/// What a Server would answer that knows nothing but the files.
fn answer_of(args: &ExplainArgs, found: &FromFiles) -> Answer {
    let asker = args.asker();
    let who = Who {
        client_id: asker.client.clone(),
        shard: 0,
        session: None,
        user_name: asker.user.clone(),
        groups: asker.group.clone(),
        address: asker.address.map(|address| address.to_string()),
        certificate: None,
        is_stated: true,
    };
    let rule = found.rule.clone().map(|(file, line)| RulePlace { file, line });
    let ruling = Ruling { allowed: found.is_allowed, reason: found.reason.clone(), rule };
    let code = ReasonCode::NotAuthorized;
    let refusal = (!found.is_allowed).then(|| dunlin_admin_api::explain::Refusal {
        reason_code: code.value(),
        name: code.name().to_owned(),
        reason: found.reason.clone(),
    });
    match &args.action {
        Action::Publish { .. } => {
            Answer::Publication(Box::new(Publication { who, ruling, refusal, keeping: None }))
        }
        Action::Subscribe { filter, qos, .. } => Answer::Subscribing(Box::new(Subscribing {
            who,
            ruling,
            granted_qos: refusal.is_none().then_some(*qos),
            refusal,
            is_shared: filter.starts_with("$share/"),
            replaces: None,
            subscriptions: 0,
            subscriptions_max: 0,
        })),
        Action::Receive { .. } | Action::Missing { .. } => {
            Answer::Receiving(Box::new(Receiving { who, ruling, refusal }))
        }
    }
}
