//! `dunlin admin`: looks into a running Server, over its socket.

pub(crate) mod link;
pub(crate) mod rows;
mod show;
pub(crate) mod table;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand, ValueEnum};
use dunlin_admin_api::question::{Question, SortKey};

use crate::{exit::Failure, output};

use self::{
    link::Link,
    rows::Trouble,
    show::{Form, Printer},
};

/// Which Server, and what is asked of it.
#[derive(Clone, Debug, Args)]
pub struct AdminArgs {
    /// Socket of the Server [default: /run/dunlin/admin.sock, or admin.sock in the user's data folder]
    #[arg(long, value_name = "PATH", global = true, conflicts_with = "data_dir")]
    socket: Option<PathBuf>,

    /// Data folder of the Server, in which its socket is
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,

    /// For programs: JSON, one object for each row of a list
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// How the Server does
    Status,
    /// Sessions, connected and away
    #[command(visible_alias = "clients")]
    Sessions {
        /// A Client Identifier, or its beginning and *
        #[arg(long, value_name = "CLIENT_ID", conflicts_with = "pattern")]
        filter: Option<String>,
        /// The same as --filter
        #[arg(value_name = "CLIENT_ID")]
        pattern: Option<String>,
        /// Only those that are connected
        #[arg(long, alias = "online", conflicts_with = "away")]
        connected: bool,
        /// Only those that are not connected
        #[arg(long, aliases = ["offline", "disconnected"])]
        away: bool,
        /// The greatest first
        #[arg(long, value_name = "COLUMN")]
        sort: Option<Column>,
        /// At most so many [default: all; sorted: 10000]
        #[arg(short = 'n', long, value_name = "N")]
        limit: Option<u64>,
    },
    /// One Session with its Subscriptions
    #[command(visible_alias = "client")]
    Session {
        /// Its Client Identifier
        client_id: String,
        /// Ends it: its Subscriptions and what waits for it are gone, its Will is published
        #[arg(long)]
        delete: bool,
        /// Does not ask whether that is meant
        #[arg(short, long, requires = "delete")]
        yes: bool,
    },
    /// Subscriptions, or who gets a message
    #[command(visible_alias = "subs")]
    Subscriptions {
        /// Only those that match this Topic Name
        #[arg(short, long, value_name = "TOPIC")]
        topic: Option<String>,
        /// At most so many [default: all; with --topic: 10000]
        #[arg(short = 'n', long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Retained Messages
    Retained {
        /// Only topics that match; # does not match topics that begin with $ [default: #]
        topic_filter: Option<String>,
        /// At most so many [default: all]
        #[arg(short = 'n', long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Messages that were dropped, by cause and by Session
    Drops {
        /// At most so many Sessions [default: 10000]
        #[arg(short = 'n', long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Has the configuration and all files that it names read again; all of it counts, or nothing
    Reload,
    /// Ends the Network Connection of a Client; its Session stays
    #[command(visible_alias = "kick")]
    Disconnect {
        /// Its Client Identifier
        client_id: String,
        /// Told to the Client, if it speaks MQTT 5
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Column {
    #[value(alias = "id")]
    ClientId,
    Queue,
    QueueBytes,
    Drops,
    InFlight,
    #[value(alias = "subs")]
    Subscriptions,
}

impl From<Column> for SortKey {
    fn from(column: Column) -> Self {
        match column {
            Column::ClientId => Self::ClientId,
            Column::Queue => Self::Queue,
            Column::QueueBytes => Self::QueueBytes,
            Column::Drops => Self::Drops,
            Column::InFlight => Self::InFlight,
            Column::Subscriptions => Self::Subscriptions,
        }
    }
}

/// Does it and returns the exit code of the process.
#[must_use]
pub fn run(args: AdminArgs) -> i32 {
    match attempt(args) {
        Ok(()) | Err(Trouble::NobodyReads) => 0,
        Err(Trouble::Failed(failure)) => output::fail(false, &failure),
    }
}

fn attempt(args: AdminArgs) -> Result<(), Trouble> {
    let AdminArgs { socket, data_dir, json, command } = args;
    let mut link = Link::open(socket, data_dir)?;
    if let Command::Session { client_id, delete: true, yes: false } = &command {
        confirm(&mut link, client_id)?;
    }
    let form = if json { Form::Json } else { Form::Tables };
    let mut printer = Printer::new(form, io::stdout().lock());
    link.ask(&question(command), &mut |answer| printer.take(answer))?;
    printer.finish()
}

fn question(command: Command) -> Question {
    match command {
        Command::Status => Question::Status {},
        Command::Sessions { filter, pattern, connected, away, sort, limit } => Question::Sessions {
            filter: filter.or(pattern),
            connected: if connected { Some(true) } else { away.then_some(false) },
            sort: sort.map(Into::into),
            limit,
        },
        Command::Session { client_id, delete: false, .. } => Question::Session { client_id },
        Command::Session { client_id, delete: true, .. } => Question::DeleteSession { client_id },
        Command::Subscriptions { topic, limit } => Question::Subscriptions { topic, limit },
        Command::Retained { topic_filter, limit } => Question::Retained { filter: topic_filter, limit },
        Command::Drops { limit } => Question::Drops { limit },
        Command::Reload => Question::Reload {},
        Command::Disconnect { client_id, reason } => Question::Disconnect { client_id, reason },
    }
}

/// Shows what is to be deleted and asks whether that is meant.
fn confirm(link: &mut Link, client_id: &str) -> Result<(), Trouble> {
    if !io::stdin().is_terminal() {
        let message = "--delete asks whether it is meant, and there is no terminal to ask at; add --yes";
        return Err(Failure::usage(message).into());
    }
    let mut waiting = 0;
    let question = Question::Session { client_id: client_id.to_owned() };
    link.ask(&question, &mut |answer| {
        if let dunlin_admin_api::answer::Answer::Session(session) = answer {
            waiting = session.queue.messages + session.in_flight;
        }
        Ok(())
    })?;
    eprint!("Delete the Session of {client_id:?} and {waiting} messages for it? [y/N] ");
    io::stderr().flush().map_err(Failure::other)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::other)?;
    match line.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::other("nothing is deleted").into()),
    }
}
