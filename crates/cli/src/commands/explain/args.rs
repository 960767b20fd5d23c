//! The options of `dunlin explain`.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Subcommand, value_parser};

/// Says what would become of a message or a Subscription, and why
///
/// It asks the running Server, like `dunlin admin`; where none answers, or with --config, it reads the configuration and the
/// rules that it names. Nothing changes by asking. The exit code is 0 if it is allowed or delivered, the Reason Code of
/// MQTT 5 if it is refused (135 is Not authorized), 16 if it would not be delivered, and 1 if nobody can say.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// What it is about.
    #[command(subcommand)]
    pub action: Action,
}

/// What it is about.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Whether a Client may publish, and who gets it
    Publish {
        /// Who
        #[command(flatten)]
        asker: Asker,

        /// Topic Name
        #[arg(short, long, value_name = "TOPIC")]
        topic: String,

        /// QoS of the message
        #[arg(short, long, value_name = "N", default_value = "0", value_parser = value_parser!(u8).range(0..=2))]
        qos: u8,

        /// A message with RETAIN
        #[arg(short, long)]
        retain: bool,

        /// Bytes of its payload; 0 with --retain removes a Retained Message [default: 1]
        #[arg(long, value_name = "BYTES")]
        size: Option<u64>,

        /// Receivers that are shown
        #[arg(short = 'n', long, value_name = "N", default_value = "100")]
        limit: u64,
    },
    /// Whether a Client may subscribe, and what it gets at once
    Subscribe {
        /// Who
        #[command(flatten)]
        asker: Asker,

        /// Topic Filter
        #[arg(short, long, visible_short_alias = 't', visible_alias = "topic", value_name = "FILTER")]
        filter: String,

        /// QoS that is asked for
        #[arg(short, long, value_name = "N", default_value = "0", value_parser = value_parser!(u8).range(0..=2))]
        qos: u8,

        /// Retained Messages that are shown
        #[arg(short = 'n', long, value_name = "N", default_value = "20")]
        limit: u64,
    },
    /// Whether a Client may get a message that one of its Subscriptions matches
    Receive {
        /// Who
        #[command(flatten)]
        asker: Asker,

        /// Topic Name
        #[arg(short, long, value_name = "TOPIC")]
        topic: String,
    },
    /// Why a Client does not get a message
    #[command(visible_alias = "why-not")]
    Missing {
        /// Who
        #[command(flatten)]
        asker: Asker,

        /// Topic Name
        #[arg(short, long, value_name = "TOPIC")]
        topic: String,

        /// QoS that the message is published with
        #[arg(short, long, value_name = "N", default_value = "0", value_parser = value_parser!(u8).range(0..=2))]
        qos: u8,

        /// Bytes of its payload [default: 1]
        #[arg(long, value_name = "BYTES")]
        size: Option<u64>,

        /// Who publishes it
        #[arg(long, value_name = "CLIENT_ID")]
        from: Option<String>,
    },
}

/// Which Client, and which Server.
#[derive(Clone, Debug, Args)]
pub struct Asker {
    /// Client Identifier
    #[arg(long, alias = "client-id", value_name = "ID")]
    pub client: String,

    /// User name, in the place of the one that the Client has proved
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,

    /// Group of the user, in the place of those that are known; may be given several times
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,

    /// Address of the Client, in the place of the one it comes from
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<IpAddr>,

    /// Configuration file: asks the rules that it names, and no Server
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["socket", "data_dir"])]
    pub config: Option<PathBuf>,

    /// Socket of the Server [default: /run/dunlin/admin.sock, or admin.sock in the user's data folder]
    #[arg(long, value_name = "PATH", conflicts_with = "data_dir")]
    pub socket: Option<PathBuf>,

    /// Data folder of the Server, in which its socket is
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// For programs: one object, as JSON
    #[arg(long)]
    pub json: bool,
}

impl Action {
    /// Which Client it is about, and which Server.
    #[must_use]
    pub fn asker(&self) -> &Asker {
        match self {
            Self::Publish { asker, .. }
            | Self::Subscribe { asker, .. }
            | Self::Receive { asker, .. }
            | Self::Missing { asker, .. } => asker,
        }
    }

    /// Whose right it is.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.asker().client
    }
}

impl ExplainArgs {
    /// Which Client it is about, and which Server.
    #[must_use]
    pub fn asker(&self) -> &Asker {
        self.action.asker()
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        explain: ExplainArgs,
    }

    #[test]
    fn the_parser_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_or_a_server_is_asked() {
        let of = |more: &[&str]| {
            let all = ["dunlin", "publish", "--client", "c", "-t", "a"].iter().chain(more);
            Cli::try_parse_from(all)
        };
        assert!(of(&["--config", "f"]).is_ok() && of(&["--socket", "s"]).is_ok());
        assert!(of(&["--config", "f", "--socket", "s"]).is_err() && of(&["-q", "3"]).is_err());
    }
}
