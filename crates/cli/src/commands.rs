//! One module a command.

pub mod admin;
pub mod cert;
pub mod explain;
pub mod passwd;
pub mod publish;
pub mod subscribe;

use clap::Subcommand;

use crate::commands::admin::AdminArgs;
use crate::commands::cert::CertArgs;
use crate::commands::passwd::PasswdArgs;
use crate::commands::publish::PublishArgs;
use crate::commands::subscribe::SubscribeArgs;

/// The tools that talk to a Server.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Publishes messages.
    #[command(name = "pub", disable_help_flag = true)]
    Publish(Box<PublishArgs>),
    /// Subscribes to Topic Filters and prints the messages that come.
    #[command(name = "sub", disable_help_flag = true)]
    Subscribe(Box<SubscribeArgs>),
    /// Looks into a running Server, and acts on its Clients
    ///
    /// It talks to the Server's socket, which only the Server's user and root may open. The exit code is 0 if the Server
    /// did what was asked, and 1 if not.
    Admin(Box<AdminArgs>),
    /// Adds a user to a password file, changes its password, or takes it out
    Passwd(PasswdArgs),
    /// Makes a CA and certificates for Servers and Clients, to try TLS out
    ///
    /// Files are written into the current folder, or into that of --dir, keys for their owner only. Nothing that is there is replaced
    /// without --force. Each command says what to do next. The exit code is 0 if it is done, and 1 if not.
    Cert(CertArgs),
}

impl Command {
    /// Does it and returns the exit code of the process.
    #[must_use]
    pub fn run(self) -> i32 {
        match self {
            Self::Publish(args) => publish::run(*args),
            Self::Subscribe(args) => subscribe::run(*args),
            Self::Admin(args) => admin::run(*args),
            Self::Passwd(args) => passwd::run(args),
            Self::Cert(args) => cert::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn the_parser_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn h_is_the_host_and_help_is_spelled_out() {
        let cli = Cli::try_parse_from(["dunlin", "pub", "-h", "example.org", "-t", "a", "-m", "-5"]).unwrap();
        let Command::Publish(args) = cli.command else { panic!() };
        assert_eq!(args.connection.host.as_deref(), Some("example.org"));
        for command in ["pub", "sub"] {
            let help = Cli::try_parse_from(["dunlin", command, "--help"]).map(|_| ()).unwrap_err();
            assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp);
        }
    }

    #[test]
    fn a_publish_has_exactly_one_source() {
        for wrong in [&["-t", "a"][..], &["-t", "a", "-m", "x", "-n"], &["-t", "a", "-l", "-s"]] {
            let all = ["dunlin", "pub"].iter().chain(wrong);
            assert!(Cli::try_parse_from(all).is_err(), "{wrong:?}");
        }
    }
}
