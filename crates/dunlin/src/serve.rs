//! `dunlin serve`: its arguments.

use std::{net::IpAddr, path::PathBuf};

use clap::{ArgAction, Args, value_parser};
use dunlin_server::config::{environment::Environment, load::Flags};

/// Runs the Server
///
/// Without any option it listens on port 1883, for Clients of this machine only. SIGTERM or Ctrl-C stops it.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on, instead of those of the file; may be given several times
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    bind: Vec<IpAddr>,

    /// Port to listen on, 0 for any free one [default: 1883]
    #[arg(short, long, value_name = "N")]
    port: Option<u16>,

    /// Folder in which Sessions and messages are kept [default: the user's, see the handbook]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Threads that carry Clients, 0 for one a core [default: 0]
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(0..=64))]
    shards: Option<u8>,

    /// Configuration file, in TOML
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Logs more: what happens in each connection, and twice as much with -vv
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Lets anybody in from other machines without a password: insecure
    #[arg(long)]
    allow_anonymous: bool,
}

fn address(text: &str) -> Result<IpAddr, &'static str> {
    match text {
        "localhost" => Err("an IP address is expected: 127.0.0.1, or ::1"),
        _ => text.parse().map_err(|_| "an IP address is expected, such as 127.0.0.1 or 0.0.0.0"),
    }
}

impl From<Serve> for Flags {
    fn from(arguments: Serve) -> Self {
        let Serve { bind, port, data_dir, shards, config, verbose, allow_anonymous } = arguments;
        let environment = Environment::of_process();
        Self { config, bind, port, data_dir, shards, verbose, allow_anonymous, environment }
    }
}
