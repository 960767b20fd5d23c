//! `dunlin explain`: what the rules in the files say, and which of them, without a Server.

use std::{
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand, value_parser};
use dunlin_server::{
    config::{
        environment::Environment,
        load::{Flags, load},
    },
    rights::{Asker, Explanation, Wish, explain},
};
use serde_json::json;

/// Says whether the rules allow something, and which of them decides
///
/// It reads the configuration and the file of rules that it names. The exit code is 0 if it is allowed, 1 if it is denied, and 2 if
/// nobody can say.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Whether a Client may publish
    Publish {
        #[command(flatten)]
        who: Who,

        /// Topic Name
        #[arg(short, long, value_name = "TOPIC")]
        topic: String,

        /// QoS of the message
        #[arg(short, long, value_name = "N", default_value = "0", value_parser = value_parser!(u8).range(0..=2))]
        qos: u8,

        /// A message with RETAIN
        #[arg(short, long)]
        retain: bool,
    },
    /// Whether a Client may subscribe
    Subscribe {
        #[command(flatten)]
        who: Who,

        /// Topic Filter
        #[arg(short, long, value_name = "FILTER")]
        topic: String,

        /// QoS that is asked for
        #[arg(short, long, value_name = "N", default_value = "0", value_parser = value_parser!(u8).range(0..=2))]
        qos: u8,
    },
    /// Whether a Client gets a message that one of its Subscriptions matches
    Receive {
        #[command(flatten)]
        who: Who,

        /// Topic Name
        #[arg(short, long, value_name = "TOPIC")]
        topic: String,
    },
}

/// Whose right it is.
#[derive(Debug, Args)]
struct Who {
    /// Configuration file, in TOML
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,

    /// Client Identifier
    #[arg(long, value_name = "ID")]
    client: String,

    /// User name; without it a Client that has proved none
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,

    /// Group of the user; may be given several times
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,

    /// Address of the Client
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    address: IpAddr,

    /// For programs, as JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Tells it on the screen.
    pub(crate) fn run(&self) -> ExitCode {
        match self.explain() {
            Ok(explanation) => {
                let is_written = self.show(&explanation, &mut io::stdout().lock()).is_ok();
                ExitCode::from(if explanation.is_allowed && is_written { 0 } else { 1 })
            }
            Err(error) => {
                eprintln!("dunlin: {error}");
                ExitCode::from(2)
            }
        }
    }

    fn parts(&self) -> (&Who, Wish<'_>) {
        match &self.action {
            Action::Publish { who, topic, qos, retain } => {
                (who, Wish::Publish { topic, qos: *qos, retain: *retain })
            }
            Action::Subscribe { who, topic, qos } => (who, Wish::Subscribe { filter: topic, qos: *qos }),
            Action::Receive { who, topic } => (who, Wish::Receive { topic }),
        }
    }

    fn explain(&self) -> Result<Explanation, Box<dyn std::error::Error>> {
        let (who, wish) = self.parts();
        let environment = Environment::of_process();
        let config = load(&Flags { config: Some(who.config.clone()), environment, ..Flags::default() })?;
        let asker = Asker {
            client_id: who.client.clone(),
            user_name: who.user.clone(),
            groups: who.group.clone(),
            address: who.address,
        };
        Ok(explain(&config.rights, &asker, wish)?)
    }

    fn show(&self, explanation: &Explanation, out: &mut impl Write) -> io::Result<()> {
        let (who, wish) = self.parts();
        let Explanation { is_allowed, rule, reason } = explanation;
        let (action, topic) = match wish {
            Wish::Publish { topic, .. } => ("publish", topic),
            Wish::Subscribe { filter, .. } => ("subscribe", filter),
            Wish::Receive { topic } => ("receive", topic),
        };
        if who.json {
            let mut object = json!({
                "action": action, "allowed": is_allowed, "client_id": who.client, "user": who.user,
                "address": who.address.to_string(), "topic": topic, "reason": reason,
                "rule": rule.as_ref().map(|(file, line)| json!({ "file": file, "line": line })),
            });
            match wish {
                Wish::Publish { qos, retain, .. } => {
                    (object["qos"], object["retain"]) = (qos.into(), retain.into());
                }
                Wish::Subscribe { qos, .. } => object["qos"] = qos.into(),
                Wish::Receive { .. } => {}
            }
            return writeln!(out, "{object}");
        }
        let verdict = if *is_allowed { "allowed" } else { "denied" };
        let user = who.user.as_ref().map_or("no user name".to_owned(), |user| format!("user {user:?}"));
        let words = match wish {
            Wish::Publish { qos, retain, .. } => {
                format!("publish to {topic:?} with QoS {qos}{}", if retain { " and RETAIN" } else { "" })
            }
            Wish::Subscribe { qos, .. } => format!("subscribe to {topic:?} with QoS {qos}"),
            Wish::Receive { .. } => format!("receive from {topic:?}"),
        };
        writeln!(out, "{verdict}: {words}, Client {:?}, {user}, {}", who.client, who.address)?;
        writeln!(out, "  {reason}")
    }
}
