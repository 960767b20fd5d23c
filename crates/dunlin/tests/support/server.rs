//! The real program, `dunlin serve`, on a free loopback port with a data folder of its own.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use tempfile::TempDir;

use super::{
    program::{Finished, Program},
    raw::Raw,
};

/// A running Server. Dropping it kills the process and removes its data.
pub(crate) struct Server {
    program: Program,
    address: SocketAddr,
    options: Options,
    folder: TempDir,
}

/// What differs from `dunlin serve --port 0`.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// Number of shards; 0 leaves it to the program.
    pub(crate) shards: usize,
    /// The text of a configuration file, if there is to be one.
    pub(crate) config: Option<String>,
    /// Soft and hard limit on open files, if it is to be small.
    pub(crate) open_files_max: Option<u32>,
}

impl Server {
    /// Starts the program with `shards` shards and no configuration file.
    pub(crate) fn start(shards: usize) -> Server {
        Server::with(&Options { shards, ..Options::default() })
    }

    /// Starts the program with one shard and the configuration `text`.
    pub(crate) fn configured(text: &str) -> Server {
        Server::with(&Options { shards: 1, config: Some(text.to_owned()), ..Options::default() })
    }

    /// Starts the program and waits until it says where it listens.
    pub(crate) fn with(options: &Options) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (program, address) = start(options, folder.path());
        Server { program, address, options: options.clone(), folder }
    }

    /// Kills the process at once and starts the program again on the same data folder, on another free port.
    pub(crate) fn crash_and_restart(&mut self) {
        self.program.kill();
        (self.program, self.address) = start(&self.options, self.folder.path());
    }

    /// Where the Server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of shards it was started with; 0 if that was left to the program.
    pub(crate) fn shards(&self) -> usize {
        self.options.shards
    }

    /// The port as programs want it in an argument.
    pub(crate) fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// The process identifier of the Server.
    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// A folder for files of the test, removed with the Server.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A raw Network Connection on which nothing was sent.
    pub(crate) fn raw(&self) -> Raw {
        Raw::open(self.address)
    }

    /// Sends `signal` and waits at most `bound` for the end of the process.
    pub(crate) fn stop(self, signal: &str, bound: Duration) -> Finished {
        self.program.signal(signal);
        self.program.await_exit_within(bound)
    }
}

/// The program with `arguments`, started and not waited for.
pub(crate) fn dunlin(arguments: &[&str]) -> Program {
    Program::start(Command::new(env!("CARGO_BIN_EXE_dunlin")).args(arguments))
}

/// Starts the program and waits until it says where it listens.
fn start(options: &Options, folder: &Path) -> (Program, SocketAddr) {
    let mut program = Program::start(&mut command(options, folder));
    let line = program.await_line_within(Duration::from_secs(30), "mqtt://127.0.0.1:PORT", |line| {
        line.contains("mqtt://127.0.0.1:")
    });
    let port: String = line
        .split("mqtt://127.0.0.1:")
        .nth(1)
        .expect("the line was awaited for this")
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let port: u16 = port.parse().unwrap_or_else(|_| panic!("no port in the line {line:?}"));
    (program, SocketAddr::from(([127, 0, 0, 1], port)))
}

fn command(options: &Options, folder: &Path) -> Command {
    let mut command = match options.open_files_max {
        None => Command::new(env!("CARGO_BIN_EXE_dunlin")),
        Some(most) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("ulimit -n {most}; exec \"$0\" \"$@\""));
            shell.arg(env!("CARGO_BIN_EXE_dunlin"));
            shell
        }
    };
    command.args(["serve", "--port", "0", "--data-dir"]).arg(folder.join("data"));
    if options.shards > 0 {
        command.args(["--shards", &options.shards.to_string()]);
    }
    if let Some(text) = &options.config {
        let file = folder.join("dunlin.toml");
        std::fs::write(&file, text).expect("the configuration can be written");
        command.arg("--config").arg(file);
    }
    command
}
