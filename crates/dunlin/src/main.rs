//! The `dunlin` program: reads the command line and calls the Server or a tool.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "server")]
mod config;
#[cfg(feature = "cli")]
mod explain;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod store;

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
    #[cfg(feature = "server")]
    Config(Box<config::Config>),
    #[cfg(feature = "server")]
    Store(store::Store),
    #[cfg(feature = "bench")]
    Bench(Box<dunlin_bench::command::BenchArgs>),
    #[cfg(feature = "cli")]
    Explain(Box<dunlin_cli::commands::explain::args::ExplainArgs>),
    #[cfg(feature = "cli")]
    #[command(flatten)]
    Tool(dunlin_cli::commands::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() || is_for_server() => error.exit(),
        Err(error) => {
            // The tools answer wrong options as mosquitto's do.
            // If the screen cannot be written to, the exit code still tells.
            return match error.print() {
                Ok(()) | Err(_) => ExitCode::FAILURE,
            };
        }
    };
    match arguments.command {
        #[cfg(feature = "server")]
        Command::Serve(arguments) => dunlin_server::serve::serve(&arguments.into()),
        #[cfg(feature = "server")]
        Command::Config(arguments) => arguments.run(),
        #[cfg(feature = "server")]
        Command::Store(arguments) => arguments.run(),
        #[cfg(feature = "bench")]
        Command::Bench(arguments) => ExitCode::from(u8::try_from(arguments.run()).unwrap_or(1)),
        #[cfg(feature = "cli")]
        Command::Explain(arguments) => explain::run(&arguments),
        #[cfg(feature = "cli")]
        Command::Tool(tool) => ExitCode::from(u8::try_from(tool.run()).unwrap_or(1)),
    }
}

fn is_for_server() -> bool {
    std::env::args().nth(1).as_deref().is_none_or(|command| command == "serve")
}
