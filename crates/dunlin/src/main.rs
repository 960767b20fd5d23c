//! The `dunlin` program: reads the command line and calls the Server or a tool.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "server")]
mod serve;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An MQTT Server and the tools around it.
#[derive(Debug, Parser)]
#[command(name = "dunlin", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "server")]
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        #[cfg(feature = "server")]
        Command::Serve(arguments) => dunlin_server::serve::serve(&arguments.into()),
    }
}
