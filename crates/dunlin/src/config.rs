//! `dunlin config`: says whether a configuration can be used, and what it comes to, without a Server; makes one of mosquitto's.

mod import;
mod screen;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use dunlin_server::{
    check::faults,
    config::{
        load::{Flags, load_with_origins},
        show::{as_json, as_toml},
    },
};

use self::screen::{fail, say};
use crate::serve::Serve;

/// Checks, shows and imports configurations
///
/// What counts is put together as `dunlin serve` does it with the same options: defaults, the file, those of `conf.d` beside it in
/// the order of their names, the environment (DUNLIN__...), the flags; later ones go over earlier ones.
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Says whether a Server could start with it
    ///
    /// All files that it names are read as well: certificates, keys, users, rules. Nothing is opened, made or changed. The exit
    /// code is 0 if it can be used, and 1 if not, with all mistakes on standard error.
    Check {
        #[command(flatten)]
        serve: Serve,
    },
    /// Shows every setting with its value, and where that comes from
    ///
    /// In TOML, that can be used as a file; secrets are not shown. The exit code is 1 if there are mistakes.
    Show {
        #[command(flatten)]
        serve: Serve,

        /// For programs, as JSON
        #[arg(long)]
        json: bool,
    },
    Import(import::Import),
}

impl Config {
    /// Does it and tells the screen.
    pub(crate) fn run(self) -> ExitCode {
        match self.action {
            Action::Check { serve } => check(&serve.into()),
            Action::Show { serve, json } => show(&serve.into(), json),
            Action::Import(import) => import.run(),
        }
    }
}

fn check(flags: &Flags) -> ExitCode {
    let loaded = match load_with_origins(flags) {
        Ok(loaded) => loaded,
        Err(error) => return fail([error]),
    };
    let faults = faults(&loaded.config);
    if !faults.is_empty() {
        return fail(faults);
    }
    let files: Vec<_> = loaded.files.iter().map(|file| file.display().to_string()).collect();
    say(&match &files[..] {
        [] => "the configuration can be used; no file was read\n".to_owned(),
        files => format!("the configuration can be used: {}\n", files.join(", ")),
    })
}

fn show(flags: &Flags, is_json: bool) -> ExitCode {
    match load_with_origins(flags) {
        Ok(loaded) if is_json => say(&(as_json(&loaded) + "\n")),
        Ok(loaded) => say(&as_toml(&loaded)),
        Err(error) => fail([error]),
    }
}
